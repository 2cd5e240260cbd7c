"""Speed of the large presets, on small networks of the same kind that run on a CPU within a second."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.experiments import diffusion_throughput
from pipeline.errors import ParamsError
from tests.benchmarks.experiments.steps import silent

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

SMALL = {
    "unet": {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
    },
    "text_encoder": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
    "vae": {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (8, 8, 8, 8),
        "norm_num_groups": 8,
        "latent_channels": 4,
    },
}
PARAMS = diffusion_throughput.Params(
    width=32, height=48, batch_sizes=(1, 2), seconds=0.01, device="cpu", dtype="float32"
)


def test_each_preset_is_timed_at_each_batch_size(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setattr(diffusion_throughput, "NETWORKS", {"sd15": SMALL, "turbo": SMALL})
    result = diffusion_throughput.run(PARAMS, tmp_path, silent)
    rows = [(row.preset, row.steps, row.batch_size) for row in result.speeds]
    assert rows == [("turbo", 1, 1), ("turbo", 1, 2), ("sd15", 20, 1), ("sd15", 20, 2)]
    for row in result.speeds:
        assert row.images_per_second * row.seconds_per_batch == pytest.approx(row.batch_size)
    assert result.device == "cpu"


def test_networks_have_their_published_sizes() -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    with torch.device("meta"):
        counts = {
            name: [sum(weights.numel() for weights in network.parameters()) / 1e6 for network in networks]
            for name, sizes in diffusion_throughput.NETWORKS.items()
            for networks in [(UNet2DConditionModel(**sizes["unet"]), AutoencoderKL(**sizes["vae"]))]
        }
    assert counts["sd15"] == pytest.approx([859.5, 83.7], abs=0.1)
    assert counts["turbo"] == pytest.approx([865.9, 83.7], abs=0.1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(ParamsError, match=r"--set\.device: cuda; this machine has cpu"):
        diffusion_throughput.run(diffusion_throughput.Params(), tmp_path, silent)
