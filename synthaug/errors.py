"""What can go wrong, in words: what was asked, what was found, what to do."""

from __future__ import annotations


class SynthaugError(Exception):
    """The parent of every error a user's request can raise."""


class SynthaugWarning(UserWarning):
    """Something that works but will likely disappoint, such as a class with two images."""


class InvalidRequest(SynthaugError, ValueError):
    """An argument that cannot be met: counts, a ratio, a budget, a name that does not exist."""


class InvalidData(SynthaugError, ValueError):
    """A data set that cannot be used as it is: a missing path, a broken image, one class only."""


class UnsupportedKind(SynthaugError, TypeError):
    """An object of a kind that is not taken, such as an iterable data set or soft labels."""


class SpecMismatch(SynthaugError, ValueError):
    """Real and synthetic rows differ in shape, dtype or range."""


class InvalidArtifact(SynthaugError, ValueError):
    """A saved generator that cannot be trusted: wrong version, missing file, changed bytes."""


class OutputExists(SynthaugError, ValueError):
    """An output that is already there and came from another request."""


class OutputError(SynthaugError, OSError):
    """An output that cannot be written: no permission, no space left, a file in the way."""


class HubError(SynthaugError, OSError):
    """A hub that could not be reached, does not have what was asked for, or refused it."""


class MissingLibrary(SynthaugError, ImportError):
    """A library that what was asked for cannot be done without, and that cannot be imported."""


class Leakage(SynthaugError, ValueError):
    """Synthetic rows were about to meet rows that are held out for testing."""


class Diverged(SynthaugError, RuntimeError):
    """Training produced non-finite losses and lower learning rates did not help."""
