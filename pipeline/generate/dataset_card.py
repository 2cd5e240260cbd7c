"""Dataset card of a folder of training images: Markdown with front matter, as on the Hugging Face hub.

Pure functions. The card does not depend on date or machine, so equal runs write equal bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pipeline.data.records import Fault, Image
from pipeline.generate.generators import Description


def dataset_card(title: str, origins: Sequence[Description], images: Sequence[Image]) -> str:
    """Write the card.

    Args:
        title: Name of the policy.
        origins: Origins of the images, the main one first; its licence is the one of the card's front matter.
        images: Records of all images.
    """
    lines = [*_front_matter(origins[0]), "", f"# {title}: training images", "", *_summary(origins, images)]
    labels = Counter(image.label for image in images)
    faults = Counter(image.fault for image in images if image.fault is not None)
    lines += ["", "## Labels", "", *_table(("label", "images"), sorted(labels.items()))]
    lines += ["", "## Faults", "", *_faults(faults)]
    lines += ["", "## Origin"]
    for source in origins:
        lines += ["", *([f"Images {source.kind}:", ""] if len(origins) > 1 else [])]
        lines += [*_table(("key", "value"), _origin(source)), "", *_licence(source)]
    return "\n".join([*lines, ""])


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


def _summary(origins: Sequence[Description], images: Sequence[Image]) -> list[str]:
    groups = len({image.group for image in images})
    kinds = " or ".join(source.kind for source in origins)
    return [
        f"{len(images)} images of {groups} scenes, {kinds}, for training an image classifier with Gossamer.",
        "A generated image has one prompt and that prompt's label; curation has not been applied yet.",
        "",
        "`shard-*.tar` contain the images, `index.jsonl` a record each: label, factors, scene, shard, offset, sha256.",
    ]


def _faults(faults: Counter[Fault]) -> list[str]:
    if not faults:
        return ["None."]
    return [
        *_table(("fault", "images"), sorted(faults.items())),
        "",
        "Curation rejects these images, with the fault as the reason.",
    ]


def _origin(source: Description) -> Iterator[tuple[str, object]]:
    if source.model is not None:
        yield "model", source.model
        yield "revision", source.revision
        yield "licence", source.licence
    yield from source.settings.items()


def _licence(source: Description) -> list[str]:
    if source.model is None:
        return [f"Licence: {source.licence}."]
    return [f"The model's licence is {source.licence}; its terms for generated images apply to these."]


def _table(header: tuple[str, str], rows: Iterable[tuple[str, object]]) -> list[str]:
    return [
        f"| {header[0]} | {header[1]} |",
        "| --- | --- |",
        *(f"| {name} | {_plain(value)} |" for name, value in rows),
    ]


def _plain(value: object) -> str:
    return value.replace("|", "\\|") if isinstance(value, str) else json.dumps(value)
