"""The public functions: each fills in its request, and runs it.

Columns, splits and sizes are said where a data set is opened, with `open_data`; a verb takes what that returned, or
anything that opens by itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
