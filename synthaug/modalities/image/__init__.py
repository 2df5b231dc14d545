"""Images: their form, how they lie in items and files, networks, the classifier, augmentation, pictures for people."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
