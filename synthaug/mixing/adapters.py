"""What rows can be mixed into: a row of a table for each kind of loader or data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from synthaug.errors import UnsupportedKind
from synthaug.mixing.huggingface import follow_dataset, follow_stream, is_huggingface, mix_dataset, mix_stream
from synthaug.mixing.options import EVERY_OPTION, MixOptions
from synthaug.mixing.regimen import Regimen
from synthaug.mixing.supply import Supply
from synthaug.mixing.torch import IN_THE_STEP, follow_loader, is_loader, mix_loader, unmixed_loader


def _refuse_regimen(loader: Any, regimen: Regimen, supply: Supply, options: MixOptions) -> Any:
    raise UnsupportedKind(
        f"a plan cannot be applied to a {type(loader).__name__}: put plan.transform() before what the loader does to "
        "an image, and mix the plan in with synthaug.mix(loader, plan)"
    )


@dataclass(frozen=True)
class Adapter:
    """A way into one kind of loader or data set.

    Attributes:
        kind: what it is called in messages.
        recognises: whether something is of this kind.
        takes: the options of a mix that have a meaning there; others that are given are refused.
        into: gives one of the same kind with synthetic rows in it, and leaves the given one as it is.
        follow: gives one of the same kind that follows a regimen, with synthetic rows or without; refused by default.
        without: what is given where no synthetic rows are to be used.
    """

    kind: str
    recognises: Callable[[Any], bool]
    takes: frozenset[str]
    into: Callable[[Any, Supply, MixOptions], Any]
    follow: Callable[[Any, Regimen, Supply, MixOptions], Any] = _refuse_regimen
    without: Callable[[Any, MixOptions], Any] = lambda loader, options: loader

    def mix(self, loader: Any, supply: Supply, options: MixOptions) -> Any:
        """A loader or data set like the given one, with synthetic rows in it.

        Raises:
            InvalidRequest: an option that has no meaning there.
        """
        options.refuse_all_but(self.takes, self.kind)
        if supply.source is None:
            return self.without(loader, options)
        return self.into(loader, supply, options)

    def apply(self, loader: Any, regimen: Regimen, supply: Supply, options: MixOptions) -> Any:
        """A loader or data set like the given one that follows a regimen, with synthetic rows where there are some.

        Raises:
            InvalidRequest: an option that has no meaning there.
        """
        options.refuse_all_but(self.takes, self.kind)
        if regimen.idle:
            return self.mix(loader, supply, options)
        return self.follow(loader, regimen, supply, options)


ADAPTERS = (
    Adapter(
        "a streaming Hugging Face data set",
        lambda loader: is_huggingface(loader) and not hasattr(loader, "__len__"),
        frozenset({"ratio", "seed"}),
        mix_stream,
        follow_stream,
    ),
    Adapter(
        "a Hugging Face data set",
        is_huggingface,
        frozenset({"ratio", "mode", "seed", "pool"}),
        mix_dataset,
        follow_dataset,
    ),
    Adapter("a torch DataLoader", is_loader, EVERY_OPTION, mix_loader, follow_loader, unmixed_loader),
)
"""Every adapter; the first one that recognises something is used."""


def adapter_for(loader: Any) -> Adapter:
    """The adapter of a loader or data set.

    Raises:
        UnsupportedKind: there is none.
    """
    found = next((adapter for adapter in ADAPTERS if adapter.recognises(loader)), None)
    if found is None:
        raise UnsupportedKind(
            f"an object of type {type(loader).__name__} was given to mix; taken are "
            f"{', '.join(adapter.kind for adapter in ADAPTERS)}. Mix the loader that it wraps; arrays and data frames "
            f"go through synthaug.mixing.sklearn.SyntheticRows, or synthaug.expand; or {IN_THE_STEP})"
        )
    return found
