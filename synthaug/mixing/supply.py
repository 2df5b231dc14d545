"""Synthetic rows to mix in, behind one face, whatever holds or makes them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.classes import Classes
from synthaug.data.readers.remote import copied
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind
from synthaug.files.formats import Stored
from synthaug.generators.artifact import MANIFEST, read_generator
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.mixing.options import MixOptions
from synthaug.mixing.pool import Refresh
from synthaug.mixing.schedule import USUAL_SHARE, Ratio
from synthaug.modalities.base import Form
from synthaug.wording import is_url


@dataclass(frozen=True)
class Supply:
    """Where synthetic rows come from: samples that are there, or a generator that makes them.

    Attributes:
        source: either of the two; None where no synthetic rows are to be used.
        share: what a loader is to be given, where that comes with the rows; None where it does not.
        fixed_share: what a data set that is mixed once is to be given.
    """

    source: Samples | Generator | None
    share: Ratio | None = None
    fixed_share: float | None = None

    @classmethod
    def of(cls, source: Any) -> Supply:
        """The supply of samples, a generator or the folder of one, a data set on disk, or what has a supply.

        Raises:
            UnsupportedKind: anything else.
            InvalidData: a path where there are no synthetic rows of synthaug.
        """
        if isinstance(source, Supply):
            return source
        if hasattr(source, "supply"):  # a plan
            found: Supply = source.supply()
            return found
        if is_url(source):
            with copied(source) as copy:
                return cls(_opened(copy.path))
        if isinstance(source, str | os.PathLike):
            return cls(_opened(Path(source)))
        if isinstance(source, Samples) or is_generator(source):
            return cls(source)
        raise UnsupportedKind(
            f"a source of type {type(source).__name__} was given; taken are samples, a generator, a plan, and a data "
            "set on disk with synthetic rows"
        )

    @property
    def classes(self) -> Classes:
        """The classes of its rows."""
        return self._known.classes

    @property
    def form(self) -> Form:
        """The form of its rows."""
        return self._known.form

    @property
    def held_out(self) -> np.ndarray:
        """``(M,)`` uint64 fingerprints of the rows that its own must not meet."""
        return self._known.held_out

    @property
    def generator(self) -> Generator | None:
        """What makes its rows; None where they are all there."""
        return None if isinstance(self.source, Samples) else self.source

    def ratio(self, options: MixOptions, *, fixed: bool = False) -> Ratio:
        """The share that is asked for, or else the one that comes with the rows, or a quarter."""
        own = self.fixed_share if fixed else self.share
        return next(share for share in (options.ratio, own, USUAL_SHARE) if share is not None)

    def pool(self, options: MixOptions) -> Samples:
        """Rows to choose from: all there are, or so many of each class.

        Raises:
            InvalidRequest: new rows in every epoch, where there are no other ones.
        """
        source = self._known
        if isinstance(source, Samples):
            if options.refresh is not None:
                raise InvalidRequest(
                    "refresh= draws new rows, which takes a generator; fixed samples were given."
                )
            return source
        kept = getattr(source, "kept", None)
        if kept is None:
            return source.sample(options.pool, seed=self.row_seed(options))
        if options.refresh is not None:
            raise InvalidRequest(
                "refresh= draws new rows; of a curated generator there are no more than were kept."
            )
        counts = {name: min(options.pool, len(rows)) for name, rows in kept.rows.items()}
        return source.sample(counts, seed=self.row_seed(options))

    def refresh(self, options: MixOptions) -> Refresh | None:
        """What gives new rows before an epoch, where that is asked for."""
        if options.refresh is None or self.generator is None:
            return None
        return Refresh(partial(self.generator.sample_rows, seed=self.row_seed(options)), options.refresh)

    @property
    def curated(self) -> bool:
        """Whether its generator gives only some rows, so that there are no others."""
        return getattr(self.generator, "kept", None) is not None

    def row_seed(self, options: MixOptions) -> int:
        """The seed of rows that are drawn: the one that is asked for, or that of the rows of a curated generator."""
        kept = getattr(self.generator, "kept", None)
        return options.seed if kept is None else int(kept.seed)

    @property
    def _known(self) -> Samples | Generator:
        assert self.source is not None, "nothing is asked of a supply of no rows"
        return self.source


def _opened(path: Path) -> Samples | Generator:
    """A saved generator, or the synthetic rows of a data set."""
    if os.path.isfile(path / MANIFEST):
        return read_generator(path)
    try:
        return Stored.at(path).samples()
    except InvalidData as error:
        raise InvalidData(f'{error}; a saved plan is opened by synthaug.Plan.load("{path}")') from None


def is_generator(source: Any) -> bool:
    """Whether rows can be had of this as of a generator."""
    return hasattr(source, "sample_rows") or hasattr(source, "noise_shape")
