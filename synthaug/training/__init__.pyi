from .appraise import LEAST_STEPS as LEAST_STEPS, Appraiser as Appraiser, in_words as in_words
from .batches import Batches as Batches
from .budget import BUDGET as BUDGET, Training as Training
from .classifier import (
    LABEL_SMOOTHING as LABEL_SMOOTHING,
    Classifier as Classifier,
    ClassifierLoss as ClassifierLoss,
    LabelledBatches as LabelledBatches,
    cross_entropy as cross_entropy,
    pace_of as pace_of,
    train_classifier as train_classifier,
)
from .forecast import Forecast as Forecast, seconds_per_step as seconds_per_step
from .loop import (
    CHECKPOINT as CHECKPOINT,
    Run as Run,
    Score as Score,
    forget as forget,
    run_loop as run_loop,
)
from .pace import PATIENCE as PATIENCE, Steps as Steps, TimedSteps as TimedSteps
from .ranks import Ranks as Ranks, ranks as ranks, together as together
from .train import train as train
from .watch import (
    Callback as Callback,
    History as History,
    Line as Line,
    Look as Look,
    Preview as Preview,
    Tracker as Tracker,
    as_callbacks as as_callbacks,
    figures_of as figures_of,
    follow as follow,
    require_tracker as require_tracker,
)
