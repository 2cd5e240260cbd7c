"""Stage: kept images -> training and validation rows, by group, so that no scene stands on both sides.

Reads data/kept.jsonl; writes data/train.jsonl and data/val.jsonl. A group's side is decided by a hash of its name and
the seed alone: more images, or another order, move no group from one side to the other. Groups of the generator hold
every label of a scene, so hashing them keeps labels and factors in proportion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.params import SplitParams
from pipeline.data.hashing import hash_share
from pipeline.data.records import Image
from pipeline.errors import DataError


@dataclass(frozen=True, slots=True)
class Split:
    """Training and validation rows, each in the order of the kept images; they share no group."""

    train: list[Image]
    val: list[Image]


def run(params: SplitParams, kept: Sequence[Image]) -> Split:
    """Deal the groups out: those whose hash lies below ``val_fraction`` go to validation.

    Raises:
        DataError: A side is left without images of a label that there are images of.
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
                f"{len(groups)} groups, none of {', '.join(missing) or 'any label'} for {name}; expected each "
                "label on both sides; generate more images (prompts.count) or change split.val_fraction or split.seed"
            )
    return split
