"""Artifacts exported with the defaults of each format's toolkit, from the same checkpoint and calibration images.

They are the comparison that shows the worth of Gossamer's own calibration and search. Which recipes there are, and how
they are exported, is up to the formats (``export.formats.ToolkitDefaults``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.formats import ExportJob, extras_of, open_format
from export.parity import ReferencePredictions
from pipeline.config.fields import load_section
from pipeline.config.params import ConvertParams
from pipeline.data.hashing import sha256_of, size_of
from pipeline.data.records import Artifact, Artifacts
from pipeline.data.storage import read_json
from pipeline.train.model import Checkpoint, PortableClassifier, predict

SUFFIX = "_plain"
"""Appended to the name of a recipe that was exported with defaults."""


def export_toolkit_defaults(
    checkpoint: Checkpoint, params: ConvertParams, frames: NDArray[np.uint8], converted: Path, out: Path
) -> list[tuple[Path, Artifact]]:
    """Export every recipe that one format's toolkit can quantise to by itself.

    Args:
        checkpoint: What is exported.
        params: Section ``convert`` of params.yaml.
        frames: Calibration frames, uint8 (n, height, width, 3) RGB.
        converted: Folder artifacts/FORMAT of the checkpoint; its artifact.json gives the records all but the recipe.
        out: Folder to write.

    Returns:
        (model, record) of each artifact; none if the format has no such recipes.
    """
    listed = read_json(converted / "artifact.json", Artifacts)
    artifact_format = open_format(listed.format)
    section = load_section(
        artifact_format.Params, params.formats.get(listed.format, {}), f"convert.formats.{listed.format}"
    )
    defaults = extras_of(artifact_format).toolkit_defaults
    if defaults is None:
        return []
    out.mkdir(parents=True, exist_ok=True)
    job = export_job(checkpoint, params, frames)
    exported = []
    for recipe in defaults.recipes:
        path = out / f"{recipe}{SUFFIX}{artifact_format.suffix(recipe)}"
        defaults.export(job, recipe, section, path)
        names = {"recipe": f"{recipe}{SUFFIX}", "id": f"{listed.format}-{recipe}{SUFFIX}", "file": path.name}
        content = {"sha256": sha256_of(path), "size_bytes": size_of(path), "quantisation": None}
        exported.append((path, listed.artifacts[0].model_copy(update={**names, **content})))
    return exported


def export_job(checkpoint: Checkpoint, params: ConvertParams, frames: NDArray[np.uint8]) -> ExportJob:
    """Make a job without a search: its reference predictions are on the calibration frames."""
    config = checkpoint.config
    targets = np.zeros(len(frames), np.int64)
    return ExportJob(
        network=PortableClassifier(checkpoint.network, config.preprocess).eval(),
        spec=config.preprocess,
        labels=config.labels,
        calibration=frames,
        reference=ReferencePredictions(frames, predict(checkpoint, frames), config.threshold, targets),
        int8=params.int8,
        metadata={
            "author": "Gossamer",
            "license": "Apache-2.0",
            "version": config.checkpoint_id[:12],
            "description": "exported with the defaults of the toolkit",
        },
    )
