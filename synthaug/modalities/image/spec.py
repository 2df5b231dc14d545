"""What one row of a data set looks like: shape, layout, dtype, range and container."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Layout = Literal["HW", "HWC", "CHW"]
Container = Literal["array", "tensor", "pil"]


@dataclass(frozen=True)
class ImageSpec:
    """The form of one image as the data set hands it out.

    ``low`` and ``high`` are the ends of the value range (e.g. 0 and 255, or 0.0 and 1.0). They are None for
    float and wide integer images until a codec has been fitted on training rows.
    """

    height: int
    width: int
    channels: int
    layout: Layout
    dtype: str
    low: float | None = None
    high: float | None = None
    container: Container = "array"

    @property
    def shape(self) -> tuple[int, ...]:
        """The array shape of one row, e.g. ``(28, 28)`` for layout HW or ``(3, 32, 32)`` for CHW."""
        h, w, c = self.height, self.width, self.channels
        return {"HW": (h, w), "HWC": (h, w, c), "CHW": (c, h, w)}[self.layout]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ImageSpec:
        """The spec that `to_dict` wrote."""
        return cls(**data)

    def __str__(self) -> str:
        span = "range unknown" if self.low is None else f"range [{self.low:g}, {self.high:g}]"
        return f"{self.layout} {'x'.join(map(str, self.shape))} {self.dtype}, {span}"
