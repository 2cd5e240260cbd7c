"""The arms of one training set: their rows, and what they differ in."""

from __future__ import annotations

from pathlib import Path

from benchmarks.experiment_harness.course import Experiment
from benchmarks.experiments.curation import Params, _downstream
from benchmarks.experiments.curation.downstream_accuracy import choose_rows, plan
from pipeline.config.params import Params as AllParams
from pipeline.config.params import load_params
from pipeline.data.records import Image


def test_trainings_of_an_arm_differ_only_in_the_seed(root: Path, base: AllParams, tmp_path: Path) -> None:
    _, config = next(_downstream(Experiment(tmp_path, Params(), base, root / "policies")))
    list(plan(config))
    one, other = (load_params(tmp_path / f"pays-0.00-curated-seed-{seed}/params.yaml") for seed in (11, 13))
    assert (one.train.seed, other.train.seed) == (11, 13)
    assert one.model_copy(update={"train": other.train}) == other
    assert one.train.model_copy(update={"seed": 13}) == other.train


def picture(name: str) -> Image:
    place = {"shard": "s", "offset": 0, "size_bytes": 1, "sha256": "0", "width": 96, "height": 128}
    return Image.model_validate({"id": name, "group": name, "label": "helmet", "factors": {}, **place})


def test_the_random_arm_has_as_many_images_as_curation_kept() -> None:
    images = [picture(str(number)) for number in range(40)]
    kept = images[5:30]
    assert choose_rows("everything", images, kept, 1) == images
    assert choose_rows("curated", images, kept, 1) == kept
    chosen = choose_rows("random", images, kept, 1)
    assert len(chosen) == 25
    assert chosen != kept
    assert [int(image.id) for image in chosen] == sorted({int(image.id) for image in chosen})
