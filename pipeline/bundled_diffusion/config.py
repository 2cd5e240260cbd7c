"""pipeline/bundled_diffusion/params.yaml -> a frozen ``TrainingConfig``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationError, model_validator

from pipeline.config.fields import Positive, Section, Seed, Share, Threads, explain
from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ParamsError

PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Widths = tuple[Positive, ...]
Precision = Literal["bfloat16", "float32"]  # of matrix products and convolutions
Part = Literal["attribute_net", "text_encoder", "autoencoder", "denoiser", "distilled", "judge"]


class DatasetConfig(Section):
    """Rendered portraits, which all networks are trained on.

    Attributes:
        policies: Policy -> number of portraits.
        held_out: Number of portraits, the last ones, that no network is trained on.
        seed: Seed of the prompts.
        images_per_chunk: Portraits per file.
        workers: Processes that render, and threads of training steps that run in one process.
    """

    policies: dict[str, Positive]
    held_out: Positive
    seed: Seed
    images_per_chunk: Positive
    workers: Threads


class AttributeNetConfig(Section):
    """Training of one attribute network."""

    epochs: Positive
    batch_size: Positive
    learning_rate: PositiveFloat
    precision: Precision
    seed: Seed


class LoopConfig(Section):
    """One run of the training loop.

    Attributes:
        steps: Optimiser steps.
        batch_size: Samples per step and process.
        learning_rate: Peak; it rises linearly over ``warmup_steps`` and falls to zero as a cosine over ``steps``.
        warmup_steps: Length of the linear rise.
        ema_decay: Decay per step of the exponential moving average of the weights.
        seed: Seed of initial weights, batches and noise.
        weight_decay: AdamW's.
        clip_norm: Largest norm of the gradient.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"clip": "clip_norm"}

    steps: Positive
    batch_size: Positive
    learning_rate: PositiveFloat
    warmup_steps: Positive
    ema_decay: Share
    seed: Seed
    weight_decay: float = 0.0
    clip_norm: PositiveFloat = 1.0


class AutoencoderConfig(Section):
    """Size of the autoencoder, its three training phases, and the accuracy it must reach.

    Attributes:
        latent_channels: Channels of the latents.
        widths: Channels of each level, the finest first.
        min_helmet_accuracy: Share of held-out portraits whose helmet, or lack of one, the attribute network must
            recognise after encoding and decoding.
        head_weight: Weight of reconstruction errors on the head, relative to the rest of the picture.
        eye_weight: Likewise at the eyes, where glasses are.
        perceptual_weight: Weight of the perceptual loss, relative to the reconstruction loss; after the first phase.
        attribute_weight: Factor -> weight of the divergence of the attribute network's predictions; likewise.
        precision: Precision after the first phase, which runs in float32.
        reconstruction_phase: First phase: reconstruction loss alone.
        perceptual_phase: Second phase: all losses.
        decoder_phase: Third phase: all losses, the decoder alone, so that no latent changes.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {
        "helmets_read": "min_helmet_accuracy",
        "perceptual": "perceptual_weight",
        "told": "attribute_weight",
        "rough": "reconstruction_phase",
        "fine": "perceptual_phase",
        "decoder": "decoder_phase",
    }

    latent_channels: Positive
    widths: Widths
    min_helmet_accuracy: Share
    head_weight: PositiveFloat
    eye_weight: PositiveFloat
    perceptual_weight: PositiveFloat
    attribute_weight: dict[str, PositiveFloat]
    precision: Precision
    reconstruction_phase: LoopConfig
    perceptual_phase: LoopConfig
    decoder_phase: LoopConfig


class TextEncoderConfig(Section):
    """Size of the text encoder and its training.

    Attributes:
        tokens: Length to which captions are padded.
        width: Size of a hidden state.
        layers: Transformer layers.
        steps: Optimiser steps.
        batch_size: Captions per step.
        learning_rate: Peak of the one-cycle schedule.
        seed: Seed of initial weights and batches.
    """

    tokens: Positive
    width: Annotated[int, Field(multiple_of=32, gt=0)]
    layers: Positive
    steps: Positive
    batch_size: Positive
    learning_rate: PositiveFloat
    seed: Seed


class RewardConfig(Section):
    """Reward fine-tuning of the distilled denoiser and of the decoder.

    Attributes:
        attribute_weight: Factor -> weight of the divergence of the reward model's predictions.
        feature_matching_weight: Weight of the feature-matching loss.
        reconstruction_weight: Weight of the reconstruction loss of rendered portraits.
        drift_penalty_weight: Weight of the squared distance from the denoiser before fine-tuning.
        sampling_steps: Fewest and most sampling steps per picture.
        training: The training loop.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {
        "told": "attribute_weight",
        "look": "feature_matching_weight",
        "decoded": "reconstruction_weight",
        "pull": "drift_penalty_weight",
        "steps": "sampling_steps",
        "learning": "training",
    }

    attribute_weight: dict[str, PositiveFloat]
    feature_matching_weight: NonNegativeFloat
    reconstruction_weight: NonNegativeFloat
    drift_penalty_weight: NonNegativeFloat
    sampling_steps: tuple[Annotated[int, Field(ge=2)], Positive]
    training: LoopConfig


class DenoiserConfig(Section):
    """Size of the denoiser and its three trainings: from noise, guidance distillation, reward fine-tuning.

    Attributes:
        widths: Channels of each level, the finest first.
        layers: Residual blocks per level.
        caption_dropout: Share of captions replaced by the empty one, for classifier-free guidance.
        head_weight: Weight of errors on the head, relative to the rest of the picture.
        eye_weight: Likewise at the eyes.
        alignment_weight: Weight of the alignment with the attribute network's features.
        precision: Precision of all trainings.
        processes: Processes of one thread each that train together on a CPU; on a GPU there is one.
        training: Training of the teacher.
        guidance_range: Smallest and largest guidance scale of the distilled denoiser.
        distillation: Guidance distillation of the teacher into the distilled denoiser.
        reward: Reward fine-tuning of the distilled denoiser, which then ships.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {
        "alignment": "alignment_weight",
        "learning": "training",
        "guidance": "guidance_range",
        "guided": "distillation",
    }

    widths: Widths
    layers: Positive
    caption_dropout: Share
    head_weight: PositiveFloat
    eye_weight: PositiveFloat
    alignment_weight: NonNegativeFloat
    precision: Precision
    processes: Threads
    training: LoopConfig
    guidance_range: tuple[Annotated[float, Field(ge=1)], Annotated[float, Field(ge=1)]]
    distillation: LoopConfig
    reward: RewardConfig


class InitialWeights(Section):
    """Parts of an earlier model to start from.

    Attributes:
        folder: Model folder that an earlier training wrote.
        parts: Parts to take from it. ``attribute_net``, ``text_encoder`` and ``judge`` are used unchanged;
            ``autoencoder`` skips its first training phase; ``denoiser`` initialises the teacher. Autoencoder and
            denoiser may have fewer latent channels than the configuration. ``distilled`` is the trained autoencoder
            and the distilled denoiser: training resumes with reward fine-tuning.
    """

    folder: Path
    parts: tuple[Part, ...]

    @model_validator(mode="after")
    def _check(self) -> InitialWeights:
        if "distilled" in self.parts and {"denoiser", "autoencoder"} & set(self.parts):
            raise ValueError(
                "parts: distilled beside autoencoder or denoiser; expected one or the other: distilled is both, trained"
            )
        if "denoiser" in self.parts and "autoencoder" not in self.parts:
            raise ValueError("parts: denoiser without autoencoder; expected both: a denoiser fits its own latents only")
        return self


class TrainingConfig(Section):
    """The whole training.

    Attributes:
        policies: Folder of the policies.
        work: Work folder: portraits, checkpoints and logs of the training.
        out: Model folder that is written at the end.
        start: Parts of an earlier model to start from; None: all networks start from random weights.
        device: ``auto`` is a GPU if there is one.
        width: Width of a picture, pixels.
        height: Height of a picture, pixels.
        dataset: Rendered portraits.
        attribute_net: The network whose features and predictions are training targets.
        reward_model: The attribute network of reward fine-tuning; the model card calls it the reader.
        judge: The attribute network that only evaluates.
        autoencoder: Pixels to latents and back.
        text_encoder: Captions to embeddings.
        denoiser: Noise to latents.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {
        "world": "dataset",
        "attributes": "attribute_net",
        "reader": "reward_model",
        "text": "text_encoder",
    }

    policies: Path
    work: Path
    out: Path
    start: InitialWeights | None
    device: Literal["auto", "cpu", "cuda"]
    width: Annotated[int, Field(multiple_of=8, gt=0)]
    height: Annotated[int, Field(multiple_of=8, gt=0)]
    dataset: DatasetConfig
    attribute_net: AttributeNetConfig
    reward_model: AttributeNetConfig
    judge: AttributeNetConfig
    autoencoder: AutoencoderConfig
    text_encoder: TextEncoderConfig
    denoiser: DenoiserConfig

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of a picture, pixels."""
        return self.width, self.height

    def start_folder(self, part: Part) -> Path | None:
        """Model folder that holds the initial weights of ``part``; None: they are random."""
        return self.start.folder if self.start is not None and part in self.start.parts else None


def load_config(path: Path) -> TrainingConfig:
    """Read a training configuration.

    Raises:
        ParamsError: The file cannot be read, or a value is missing, unknown or out of range.
    """
    try:
        config = TrainingConfig.model_validate(read_yaml(path, ParamsError, "expected YAML, see make bundled"))
    except ValidationError as error:
        raise ParamsError(explain(str(path), error)) from error
    images = sum(config.dataset.policies.values())
    if config.dataset.held_out >= images:
        raise ParamsError(f"{path} dataset.held_out: {config.dataset.held_out}; expected less than all {images} images")
    return config
