"""Files and folders that values of params.yaml name: photographs, weights and models, which dvc.yaml cannot list.

DVC hashes the dependencies that dvc.yaml lists. A path in params.yaml is a value to DVC: it sees that the path changed,
not that what lies there did. ``pipeline.data.file_fingerprint`` hashes what this module lists. Reads and writes no
file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.fields import PlugInSection
from pipeline.config.params import Params
from pipeline.config.selfie_params import SelfiesParams
from pipeline.data.file_fingerprint import NamedPath

STAGES = ("generate", "curate", "train", "selfies")
"""Stages that read such files."""
_NO_FILE = frozenset({"none", "package", "hub"})
"""Values of ``train.pretrained`` that name no file."""


def named_paths(params: Params, stage: str) -> list[NamedPath]:
    """List the values of params.yaml from which a stage may read files, whether the files are there or not.

    Of the section of a generator or verifier, this is every text: a model is a hub id or a folder. Of presets, only the
    chosen one counts. A text that names the checkout or a folder around it, as "." or "/" do, is no model.
    """
    named = [entry for entry in _named(params, stage) if "\0" not in str(entry.path)]
    return [entry for entry in named if entry.is_photographs or not _holds_checkout(entry.path)]


def _holds_checkout(path: Path) -> bool:
    return Path.cwd().is_relative_to(os.path.normpath(path.absolute()))


def _named(params: Params, stage: str) -> list[NamedPath]:
    if stage == "generate" and params.dataset.source == "photos":
        return _photographs("dataset.folder", params.dataset.folder)
    if stage == "generate":
        return _texts("generate", params.generate, params.generate.generator)
    if stage == "curate":
        return _texts("curate", params.curate, params.curate.verifier)
    if stage == "selfies":
        return list(_test_sets(params.selfies))
    if stage == "train" and params.train.pretrained not in _NO_FILE:
        return [NamedPath("train.pretrained", Path(params.train.pretrained))]
    return []


def _photographs(key: str, folder: Path | None) -> list[NamedPath]:
    return [] if folder is None else [NamedPath(key, folder, is_photographs=True)]


def _test_sets(params: SelfiesParams) -> Iterator[NamedPath]:
    """Folder and CSV file of each test set of photographs."""
    for number, entry in enumerate(params.photographs):
        yield NamedPath(f"selfies.photographs.{number}.folder", entry.folder, is_photographs=True)
        if entry.factors is not None:
            yield NamedPath(f"selfies.photographs.{number}.factors", entry.factors)


def _texts(section: str, params: PlugInSection, plug_in: str) -> list[NamedPath]:
    values = _walk(f"{section}.{plug_in}", params.section(plug_in))
    return [NamedPath(key, Path(text)) for key, text in values]


def _walk(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Every text in a section of params.yaml with its key; of ``presets``, those of the chosen ``preset``."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _walk(f"{key}.{number}", item)
    elif isinstance(value, Mapping):
        for name, item in _chosen(value).items():
            yield from _walk(f"{key}.{name}", item)


def _chosen(section: Mapping[str, Any]) -> Mapping[str, Any]:
    presets, preset = section.get("presets"), section.get("preset")
    if not isinstance(presets, Mapping):
        return section
    return {**section, "presets": {name: values for name, values in presets.items() if name == preset}}
