"""Telling people: tables, charts, pages, and pictures of a generator's inside."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
