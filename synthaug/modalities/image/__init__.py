"""Images: their form, how they lie in items and files, networks, the classifier, augmentation, pictures for people."""
