"""What learns: the contract of a family, the families that come with synthaug, and those of other packages."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
