from __future__ import annotations

from export.bundle.card_figures import CardFigures
from export.bundle.model_card import Contract, write_card
from export.convert import ARTIFACT_JSON
from pipeline.data.records import Artifacts
from pipeline.data.storage import read_json
from tests.export.conftest import Convert


def test_a_card_says_of_each_artifact_where_it_decides_and_where_it_asks_again(convert: Convert) -> None:
    artifacts = convert("onnx")[0].artifacts.artifacts
    changes = {"threshold": 0.8625, "retake_band": (0.25, 0.96)}
    first, *others = artifacts
    changed = (first.model_copy(update=changes), *(each.model_copy(update={"retake_band": None}) for each in others))
    card = write_card(
        Contract(name="m", version="0", question="", labels=first.labels, artifacts=changed), CardFigures()
    )
    assert f"| {first.file} | {first.size_bytes} | 0.863 | 0.250 to 0.960 |" in card
    assert "| none | not measured |" in card
    assert "strictly within its retake band, ask for another picture" in card
    never = tuple(each.model_copy(update={"retake_band": None}) for each in artifacts)
    assert "retake band, ask" not in write_card(
        Contract(name="m", version="0", question="", labels=first.labels, artifacts=never), CardFigures()
    )


def test_a_card_without_any_measurement_says_so_everywhere(convert: Convert) -> None:
    _, folder = convert("onnx")
    artifacts = read_json(folder / ARTIFACT_JSON, Artifacts).artifacts
    contract = Contract(name="mask", version="0", question="", labels=artifacts[0].labels, artifacts=artifacts)
    card = write_card(contract, CardFigures())
    assert "**Verdict of the gate**: not measured" in card
    assert "## Where it is weakest\nnot measured" in card
    assert "**Question**: not stated" in card
    assert artifacts[0].checkpoint_id in card
