"""What a generator is, as the Hugging Face Hub shows it: a YAML header and a page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthaug.generators.generator import WEIGHTS
from synthaug.modalities.known import form_of
from synthaug.wording import table_cell

_TEMPLATE = Path(__file__).with_name("card.md.jinja")


def model_card(manifest: Mapping[str, Any]) -> str:
    """The card of a generator with this manifest; ``OWNER/NAME`` stands for where it will be."""
    from huggingface_hub import ModelCard, ModelCardData

    counts: Mapping[str, int] = manifest["data"]["counts"]
    about = ModelCardData(
        library_name="synthaug", tags=["synthaug", "synthetic", "data-augmentation", "image-generation"]
    )
    card = ModelCard.from_template(
        about,
        template_path=str(_TEMPLATE),
        family=manifest["family"],
        rows=sum(counts.values()),
        counts=json.dumps(dict.fromkeys(counts, 10), ensure_ascii=False),
        classes=[(table_cell(name), n) for name, n in counts.items()],
        form=str(form_of(manifest["form"])),
        steps=manifest["steps"],
        seed=manifest["seed"],
        achieved=table_cell(manifest["achieved"]["text"]),
        weights=manifest["files"][WEIGHTS],
        contains_rows=manifest["contains_training_rows"],
    )
    return str(card.content).rstrip() + "\n"
