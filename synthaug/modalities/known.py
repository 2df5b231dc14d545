"""The kinds of rows that there are, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainSerializer

from synthaug.errors import InvalidRequest
from synthaug.modalities.base import Form
from synthaug.modalities.image.form import ImageForm
from synthaug.modalities.table.form import TableForm

if TYPE_CHECKING:
    from synthaug.modalities.classifier import ClassifierNetwork


@dataclass(frozen=True)
class Modality:
    """A kind of rows.

    Attributes:
        form: what one row is.
        axes: of an encoded row, by which a batch is told to be of this kind.
        classifier: ``classifier(shape, n_classes)``: the network that judges, for encoded rows of a shape.
    """

    form: type[Form]
    axes: int
    classifier: Callable[[tuple[int, ...], int], ClassifierNetwork]


def _image_classifier(shape: tuple[int, ...], n_classes: int) -> ClassifierNetwork:
    from synthaug.modalities.image.classifier import ImageClassifier

    return ImageClassifier(shape, n_classes)


def _table_classifier(shape: tuple[int, ...], n_classes: int) -> ClassifierNetwork:
    from synthaug.modalities.table.classifier import TableClassifier

    return TableClassifier(shape, n_classes)


MODALITIES: dict[str, Modality] = {
    "image": Modality(ImageForm, 3, _image_classifier),
    "table": Modality(TableForm, 1, _table_classifier),
}
"""The kinds that come with synthaug, by their names; a new one is one line here and one folder."""

ENTRY_POINTS = "synthaug.modalities"
"""The group of entry points under which another package names a `Modality`, by the kind of its form."""


def find_modality(kind: str) -> Modality:
    """The modality of this name; one of another package is imported now.

    Raises:
        KeyError: there is none, or what a package names is none of this kind.
    """
    if kind in MODALITIES:
        return MODALITIES[kind]
    for point in entry_points(group=ENTRY_POINTS, name=kind):
        found = point.load()
        if isinstance(found, Modality) and found.form.kind == kind:
            return found
    raise KeyError(kind)


def form_of(data: Mapping[str, Any]) -> Form:
    """The form that `Form.to_dict` wrote.

    Raises:
        KeyError: of a kind that is not known.
    """
    form: Form = find_modality(data["kind"]).form.from_dict(data)
    return form


AnyForm: TypeAlias = Annotated[
    Form,
    BeforeValidator(lambda given: given if isinstance(given, Form) else form_of(given)),
    PlainSerializer(lambda form: form.to_dict()),
]
"""A form as a field of what pydantic reads and writes."""


def classifier_of(shape: tuple[int, ...], n_classes: int) -> ClassifierNetwork:
    """The built-in classifier, untrained, for encoded rows of a shape.

    Raises:
        InvalidRequest: no kind has rows of such a shape.
    """
    others = (point.name for point in entry_points(group=ENTRY_POINTS) if point.name not in MODALITIES)
    for known in chain(MODALITIES.values(), map(find_modality, others)):
        if known.axes == len(shape):
            return known.classifier(shape, n_classes)
    raise InvalidRequest(
        f"The built-in classifier takes encoded rows as synthaug makes them; the loader gave rows of shape {shape}. "
        "Pass your own training function for others."
    )
