from .adapters import ADAPTERS as ADAPTERS, Adapter as Adapter, adapter_for as adapter_for
from .expand import (
    ExpandedArrays as ExpandedArrays,
    ExpandedDataset as ExpandedDataset,
    expand_in_memory as expand_in_memory,
)
from .huggingface import (
    expand_dataset as expand_dataset,
    is_huggingface as is_huggingface,
    mix_dataset as mix_dataset,
    mix_stream as mix_stream,
)
from .marks import MarkedItem as MarkedItem, MarkingCollate as MarkingCollate, Marks as Marks
from .options import (
    EVERY_OPTION as EVERY_OPTION,
    Items as Items,
    MixOptions as MixOptions,
    Transform as Transform,
)
from .plan import MixingPlan as MixingPlan, MixingRun as MixingRun, Mode as Mode
from .pool import Pool as Pool, Refresh as Refresh, Window as Window
from .prepare import (
    Aligned as Aligned,
    Prepared as Prepared,
    RealRows as RealRows,
    align as align,
    classes_among as classes_among,
    prepare as prepare,
)
from .probes import look_of as look_of
from .regimen import Blend as Blend, Blended as Blended, Regimen as Regimen
from .schedule import (
    USUAL_SHARE as USUAL_SHARE,
    Ratio as Ratio,
    Schedule as Schedule,
    check_share as check_share,
    constant as constant,
    cosine as cosine,
    linear as linear,
    off_after as off_after,
)
from .supply import Supply as Supply
from .torch import (
    BalancedSampler as BalancedSampler,
    BatchMixer as BatchMixer,
    is_loader as is_loader,
    mix_loader as mix_loader,
)
