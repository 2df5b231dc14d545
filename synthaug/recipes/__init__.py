"""Recipes: a usual job from data to report, declared in YAML. Their steps are the fields of the same requests."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
