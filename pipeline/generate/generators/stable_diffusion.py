"""Generator ``stable_diffusion``: any diffusers text-to-image pipeline (bundled, from the hub, or a local folder).

``preset`` selects one of the blocks under ``presets``; users add their own. ``pipeline.generate.diffusion`` does the
work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

from pydantic import model_validator

from pipeline.config.fields import Section, note_renamed
from pipeline.config.vocabulary import Vocabulary
from pipeline.data.records import Prompt
from pipeline.generate.diffusion.batch_size import draw_in_batches
from pipeline.generate.diffusion.learned_words import read_learned_words
from pipeline.generate.diffusion.model_source import find_source, local_folder, read_licence, require_acknowledged
from pipeline.generate.diffusion.presets import BUNDLED, FORMER_NAME, Preset
from pipeline.generate.diffusion.sampler import is_small, open_sampler
from pipeline.generate.generated_image import GeneratedImage
from pipeline.generate.generators import Description, Draw
from pipeline.machine.devices import choose_device


class Params(Section):
    """Section ``generate.stable_diffusion`` of params.yaml.

    Attributes:
        preset: Name of the preset to use.
        presets: All presets, by name.
    """

    preset: str
    presets: dict[str, Preset]

    @model_validator(mode="before")
    @classmethod
    def _accept_former_name(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Accept "embedded", the name that the preset "bundled" had, where there is no block of that name."""
        presets = raw.get("presets", {})
        if raw.get("preset") == FORMER_NAME and FORMER_NAME not in presets and BUNDLED in presets:
            return {**raw, "preset": note_renamed(FORMER_NAME, BUNDLED, "preset")}
        return raw

    @model_validator(mode="after")
    def _preset_is_there(self) -> Self:
        if self.preset not in self.presets:
            known = ", ".join(self.presets) or "none"
            raise ValueError(f"preset: {self.preset!r}; expected one of those under presets: {known}")
        return self

    @property
    def chosen(self) -> Preset:
        """The selected preset."""
        return self.presets[self.preset]

    @property
    def place(self) -> str:
        """Path of the selected preset, for messages."""
        return f"params.yaml generate.stable_diffusion.presets.{self.preset}"


def create(params: Params) -> Draw:
    """Load the preset's model.

    Raises:
        ParamsError: Device, dtype, size or negative prompt do not fit the machine or the model.
        ModelError: The model is no complete diffusers folder, and not available from the hub.
    """
    sampler = open_sampler(params.chosen, params.place)

    def draw(prompts: Sequence[Prompt]) -> Iterator[GeneratedImage]:
        sampler.check_captions(prompts)
        yield from draw_in_batches(sampler.draw, prompts, sampler.batch_size, params.place)

    return draw


def processes(params: Params, requested: int) -> int:
    """Allow several processes for a small model on the CPU; other models use the whole machine with one."""
    return requested if is_small(params.chosen, choose_device(params.chosen.device, params.place)) else 1


def vocabulary(params: Params) -> Vocabulary:
    """State the words that a model of ``make bundled`` learned; other models learned from the web, and take any words.

    Raises:
        ModelError: Its tokenizer is missing or damaged.
    """
    folder = local_folder(params.chosen.model)
    return Vocabulary() if folder is None else read_learned_words(folder, f"{params.place}.model")


def describe(params: Params) -> Description:
    """Describe the origin: the model, its revision and its licence.

    Raises:
        ParamsError: The licence forbids commercial use and is not acknowledged in the preset.
        ModelError: The model is incomplete or not available.
    """
    source = find_source(params.chosen, params.place)
    licence = read_licence(source.card)
    require_acknowledged(source.name, licence, params.chosen, params.place)
    settings = params.chosen.model_dump(mode="json", exclude={"model", "revision", "licence_acknowledged"})
    return Description(
        kind="drawn by a diffusion model",
        model=source.name,
        revision=source.revision(),
        licence=licence.name,
        licence_tag=licence.tag,
        settings={"preset": params.preset, **settings},
    )
