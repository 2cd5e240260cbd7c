"""Builds a timm backbone as a classifier, with the options that it accepts, and tries it on the size of its input.

timm's networks differ in which options they take: pooling, TensorFlow's padding, the size of the input. A sketch of the
network on torch's meta device, which has no memory, answers this: the parameters of its constructor, its pooling, and
whether images of a size pass. Reads a local weights file, or the hub's cache; writes nothing.
"""

from __future__ import annotations

import copy
import difflib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import timm
import torch
from safetensors import SafetensorError
from timm.layers import SelectAdaptivePool2d
from torch import nn

from pipeline.errors import ModelError, ParamsError, shown
from pipeline.train.package_weights import find_package_weights, load_package_weights

Padding = Literal["symmetric", "same"]
Size = tuple[int, int]
"""(height, width) in pixels."""

Method = Literal["full", "head"]

PLACE = "params.yaml train.backbone"
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What timm's networks raise if an option or an input does not suit them."""
_NAMES = 3
_TRIALS = 10
_USUAL = ("mobilenetv3_small_*", "mobilenetv2_*")
"""Small networks, suggested where nothing similar works."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a network is built from, before it has weights.

    Attributes:
        method: "full" (the network as timm builds it) or "head" (``FeatureClassifier``).
        backbone: Name of the timm model.
        labels: Number of outputs.
        padding: "symmetric", or "same" (TensorFlow's).
        input_size: (height, width) of the images, in pixels.
        expert: Whether a network of method "head" has an expert.
    """

    method: Method
    backbone: str
    labels: int
    padding: Padding
    input_size: Size
    expert: bool = False


def build_network(
    backbone: str,
    labels: int,
    pretrained: str = "none",
    padding: Padding = "symmetric",
    input_size: Size | None = None,
) -> nn.Module:
    """Create a timm classifier.

    Args:
        backbone: Name of a timm model.
        labels: Number of outputs.
        pretrained: "none", "package" (``pipeline.train.package_weights``), "hub" (timm's own weights), or the path of a
            safetensors state dict; a classifier with another number of outputs is replaced.
        padding: "symmetric", or "same" for weights that were trained with TensorFlow's padding.
        input_size: Size of the images; None: the network keeps its own size, and is not tried.

    Returns:
        Takes normalised float32 (n, 3, height, width), returns logits (n, labels).

    Raises:
        ParamsError: timm has no such backbone, or it does not take this padding or images of this size.
        ModelError: The weights cannot be loaded, or belong to another network.
    """
    _check_name(backbone)
    options = _choose_options(backbone, labels, padding, input_size)
    try:
        network = _as_module(timm.create_model(backbone, pretrained=pretrained == "hub", **options))
    except FAILURES as error:
        if pretrained == "hub":
            raise ModelError(f"params.yaml train.pretrained: hub; {backbone} cannot be fetched: {error}") from error
        raise ParamsError(_explain_unsuitable(backbone, options, input_size, _describe(error))) from error
    except OSError as error:
        raise ModelError(f"params.yaml train.pretrained: hub; {backbone} cannot be fetched: {error}") from error
    _shrink_head(network, labels if pretrained == "hub" else 0)
    if pretrained == "package":
        _load_package(network, backbone)
    elif pretrained not in ("none", "hub"):
        _load_pretrained(network, Path(pretrained))
    reason = "" if input_size is None else _try(copy.deepcopy(network), labels, input_size)
    if reason:
        raise ParamsError(_explain_unsuitable(backbone, options, input_size, reason))
    return network


def feature_options(backbone: str, padding: Padding, input_size: Size) -> dict[str, Any]:
    """Choose the keyword arguments of ``timm.create_model(backbone, features_only=True)``."""
    chosen = _choose_options(backbone, 1, padding, input_size)
    return {name: value for name, value in chosen.items() if name not in ("num_classes", "global_pool")}


@dataclass(frozen=True, slots=True)
class _Traits:
    """What a backbone accepts.

    Attributes:
        parameters: Names of its constructor's parameters.
        average_pooling: Whether it pools with timm's average pooling over rows and columns, which has variants.
        module: Name of the module of timm that defines it.
        size: Size of the images it was designed for.
    """

    parameters: frozenset[str]
    average_pooling: bool
    module: str
    size: Size


@cache
def _find_traits(backbone: str) -> _Traits:
    """Sketch a backbone as timm builds it by default, and read what it accepts.

    Raises:
        ParamsError: timm cannot build it.
    """
    try:
        network = _sketch(backbone, {})
    except FAILURES as error:
        raise ParamsError(f"{PLACE}: timm cannot build {backbone!r}: {_describe(error)}") from error
    pools = [module for module in network.modules() if isinstance(module, SelectAdaptivePool2d)]
    parameters = _parameters(type(network))
    return _Traits(
        parameters=parameters,
        average_pooling="global_pool" in parameters
        and any(isinstance(pool.pool, nn.AdaptiveAvgPool2d) for pool in pools),
        module=type(network).__module__.rpartition(".")[2],
        size=_own_size(network),
    )


def _parameters(kind: type) -> frozenset[str]:
    """Names of a constructor's parameters; of one with ``**options``, those of its base classes as well."""
    names: set[str] = set()
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters
            names |= parameters.keys()
            if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
                break
    return frozenset(names)


def _own_size(network: nn.Module) -> Size:
    config: Any = getattr(network, "pretrained_cfg", {})
    _, height, width = config.get("input_size") or (3, 224, 224)
    return int(height), int(width)


def _choose_options(backbone: str, labels: int, padding: Padding, input_size: Size | None) -> dict[str, Any]:
    """Choose keyword arguments of ``timm.create_model`` among those that the backbone accepts."""
    traits = _find_traits(backbone)
    options: dict[str, Any] = {"num_classes": labels}
    if traits.average_pooling:
        # A mean; exporters convert timm's default pooling to a reshape and a gather.
        options["global_pool"] = "fast"
    if padding == "same":
        if "pad_type" not in traits.parameters:
            names = _similar(backbone, lambda name: "pad_type" in _find_traits(name).parameters)
            raise ParamsError(
                f"params.yaml train.padding: same; {backbone!r} does not have TensorFlow's padding; expected "
                f"symmetric, or a train.backbone that has it, such as {names}"
            )
        options["pad_type"] = "same"
    if input_size is not None and "img_size" in traits.parameters:
        sized = {**options, "img_size": input_size}
        # Some scale their input to a size of their own and fail at another one.
        if not _find_obstacle(backbone, sized, input_size) or _find_obstacle(backbone, options, input_size):
            return sized
    return options


def _sketch(backbone: str, options: dict[str, Any]) -> nn.Module:
    """Build a network without memory; torch's random numbers stay as they are."""
    with torch.random.fork_rng(devices=()), torch.device("meta"):
        return _as_module(timm.create_model(backbone, **options))


def _find_obstacle(backbone: str, options: dict[str, Any], size: Size) -> str:
    """Return why a sketch with these options cannot classify images of a size; empty if it can."""
    try:
        network = _sketch(backbone, options)
    except FAILURES as error:
        return _describe(error)
    with torch.device("meta"):
        return _try(network, options["num_classes"], size)


def _try(network: nn.Module, labels: int, size: Size) -> str:
    """Return why a network cannot classify one image of a size; empty if it can. Leaves the network in eval mode."""
    try:
        with torch.random.fork_rng(devices=()), torch.no_grad():
            logits = network.eval()(torch.zeros(1, 3, *size))
    except FAILURES as error:
        return _describe(error)
    if not isinstance(logits, torch.Tensor) or logits.shape != (1, labels):
        return f"its output has the shape {tuple(getattr(logits, 'shape', ()))}, not {(1, labels)}"
    return ""


def _explain_unsuitable(backbone: str, options: dict[str, Any], size: Size | None, reason: str) -> str:
    """Write the error for a backbone that cannot be built or cannot take images of a size."""
    if size is None:
        return f"{PLACE}: {backbone!r} cannot be built: {reason}"
    own = _find_traits(backbone).size
    fits = own != size and not _find_obstacle(
        backbone, _choose_options(backbone, options["num_classes"], "symmetric", own), own
    )
    expected = f"its own size, {own[0]}x{own[1]}, or " if fits else ""
    names = _similar(backbone, lambda name: _suits(name, options, size))
    return (
        f"{PLACE}: {backbone!r} cannot classify images of {size[0]}x{size[1]} pixels (train.input_height x "
        f"train.input_width): {reason}; expected {expected}a backbone that can, such as {names}"
    )


def _suits(backbone: str, options: dict[str, Any], size: Size) -> bool:
    padding: Padding = "same" if "pad_type" in options else "symmetric"
    if padding == "same" and "pad_type" not in _find_traits(backbone).parameters:
        return False
    return not _find_obstacle(backbone, _choose_options(backbone, options["num_classes"], padding, size), size)


def _similar(backbone: str, works: Callable[[str], bool]) -> str:
    """Name backbones that work: of the same module of timm if possible, else small ones."""
    relatives = timm.list_models(module=_find_traits(backbone).module)
    near = difflib.get_close_matches(backbone.partition(".")[0], relatives, n=_TRIALS, cutoff=0.3)
    found: list[str] = []
    for name in (*near[: _TRIALS // 2], *timm.list_models(list(_USUAL))[: _TRIALS // 2]):
        if len(found) < _NAMES and name != backbone and name not in found and works(name):
            found.append(name)
    return ", ".join(found) or "mobilenetv3_small_100"


def _check_name(backbone: str) -> None:
    """Refuse a name that timm does not have, with the names that are most like it.

    Raises:
        ParamsError: timm has no model of this name, or no weights of this tag (the part after the dot).
    """
    if timm.is_model(backbone):
        try:
            timm.get_pretrained_cfg(backbone)
        except RuntimeError as error:
            tags = ", ".join(timm.list_pretrained(f"{backbone.partition('.')[0]}.*")) or backbone.partition(".")[0]
            raise ParamsError(f"{PLACE}: {backbone!r}; timm has no weights of this name; expected {tags}") from error
        return
    raise ParamsError(f"{PLACE}: {shown(backbone)}; {_expected_backbone(backbone)}")


def _expected_backbone(backbone: str) -> str:
    """Name the timm models whose names are most alike, and guess at the one that was meant.

    Names are compared as timm writes them: in lower case, with underscores, without owner and tag.
    """
    name = backbone[:100].rpartition("/")[2].partition(".")[0].lower().replace("-", "_")
    near = difflib.get_close_matches(name, timm.list_models(), n=4, cutoff=0.0)  # always some, however odd the name
    guess = difflib.get_close_matches(name, near, n=1)
    return f"expected a timm model such as {', '.join(near)}" + (f"; did you mean {guess[0]!r}?" if guess else "")


def _describe(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0]
    return textwrap.shorten(f"{type(error).__name__}: {first}" if first else type(error).__name__, 160)


def _as_module(network: object) -> nn.Module:
    if not isinstance(network, nn.Module):
        raise ModelError(f"timm returned {type(network).__name__}; expected a torch module")
    return network


def _shrink_head(network: nn.Module, hub_labels: int = 0) -> nn.Module:
    """Initialise the head close to zero: timm's initialisation is too large for few outputs (first loss > 1.5).

    A head that was loaded with the hub's weights, because it has ``hub_labels`` outputs, is not changed.
    """
    if hub_labels and getattr(network, "pretrained_cfg", {}).get("num_classes") == hub_labels:
        return network
    find_head: Any = getattr(network, "get_classifier", None)
    head = find_head() if find_head else None
    if isinstance(head, nn.Linear):
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)
    return network


def _load_package(network: nn.Module, backbone: str) -> None:
    whole = _as_module(timm.create_model(backbone))
    load_package_weights(whole, find_package_weights(backbone))
    _load_state(network, whole.state_dict(), f"the package of {backbone}")


def _load_pretrained(network: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise ModelError(
            f"params.yaml train.pretrained: {path} is missing; expected none, package, hub or a .safetensors file"
        )
    try:
        state = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"params.yaml train.pretrained: {path} is not a safetensors file: {error}") from error
    _load_state(network, state, str(path))


def _load_state(network: nn.Module, state: dict[str, torch.Tensor], source: str) -> None:
    """Load all tensors except those of a classifier with another number of outputs.

    Raises:
        ModelError: Another tensor does not fit.
    """
    own = network.state_dict()
    head = [name for name, tensor in state.items() if name in own and own[name].shape != tensor.shape]
    if any(not name.startswith(_head_names(network)) for name in head):
        raise ModelError(f"params.yaml train.pretrained: {source} is another network's: {head[0]} has another shape")
    for name in head:
        del state[name]
    missing, unexpected = network.load_state_dict(state, strict=False)
    unset = [name for name in missing if name not in head and "num_batches_tracked" not in name]
    if unset or unexpected:
        first = (unset or unexpected)[0]
        raise ModelError(f"params.yaml train.pretrained: {source} is another network's: {first} does not match")


def _head_names(network: nn.Module) -> tuple[str, ...]:
    """Names, or their beginnings, of the layers that depend on the number of outputs."""
    config: Any = getattr(network, "pretrained_cfg", {})
    own = config.get("classifier") or ()
    return ("classifier", "head", "fc", *((own,) if isinstance(own, str) else own))
