"""Feature cache: each image is computed once, and again only if its bytes or the verifier change."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.policy import load_policy
from pipeline.curate import feature_cache
from pipeline.curate.feature_cache import CacheOptions, FeatureCache, VerifierSpec, compute_features
from pipeline.curate.image_quality import measure_quality
from pipeline.curate.verifiers.attributes import Params
from pipeline.data.perceptual_hash import fingerprint
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Image
from pipeline.data.shards import Encoded, read_pixels, write_images
from pipeline.prompts.prompt_sampler import draw_prompts
from pipeline.renderer import render


@pytest.fixture
def verifier(root: Path) -> VerifierSpec:
    return VerifierSpec("attributes", Params(weights="bundled"), load_policy(root / "policies" / "helmet.yaml"))


@pytest.fixture
def images(root: Path, tmp_path: Path) -> list[Image]:
    prompts = draw_prompts(load_policy(root / "policies" / "helmet.yaml"), 23, 1, seed=3)
    encoded = [
        Encoded(p.id, p.group, p.label, p.factors, encode_png(render(p.factors, p.seed, (96, 128))), 96, 128)
        for p in prompts
    ]
    encoded[4] = dataclasses.replace(encoded[4], data=b"\x89PNG damaged")
    encoded[5] = dataclasses.replace(encoded[5], fault="nan")
    return write_images(tmp_path / "images", encoded, 9)


def compute(
    tmp_path: Path, images: list[Image], verifier: VerifierSpec, workers: int = 1
) -> tuple[FeatureCache, list[int]]:
    done: list[int] = []
    options = CacheOptions(tmp_path / "work", workers)
    return compute_features(tmp_path / "images", images, verifier, options, done.append), done


def test_a_row_depends_only_on_its_image(tmp_path: Path, images: list[Image], verifier: VerifierSpec) -> None:
    cache, done = compute(tmp_path, images, verifier)
    assert sum(done) == len(images)
    pixels = read_pixels(tmp_path / "images", images[12])
    assert cache.column("measures")[12].tolist() == measure_quality(pixels).tolist()
    np.testing.assert_array_equal(cache.column("perceptual_hash")[12], fingerprint(pixels))
    output = verifier.load()([pixels])
    np.testing.assert_allclose(cache.column("probabilities")[12], output.probabilities[0], atol=1e-5)
    features = cache.features(np.asarray([22, 12, 0]))
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[1], output.features[0], rtol=2e-3, atol=2e-3)


def test_an_undecodable_image_has_an_error_message(tmp_path: Path, images: list[Image], verifier: VerifierSpec) -> None:
    errors = compute(tmp_path, images, verifier)[0].column("error")
    assert [row for row, error in enumerate(errors) if error] == [4]
    assert b"cannot be decoded" in errors[4]


def test_cached_images_are_not_decoded_again(
    tmp_path: Path, images: list[Image], verifier: VerifierSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = compute(tmp_path, images, verifier)
    monkeypatch.setattr(feature_cache, "decode", lambda _: pytest.fail("decoded again"))
    again, done = compute(tmp_path, images, verifier)
    assert done == [len(images)]
    np.testing.assert_array_equal(first.column("probabilities"), again.column("probabilities"))


def test_only_changed_blocks_are_computed_and_outdated_ones_deleted(
    tmp_path: Path, images: list[Image], verifier: VerifierSpec
) -> None:
    compute(tmp_path, images, verifier)
    before = set((tmp_path / "work").glob("*/*.npy"))
    _, done = compute(tmp_path, images[:-1], verifier)
    after = set((tmp_path / "work").glob("*/*.npy"))
    assert done == [18, 4]
    assert len(before & after) == 2
    assert len(after) == 3


def test_another_verifier_recomputes_all_images(tmp_path: Path, images: list[Image], verifier: VerifierSpec) -> None:
    compute(tmp_path, images, verifier)
    other = dataclasses.replace(verifier, policy=dataclasses.replace(verifier.policy, labels={"yes": (), "no": ()}))
    _, done = compute(tmp_path, images, other)
    assert done == [0, 23]


def test_the_number_of_processes_does_not_change_the_rows(
    tmp_path: Path, images: list[Image], verifier: VerifierSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = compute(tmp_path, images, verifier)
    columns = {name: one.column(name) for name in ("measures", "perceptual_hash", "probabilities", "features", "error")}
    shutil.rmtree(tmp_path / "work")
    monkeypatch.setattr(feature_cache, "BLOCKS_PER_JOB", 1)
    two, _ = compute(tmp_path, images, verifier, workers=2)
    for name, column in columns.items():
        np.testing.assert_array_equal(two.column(name), column, name)


def test_an_image_that_differs_from_the_index_has_an_error_and_the_others_are_computed(
    tmp_path: Path, images: list[Image], verifier: VerifierSpec
) -> None:
    shard = tmp_path / "images" / images[10].shard
    data = bytearray(shard.read_bytes())
    data[images[10].offset + 40] ^= 255
    shard.write_bytes(bytes(data))
    cache, _ = compute(tmp_path, images, verifier)
    assert b"is not the one in index.jsonl" in cache.column("error")[10]
    assert cache.column("measures")[11].any()


def test_a_block_that_was_being_written_when_the_process_was_killed_is_computed_again(
    tmp_path: Path, images: list[Image], verifier: VerifierSpec
) -> None:
    compute(tmp_path, images, verifier)
    block = min((tmp_path / "work").glob("*/*.npy"))
    scratch = block.with_name(f".{block.name}.999999999.0123abcd")
    block.rename(scratch)
    _, done = compute(tmp_path, images, verifier)
    assert sum(done) == len(images)
    assert done[0] < len(images)
    assert block.is_file()
    assert not scratch.exists()
