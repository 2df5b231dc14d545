from .arrays import are_equal as are_equal, as_array as as_array
from .base import Augment as Augment, Backbone as Backbone, Container as Container, Form as Form
from .cells import is_vector as is_vector, rows_among as rows_among
from .classifier import ClassifierNetwork as ClassifierNetwork
from .known import (
    MODALITIES as MODALITIES,
    AnyForm as AnyForm,
    Modality as Modality,
    classifier_of as classifier_of,
    find_modality as find_modality,
    form_of as form_of,
)
from .look import Look as Look, mismatch as mismatch
from .source import RowSource as RowSource
