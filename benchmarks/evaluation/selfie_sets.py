"""The test sets on disk. No other module depends on this layout.

    data/selfies/index.jsonl, shard-*.tar        the rendered selfies
    data/selfies/NAME/index.jsonl, shard-*.tar   one folder for each set of photographs, with
    data/selfies/NAME/set.json                   what the set is; written last, so a folder without it is unfinished

Every set is a folder of images as ``pipeline.data.shards`` reads it. Ids of images differ between sets, so that one
table can hold all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.config.selfie_params import RENDERED
from pipeline.data.records import Image, Record
from pipeline.data.shards import INDEX, read_index
from pipeline.data.storage import read_json
from pipeline.errors import DataError

CARD = "set.json"
Source = Literal["rendered", "photos"]


class SelfieSetCard(Record):
    """set.json: what a test set is.

    Attributes:
        name: Its name in metrics, checks and the report.
        source: Whether its images were rendered or are photographs.
        licence: The licence that photographs are used under.
        note: What a reader of the report should know besides.
    """

    name: str
    source: Source
    licence: str = ""
    note: str = ""


RENDERED_CARD = SelfieSetCard(name=RENDERED, source="rendered")


@dataclass(frozen=True, slots=True)
class SelfieFolder:
    """One test set.

    Attributes:
        card: What it is.
        folder: Folder of its shards.
        rows: Its images.
    """

    card: SelfieSetCard
    folder: Path
    rows: Sequence[Image]


def set_folder(selfies: Path, name: str) -> Path:
    """Return the folder of a test set, in data/selfies."""
    return selfies if name == RENDERED else selfies / name


def golden_folder(selfies: Path, headline: str) -> Path:
    """Folder of the test set whose images go into a bundle: the rendered one if it is there, else the headline."""
    return selfies if (selfies / INDEX).is_file() else set_folder(selfies, headline)


def read_selfie_sets(selfies: Path) -> dict[str, SelfieFolder]:
    """Read all test sets: name -> set, the rendered one first.

    Raises:
        DataError: There are none, or one is unfinished or damaged.
    """
    entries = sorted(selfies.iterdir()) if selfies.is_dir() else []
    folders = [path for path in entries if path.is_dir() and not path.name.startswith(".")]
    found = [SelfieFolder(RENDERED_CARD, selfies, read_index(selfies))] if (selfies / INDEX).is_file() else []
    for folder in folders:
        if not (folder / CARD).is_file():
            raise DataError(
                f"{folder}: no {CARD}; expected a finished test set; run dvc repro selfies (a folder of photographs is "
                "listed under selfies.photographs of params.yaml: docs/test_sets.md)"
            )
        card = read_json(folder / CARD, SelfieSetCard)
        if card.name != folder.name:
            raise DataError(f"{folder / CARD}: of the test set {card.name!r}; expected {folder.name!r}")
        found.append(SelfieFolder(card, folder, read_index(folder)))
    if not found:
        raise DataError(f"{selfies}: no selfies; run dvc repro selfies")
    return {one.card.name: one for one in found}


def has_photographs(sets: Mapping[str, SelfieFolder]) -> bool:
    """Whether one of the test sets shows real faces."""
    return any(one.card.source == "photos" for one in sets.values())


def take_headline(
    sets: Mapping[str, SelfieFolder], name: str, selfies: Path
) -> tuple[SelfieFolder, list[SelfieFolder]]:
    """Split the test sets into the one that the verdict stands on, and the others.

    Raises:
        DataError: There is no such set; names those that are there.
    """
    if name not in sets:
        raise DataError(
            f"{selfies}: no test set {name!r}, which is measure.headline of params.yaml; found {', '.join(sets)}; "
            "run dvc repro selfies"
        )
    return sets[name], [one for one in sets.values() if one.card.name != name]
