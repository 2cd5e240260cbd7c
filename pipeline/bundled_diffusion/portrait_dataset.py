"""The training world: rendered portraits with their captions and factors, drawn once and kept as arrays.

Reads policies; writes chunks of pixels to a work folder, each file whole or not there. What the chunks hold is a pure
function of the recipe, so a render that was killed goes on with the first chunk that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.bundled_diffusion.config import WorldRecipe
from pipeline.bundled_diffusion.networks.attribute_net import Codes, Factors
from pipeline.config.policy import load_policy
from pipeline.data.records import Prompt
from pipeline.data.storage import atomic_write
from pipeline.machine.process_pool import run_jobs
from pipeline.prompts.prompt_sampler import draw_prompts
from pipeline.renderer import render
from pipeline.renderer.pose import sample_pose


@dataclass(frozen=True, slots=True)
class World:
    """Rendered portraits: uint8 (N, H, W, 3) pixels, their prompts, and every factor as codes."""

    pixels: NDArray[np.uint8]
    prompts: Sequence[Prompt]
    factors: Factors
    codes: Codes

    def part(self, rows: slice) -> World:
        """Some of the portraits, with the same codes."""
        codes = {name: values[rows] for name, values in self.codes.items()}
        return World(self.pixels[rows], self.prompts[rows], self.factors, codes)


@dataclass(frozen=True, slots=True)
class _Chunk:
    path: Path
    prompts: tuple[Prompt, ...]
    size: tuple[int, int]


def world_prompts(policies: Path, counts: Mapping[str, int], seed: int) -> list[Prompt]:
    """Draw the captions of every policy, interleaved, so that any long enough part holds all policies in proportion."""
    drawn = {name: _draw(policies / f"{name}.yaml", count, seed) for name, count in counts.items()}
    places = [(place / len(prompts), name, place) for name, prompts in drawn.items() for place in range(len(prompts))]
    return [drawn[name][place] for _, name, place in sorted(places)]


def draw_world(prompts: Sequence[Prompt], recipe: WorldRecipe, size: tuple[int, int], work: Path) -> None:
    """Render the chunks that ``work`` does not hold yet, ``size`` (width, height) pixels, in several processes."""
    work.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(prompts), recipe.images_per_chunk)
    chunks = [
        _Chunk(work / f"{number:05d}.npy", tuple(prompts[first : first + recipe.images_per_chunk]), size)
        for number, first in enumerate(starts)
    ]
    for _ in run_jobs(_draw_chunk, [chunk for chunk in chunks if not chunk.path.is_file()], recipe.workers):
        pass


def open_world(prompts: Sequence[Prompt], work: Path) -> World:
    """Read the chunks that `draw_world` wrote."""
    pixels = np.concatenate([np.load(path) for path in chunk_paths(work)])
    return World(pixels, prompts, *code_factors(prompts))


def chunk_paths(work: Path) -> Sequence[Path]:
    """Files of pixels in ``work``, in order."""
    return sorted(path for path in work.glob("*.npy") if path.stem.isdigit())


def save_array(path: Path, values: NDArray[np.generic]) -> None:
    """Write an array, whole or not at all."""
    with atomic_write(path) as file:
        np.save(file, values)


def code_factors(prompts: Sequence[Prompt], factors: Factors | None = None) -> tuple[Factors, Codes]:
    """Turn the factors of prompts into codes.

    Args:
        prompts: Any prompts.
        factors: Factor -> values, in the order of the codes; without, all that the prompts show, sorted.

    Returns:
        The factors, and factor -> (N,) code; -1 where a prompt lacks the factor or shows another value.
    """
    rows = [prompt.factors for prompt in prompts]
    if factors is None:
        names = sorted({name for row in rows for name in row} - {"scenario"})
        shown = {name: tuple(sorted({row[name] for row in rows if name in row})) for name in names}
        factors = {name: values for name, values in shown.items() if len(values) > 1}
    places = {name: {value: code for code, value in enumerate(values)} for name, values in factors.items()}
    codes = {
        name: np.array([known.get(row.get(name, ""), -1) for row in rows], np.int64) for name, known in places.items()
    }
    return factors, codes


def head_weights(prompts: Sequence[Prompt], shape: tuple[int, int], head: float, eyes: float) -> NDArray[np.float32]:
    """Say where each portrait's head and eyes are, on a grid over the picture.

    Args:
        prompts: The portraits.
        shape: (height, width) of the grid.
        head: How many times more the head weighs than the rest.
        eyes: How many times more the eyes weigh than the rest, and all that glasses cover.

    Returns:
        float32 (N, height, width), each portrait's of mean 1.
    """
    height, width = shape
    down, right = np.mgrid[0.5:height, 0.5:width]
    maps = np.empty((len(prompts), height, width), np.float32)
    for number, prompt in enumerate(prompts):
        pose = sample_pose(prompt.factors["framing"], prompt.seed)
        (x, y), unit = pose.pixels((width, height))
        across, along = pose.turn.on_face(0.0, 0.02)
        on_head = ((right - x) / (1.3 * unit)) ** 2 + ((down - y + 0.3 * unit) / (1.6 * unit)) ** 2 < 1
        looks = ((right - x) / unit - across) ** 2 / 0.85**2 + ((down - y) / unit - along) ** 2 / 0.35**2 < 1
        maps[number] = np.where(looks, eyes, np.where(on_head, head, 1))
    maps /= maps.mean((1, 2), keepdims=True)
    return maps


@cache
def _draw(policy: Path, count: int, seed: int) -> Sequence[Prompt]:
    return draw_prompts(load_policy(policy), count, 1, seed)


def _draw_chunk(chunk: _Chunk) -> int:
    save_array(chunk.path, np.stack([render(prompt.factors, prompt.seed, chunk.size) for prompt in chunk.prompts]))
    return len(chunk.prompts)
