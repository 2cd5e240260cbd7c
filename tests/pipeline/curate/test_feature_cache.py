"""One look at every picture, kept by content."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.policy import load_policy
from pipeline.curate import feature_cache
from pipeline.curate.feature_cache import Looks, Store, Witness, look
from pipeline.curate.image_quality import measure_quality
from pipeline.curate.verifiers.attributes import Params
from pipeline.data.perceptual_hash import fingerprint
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Image
from pipeline.data.shards import Encoded, read_pixels, write_images
from pipeline.prompts.prompt_sampler import draw_prompts
from pipeline.renderer import render


@pytest.fixture
def witness(root: Path) -> Witness:
    return Witness("attributes", Params(weights="bundled"), load_policy(root / "policies" / "helmet.yaml"))


@pytest.fixture
def images(root: Path, tmp_path: Path) -> list[Image]:
    prompts = draw_prompts(load_policy(root / "policies" / "helmet.yaml"), 23, 1, seed=3)
    pictures = [
        Encoded(p.id, p.group, p.label, p.factors, encode_png(render(p.factors, p.seed, (96, 128))), 96, 128)
        for p in prompts
    ]
    pictures[4] = dataclasses.replace(pictures[4], data=b"\x89PNG torn")
    pictures[5] = dataclasses.replace(pictures[5], fault="nan")
    return write_images(tmp_path / "images", pictures, 9)


def seen(tmp_path: Path, images: list[Image], witness: Witness, workers: int = 1) -> tuple[Looks, list[int]]:
    done: list[int] = []
    return look(tmp_path / "images", images, witness, Store(tmp_path / "work", workers), done.append), done


def test_rows_are_what_the_picture_alone_gives(tmp_path: Path, images: list[Image], witness: Witness) -> None:
    found, done = seen(tmp_path, images, witness)
    assert sum(done) == len(images)
    pixels = read_pixels(tmp_path / "images", images[12])
    assert found.column("measures")[12].tolist() == measure_quality(pixels).tolist()
    np.testing.assert_array_equal(found.column("print")[12], fingerprint(pixels))
    alone = witness.open()([pixels])
    np.testing.assert_allclose(found.column("probabilities")[12], alone.probabilities[0], atol=1e-5)
    features = found.features(np.asarray([22, 12, 0]))
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[1], alone.features[0], rtol=2e-3, atol=2e-3)


def test_what_cannot_be_decoded_says_why(tmp_path: Path, images: list[Image], witness: Witness) -> None:
    errors = seen(tmp_path, images, witness)[0].column("error")
    assert [row for row, error in enumerate(errors) if error] == [4]
    assert b"cannot be decoded" in errors[4]


def test_what_was_seen_is_not_looked_at_again(
    tmp_path: Path, images: list[Image], witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = seen(tmp_path, images, witness)
    monkeypatch.setattr(feature_cache, "decode", lambda _: pytest.fail("decoded again"))
    again, done = seen(tmp_path, images, witness)
    assert done == [len(images)]
    np.testing.assert_array_equal(first.column("probabilities"), again.column("probabilities"))


def test_only_what_changed_is_looked_at_and_what_is_gone_is_forgotten(
    tmp_path: Path, images: list[Image], witness: Witness
) -> None:
    seen(tmp_path, images, witness)
    before = set((tmp_path / "work").iterdir())
    _, done = seen(tmp_path, images[:-1], witness)
    after = set((tmp_path / "work").iterdir())
    assert done == [18, 4]
    assert len(before & after) == 2
    assert len(after) == 3


def test_another_verifier_looks_anew(tmp_path: Path, images: list[Image], witness: Witness) -> None:
    seen(tmp_path, images, witness)
    other = dataclasses.replace(witness, policy=dataclasses.replace(witness.policy, labels={"yes": (), "no": ()}))
    _, done = seen(tmp_path, images, other)
    assert done == [0, 23]


def test_processes_change_nothing(
    tmp_path: Path, images: list[Image], witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = seen(tmp_path, images, witness)
    columns = {name: one.column(name) for name in ("measures", "print", "probabilities", "features", "error")}
    for path in (tmp_path / "work").iterdir():
        path.unlink()
    monkeypatch.setattr(feature_cache, "BLOCKS_PER_JOB", 1)
    two, _ = seen(tmp_path, images, witness, workers=2)
    for name, column in columns.items():
        np.testing.assert_array_equal(two.column(name), column, name)


def test_a_picture_that_is_not_the_indexs_says_so_and_the_others_are_seen(
    tmp_path: Path, images: list[Image], witness: Witness
) -> None:
    shard = tmp_path / "images" / images[10].shard
    data = bytearray(shard.read_bytes())
    data[images[10].offset + 40] ^= 255
    shard.write_bytes(bytes(data))
    found, _ = seen(tmp_path, images, witness)
    assert b"is not the one in index.jsonl" in found.column("error")[10]
    assert found.column("measures")[11].any()
