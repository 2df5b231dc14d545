"""Into scikit-learn and imbalanced-learn: a sampler, and a classifier that is fitted with synthetic rows."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
