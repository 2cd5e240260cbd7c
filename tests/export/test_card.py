from __future__ import annotations

from export.card import Contract, write_card
from export.convert import ARTIFACT_JSON
from pipeline.records import Artifacts, read_json
from tests.export.conftest import Convert


def test_a_card_without_any_measurement_says_so_everywhere(convert: Convert) -> None:
    _, folder = convert("onnx")
    artifacts = read_json(folder / ARTIFACT_JSON, Artifacts).artifacts
    contract = Contract(name="mask", version="0", question="", labels=artifacts[0].labels, artifacts=artifacts)
    card = write_card(contract, {})
    assert "**Verdict of the gate**: not measured" in card
    assert "## Where it is weakest\nnot measured" in card
    assert "**Question**: not stated" in card
    assert artifacts[0].checkpoint_id in card
