"""What a family, a format or an adapter has to keep, as checks that can be run on one from anywhere."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
