from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundled_diffusion.config import TrainingConfig, load_config
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, save_attribute_net
from pipeline.bundled_diffusion.networks.autoencoder import build_autoencoder
from pipeline.bundled_diffusion.portrait_dataset import dataset_folder
from pipeline.bundled_diffusion.training.latent_cache import LatentDataset, fill_cache, read_cache

CPU = torch.device("cpu")


@pytest.fixture
def config(root: Path, tmp_path: Path) -> TrainingConfig:
    """Four portraits of noise in two chunks, the last held out, and untrained networks."""
    loaded = load_config(root / "pipeline" / "bundled_diffusion" / "params.yaml")
    dataset = loaded.dataset.model_copy(update={"policies": {"helmet": 4}, "held_out": 1, "workers": 1})
    config = loaded.model_copy(update={"policies": root / "policies", "work": tmp_path, "dataset": dataset})
    folder = dataset_folder(config)
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (4, 32, 16, 3), dtype=np.uint8)
    np.save(folder / "00000.npy", pixels[:2])
    np.save(folder / "00001.npy", pixels[2:])
    torch.manual_seed(2)
    build_autoencoder(4, (8, 8, 8, 8)).save_pretrained(tmp_path / "autoencoder")
    save_attribute_net(AttributeNet({"light": ("day", "night")}), tmp_path / "attributes.safetensors")
    return config


def fill(config: TrainingConfig) -> None:
    networks = (config.work / "autoencoder", config.work / "attributes.safetensors")
    fill_cache(dataset_folder(config), *networks, config.dataset.workers, CPU)


def test_encoding_resumes_with_the_missing_chunks(config: TrainingConfig) -> None:
    fill(config)
    latents, features = read_cache(dataset_folder(config), 3)
    assert (latents.shape, latents.dtype) == ((3, 4, 4, 2), np.float16)
    assert (features.shape, features.dtype) == ((3, 192, 2, 1), np.float16)
    kept, lost = (dataset_folder(config) / f"0000{number}.features.npy" for number in (0, 1))
    before = kept.stat().st_mtime_ns
    lost.unlink()
    fill(config)
    assert kept.stat().st_mtime_ns == before
    np.testing.assert_array_equal(read_cache(dataset_folder(config), 3)[1], features)


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_dropped_captions_are_replaced_by_the_empty_one(config: TrainingConfig, dropout: float) -> None:
    fill(config)
    captions = np.arange(4 * 5 * 8, dtype=np.float16).reshape(4, 5, 8) + 1
    np.save(config.work / "captions.npy", captions)
    np.save(config.work / "empty_caption.npy", np.zeros((5, 8), np.float16))
    denoiser = config.denoiser.model_copy(update={"caption_dropout": dropout})
    dataset = LatentDataset(config.model_copy(update={"denoiser": denoiser}), 0.5, CPU)
    assert dataset.count == 3
    batch = dataset.sample(6, np.random.default_rng(3))
    rows = np.random.default_rng(3).integers(0, 3, 6)
    np.testing.assert_array_equal(batch.latents, dataset.latents[rows].float() * 0.5)
    np.testing.assert_array_equal(batch.text, captions[rows] * (1 - dropout))
    assert batch.weights.shape == (6, 4, 2)
    assert batch.features.shape == (6, 192, 2, 1)
