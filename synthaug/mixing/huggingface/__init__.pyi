from .dataset import (
    expand_dataset as expand_dataset,
    is_huggingface as is_huggingface,
    mix_dataset as mix_dataset,
)
from .stream import mix_stream as mix_stream
