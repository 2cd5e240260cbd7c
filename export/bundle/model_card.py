"""The model card that travels with a bundle (Mitchell et al., arXiv 1810.03993). Pure: metrics in, Markdown out.

A figure that is not in the metrics is printed as "not measured", never left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.data.records import Artifact, Record

UNMEASURED = "not measured"
_WORST = 8
_COLUMNS = {
    "accuracy": "accuracy",
    "accuracy_low": "low (95 %)",
    "accuracy_high": "high (95 %)",
    "fnr": "missed",
    "fpr": "false alarms",
    "agreement": "agrees with checkpoint",
    "abstention_rate": "abstains",
    "selective_accuracy": "accuracy when it decides",
    "latency_p50_ms": "p50 ms",
    "latency_p90_ms": "p90 ms",
}


class Contract(Record):
    """contract.json: what the bundle holds, and how each artifact is fed; files are relative to the bundle."""

    name: str
    version: str
    question: str
    labels: tuple[str, ...]
    artifacts: tuple[Artifact, ...]


def write_card(contract: Contract, metrics: Mapping[str, Any]) -> str:
    """Write the card.

    Args:
        contract: What the bundle holds.
        metrics: Contents of metrics files by stage; ``measure`` and ``gate`` are read where they are.
    """
    first = contract.artifacts[0]
    _, height, width, _ = first.input.shape
    measure: Mapping[str, Any] = metrics.get("measure", {})
    lines = [
        f"# {contract.name} {contract.version}",
        "",
        f"**Question**: {contract.question or 'not stated'}  ",
        f"**Answers**: {', '.join(contract.labels)} (probabilities in this order)  ",
        f"**Decision**: {_decision(contract)}",
        "",
        f"**Verdict of the gate**: {metrics.get('gate', {}).get('verdict', UNMEASURED)}",
        "",
        "## Input",
        f"One upright RGB frame, uint8, {width} x {height} pixels (portrait); normalisation is inside the model.",
        f"Larger frames: {first.preprocess.get('fit', 'crop')} and scale, antialiased.",
        "",
        "## Artifacts",
        *_table(contract.artifacts, measure.get("artifacts", {})),
        "",
        "## Where it is weakest",
        *_slices(measure.get("slices", {})),
        "",
        "## Limits",
        "- Judged on the selfies that these figures come from; another camera, place or dress code needs its own.",
        "- Core ML figures taken off a Mac come from an executor of the saved program: they say nothing about time.",
        "- It answers one question about one person in a portrait frame. It does not recognise anybody.",
        "",
        "## Origin",
        f"- checkpoint `{first.checkpoint_id}`",
        f"- data `{first.dataset_id}`",
        *(f"- {tool} {version}" for tool, version in sorted(_tools(contract.artifacts).items())),
    ]
    return "\n".join(lines) + "\n"


def _decision(contract: Contract) -> str:
    if len(contract.labels) != 2:
        return "the most probable label"
    asks = any(artifact.retake_band for artifact in contract.artifacts)
    again = "; strictly within its retake band, ask for another picture" if asks else ""
    return f"`{contract.labels[-1]}` from the artifact's threshold on{again}"


def _band(artifact: Artifact) -> str:
    return "{:.3f} to {:.3f}".format(*artifact.retake_band) if artifact.retake_band else "none"


def _table(artifacts: Sequence[Artifact], measured: Mapping[str, Any]) -> Iterator[str]:
    yield f"| file | bytes | threshold | retake band | {' | '.join(_COLUMNS.values())} |"
    yield f"| --- |{' --- |' * (len(_COLUMNS) + 3)}"
    for artifact in artifacts:
        own: Mapping[str, Any] = measured.get(artifact.id, {})
        place = f"{artifact.file} | {artifact.size_bytes} | {artifact.threshold:.3f} | {_band(artifact)}"
        yield f"| {place} | {' | '.join(_figure(own.get(key)) for key in _COLUMNS)} |"


def _slices(slices: Mapping[str, Any]) -> Iterator[str]:
    """The slices of least accuracy: a line each, or the admission that there are none."""
    rated = [
        (figures["accuracy"], f"{factor}: {value}", figures.get("images"))
        for factor, values in slices.items()
        for value, figures in values.items()
        if isinstance(figures, Mapping) and isinstance(figures.get("accuracy"), int | float)
    ]
    if not rated:
        yield UNMEASURED
        return
    yield "| slice | accuracy | images |"
    yield "| --- | --- | --- |"
    for accuracy, name, images in sorted(rated)[:_WORST]:
        yield f"| {name} | {_figure(accuracy)} | {_figure(images)} |"


def _tools(artifacts: Sequence[Artifact]) -> dict[str, str]:
    return {tool: version for artifact in artifacts for tool, version in artifact.tools.items()}


def _figure(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UNMEASURED
    return f"{value:.4g}" if isinstance(value, float) else str(value)
