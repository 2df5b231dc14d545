"""Tables: their columns, the form of a row, how rows lie in Arrow tables, and how they are encoded."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
