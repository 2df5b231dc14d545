"""The formats that hold pictures, for tests."""

from __future__ import annotations

from synthaug.files import FORMATS
from synthaug.testing import planted_generator

PICTURED = tuple(name for name, format in FORMATS.items() if format.holds(planted_generator().form))

SUFFIX = {name: format.suffix or "" for name, format in FORMATS.items()}
"""What the name of an output of each format ends in."""
