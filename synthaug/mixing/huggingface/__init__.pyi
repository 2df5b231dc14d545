from .dataset import (
    expand_dataset as expand_dataset,
    is_huggingface as is_huggingface,
    mix_dataset as mix_dataset,
)
from .regimen import (
    augment_dataset as augment_dataset,
    follow_dataset as follow_dataset,
    follow_stream as follow_stream,
)
from .stream import mix_stream as mix_stream
