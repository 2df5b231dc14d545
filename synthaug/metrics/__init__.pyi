from .fidelity import (
    FeatureClassifier as FeatureClassifier,
    Fidelity as Fidelity,
    label_agreement as label_agreement,
    measure_fidelity as measure_fidelity,
    nearest_rows as nearest_rows,
    relative_diversity as relative_diversity,
    relative_novelty as relative_novelty,
)
from .scores import (
    Scores as Scores,
    calibration_error as calibration_error,
    mistakes as mistakes,
    score as score,
    sureness as sureness,
)
from .statistics import (
    BOOTSTRAP_FROM as BOOTSTRAP_FROM,
    SIGN_FLIPS_FROM as SIGN_FLIPS_FROM,
    Interval as Interval,
    Verdict as Verdict,
    bootstrap_interval as bootstrap_interval,
    detectable_gain as detectable_gain,
    differences_needed as differences_needed,
    mean_interval as mean_interval,
    paired_interval as paired_interval,
    sign_flip_p as sign_flip_p,
    verdict as verdict,
    wilson_interval as wilson_interval,
)
