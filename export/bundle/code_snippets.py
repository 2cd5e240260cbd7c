"""Fills each format's code snippets for the artifact that is best to ship. Pure: artifacts in, source text out.

A format lists its templates in ``EXTRAS.snippets``. They can substitute: file, labels, positive, threshold, swift_band,
kotlin_band, height, width, input, output, swift_fit, swift_scale, kotlin_fit, kotlin_scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from string import Template

from export.bundle.card_figures import CardFigures
from export.bundle.contract import ContractArtifact
from export.formats import extras_of, open_format


def write_snippets(artifacts: Sequence[ContractArtifact], figures: CardFigures) -> dict[str, str]:
    """Fill the snippets of every format, each for the artifact of the format that is best for a phone.

    That is the one that decides most often as the checkpoint does; of those that agree equally, the fastest on this
    machine; of equally fast ones, or where none was timed, the smallest. What was not measured ranks last.

    Args:
        artifacts: Artifacts of all formats.
        figures: What was measured of them.

    Returns:
        File name -> source text.
    """
    texts: dict[str, str] = {}
    for name in dict.fromkeys(artifact.format for artifact in artifacts):
        shipped = best_for_phone([artifact for artifact in artifacts if artifact.format == name], figures)
        texts |= {snippet.file: _fill(snippet.template, shipped) for snippet in extras_of(open_format(name)).snippets}
    return texts


def best_for_phone(artifacts: Sequence[ContractArtifact], figures: CardFigures) -> ContractArtifact:
    """Choose the artifact to ship: by agreement with the checkpoint, then by latency, then by size."""
    measured = figures.measurement.artifacts if figures.measurement else {}

    def rank(artifact: ContractArtifact) -> tuple[float, float, int, str]:
        row, timing = measured.get(artifact.id), figures.timings.get(artifact.id)
        agreement = row.agreement if row and row.agreement is not None else -1.0
        return -agreement, timing.latency_p50_ms if timing else math.inf, artifact.size_bytes, artifact.id

    return min(artifacts, key=rank)


def _fill(template: Template, artifact: ContractArtifact) -> str:
    _, height, width, _ = artifact.input.shape
    crop = artifact.preprocess.fit == "crop"
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
        swift_scale="max" if crop else "min",
        kotlin_scale="maxOf" if crop else "minOf",
        kotlin_fit="scaled to cover, centre kept" if crop else "scaled to fit, black borders",
    )


def _literal(probability: float) -> str:
    """Write a number with enough digits for a phone's float32, in a form that both languages read."""
    return f"{probability:.7f}"
