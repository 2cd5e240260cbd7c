"""Stage: kept images -> training and validation rows. It splits by group, so that no scene is in both.

Reads data/kept.jsonl; writes data/train.jsonl and data/val.jsonl. The side of a group depends only on a hash of its
name and the seed: with more images, or in another order, every group stays on its side. A generated group has all
labels of a scene, so labels and factors stay in proportion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.params import SplitParams
from pipeline.data.hashing import hash_share
from pipeline.data.records import Image, more_images
from pipeline.errors import DataError


@dataclass(frozen=True, slots=True)
class Split:
    """Training and validation rows without a common group, each in the order of the kept images."""

    train: list[Image]
    val: list[Image]


def run(params: SplitParams, kept: Sequence[Image]) -> Split:
    """Split the images; groups whose hash is below ``val_fraction`` are held out for validation.

    Args:
        params: Share of groups to hold out, and the seed of the hash.
        kept: Images that curation kept.

    Raises:
        DataError: One side has no images of a label.
    """
    groups = {image.group for image in kept}
    held_out = {group for group in groups if hash_share(params.seed, group) < params.val_fraction}
    split = Split(
        train=[image for image in kept if image.group not in held_out],
        val=[image for image in kept if image.group in held_out],
    )
    labels = {image.label for image in kept}
    for name, side in (("training", split.train), ("validation", split.val)):
        missing = sorted(labels - {image.label for image in side})
        if missing or not side:
            raise DataError(
                f"params.yaml split.val_fraction: {params.val_fraction}; found {len(kept)} kept images in "
                f"{len(groups)} groups, none of {', '.join(missing) or 'any label'} for {name}; expected every "
                f"label on both sides; {more_images(kept)}, or change split.val_fraction or split.seed"
            )
    return split
