"""The command line: options made from requests, commands that fill them in, and how they print what was found."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
