from .artifact import (
    CARD as CARD,
    HISTORY as HISTORY,
    MANIFEST as MANIFEST,
    check_files as check_files,
    described as described,
    read_generator as read_generator,
    read_manifest as read_manifest,
    save_generator as save_generator,
    write_generator as write_generator,
)
from .card import model_card as model_card
from .facts import About as About, Achieved as Achieved, HeldOutAccuracy as HeldOutAccuracy
from .generator import (
    ROWS as ROWS,
    WEIGHTS as WEIGHTS,
    Generator as Generator,
    Selection as Selection,
    resolve_device as resolve_device,
)
from .samples import (
    PROVENANCE_COLUMNS as PROVENANCE_COLUMNS,
    Samples as Samples,
    real_provenance as real_provenance,
    synthetic_provenance as synthetic_provenance,
)
