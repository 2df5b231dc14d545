from .augment import (
    ELASTIC as ELASTIC,
    ImageAugmentation as ImageAugmentation,
    classical as classical,
    cutmix as cutmix,
    elastic as elastic,
    image_augmentations as image_augmentations,
    mirror_is_valid as mirror_is_valid,
    policy as policy,
)
from .backbone import ImageBackbone as ImageBackbone
from .cells import (
    contained as contained,
    container_of as container_of,
    fits_png as fits_png,
    from_file as from_file,
    from_pixels as from_pixels,
    image_like as image_like,
    is_image as is_image,
    png_bytes as png_bytes,
)
from .classifier import ImageClassifier as ImageClassifier
from .diffaug import diffaugment as diffaugment
from .form import (
    ImageForm as ImageForm,
    Layout as Layout,
    fingerprints as fingerprints,
)
from .images import Images as Images, Stack as Stack
from .kinds import is_signal as is_signal, narrowed as narrowed
from .medical import Plane as Plane, ScanOptions as ScanOptions
from .nets import (
    ConditionalNorm as ConditionalNorm,
    Decoder as Decoder,
    DownBlock as DownBlock,
    Encoder as Encoder,
    Pyramid as Pyramid,
    UpBlock as UpBlock,
    default_base as default_base,
    resize as resize,
)
from .pictures import Pictures as Pictures
from .pipelines import seed_transform as seed_transform
from .scans import Scans as Scans
from .view import coarse as coarse, grid as grid, to_rgb as to_rgb
