"""Pure: the card of a folder of training images, as the hub's dataset cards are written: what it is and whose.

Nothing in it depends on the day or the machine, so that the same run writes the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pipeline.data.records import Fault, Image
from pipeline.generate.generators import Description


def dataset_card(title: str, source: Description, images: Sequence[Image]) -> str:
    """Write the card of ``images``; ``title`` is the policy's name."""
    lines = [*_front_matter(source), "", f"# {title}: training images", "", *_what_it_is(source, images)]
    labels = Counter(image.label for image in images)
    faults = Counter(image.fault for image in images if image.fault is not None)
    lines += ["", "## Labels", "", *_table(("label", "images"), sorted(labels.items()))]
    lines += ["", "## Faults", "", *_faults(faults)]
    lines += ["", "## Where it comes from", "", *_table(("what", "value"), _origin(source))]
    return "\n".join([*lines, "", *_licence(source), ""])


def _front_matter(source: Description) -> list[str]:
    named = [f"license_name: {json.dumps(source.licence)}"] if source.licence_tag == "other" else []
    return [
        "---",
        f"license: {json.dumps(source.licence_tag)}",
        *named,
        "task_categories:",
        "- image-classification",
        "---",
    ]


def _what_it_is(source: Description, images: Sequence[Image]) -> list[str]:
    groups = len({image.group for image in images})
    return [
        f"{len(images)} images of {groups} scenes, {source.kind}, for training an image classifier with Gossamer.",
        "Of generated images each has one prompt, and its label is the one it was asked for, before curation.",
        "",
        "`shard-*.tar` hold the images, `index.jsonl` one record each: label, factors, scene, shard, offset, sha256.",
    ]


def _faults(faults: Counter[Fault]) -> list[str]:
    if not faults:
        return ["None."]
    return [*_table(("fault", "images"), sorted(faults.items())), "", "Curation rejects these, each by that reason."]


def _origin(source: Description) -> Iterator[tuple[str, object]]:
    if source.model is not None:
        yield "model", source.model
        yield "revision", source.revision
        yield "licence", source.licence
    yield from source.settings.items()


def _licence(source: Description) -> list[str]:
    if source.model is None:
        return [f"Licence: {source.licence}."]
    return [f"The model's licence is {source.licence}; what it says of pictures made with the model holds for these."]


def _table(header: tuple[str, str], rows: Iterable[tuple[str, object]]) -> list[str]:
    return [
        f"| {header[0]} | {header[1]} |",
        "| --- | --- |",
        *(f"| {name} | {_plain(value)} |" for name, value in rows),
    ]


def _plain(value: object) -> str:
    return value.replace("|", "\\|") if isinstance(value, str) else json.dumps(value)
