"""The model card that travels with a bundle (Mitchell et al., arXiv 1810.03993). Pure: metrics in, Markdown out.

A figure that is missing from the metrics is printed as "not measured", never left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from export.bundle.card_figures import ArtifactFigures, CardFigures, Measurement, SelfieSet, SetFigures, Timing
from export.bundle.contract import Contract, ContractArtifact

UNMEASURED, UNRECORDED = "not measured", "not recorded"
_FITS = {
    "crop": "scale to cover the frame and cut the overhang evenly",
    "pad": "scale to lie inside the frame and fill the rest with black",
}
_SELFIES = {
    "rendered": "rendered selfies, no photographs",
    "photos": "photographs",
    None: f"selfies, source {UNRECORDED}",
}
_WORST = 8
_COLUMNS = (
    "accuracy",
    "low",
    "high",
    "missed",
    "false alarms",
    "agrees with checkpoint",
    "abstains",
    "accuracy when it decides",
    "p50 ms",
    "p90 ms",
)


def write_card(contract: Contract, figures: CardFigures) -> str:
    """Write the card.

    Args:
        contract: Contents of the bundle.
        figures: Figures of its artifacts.
    """
    first = contract.artifacts[0]
    _, height, width, _ = first.input.shape
    lines = [
        f"# {contract.name} {contract.version}",
        "",
        f"**Question**: {contract.question or 'not stated'}  ",
        f"**Answers**: {', '.join(contract.labels)} (probabilities in this order)  ",
        f"**Decision**: {_decision(contract)}",
        "",
        f"**Verdict of the gate**: {figures.verdict or UNMEASURED}{_on_set(figures)}",
        "",
        "## Input",
        f"One upright RGB frame, uint8, {width} x {height} pixels (portrait); normalisation is inside the model.",
        f"Pictures of another size: {_FITS[first.preprocess.fit]}; bilinear, antialiased.",
        "Pass the values as the camera gives them, 0 to 255: an app that normalises them as well gets wrong answers.",
        "",
        "## Artifacts",
        *_table(contract.artifacts, figures),
        "",
        *_other_sets(contract.artifacts, figures.measurement),
        "## Where it is weakest",
        *_weakest(figures.measurement),
        "",
        "## Data",
        *(f"- **Tested on**: {told}" for told in _tested_on(figures.measurement)),
        f"- **Trained on**: {_trained_on(figures)}",
        "",
        "## Limits",
        *_rendered_limit(figures.measurement),
        "- The figures hold for the selfies they were measured on; another camera, place or dress code needs its own.",
        "- Latency is that of the machine that measured, not of a phone. A format whose own runtime does not run there",
        "  (Core ML outside macOS) is run by an executor of its programs, which has no latency to report.",
        "- The model answers one question about one person in a portrait frame. It does not recognise anybody.",
        "",
        "## Origin",
        f"- checkpoint `{first.checkpoint_id}`",
        f"- data `{first.dataset_id}`",
        *(f"- {tool} {version}" for tool, version in sorted(_tools(contract.artifacts).items())),
    ]
    return "\n".join(lines) + "\n"


def _on_set(figures: CardFigures) -> str:
    """Which test set the verdict stands on."""
    return f", on the test set {figures.measurement.selfies.name}" if figures.measurement and figures.verdict else ""


def _tested_on(measurement: Measurement | None) -> Iterator[str]:
    """Every test set, that of the verdict first."""
    if measurement is None:
        yield UNMEASURED
        return
    for name, figures in measurement.every_set.items():
        selfies = figures.selfies
        labels = ", ".join(f"{count:,} {label}" for label, count in selfies.labels.items())
        terms = "".join(f"; {told}" for told in (_licence(selfies), plain(selfies.note)) if told)
        what = f"{selfies.count:,} {_SELFIES[selfies.source]} ({labels}){terms}"
        yield f"{what}; test set {name}, data set `{selfies.dataset_id}`"


def _licence(selfies: SelfieSet) -> str:
    return f"licence: {plain(selfies.licence)}" if selfies.licence else ""


def plain(text: str) -> str:
    """Text of a user on one line of Markdown, without marks that would be read as markup."""
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", " ".join(text.split()))


def _other_sets(artifacts: Sequence[ContractArtifact], measurement: Measurement | None) -> Iterator[str]:
    """A table for each test set beside that of the verdict; nothing without any."""
    sets = measurement.every_set if measurement else {}
    for name, figures in sets.items():
        if measurement is None or name == measurement.selfies.name:
            continue
        own = figures.checkpoint
        accuracy = f"{_figure(own.accuracy.value if own.accuracy else None)}, balanced {_figure(own.balanced_accuracy)}"
        yield f"## On the test set {name}"
        yield f"{figures.selfies.count:,} {_SELFIES[figures.selfies.source]}."
        yield f"The float checkpoint has accuracy {accuracy}, AUC {_figure(own.auc)}."
        yield ""
        yield f"| file | {' | '.join(_COLUMNS[:-2])} |"
        yield f"| --- |{' --- |' * (len(_COLUMNS) - 2)}"
        for artifact in artifacts:
            cells = _cells(figures.artifacts.get(artifact.id), None)[:-2]
            yield f"| {artifact.file} | {' | '.join(map(_figure, cells))} |"
        yield ""


def _weakest(measurement: Measurement | None) -> Iterator[str]:
    """The weakest slices of each test set that has some."""
    sets = measurement.every_set if measurement else {}
    told = {name: list(_slices(figures)) for name, figures in sets.items()}
    rated = {name: lines for name, lines in told.items() if lines}
    if not rated:
        yield UNMEASURED
    for name, lines in rated.items():
        yield from (f"On the test set {name}:", "", *lines)
        if name != list(rated)[-1]:
            yield ""


def _trained_on(figures: CardFigures) -> str:
    """Say what the checkpoint was trained on, as the stages recorded it."""
    if figures.training is None:
        return UNRECORDED
    training, generation = figures.training, figures.generation
    labels = ", ".join(f"{count:,} {label}" for label, count in training.labels.items())
    images = f"{sum(training.labels.values()):,} images ({labels})"
    backbone = f"; {training.backbone}" if training.backbone else ""
    if generation is None:
        return f"{images} from a source that is {UNRECORDED}{backbone}"
    if generation.generator == "photos":
        return f"{images}, photographs{backbone}"
    model = f" with the model {generation.model}" if generation.model else ""
    revision = f" {generation.model_revision}" if generation.model_revision else ""
    licence = f" (licence: {generation.model_licence})" if generation.model_licence else ""
    return f"{images} from the generator {generation.generator}{model}{revision}{licence}, no photographs{backbone}"


def _rendered_limit(measurement: Measurement | None) -> Iterator[str]:
    if measurement and all(figures.selfies.source == "rendered" for figures in measurement.every_set.values()):
        yield "- All figures are on rendered pictures and say nothing about photographs of real people: test on those."


def _decision(contract: Contract) -> str:
    if len(contract.labels) != 2:
        return "the most probable label"
    asks = any(artifact.retake_band for artifact in contract.artifacts)
    again = "; strictly within its retake band, ask for another picture" if asks else ""
    return f"`{contract.labels[-1]}` from the artifact's threshold on{again}"


def _band(artifact: ContractArtifact) -> str:
    return "{:.3f} to {:.3f}".format(*artifact.retake_band) if artifact.retake_band else "none"


def _table(artifacts: Sequence[ContractArtifact], figures: CardFigures) -> Iterator[str]:
    yield f"| file | bytes | threshold | retake band | {' | '.join(_COLUMNS)} |"
    yield f"| --- |{' --- |' * (len(_COLUMNS) + 3)}"
    measured = figures.measurement.artifacts if figures.measurement else {}
    for artifact in artifacts:
        cells = _cells(measured.get(artifact.id), figures.timings.get(artifact.id))
        place = f"{artifact.file} | {artifact.size_bytes} | {artifact.threshold:.3f} | {_band(artifact)}"
        yield f"| {place} | {' | '.join(map(_figure, cells))} |"
    if figures.measurement:
        name, level = figures.measurement.selfies.name, f"{100 * figures.measurement.confidence:g} %"
        yield ""
        yield f"On the test set {name}. Low and high are the ends of the {level} interval of accuracy."


def _cells(row: ArtifactFigures | None, timing: Timing | None) -> tuple[float | None, ...]:
    """The figures of one artifact, in the order of ``_COLUMNS``."""
    accuracy = row.accuracy if row else None
    return (
        *((accuracy.value, accuracy.low, accuracy.high) if accuracy else (None,) * 3),
        *((row.fnr, row.fpr, row.agreement, row.abstention_rate, row.selective_accuracy) if row else (None,) * 5),
        *((timing.latency_p50_ms, timing.latency_p90_ms) if timing else (None,) * 2),
    )


def _slices(figures: SetFigures) -> Iterator[str]:
    """Rows of a table of the slices with the lowest accuracy; none without figures."""
    rated = [
        (row.accuracy.value, f"{factor}: {plain(value)}", row.count)
        for factor, values in figures.slices.items()
        for value, row in values.items()
        if row.accuracy
    ]
    if not rated:
        return
    yield "| slice | accuracy | images |"
    yield "| --- | --- | --- |"
    for accuracy, name, count in sorted(rated)[:_WORST]:
        yield f"| {name} | {_figure(accuracy)} | {count} |"


def _tools(artifacts: Sequence[ContractArtifact]) -> dict[str, str]:
    return {tool: version for artifact in artifacts for tool, version in artifact.tools.items()}


def _figure(value: float | None) -> str:
    return UNMEASURED if value is None else f"{value:.4g}"
