"""Fills each format's code snippets for the artifact that is best to ship. Pure: artifacts in, source text out.

A format lists its templates in ``EXTRAS.snippets``. They can substitute: file, labels, positive, threshold, swift_band,
kotlin_band, height, width, input, output, swift_fit, kotlin_fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Template

from export.formats import extras_of, open_format
from pipeline.data.records import Artifact

_FAITHFUL = 0.99
"""Agreement from which an artifact counts as deciding like the checkpoint."""


def write_snippets(artifacts: Sequence[Artifact], agreement: Mapping[str, float]) -> dict[str, str]:
    """Fill the snippets of every format.

    Each is filled for the smallest artifact of its format that decides as the checkpoint does on 99 % of the selfies;
    if none is known to, for the smallest of all.

    Args:
        artifacts: Artifacts of all formats.
        agreement: Artifact id -> share of decisions equal to the checkpoint's, of those that were measured.

    Returns:
        File name -> source text.
    """
    texts: dict[str, str] = {}
    for name in dict.fromkeys(artifact.format for artifact in artifacts):
        own = [artifact for artifact in artifacts if artifact.format == name]
        faithful = [artifact for artifact in own if agreement.get(artifact.id, 0.0) >= _FAITHFUL]
        shipped = min(faithful or own, key=lambda artifact: artifact.size_bytes)
        texts |= {snippet.file: _fill(snippet.template, shipped) for snippet in extras_of(open_format(name)).snippets}
    return texts


def _fill(template: Template, artifact: Artifact) -> str:
    _, height, width, _ = artifact.input.shape
    crop = artifact.preprocess.get("fit", "crop") == "crop"
    band = artifact.retake_band
    return template.substitute(
        file=artifact.file,
        labels=", ".join(f'"{label}"' for label in artifact.labels),
        positive=artifact.labels[-1],
        threshold=_literal(artifact.threshold),
        swift_band=f"({_literal(band[0])}, {_literal(band[1])})" if band else "nil",
        kotlin_band=f"Pair({_literal(band[0])}f, {_literal(band[1])}f)" if band else "null",
        height=height,
        width=width,
        input=artifact.input.name,
        output=artifact.output.name,
        swift_fit="centerCrop" if crop else "scaleFit",
        kotlin_fit="scaled to cover, centre kept" if crop else "scaled to fit, black borders",
    )


def _literal(probability: float) -> str:
    """Write a number with enough digits for a phone's float32, in a form that both languages read."""
    return f"{probability:.7f}"
