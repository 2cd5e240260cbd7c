"""The dataset card: front matter of the hub, counts, and origin of the images."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipeline.data.records import Fault, Image
from pipeline.generate.dataset_card import dataset_card
from pipeline.generate.generators import Description

MODEL = Description(
    "drawn by a diffusion model", "a/b", "451f4fe", "sai-nc-community", "other", {"steps": 8, "a|b": "c|d"}
)


def image(number: int, label: str, fault: Fault | None = None) -> Image:
    shard = {"shard": "shard-00000.tar", "offset": 512, "size_bytes": 1, "sha256": "0", "width": 96, "height": 128}
    values: dict[str, Any] = {"id": str(number), "group": str(number // 2), "factors": {}, **shard}
    return Image(label=label, fault=fault, **values)


IMAGES = [image(0, "helmet"), image(1, "no_helmet", "nsfw"), image(2, "helmet", "black"), image(3, "no_helmet", "nsfw")]


def test_the_front_matter_has_the_licence() -> None:
    assert dataset_card("helmet", [MODEL], IMAGES).startswith("---\n")
    front = yaml.safe_load(dataset_card("helmet", [MODEL], IMAGES).split("---\n")[1])
    assert front["license"] == "other"
    assert front["license_name"] == "sai-nc-community"
    assert front["task_categories"] == ["image-classification"]


@pytest.mark.parametrize(
    "line",
    [
        "4 images of 2 scenes, drawn by a diffusion model, for training an image classifier with Gossamer.",
        "| helmet | 2 |",
        "| no_helmet | 2 |",
        "| nsfw | 2 |",
        "| black | 1 |",
        "| model | a/b |",
        "| revision | 451f4fe |",
        "| licence | sai-nc-community |",
        "| steps | 8 |",
    ],
)
def test_the_card_has_counts_and_origin(line: str) -> None:
    assert line in dataset_card("helmet", [MODEL], IMAGES).splitlines()


def test_without_faults_the_card_says_none() -> None:
    assert "## Faults\n\nNone.\n" in dataset_card("helmet", [MODEL], IMAGES[:1])


def test_without_a_model_there_is_no_revision() -> None:
    card = dataset_card("helmet", [Description("drawn by hand", None, None, "mit", "mit", {})], IMAGES)
    assert "revision" not in card
    assert "Licence: mit." in card
