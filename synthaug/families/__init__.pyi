from .base import (
    Batch as Batch,
    BatchKind as BatchKind,
    Count as Count,
    Family as Family,
    Loss as Loss,
    NotNegative as NotNegative,
    Phase as Phase,
    Positive as Positive,
    normal as normal,
    parameters_of as parameters_of,
)
from .losses import (
    anchor_penalty as anchor_penalty,
    discriminator_loss as discriminator_loss,
    generator_loss as generator_loss,
    lipschitz_penalty as lipschitz_penalty,
    moment_penalty as moment_penalty,
    sameness_penalty as sameness_penalty,
    slope_penalty as slope_penalty,
)
from .stock import Stock as Stock
from .table import (
    ENTRY_POINTS as ENTRY_POINTS,
    FAMILIES as FAMILIES,
    build as build,
    family_names as family_names,
    family_names_for as family_names_for,
    find_family as find_family,
    is_known as is_known,
    settings_of as settings_of,
    told_of as told_of,
)
