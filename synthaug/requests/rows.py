"""What is said of a data set where it is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from synthaug import data
from synthaug.requests.base import Request


@dataclass(frozen=True)
class DataRequest(Request):
    """What is said of a data set where it is opened.

    Attributes:
        source: a folder, file or name.
        label: column of the labels.
        image: column of the images.
        group: column of groups that must stay on one side of a split.
        image_size: resize every image to this many pixels a side, or to HxW.
        train_split: split to train on, where it is not called train.
        test_split: split to test on, where it is not called test.
        leave_out: a class whose rows are left out; repeatable.
        mode: L, RGB or RGBA, to convert pictures in files to.
        resize: how pictures are brought to a size: stretch, crop or pad.
        skip_broken: leave out pictures that cannot be decoded.
        scans: how medical files are read, e.g. frames=split,axis=1 or window=40:400.
        kinds: what a column of a table is, where its type does not say it, e.g. zip=category, or patient=beside for one
            that stays with its row and is not learned; or what holds between some, "start, end=ordered" or "country,
            city=together"; repeatable.
        embed: what makes vectors of photographs, "module:name" of a function or class that can be imported.
    """

    source: str
    label: data.Key | None = None
    image: data.Key | None = None
    group: data.Key | None = None
    image_size: int | tuple[int, int] | None = None
    train_split: str | None = None
    test_split: str | None = None
    leave_out: Sequence[str] = ()
    mode: str | None = None
    resize: str = "stretch"
    skip_broken: bool = False
    scans: str | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    embed: str | None = None

    def open(self) -> data.LabeledData:
        """The data set."""
        said = {name: value for name, value in self.arguments().items() if name != "source"}
        return data.open_data(self.source, **said)
