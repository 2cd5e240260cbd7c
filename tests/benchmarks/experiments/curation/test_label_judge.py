"""The judge of labels, on rendered portraits whose labels are certain."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.experiments.curation import LABELS
from benchmarks.experiments.curation.label_judge import find_disagreements
from pipeline.config.policy import load_policy
from pipeline.data.preprocess import encode_png
from pipeline.data.shards import Encoded, write_images
from pipeline.prompts.prompt_sampler import draw_prompts
from pipeline.renderer import render


def test_the_judge_agrees_with_most_labels_of_rendered_portraits(root: Path, tmp_path: Path) -> None:
    prompts = draw_prompts(load_policy(root / "policies" / "helmet.yaml"), 60, 1, seed=97)
    pictures = [
        Encoded(p.id, p.group, p.label, p.factors, encode_png(render(p.factors, p.seed, (96, 128))), 96, 128)
        for p in prompts
    ]
    images = write_images(tmp_path, pictures, 30)
    wrong = find_disagreements(tmp_path, LABELS)
    assert list(wrong) == [image.id for image in images]
    assert np.mean(list(wrong.values())) < 0.1
