from .batches import MixedBatches as MixedBatches
from .labels import labels_of as labels_of
from .loader import is_loader as is_loader, mix_loader as mix_loader, unmixed_loader as unmixed_loader
from .regimen import BalancedSampler as BalancedSampler, follow_loader as follow_loader
from .step import BatchMixer as BatchMixer
from .stream import MixedStream as MixedStream, StreamBatches as StreamBatches
from .views import IN_THE_STEP as IN_THE_STEP
