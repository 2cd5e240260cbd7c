"""Static quantisation by torchao for XNNPACK: 8-bit activations, and 8-bit weights with one scale per channel.

Works on the network as ``torch.export`` captures it. XNNPACKQuantizer inserts observers, which get our ranges instead
of their own; torchao then converts them to quantize and dequantize ops. The search runs such networks in torch, on many
frames at once, with each pair of these ops as one rounding: only the network that it chooses is lowered, since lowering
takes half a minute. XNNPACK rounds the same tensors, but sums in integers, so its predictions differ a little from
those that the search saw; ``convert`` compares the lowered program.

Normalisation and softmax stay in float, as does hard-swish: XNNPACK has no 8-bit kernel for it.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from export.parity import PredictFrames
from export.quantisation.calibration import Range, Ranges
from export.quantisation.int8_search import Scheme

_CONVOLUTION = torch.ops.aten.conv2d.default
_KINDS = (
    _CONVOLUTION,
    torch.ops.aten.linear.default,
    torch.ops.aten.add.Tensor,
    torch.ops.aten.add_.Tensor,
    torch.ops.aten.mul.Tensor,
    torch.ops.aten.mul_.Tensor,
)
_QUANTIZE, _DEQUANTIZE = "quantize_per_tensor.default", "dequantize_per_tensor.default"
_OBSERVER = "activation_post_process"
_BATCH = 32


# Compared by identity, so that the network that ``isolate`` starts from can be cached.
@dataclass(frozen=True, slots=True, eq=False)
class ExecutorchQuantiser:
    """Static quantiser of one captured network (``export.quantisation.int8_search.Quantiser``).

    Attributes:
        network: The captured network, in float.
        ops: Names of convolutions, linear layers, products and sums after the normalisation.
        ranges: Ranges of the activations on the calibration frames.
        pixels: Exact ranges of the tensors before the first convolution.
        batch: Number of frames that the network takes at once.
    """

    network: fx.GraphModule
    ops: Sequence[str]
    ranges: Ranges
    pixels: Mapping[str, Range]
    batch: int

    def quantise(self, scheme: Scheme) -> fx.GraphModule:
        """Quantise all ops except ``scheme.float_ops``."""
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

        observed = _insert_observers(self.network, lambda node: node.name not in scheme.float_ops)
        ranges = {**self.ranges.merge(scheme.percentile), **self.pixels}
        for observer, sources in _observers(observed):
            _set_range(observer, sources, observed, ranges)
        quantised: fx.GraphModule = convert_pt2e(observed)
        return quantised

    def isolate(self, op: str, percentile: float) -> PredictFrames:
        """Open a network in which only the inputs and the output of ``op`` are rounded; all weights have 8 bits."""
        model = _quantise_all(self, percentile)
        return self._open(model, roundings_of(model, op))

    def open(self, model: fx.GraphModule) -> PredictFrames:
        """Open a quantised network; torch runs it op by op."""
        return self._open(model, [node for node in model.graph.nodes if _is(node, _DEQUANTIZE)])

    def _open(self, model: fx.GraphModule, roundings: Collection[fx.Node]) -> PredictFrames:
        def predict(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
            with torch.inference_mode():
                batches = torch.split(torch.from_numpy(frames), self.batch)
                return torch.cat([_Rounding(model, roundings).run(batch) for batch in batches]).numpy()

        return predict


def open_quantiser(network: fx.GraphModule, calibration: NDArray[np.uint8]) -> ExecutorchQuantiser:
    """Calibrate a captured network on frames, uint8 (n, height, width, 3) RGB."""
    plain = _insert_observers(network, lambda _: False)
    names = [node.name for node in plain.graph.nodes]
    first = names.index(next(node.name for node in plain.graph.nodes if node.target == _CONVOLUTION))
    early = set(names[:first])
    ops = [node.name for node in plain.graph.nodes if node.target in _KINDS and node.name not in early]
    batch = _BATCH if takes_batches(plain, calibration[:2]) else 1
    extremes = np.stack([np.full_like(calibration[0], level) for level in (0, 255)])
    pixels = {name: ends for name, ends in record(plain, extremes, batch).merge(100).items() if name in early}
    return ExecutorchQuantiser(network, ops, record(plain, calibration, batch), pixels, batch)


def takes_batches(network: fx.GraphModule, frames: NDArray[np.uint8]) -> bool:
    """Whether a network gives the same for several frames at once: torch captured it for one, and may have kept that.

    Args:
        network: The captured network.
        frames: Frames, uint8 (n, height, width, 3) RGB, n at least 2; with fewer it does not.
    """
    images = torch.from_numpy(frames)
    with torch.inference_mode():
        alone = torch.cat([fx.Interpreter(network).run(image[None]) for image in images])
        try:
            together = fx.Interpreter(network).run(images)
        except (AssertionError, RuntimeError):
            return False
    return len(frames) > 1 and together.shape == alone.shape and torch.allclose(together, alone, atol=1e-4)


def record(network: fx.GraphModule, frames: NDArray[np.uint8], batch: int) -> Ranges:
    """Run a captured network and record the extremes of every float tensor that its ops return, on each frame.

    Args:
        network: The captured network.
        frames: Frames, uint8 (n, height, width, 3) RGB.
        batch: Number of frames that it takes at once.
    """
    runs = []
    with torch.inference_mode():
        for images in torch.split(torch.from_numpy(frames), batch):
            recorder = _Recorder(network, len(images))
            recorder.run(images)
            runs.append(recorder.extremes)
    low, high = (np.concatenate([np.stack([ends[end] for ends in run.values()], 1) for run in runs]) for end in (0, 1))
    return Ranges(tuple(runs[0]), low, high)


def quantise_by_default(network: fx.GraphModule, calibration: NDArray[np.uint8]) -> fx.GraphModule:
    """Quantise with XNNPACKQuantizer's static configuration and its own calibration, by histograms.

    Args:
        network: The captured network.
        calibration: Frames, uint8 (n, height, width, 3) RGB.
    """
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import get_symmetric_quantization_config
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    observed = _insert_observers(network, lambda _: True, get_symmetric_quantization_config(is_per_channel=True))
    with torch.inference_mode():
        for frame in calibration:
            observed(torch.tensor(frame[None]))
    quantised: fx.GraphModule = convert_pt2e(observed)
    return quantised


def roundings_of(model: fx.GraphModule, op: str) -> set[fx.Node]:
    """Return the dequantize ops of the inputs and of the output of ``op``."""
    target = next(node for node in model.graph.nodes if node.name == op)
    written = (user for node in target.users if _is(node, _QUANTIZE) for user in node.users)
    return {node for node in (*target.all_input_nodes, *written) if _is(node, _DEQUANTIZE)}


@lru_cache(maxsize=1)
def _quantise_all(quantiser: ExecutorchQuantiser, percentile: float) -> fx.GraphModule:
    """Quantise all ops; cached, because the sensitivity of every op is measured in this network."""
    return quantiser.quantise(Scheme(percentile))


def _is(node: Any, op: str) -> bool:  # noqa: ANN401 - a node or a constant
    return isinstance(node, fx.Node) and str(node.target) == f"quantized_decomposed.{op}"


def _insert_observers(
    network: fx.GraphModule,
    chosen: Callable[[fx.Node], bool],
    config: Any = None,  # noqa: ANN401 - torchao's
) -> fx.GraphModule:
    """Fold batch norms and insert observers around the chosen ops of a copy of the network."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer
    from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

    quantiser = XNNPACKQuantizer().set_global(config or _min_max_config()).set_filter_function(chosen)
    # prepare_pt2e has fused the batch norms; to look for more of them takes seconds.
    quantiser.SUPPORTED_PATTERNS = [each for each in quantiser.SUPPORTED_PATTERNS if "_bn" not in each.name]
    observed: fx.GraphModule = prepare_pt2e(copy.deepcopy(network), quantiser)
    return observed


def _min_max_config() -> Any:  # noqa: ANN401 - torchao is untyped
    """XNNPACK's static configuration, with observers whose range can be set."""
    from torchao.quantization.pt2e import MinMaxObserver, PerChannelMinMaxObserver
    from torchao.quantization.pt2e.quantizer import QuantizationConfig, QuantizationSpec

    smallest = {"eps": 2**-12}  # scale, as in the toolkit's own configuration
    activation = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-128,
        quant_max=127,
        qscheme=torch.per_tensor_affine,
        observer_or_fake_quant_ctr=MinMaxObserver.with_args(**smallest),
    )
    weight = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-127,
        quant_max=127,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
        observer_or_fake_quant_ctr=PerChannelMinMaxObserver.with_args(**smallest),
    )
    return QuantizationConfig(activation, activation, weight, None)


def _observers(observed: fx.GraphModule) -> list[tuple[nn.Module, list[fx.Node]]]:
    """Each observer with the nodes it observes: ops that pass values on share their input's observer."""
    found: dict[int, tuple[nn.Module, list[fx.Node]]] = {}
    for node in observed.graph.nodes:
        if node.op == "call_module" and str(node.target).startswith(_OBSERVER):
            observer = observed.get_submodule(str(node.target))
            found.setdefault(id(observer), (observer, []))[1].append(node.args[0])
    return list(found.values())


def _set_range(
    observer: nn.Module, sources: Sequence[fx.Node], observed: fx.GraphModule, ranges: Mapping[str, Range]
) -> None:
    """Give an observer of activations the ranges of all tensors it observes; let one of weights observe them."""
    if sources[0].op == "get_attr":
        observer(operator.attrgetter(str(sources[0].target))(observed))
        return
    low = min(ranges[source.name][0] for source in sources)
    high = max(ranges[source.name][1] for source in sources)
    observer.min_val, observer.max_val = torch.tensor(low), torch.tensor(high)


class _Recorder(fx.Interpreter):
    """Runs a network and keeps the smallest and largest value, per frame, of every float tensor."""

    def __init__(self, network: fx.GraphModule, count: int) -> None:
        super().__init__(network)
        self.count = count
        self.extremes: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401 - whatever the op returns
        """Run one op."""
        result = super().run_node(n)
        if n.op == "call_function" and isinstance(result, torch.Tensor) and result.dtype == torch.float32:
            by_frame = result.ndim and len(result) % self.count == 0
            flat = result.reshape(self.count, -1) if by_frame else result.reshape(1, -1).expand(self.count, -1)
            self.extremes[n.name] = (flat.amin(1).numpy(), flat.amax(1).numpy())
        return result


class _Rounding(fx.Interpreter):
    """Runs a quantised network in floats: of the pairs of quantize and dequantize, only the chosen ones round."""

    def __init__(self, model: fx.GraphModule, roundings: Collection[fx.Node]) -> None:
        super().__init__(model)
        self.roundings = frozenset(roundings)

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401 - whatever the op returns
        """Run one op; a quantize op passes its input on, and the dequantize op after it rounds it."""
        values: Any = self.map_nodes_to_values(n.args, n) if n.op == "call_function" else ()
        if _is(n, _QUANTIZE):
            return values[0]
        if _is(n, _DEQUANTIZE) and _is(n.args[0], _QUANTIZE):
            value, *grid = values[:5]
            return torch.fake_quantize_per_tensor_affine(value, *grid) if n in self.roundings else value
        return super().run_node(n)
