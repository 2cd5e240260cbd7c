"""pipeline/bundled_diffusion/params.yaml -> a frozen ``Recipe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.config.fields import Positive, Section, Seed, Share, Threads, explain
from pipeline.errors import ParamsError

Rate = Annotated[float, Field(gt=0)]
Widths = tuple[Positive, ...]
Precision = Literal["bfloat16", "float32"]  # of matrix products and convolutions
Part = Literal["attributes", "text", "autoencoder", "denoiser", "guided", "judge"]


class WorldRecipe(Section):
    """The rendered portraits that everything is learned from."""

    policies: dict[str, Positive]
    held_out: Positive
    seed: Seed
    images_per_chunk: Positive
    workers: Threads


class AttributeRecipe(Section):
    """How an attribute classifier is learned."""

    epochs: Positive
    batch_size: Positive
    learning_rate: Rate
    precision: Precision
    seed: Seed


class LoopRecipe(Section):
    """Steps and rates; the learning rate rises over ``warmup_steps`` and falls to zero as a cosine."""

    steps: Positive
    batch_size: Positive
    learning_rate: Rate
    warmup_steps: Positive
    ema_decay: Share
    seed: Seed
    weight_decay: float = 0.0
    clip: Rate = 1.0


class AutoencoderRecipe(Section):
    """Sizes of the autoencoder, its three learnings, and the gate after them.

    Attributes:
        head_weight: How many times more an absolute difference on the head counts.
        eye_weight: How many times more one counts at the eyes, where glasses are.
        perceptual: Weight of the perceptual distance beside the absolute difference, after the rough phase.
        told: Factor -> weight of the divergence of what the attribute network tells of it, after the rough phase.
        precision: Of the products after the rough phase.
    """

    latent_channels: Positive
    widths: Widths
    helmets_read: Share
    head_weight: Rate
    eye_weight: Rate
    perceptual: Rate
    told: dict[str, Rate]
    precision: Precision
    rough: LoopRecipe
    fine: LoopRecipe
    decoder: LoopRecipe


class TextRecipe(Section):
    """Sizes of the text encoder and how it is learned."""

    tokens: Positive
    width: Annotated[int, Field(multiple_of=32, gt=0)]
    layers: Positive
    steps: Positive
    batch_size: Positive
    learning_rate: Rate
    seed: Seed


class RewardRecipe(Section):
    """How the denoiser that ships, and the decoder, learn from what is read in their pictures.

    Attributes:
        told: Factor -> weight of the divergence of what the reader tells of it.
        look: Weight of the distance of its feature maps' statistics from those of rendered portraits.
        decoded: Weight of the absolute difference of portraits that are encoded and decoded.
        pull: Weight of the distance of the denoiser from what it was.
        steps: Fewest and most steps in which pictures are drawn.
    """

    told: dict[str, Rate]
    look: Annotated[float, Field(ge=0)]
    decoded: Annotated[float, Field(ge=0)]
    pull: Annotated[float, Field(ge=0)]
    steps: tuple[Annotated[int, Field(ge=2)], Positive]
    learning: LoopRecipe


class DenoiserRecipe(Section):
    """Sizes of the denoiser and how it is learned.

    Attributes:
        head_weight: How many times more an error on the head counts.
        eye_weight: How many times more one counts at the eyes.
        processes: That learn together on a CPU, one thread each; a GPU is one process's.
        learning: Of the denoiser that guidance asks twice.
        guidance: Weakest and strongest that its copy learns to give at once.
        guided: Of that copy.
        reward: Of that copy, which ships then.
    """

    widths: Widths
    layers: Positive
    caption_dropout: Share
    head_weight: Rate
    eye_weight: Rate
    alignment: Annotated[float, Field(ge=0)]
    precision: Precision
    processes: Threads
    learning: LoopRecipe
    guidance: tuple[Annotated[float, Field(ge=1)], Annotated[float, Field(ge=1)]]
    guided: LoopRecipe
    reward: RewardRecipe


class Start(Section):
    """What is not learned from nothing.

    Attributes:
        folder: A model folder that this training wrote.
        parts: Those to begin with. The attribute network, the text side and the judge are taken over as they are; the
            autoencoder goes on with its fine phase; the denoiser begins with these weights. Both may have fewer latent
            channels than the recipe asks for. "guided" takes over the autoencoder and the denoiser, and goes on with
            the latter's reward at once.
    """

    folder: Path
    parts: tuple[Part, ...]

    @model_validator(mode="after")
    def _check(self) -> Start:
        if "guided" in self.parts and {"denoiser", "autoencoder"} & set(self.parts):
            raise ValueError(
                "parts: guided beside autoencoder or denoiser; expected one or the other: it is both, learned"
            )
        if "denoiser" in self.parts and "autoencoder" not in self.parts:
            raise ValueError("parts: denoiser without autoencoder; expected both: it knows no other's latents")
        return self


class Recipe(Section):
    """The whole training.

    Attributes:
        start: A model to begin with; None: everything is learned from nothing.
        device: "auto" is a GPU where there is one.
    """

    policies: Path
    work: Path
    out: Path
    start: Start | None
    device: Literal["auto", "cpu", "cuda"]
    width: Annotated[int, Field(multiple_of=8, gt=0)]
    height: Annotated[int, Field(multiple_of=8, gt=0)]
    world: WorldRecipe
    attributes: AttributeRecipe
    reader: AttributeRecipe
    judge: AttributeRecipe
    autoencoder: AutoencoderRecipe
    text: TextRecipe
    denoiser: DenoiserRecipe

    def begins_with(self, part: Part) -> Path | None:
        """The model folder that ``part`` begins with, if it does not begin with nothing."""
        return self.start.folder if self.start is not None and part in self.start.parts else None


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ParamsError: It cannot be read, or a value is missing, unknown or out of range.
    """
    try:
        recipe = Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise ParamsError(f"{path}: cannot be read ({error}); expected YAML") from error
    except ValidationError as error:
        raise ParamsError(explain(str(path), error)) from error
    images = sum(recipe.world.policies.values())
    if recipe.world.held_out >= images:
        raise ParamsError(f"{path} world.held_out: {recipe.world.held_out}; expected less than all {images} images")
    return recipe
