from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmarks.experiments import bundled_diffusion
from benchmarks.experiments.bundled_diffusion import Course, Params
from pipeline.data.records import Prompt
from pipeline.data.storage import read_rows

# diffusers hands numpy a tensor whose __array__ has no copy keyword yet
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

TRAITS = {"helmet", "light", "glasses", "mask", "skin_tone_within_1", "headwear"}
TINY = Params(images=8, table_images=4, steps=(1, 2), guidance=(2.5,), training_images=6, plain_images=2)


def test_the_table_has_a_folder_for_each_setting(root: Path, tmp_path: Path) -> None:
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    cells = dict(Course(tmp_path, values, Params()).cells())
    assert len(cells) == 9
    assert cells["steps-4-guidance-2.5"] == {"steps": 4, "guidance": 2.5}


@pytest.mark.slow
def test_every_figure_of_the_contract_is_measured(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    told: list[str] = []
    figures = bundled_diffusion.run(TINY, tmp_path, lambda _done, _total, what: told.append(what))
    assert figures["agreement"].keys() <= TRAITS
    assert figures["agreement_images"]["helmet"] == 8
    assert all(0 <= figures["agreement_low"][name] <= share for name, share in figures["agreement"].items())
    assert [(row["steps"], row["guidance"]) for row in figures["table"]] == [(1, 2.5), (2, 2.5)]
    assert figures["images_per_second"] > 0
    assert figures["speedup_over_plain_loop"] == pytest.approx(
        figures["images_per_second"] / figures["plain_loop_images_per_second"]
    )
    assert 0 <= figures["copied_share"] <= 1
    assert figures["size_bytes"] > 10_000_000
    assert "plain/loop" in told
    few = read_rows(tmp_path / "common/data/few.jsonl", Prompt)
    assert few == read_rows(tmp_path / "common/data/prompts.jsonl", Prompt)[:4]
