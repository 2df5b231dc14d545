"""Class-conditional GAN and VAE samples mixed into the training you already run, and whether they help.

The names below are the whole public face. Nothing heavy is imported before one of them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from synthaug.errors import SynthaugError as SynthaugError
    from synthaug.errors import SynthaugWarning as SynthaugWarning
    from synthaug.generators.generator import Generator as Generator
    from synthaug.generators.samples import Samples as Samples
    from synthaug.judging.evaluation import Evaluation as Evaluation
    from synthaug.judging.plan import Plan as Plan
    from synthaug.mixing.schedule import constant as constant
    from synthaug.mixing.schedule import cosine as cosine
    from synthaug.mixing.schedule import linear as linear
    from synthaug.mixing.schedule import off_after as off_after
    from synthaug.mixing.torch.step import BatchMixer as BatchMixer
    from synthaug.verbs import choose as choose
    from synthaug.verbs import evaluate as evaluate
    from synthaug.verbs import expand as expand
    from synthaug.verbs import fit as fit
    from synthaug.verbs import load as load
    from synthaug.verbs import mix as mix

_HOMES = {
    "fit": "synthaug.verbs",
    "load": "synthaug.verbs",
    "mix": "synthaug.verbs",
    "expand": "synthaug.verbs",
    "choose": "synthaug.verbs",
    "evaluate": "synthaug.verbs",
    "BatchMixer": "synthaug.mixing.torch.step",
    "constant": "synthaug.mixing.schedule",
    "linear": "synthaug.mixing.schedule",
    "cosine": "synthaug.mixing.schedule",
    "off_after": "synthaug.mixing.schedule",
    "Generator": "synthaug.generators.generator",
    "Samples": "synthaug.generators.samples",
    "Plan": "synthaug.judging.plan",
    "Evaluation": "synthaug.judging.evaluation",
    "SynthaugError": "synthaug.errors",
    "SynthaugWarning": "synthaug.errors",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'synthaug' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
