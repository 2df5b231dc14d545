"""Rows in: one view over every kind of labelled data set, its classes, counts and splits."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
