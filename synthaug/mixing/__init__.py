"""Into a training: the plan of what is synthetic, and thin adapters for the frameworks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
