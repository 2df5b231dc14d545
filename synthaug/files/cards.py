"""What a data set with synthetic rows says about itself: in its record, and as a card for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.classes import Classes
from synthaug.modalities.base import Form
from synthaug.modalities.known import form_of
from synthaug.modalities.table.form import TableForm
from synthaug.wording import one_line, table_cell

_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


@dataclass(frozen=True)
class Card:
    """What a data set says about itself.

    Attributes:
        classes: the classes.
        form: the form of one row.
        origin: what the real rows were read from, empty where there are none.
        generator: SHA-256 of the generator's weights.
        family: the generator's family, e.g. ``cvae``.
        seed: the seed of the synthetic rows.
        real: real rows per class.
        synthetic: synthetic rows per class.
        copied: rows of each split that was copied as it was, by the name of the split.
        left_out: files and rows of what the real rows were read from that are not among them, by the reason.
        called: what the generator calls a class, where it has another name for it.
        image_column, label_column, group_column: what the columns of image, label and group are called, where the data
            set says so.
        label_feature: the feature of the label, as ``datasets`` writes it as JSON, where the data set says so.
        curated: whether the synthetic rows are only some of the generator's sequences.
    """

    classes: Classes
    form: Form
    origin: str
    generator: str
    family: str
    seed: int
    real: Mapping[str, int]
    synthetic: Mapping[str, int]
    copied: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)
    image_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None
    label_feature: Mapping[str, Any] | None = None
    curated: bool = False

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(chain(self.real.values(), self.synthetic.values(), self.copied.values()))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        values = np.array(self.classes.values).tolist()
        return {
            **asdict(self),
            "classes": list(self.classes),
            "values": values,
            "form": self.form.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Card:
        """The card that `to_dict` wrote."""
        rest = {k: v for k, v in data.items() if k not in ("classes", "values", "form")}
        classes = Classes(tuple(data["classes"]), tuple(data["values"]))
        return cls(classes=classes, form=form_of(data["form"]), **rest)

    def markdown(self, note: str = "") -> str:
        """A data set card as the Hugging Face Hub shows it: a YAML header and a page for people.

        Args:
            note: one more thing that people should know.
        """
        table = isinstance(self.form, TableForm)
        return _rendered(
            "card.md.jinja",
            self.rows,
            "tabular-classification" if table else "image-classification",
            title="Labelled rows" if table else "Labelled images",
            real=bool(self.origin),
            origin=table_cell(self.origin) if self.origin else "",
            family=self.family,
            classes=[
                (table_cell(name), self.real.get(name, 0), self.synthetic.get(name, 0))
                for name in self.classes
            ],
            left_out=[(one_line(reason), n) for reason, n in self.left_out.items()],
            copied=[(one_line(name).replace("`", "'"), n) for name, n in self.copied.items()],
            form=str(self.form),
            note=note,
            generator=self.generator,
            seed=self.seed,
            curated=self.curated,
            counts=json.dumps(dict(self.synthetic), ensure_ascii=False),
        )


def columns_card(real: int, made: Mapping[str, int], recipe: Sequence[Mapping[str, Any]]) -> str:
    """The card of a data set of which only its columns of provenance are known.

    Args:
        real: real rows.
        made: synthetic rows per class.
        recipe: the generators and seeds that made them.
    """
    return _rendered(
        "columns_card.md.jinja",
        real + sum(made.values()),
        "image-classification",
        real=bool(real),
        real_rows=real,
        classes=[(table_cell(name), n) for name, n in made.items()],
        recipe=recipe,
    )


def with_licence(text: str, licence: str) -> str:
    """A card that states the licence in its header, unless that has one, and in its text."""
    from huggingface_hub import RepoCard

    card = RepoCard(text)
    if not card.data.get("license"):
        card.data["license"] = licence
    return str(card.content).replace("- Licence: not stated", f"- Licence: {licence}", 1)


def _rendered(template: str, rows: int, task: str, *, real: bool, **values: Any) -> str:
    from huggingface_hub import DatasetCard, DatasetCardData

    about = DatasetCardData(
        task_categories=[task],
        tags=["synthetic", "synthaug"],
        annotations_creators=["machine-generated"],
        source_datasets=["extended" if real else "original"],
        size_categories=[next((text for limit, text in _SIZES.items() if rows < limit), "n>1M")],
    )
    path = str(Path(__file__).with_name(template))
    card = DatasetCard.from_template(about, template_path=path, **values)
    return str(card.content).rstrip() + "\n"
