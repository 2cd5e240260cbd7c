"""Records: frozen, with known keys only, and equal after a round trip through JSON."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.data.records import Artifact, Decision, Image, Prompt, Rejection

ROW = Rejection(image_id="p1", label="hélmet", reason="dark", score=0.01, threshold=0.05, detail='a "black" frame')
PROMPT = Prompt(id="p1", group="g1", label="helmet", text="a rider", seed=2**63 - 1, factors={"light": "day"})


def test_a_record_is_frozen_and_refuses_unknown_keys() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ROW.score = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="colour"):
        Rejection.model_validate({**ROW.model_dump(), "colour": "red"})


@pytest.mark.parametrize("record", [ROW, PROMPT])
def test_a_record_is_equal_after_a_round_trip_through_json(record: Rejection | Prompt) -> None:
    assert type(record).model_validate_json(record.model_dump_json()) == record


def test_a_fault_or_decision_outside_the_vocabulary_is_an_error() -> None:
    with pytest.raises(ValidationError, match="fault"):
        Image.model_validate({"fault": "blurred"})
    with pytest.raises(ValidationError, match="decision"):
        Decision.model_validate({"decision": "maybe"})


def test_every_field_of_the_central_records_is_described() -> None:
    for kind in (Prompt, Image, Rejection, Decision, Artifact):
        for name in kind.model_fields:
            assert f"\n        {name}: " in str(kind.__doc__), f"{kind.__name__}.{name}"
