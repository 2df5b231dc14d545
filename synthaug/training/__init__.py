"""Learning: a labelled data set and a family in, a generator out."""
