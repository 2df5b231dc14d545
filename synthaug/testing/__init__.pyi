from .adapters import check_adapter as check_adapter
from .families import (
    FAMILY_CHECKS as FAMILY_CHECKS,
    check_family as check_family,
    forms_for as forms_for,
    image_form as image_form,
    table_form as table_form,
    untrained as untrained,
)
from .formats import check_format as check_format
from .modalities import MODALITY_CHECKS as MODALITY_CHECKS, check_modality as check_modality
from .planted import Planted as Planted, planted_generator as planted_generator
