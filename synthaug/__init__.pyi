from .data import (
    CachedEmbedder as CachedEmbedder,
    Classes as Classes,
    LabeledData as LabeledData,
    open_data as open_data,
)
from .errors import SynthaugError as SynthaugError, SynthaugWarning as SynthaugWarning
from .files import Writing as Writing
from .generators import Generator as Generator, Samples as Samples
from .judging import Evaluation as Evaluation, Plan as Plan, Protocol as Protocol
from .mixing import (
    BatchMixer as BatchMixer,
    Items as Items,
    constant as constant,
    cosine as cosine,
    linear as linear,
    off_after as off_after,
)
from .modalities.image import ImageForm as ImageForm
from .report import plot as plot
from .verbs import (
    choose as choose,
    evaluate as evaluate,
    expand as expand,
    fit as fit,
    inspect as inspect,
    load as load,
    mix as mix,
    push as push,
    sample as sample,
)

__version__: str
