"""Class-conditional GAN and VAE samples mixed into the training you already run, and whether they help.

The names of ``__init__.pyi`` are the whole public face. Nothing heavy is imported before one of them is used.
"""

import logging

import lazy_loader

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(
    logging.NullHandler()
)  # what is done with the log is its user's to say

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
