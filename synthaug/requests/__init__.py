"""What can be asked for, once: arguments of a verb, its dry run, the record in its output.

Each request is a frozen dataclass. Its docstring says what each field means, its defaults are the only ones,
`describe` refuses what cannot be done and says what would be, and `to_dict` is what an output records. Nothing
heavy is imported before one of these is called.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
