"""A tiny classifier whose decisions vary, and frames for it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from export.formats import ExportJob, format_names, open_format
from export.parity import ReferencePredictions
from pipeline.config.params import ConvertParams, Int8Params
from pipeline.data.preprocess import PreprocessSpec
from pipeline.train.backbone import build_network
from pipeline.train.model import PortableClassifier

SPEC = PreprocessSpec(input_size=(64, 48), mean=(0.5, 0.45, 0.4), std=(0.25, 0.22, 0.2))
LABELS = ("no_helmet", "helmet")
BACKBONE = "mobilenetv3_small_050"
RECIPES = {name: open_format(name).RECIPES for name in format_names()}
INT8 = {
    "max_log_odds_error": 0.5,
    "min_agreement": 0.8,
    "percentiles": [95.0],
    "max_float_ops": 0,
    "sensitivity_images": 4,
}


def draw_frames(count: int, seed: int) -> NDArray[np.uint8]:
    """Blotches of colour, uint8 (count, 64, 48, 3): unlike on noise, a network's predictions differ."""
    chance = np.random.default_rng(seed)
    coarse = chance.integers(0, 256, (count, 4, 3, 3))
    fine = np.kron(coarse, np.ones((1, 16, 16, 1), np.int64)) + chance.integers(-20, 21, (count, 64, 48, 3))
    return np.clip(fine, 0, 255).astype(np.uint8)


def build_lively_network(padding: str = "symmetric", backbone: str = BACKBONE) -> torch.nn.Module:
    """Random weights, random batch-norm statistics, and a head that splits frames into two halves."""
    torch.manual_seed(7)
    network = build_network(backbone, 2, padding="same" if padding == "same" else "symmetric").eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    with torch.no_grad():
        pixels = torch.from_numpy(draw_frames(64, 99)).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (SPEC.mean, SPEC.std))
        logits = network((pixels - mean) / std)
        gap = logits[:, 1] - logits[:, 0]
        network.classifier.weight.mul_(3 / gap.std())
        network.classifier.bias.mul_(3 / gap.std())
        network.classifier.bias[0].add_(gap.median() * 3 / gap.std())
    return network


def convert_params(**sections: dict[str, object]) -> ConvertParams:
    every: dict[str, dict[str, object]] = {name: {"recipes": recipes} for name, recipes in RECIPES.items()}
    sizes = {"calibration_images": 16, "parity_images": 24, "retake_cost": 0.5, "seed": 1}
    return ConvertParams.model_validate({**sizes, "int8": INT8, "formats": {**every, **sections}})


def job_of(classifier: PortableClassifier, calibration: NDArray[np.uint8]) -> ExportJob:
    """A job whose reference predictions are those of the classifier itself."""
    frames = draw_frames(24, 3)
    probabilities = classifier(torch.from_numpy(frames)).detach().numpy()
    reference = ReferencePredictions(frames, probabilities, 0.5, np.arange(24) % 2)
    return ExportJob(classifier, SPEC, LABELS, calibration, reference, Int8Params.model_validate(INT8))
