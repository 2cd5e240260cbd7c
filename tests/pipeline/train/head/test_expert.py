"""The expert learns the training pictures, and decides on pictures like them and on no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.train.feature_classifier import CENTRES, FeatureClassifier
from pipeline.train.head.expert import EPOCHS, find_centres, fit_expert
from pipeline.train.head.feature_set import FeatureSet, Pictures
from tests.pipeline.train.head.square_pictures import tiny_classifier

TARGETS = np.arange(256) % 2


def features(shift: float = 0.0, count: int = 256) -> FeatureSet:
    """Random maps whose first channel shows the label; ``shift`` moves the mean feature to another direction."""
    rng = np.random.default_rng(1)
    fine, coarse = rng.normal(0, 1, (count, 48, 3, 2)), rng.normal(0, 1, (count, 64, 2, 1))
    coarse[:, 0] += 3 * (TARGETS[:count] * 2 - 1)[:, None, None]
    overall = rng.normal(0, 0.2, (count, 64)) + np.eye(64)[5] * 3 + np.eye(64)[9] * shift
    overall /= np.linalg.norm(overall, axis=1, keepdims=True)
    unit = overall.astype(np.float32)
    return FeatureSet(unit, unit, fine.astype(np.float16), coarse.astype(np.float16))


def known() -> tuple[FeatureSet, Pictures]:
    """Pictures of the training, of one generator."""
    return features(), Pictures(lambda _: np.empty(0, np.uint8), TARGETS, np.array(["a"] * len(TARGETS)))


@pytest.fixture(scope="module")
def fitted() -> FeatureClassifier:
    network = tiny_classifier(expert=True)
    sizes = [tuple(each.shape[1:]) for each in network.maps(torch.zeros(1, 3, 48, 32))]
    assert sizes == [features().fine.shape[1:], features().coarse.shape[1:]]
    assert list(fit_expert(network, known(), known(), seed=3)) == list(range(1, EPOCHS + 1))
    return network


def mixed(network: FeatureClassifier, of: FeatureSet, head: float) -> torch.Tensor:
    """Logits of the positive label minus the other's, where the head says ``head``."""
    assert network.expert is not None
    constant = torch.tensor([[-head / 2, head / 2]]).repeat(len(of.unit), 1)
    with torch.inference_mode():
        own = network.expert(torch.from_numpy(of.fine).float(), torch.from_numpy(of.coarse).float())
        logits = network.mix(constant, own, torch.from_numpy(of.overall))
    return logits[:, 1] - logits[:, 0]


def test_the_expert_decides_on_pictures_like_those_of_the_training(fitted: FeatureClassifier) -> None:
    decided = (mixed(fitted, features(), head=-4.0) > 0).numpy()
    assert (decided == TARGETS).mean() > 0.9


def test_the_head_decides_on_other_pictures(fitted: FeatureClassifier) -> None:
    strange = features(shift=6.0)
    torch.testing.assert_close(mixed(fitted, strange, head=-4.0), torch.full((256,), -4.0), atol=0.01, rtol=0)


def test_the_gate_is_closed_until_it_is_fitted() -> None:
    torch.testing.assert_close(
        mixed(tiny_classifier(expert=True), features(), head=2.5), torch.full((256,), 2.5), atol=1e-5, rtol=0
    )


def test_the_same_seed_gives_the_same_expert(fitted: FeatureClassifier) -> None:
    again = tiny_classifier(expert=True)
    torch.manual_seed(77)  # torch's global seed must not matter
    list(fit_expert(again, known(), known(), seed=3))
    state = again.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in fitted.state_dict().items())


def test_the_scale_of_the_features_does_not_matter(fitted: FeatureClassifier) -> None:
    network, own = tiny_classifier(expert=True), features()
    large = replace(own, fine=own.fine * np.float16(8), coarse=own.coarse * np.float16(8))
    list(fit_expert(network, (large, known()[1]), (large, known()[1]), seed=3))
    torch.testing.assert_close(mixed(network, large, 0.0), mixed(fitted, own, 0.0), rtol=0.05, atol=0.1)


@pytest.mark.parametrize("count", [1, 5, 300])
def test_centres_are_unit_vectors_however_few_pictures_there_are(count: int) -> None:
    rows = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    origins = np.array(["a", "b"] * count)[:count]
    centres = find_centres(rows / np.linalg.norm(rows, axis=1, keepdims=True), origins, seed=2)
    assert centres.shape == (CENTRES, 8)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, rtol=1e-5)


def test_a_rare_generator_has_as_many_centres_as_a_frequent_one() -> None:
    rng = np.random.default_rng(1)
    rare, frequent = (np.eye(8)[[axis]] * 12 + rng.normal(size=(count, 8)) for axis, count in ((0, 100), (1, 900)))
    rows = np.concatenate([rare, frequent])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    centres = find_centres(rows.astype(np.float32), np.array(["rare"] * 100 + ["frequent"] * 900), seed=2)
    assert (centres[:, 0] > centres[:, 1]).sum() == CENTRES // 2
