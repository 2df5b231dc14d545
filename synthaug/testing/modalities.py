"""What every kind of rows has to keep."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import torch

from synthaug.errors import SpecMismatch
from synthaug.modalities import Form, classifier_of, form_of

_CLASSES = 3


def check_modality(form: Form, rows: np.ndarray) -> None:
    """Checks the form of a kind of rows, and all that hangs on it, with some rows.

    Args:
        form: as a source gives it, not fitted.
        rows: ``(N, *form.shape)`` raw rows, at least 8, no two of them equal.

    Raises:
        AssertionError: naming what it does not keep.
    """
    fitted = form.fitted(rows)
    for check in MODALITY_CHECKS:
        check(fitted, rows)


def rows_are_encoded_and_decoded_in_their_shapes(form: Form, rows: np.ndarray) -> None:
    """``(N, *shape)`` to ``(N, *encoded)`` float32 and back to the dtype; the rows stay."""
    before = rows.copy()
    encoded = form.encode(rows)
    assert np.array_equal(rows, before, equal_nan=rows.dtype.kind == "f"), "encoding changed the rows"
    assert encoded.shape == (len(rows), *form.encoded), f"rows were encoded as {tuple(encoded.shape[1:])}"
    assert encoded.dtype == torch.float32, f"encoded rows are {encoded.dtype}"
    assert bool(encoded.isfinite().all()), "an encoded row is not finite"
    decoded = form.decode(encoded)
    assert decoded.shape == rows.shape, f"rows were decoded as {decoded.shape[1:]}"
    assert decoded.dtype == rows.dtype, f"rows of {rows.dtype} were decoded as {decoded.dtype}"
    again = form.decode(form.encode(decoded))
    assert np.array_equal(again, decoded, equal_nan=rows.dtype.kind == "f"), "decoding twice gives other rows"
    there = form.decode_on_device(encoded).numpy()
    assert np.allclose(there.astype(float), decoded.astype(float), atol=1, equal_nan=True), (
        "rows are decoded otherwise on a device"
    )


def whatever_is_decoded_can_be_encoded(form: Form, rows: np.ndarray) -> None:
    """Any tensor becomes rows that a data set could hold."""
    wild = 3 * torch.randn(16, *form.encoded, generator=torch.Generator().manual_seed(0))
    made = form.decode(wild)
    assert bool(form.encode(made).isfinite().all()), "a decoded row cannot be encoded"


def rows_of_another_shape_are_refused(form: Form, rows: np.ndarray) -> None:
    """By `SpecMismatch`."""
    try:
        form.encode(np.concatenate([rows, rows], axis=-1))
    except SpecMismatch:
        return
    raise AssertionError("rows of another shape are encoded")


def a_form_is_plain_data(form: Form, rows: np.ndarray) -> None:
    """It goes through JSON, and comes back as the same form, found by its kind."""
    again = form_of(json.loads(json.dumps(form.to_dict())))
    assert again == form, "a form that was written and read is another one"
    assert form.why_not(again) is None, "a form does not fit itself"


def equal_rows_have_one_fingerprint(form: Form, rows: np.ndarray) -> None:
    """And different ones have others."""
    prints = form.fingerprints(rows)
    assert prints.dtype == np.uint64, f"fingerprints are {prints.dtype}"
    assert np.array_equal(prints, form.fingerprints(rows.copy())), "equal rows have different fingerprints"
    assert len(np.unique(prints)) == len(rows), "different rows have one fingerprint"
    assert np.array_equal(prints[::-1], form.fingerprints(rows[::-1])), "a fingerprint depends on other rows"


def networks_fit_the_rows(form: Form, rows: np.ndarray) -> None:
    """Encoders take encoded rows, decoders give open ones; noise alone settles these."""
    nets, encoded = form.backbone(), form.encode(rows)
    features = nets.encoder()(encoded)
    assert features.shape[:2] == (len(rows), nets.channels), f"an encoder gives {tuple(features.shape)}"
    assert features.flatten(1).shape[1] == nets.features, "an encoder has another number of features"
    twice = nets.encoder(rows=2)(torch.cat([encoded, encoded], dim=1))
    assert twice.flatten(1).shape[1] == nets.features, "an encoder of two rows has other features"
    opened = nets.decoder(7)(torch.randn(len(rows), 7))
    noise = torch.randn(len(rows), nets.noise)
    settled = nets.settled(opened, noise)
    assert settled.shape == encoded.shape, f"open rows are settled as {tuple(settled.shape)}"
    assert torch.equal(settled, nets.settled(opened, noise)), "equal noise settles a row differently"
    assert bool(form.encode(form.decode(settled)).isfinite().all()), "a settled row is none of a data set"
    surprise, error = nets.surprise(opened, encoded)
    assert surprise.ndim == 0, "the surprise is no scalar"
    assert bool(surprise.isfinite() & error.isfinite()), "the surprise is not finite"
    leaf = opened.detach().requires_grad_()
    sum(nets.surprise(leaf, encoded)[:1]).backward()  # type: ignore[union-attr]
    assert leaf.grad is not None, "no gradient of the surprise reaches an open row"
    assert bool(leaf.grad.isfinite().all()), "the gradient of the surprise is not finite"


def what_a_discriminator_is_shown_depends_on_its_stream_alone(form: Form, rows: np.ndarray) -> None:
    """And lets gradients through."""
    nets, encoded = form.backbone(), form.encode(rows).requires_grad_()

    def shown(seed: int) -> torch.Tensor:
        rng = torch.Generator().manual_seed(seed)
        return nets.disturb(encoded, rng, strong=False, probability=None)

    first = shown(0)
    assert first.shape == encoded.shape, f"disturbed rows are {tuple(first.shape)}"
    assert torch.equal(first, shown(0)), "rows are disturbed by another stream"
    first.sum().backward()  # type: ignore[no-untyped-call]
    assert encoded.grad is not None, "no gradient flows through disturbed rows"


def classifiers_take_encoded_rows(form: Form, rows: np.ndarray) -> None:
    """The built-in one is found by the shape of a row."""
    network = classifier_of(form.encoded, _CLASSES).eval()
    logits = network(form.encode(rows))
    assert logits.shape == (len(rows), _CLASSES), f"a classifier gives {tuple(logits.shape)}"
    assert network.learning_rate > 0, "a classifier has no learning rate"


def rows_can_be_compared_and_blended(form: Form, rows: np.ndarray) -> None:
    """As points, and on the way from one to another, whose ends are the rows, as far as decoding gives them back."""
    points = form.points(rows)
    assert points.ndim == 2, "a point has several axes"
    assert points.dtype == np.float32, f"points are {points.dtype}"
    other = np.roll(rows, 1, axis=0)
    for share, expected in ((0.0, rows), (1.0, other)):
        blended = form.between(rows, other, np.full(len(rows), share))
        assert blended.dtype == rows.dtype, f"blended rows are {blended.dtype}"
        apart = np.abs(form.points(blended) - form.points(expected)).max()
        assert apart <= 1.0, f"a row at share {share:g} is {apart:g} from the end of the way"


def rows_can_be_seen(form: Form, rows: np.ndarray) -> None:
    """As small pictures, and in blocks side by side."""
    pictures = form.drawn(rows)
    assert pictures.ndim == 4, f"pictures have the shape {pictures.shape}"
    assert (len(pictures), pictures.shape[3]) == (len(rows), 3), "there is not one picture in colour a row"
    assert pictures.dtype == np.uint8, f"pictures are {pictures.dtype}"
    side = form.side_by_side(["few", "others"], {"real": rows[:4], "synthetic": rows[4:8]})
    assert min(side.size) > 0, "a picture of blocks is empty"


MODALITY_CHECKS: tuple[Callable[[Form, np.ndarray], None], ...] = (
    rows_are_encoded_and_decoded_in_their_shapes,
    whatever_is_decoded_can_be_encoded,
    rows_of_another_shape_are_refused,
    a_form_is_plain_data,
    equal_rows_have_one_fingerprint,
    networks_fit_the_rows,
    what_a_discriminator_is_shown_depends_on_its_stream_alone,
    classifiers_take_encoded_rows,
    rows_can_be_compared_and_blended,
    rows_can_be_seen,
)
"""The checks, each for a fitted form and raw rows of it."""
