"""The card prints what was measured and recorded; what it calls not measured is really missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.evaluation.measurement import Measurement, SliceFigures
from benchmarks.gate.provenance import GenerationFigures, TrainingFigures
from export.bundle.card_figures import CardFigures
from export.bundle.contract import Contract
from export.bundle.model_card import UNMEASURED, UNRECORDED, write_card
from pipeline.data.storage import read_json
from tests.benchmarks.evaluation.measurements import NINETY, artifact_figures, full_measurement
from tests.export.bundle.figures import TIMING
from tests.export.bundle.small_bundle import MODELS, write_small_bundle

TRAINING = TrainingFigures(backbone="mobilenetv3_small_100", labels={"no_helmet": 2600, "helmet": 2772})
GENERATION = GenerationFigures(
    generator="stable_diffusion", model="bundled", model_revision="sha256:3073", model_licence="apache-2.0"
)


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return read_json(write_small_bundle(tmp_path) / "contract.json", Contract)


def measured(source: str | None = "rendered") -> Measurement:
    """A measurement with every figure of both artifacts."""
    rows = [artifact_figures(*name.split("-")) for name in MODELS]
    name = "street" if source == "photos" else "rendered"
    selfies = full_measurement().selfies.model_copy(update={"source": source, "name": name})
    return full_measurement().model_copy(update={"artifacts": {row.name: row for row in rows}, "selfies": selfies})


def test_nothing_is_called_not_measured_where_every_figure_exists(contract: Contract) -> None:
    figures = CardFigures(measured(), dict.fromkeys(MODELS, TIMING), "pass", TRAINING, GENERATION)
    card = write_card(contract, figures)
    assert UNMEASURED not in card
    assert UNRECORDED not in card
    assert "| light: night | 0.9 | 30 |" in card


CARD_FIGURES = ("accuracy", "fnr", "fpr", "agreement", "abstention_rate", "selective_accuracy")


@pytest.mark.parametrize("name", CARD_FIGURES)
def test_a_figure_that_is_missing_is_called_not_measured(contract: Contract, name: str) -> None:
    measurement = measured()
    row = measurement.artifacts["onnx-float32"].model_copy(update={name: None})
    fewer = measurement.model_copy(update={"artifacts": {**measurement.artifacts, row.name: row}})
    card = write_card(contract, CardFigures(fewer, dict.fromkeys(MODELS, TIMING), "pass", TRAINING, GENERATION))
    assert card.count(UNMEASURED) == (3 if name == "accuracy" else 1)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({"verdict": None}, UNMEASURED),
        ({"timings": {}}, UNMEASURED),
        ({"measurement": None}, UNMEASURED),
        ({"measurement": measured().model_copy(update={"slices": {}})}, UNMEASURED),
        ({"measurement": measured(None)}, UNRECORDED),
        ({"training": None}, UNRECORDED),
        ({"generation": None}, UNRECORDED),
    ],
)
def test_a_part_that_is_missing_is_called_not_measured_or_not_recorded(
    contract: Contract, missing: dict[str, Any], words: str
) -> None:
    whole = CardFigures(measured(), dict.fromkeys(MODELS, TIMING), "pass", TRAINING, GENERATION)
    assert words in write_card(contract, replace(whole, **missing))


def test_everything_is_called_not_measured_where_no_figure_exists(contract: Contract) -> None:
    card = write_card(contract, CardFigures())
    assert "**Verdict of the gate**: not measured" in card
    assert "## Where it is weakest\nnot measured" in card
    assert "**Tested on**: not measured" in card
    assert "**Trained on**: not recorded" in card
    assert card.count("| not measured") == 10 * len(MODELS)


def test_a_card_says_that_rendered_selfies_are_no_photographs(contract: Contract) -> None:
    rendered = write_card(contract, CardFigures(measured("rendered")))
    assert "**Tested on**: 100 rendered selfies, no photographs (50 no_helmet, 50 helmet)" in rendered
    assert "All figures are on rendered pictures and say nothing about photographs" in rendered
    photos = write_card(contract, CardFigures(measured("photos")))
    assert "**Tested on**: 100 photographs (50 no_helmet, 50 helmet)" in photos
    assert "rendered" not in photos
    assert "source not recorded" in write_card(contract, CardFigures(measured(None)))


def on_street_too() -> Measurement:
    """A measurement on rendered selfies and on photographs, which have one more slice."""
    top, street = measured(), measured("photos")
    selfies = street.selfies.model_copy(update={"count": 20, "licence": "our *own*", "note": "May"})
    slices = {"head": {"small": SliceFigures(count=20, accuracy=NINETY)}}
    return top.model_copy(
        update={"sets": {"street": street.model_copy(update={"selfies": selfies, "slices": slices}), "rendered": top}}
    )


def test_a_card_tells_the_test_sets_apart(contract: Contract) -> None:
    card = write_card(contract, CardFigures(on_street_too(), verdict="pass"))
    assert "**Verdict of the gate**: pass, on the test set rendered" in card
    assert "**Tested on**: 100 rendered selfies, no photographs (50 no_helmet, 50 helmet); test set rendered" in card
    assert (
        r"**Tested on**: 20 photographs (50 no_helmet, 50 helmet); licence: our \*own\*; May; test set street" in card
    )
    _, section = card.split("## On the test set street\n")
    assert "The float checkpoint has accuracy 0.9, balanced 0.9, AUC 0.97." in section
    assert all(f"| {artifact.file} | 0.9 |" in section for artifact in contract.artifacts)
    assert (
        "On the test set street:\n\n| slice | accuracy | images |\n| --- | --- | --- |\n| head: small | 0.9 | 20 |"
        in card
    )
    assert "say nothing about photographs" not in card, "there are some"


def test_a_card_says_what_the_model_was_trained_on(contract: Contract) -> None:
    generated = write_card(contract, CardFigures(training=TRAINING, generation=GENERATION))
    assert (
        "**Trained on**: 5,372 images (2,600 no_helmet, 2,772 helmet) from the generator stable_diffusion with the "
        "model bundled sha256:3073 (licence: apache-2.0), no photographs; mobilenetv3_small_100"
    ) in generated
    photos = write_card(contract, CardFigures(training=TRAINING, generation=GenerationFigures(generator="photos")))
    assert "2,772 helmet), photographs; mobilenetv3_small_100" in photos
    assert "from a source that is not recorded" in write_card(contract, CardFigures(training=TRAINING))


def test_a_card_says_of_each_artifact_where_it_decides_and_that_nobody_normalises(contract: Contract) -> None:
    card = write_card(contract, CardFigures())
    assert "| 0.500 | 0.300 to 0.900 |" in card
    assert "strictly within its retake band, ask for another picture" in card
    assert "an app that normalises them as well gets wrong answers" in card
    never = tuple(each.model_copy(update={"retake_band": None}) for each in contract.artifacts)
    assert "retake band, ask" not in write_card(contract.model_copy(update={"artifacts": never}), CardFigures())
