from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from export.formats import ExportJob, executorch
from export.formats.executorch import quantiser
from export.formats.executorch.lowering import capture
from export.formats.executorch.quantiser import open_quantiser
from export.quantisation.int8_search import Quantiser, Scheme
from export.toolkit_output import quiet_toolkits
from tests.export.formats.quantiser_contract import QuantiserContract


@pytest.mark.slow
class TestExecutorchQuantiser(QuantiserContract):
    @classmethod
    def open_quantiser(cls, job: ExportJob) -> Quantiser[Any]:
        return open_quantiser(executorch._capture(job), job.calibration)

    def inputs_are_rounded(self, model: Any, op: str) -> bool:
        node = next(node for node in model.graph.nodes if node.name == op)
        return "dequantize" in str(node.args[0].target)


class Pooling(torch.nn.Module):
    """One convolution and one probability per frame; ``fixed`` writes the size of the batch into the graph."""

    def __init__(self, *, fixed: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.convolution, self.fixed = torch.nn.Conv2d(3, 2, 3), fixed

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.convolution(image.permute(0, 3, 1, 2).float() / 255)
        means = features.reshape(1, 2, -1).mean(2) if self.fixed else features.mean((2, 3))
        return torch.softmax(means, 1)


def captured(*, fixed: bool) -> torch.fx.GraphModule:
    with quiet_toolkits():
        return capture(Pooling(fixed=fixed).eval(), (16, 12)).module()


FRAMES = np.random.default_rng(4).integers(0, 256, (5, 16, 12, 3)).astype(np.uint8)


@pytest.mark.parametrize("fixed", [False, True])
def test_a_network_that_was_captured_for_one_frame_takes_many_unless_its_graph_says_one(*, fixed: bool) -> None:
    assert quantiser.takes_batches(captured(fixed=fixed), FRAMES) is not fixed
    assert not quantiser.takes_batches(captured(fixed=False), FRAMES[:1])


def test_ranges_and_predictions_of_many_frames_are_those_of_single_ones() -> None:
    network = captured(fixed=False)
    together, alone = (quantiser.record(network, FRAMES, batch) for batch in (2, 1))
    assert together.names == alone.names
    assert together.low.shape == (5, len(together.names))
    np.testing.assert_allclose(together.low, alone.low, atol=1e-6)
    np.testing.assert_allclose(together.high, alone.high, atol=1e-6)
    with quiet_toolkits():
        opened = open_quantiser(network, FRAMES)
        model = opened.quantise(Scheme(99.0))
    predictions = opened.open(model)(FRAMES)
    with torch.inference_mode():
        executed = torch.cat([model(torch.from_numpy(frame[None])) for frame in FRAMES]).numpy()
    assert opened.batch > 1
    np.testing.assert_allclose(predictions, executed, atol=2e-3)
    (op,) = opened.ops
    np.testing.assert_allclose(opened.isolate(op, 99.0)(FRAMES), executed, atol=2e-2)
