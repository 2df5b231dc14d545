from .classifier import AugmentedClassifier as AugmentedClassifier
from .sampler import SyntheticRows as SyntheticRows
from .strategy import Strategy as Strategy, added_rows as added_rows
