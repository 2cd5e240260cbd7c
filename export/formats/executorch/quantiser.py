"""Static quantisation by torchao for XNNPACK: 8-bit activations, and 8-bit weights with one scale per channel.

Works on the network as ``torch.export`` captures it. XNNPACKQuantizer inserts observers, which get our ranges instead
of their own; torchao then converts them to quantize and dequantize ops. While the search runs, such a network is
executed op by op: lowering one to XNNPACK takes half a minute. XNNPACK rounds the same tensors, but sums in integers,
so its predictions differ a little from those that the search saw; ``convert`` compares the lowered program.

Normalisation and softmax stay in float, as does hard-swish: XNNPACK has no 8-bit kernel for it.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from export.parity import Predict, Trace
from export.quantisation.calibration import Range, Ranges, range_of_pixels, take_ranges
from export.quantisation.int8_search import Scheme
from pipeline.data.preprocess import Pixels

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


# Compared by identity, so that the network that ``isolate`` starts from can be cached.
@dataclass(frozen=True, slots=True, eq=False)
class ExecutorchQuantiser:
    """Static quantiser of one captured network (``export.quantisation.int8_search.Quantiser``).

    Attributes:
        network: The captured network, in float.
        ops: Names of convolutions, linear layers, products and sums after the normalisation.
        ranges: Ranges of the activations on the calibration frames.
        pixels: Exact ranges of the tensors before the first convolution.
    """

    network: fx.GraphModule
    ops: Sequence[str]
    ranges: Ranges
    pixels: Mapping[str, Range]

    def quantise(self, scheme: Scheme) -> fx.GraphModule:
        """Quantise all ops except ``scheme.float_ops``."""
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

        observed = _insert_observers(self.network, lambda node: node.name not in scheme.float_ops)
        ranges = {**self.ranges.merge(scheme.percentile), **self.pixels}
        for observer, sources in _observers(observed):
            _set_range(observer, sources, observed, ranges)
        quantised: fx.GraphModule = convert_pt2e(observed)
        return quantised

    def isolate(self, op: str, percentile: float) -> Predict:
        """Open a network in which only the inputs and the output of ``op`` are rounded; all weights have 8 bits."""
        return self.open(keep_rounding_of(_quantise_all(self, percentile), op))

    def open(self, model: fx.GraphModule) -> Predict:
        """Open a quantised network; torch runs it op by op."""

        def predict(frame: Pixels) -> NDArray[np.float32]:
            with torch.inference_mode():
                return np.asarray(model(torch.tensor(frame[None]))[0].numpy(), np.float32)

        return predict


def open_quantiser(network: fx.GraphModule, calibration: NDArray[np.uint8]) -> ExecutorchQuantiser:
    """Calibrate a captured network on frames, uint8 (n, height, width, 3) RGB."""
    plain = _insert_observers(network, lambda _: False)
    names = [node.name for node in plain.graph.nodes]
    first = names.index(next(node.name for node in plain.graph.nodes if node.target == _CONVOLUTION))
    early = set(names[:first])
    ops = [node.name for node in plain.graph.nodes if node.target in _KINDS and node.name not in early]
    trace = open_trace(plain)
    pixels = {name: ends for name, ends in range_of_pixels(trace, calibration[0]).items() if name in early}
    return ExecutorchQuantiser(network, ops, take_ranges(trace, calibration), pixels)


def open_trace(network: fx.GraphModule) -> Trace:
    """Open a network so that it yields every float tensor that its ops return."""

    def trace(frame: Pixels) -> Iterable[tuple[str, NDArray[np.float32]]]:
        recorder = _Recorder(network)
        with torch.inference_mode():
            recorder.run(torch.tensor(frame[None]))
        return recorder.tensors

    return trace


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


def keep_rounding_of(model: fx.GraphModule, op: str) -> fx.GraphModule:
    """Remove the rounding of all activations except the inputs and the output of ``op``; weights are shared."""
    graph = copy.deepcopy(model.graph)
    target = next(node for node in graph.nodes if node.name == op)
    kept = {*target.all_input_nodes, *(user for node in target.users if _is(node, _QUANTIZE) for user in node.users)}
    for node in list(graph.nodes):
        if _is(node, _DEQUANTIZE) and node not in kept and _is(node.args[0], _QUANTIZE):
            node.replace_all_uses_with(node.args[0].args[0])
            graph.erase_node(node)
    graph.eliminate_dead_code()
    return fx.GraphModule(model, graph)


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
    """Runs a network and copies every float tensor: later ops may change it in place."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.tensors: list[tuple[str, NDArray[np.float32]]] = []

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401 - whatever the op returns
        """Run one op."""
        result = super().run_node(n)
        if n.op == "call_function" and isinstance(result, torch.Tensor) and result.dtype == torch.float32:
            self.tensors.append((n.name, result.numpy().copy()))
        return result
