"""The bundled Stable Diffusion: prompt following, distance to rendered portraits, copying, and speed.

Generates images of the same prompts, of scenes outside the training set, with ``gossamer generate``: at the settings of
params.yaml, and over a table of steps and guidance. The attribute network that comes with the model, trained on
rendered portraits only, classifies the images; its accuracy on rendered portraits of the same prompts stands beside it.
Distances are measured in the features of that network. Copying is the distance to the nearest training image, compared
with that of rendered portraits outside the training set. Speed is that of ``gossamer generate``, including its start
and the writing of shards, compared with the plain loop ``for p in prompts: pipe(p)``.

Reads params.yaml, policies/ and the model; leaves its work in the work area.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmarks.experiment_harness.course import (
    IMAGE_METRICS,
    IMAGES,
    PROMPTS,
    Experiment,
    StageFolder,
    open_experiment,
)
from benchmarks.experiment_harness.results import ResultRecord
from benchmarks.experiment_harness.workspace import PARAMS, ReportProgress, Step, run_steps
from benchmarks.experiments.bundled_diffusion.image_distance import copied_share, kernel_distance, nearest_distances
from pipeline.bundled_diffusion.config import load_config
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, load_attribute_net, pooled_features
from pipeline.bundled_diffusion.portrait_dataset import training_prompts
from pipeline.bundled_diffusion.prompt_alignment import Alignment, measure_alignment, predict_factors
from pipeline.config.fields import Positive, Section, Seed
from pipeline.config.params import load_params
from pipeline.data.hashing import folder_bytes
from pipeline.data.machine_figures import MACHINE_JSON, find_figure, read_machine_figures
from pipeline.data.records import Prompt, Record
from pipeline.data.shards import iterate_pixels, read_index
from pipeline.data.storage import read_json, read_rows, write_json, write_rows
from pipeline.errors import DataError
from pipeline.generate.diffusion.model_source import WEIGHTS
from pipeline.generate.diffusion.presets import Preset

RESULT = "embedded"

GENERATOR = "stable_diffusion"
PRESET = "bundled"
THREAD_VARIABLES = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME")
TABLE_PROMPTS = Path("data/table_prompts.jsonl")
PLAIN_LOOP = Path("plain_loop.json")


class Params(Section):
    """Size of the experiment, and the settings of the table.

    Attributes:
        images: Number of images at the default settings, and of rendered ones.
        table_images: Number of images per setting of the table.
        steps: Numbers of denoising steps in the table.
        guidance: Guidance scales in the table.
        training_images: Number of training images that copies are searched among.
        plain_images: Number of images of the plain loop.
        seed: Seed of the prompts.
    """

    images: Positive = 2000
    table_images: Positive = 400
    steps: tuple[Positive, ...] = (4, 8, 20)
    guidance: tuple[Annotated[float, Field(ge=0)], ...] = (1.0, 2.5, 5.0)
    training_images: Positive = 8000
    plain_images: Annotated[int, Field(ge=2)] = 128
    seed: Seed = 31337

    def settings(self) -> dict[str, dict[str, float]]:
        """Settings of the table: folder -> changes of the preset."""
        return {
            f"steps-{steps}-guidance-{guidance:g}": {"steps": steps, "guidance": guidance}
            for steps in self.steps
            for guidance in self.guidance
        }


class TableRow(ResultRecord):
    """One setting of the table, and factor -> share of images that follow their prompt."""

    INLINE: ClassVar[str] = "shares"

    steps: int
    guidance: float
    shares: dict[str, float]


class ImageDistances(ResultRecord):
    """Distances between generated images, rendered ones of the same prompts, and training images.

    Attributes:
        kid: Kernel inception distance between generated and rendered images.
        kid_rendered: The same between training and rendered images: the value of a perfect generator.
        nearest_training_distance: Median distance of generated images to the nearest training image.
        nearest_training_distance_rendered: The same of rendered images, which are outside the training set.
        copied_share: Share of generated images nearer to a training image than 99 % of the rendered ones.
    """

    kid: float
    kid_rendered: float
    nearest_training_distance: float
    nearest_training_distance_rendered: float
    copied_share: float


class Result(ImageDistances):
    """Everything that was measured; mappings are by factor.

    Attributes:
        agreement: Share of images that follow their prompt; ``_low`` and ``_high`` are its Wilson interval.
        agreement_images: Number of images behind the share.
        judge_on_rendered: The same share of rendered images, whose factors are certain.
        table: Shares at other settings.
        images_per_second: Speed of ``gossamer generate``; None where it generated nothing in this run.
        plain_loop_images_per_second: Speed of the plain loop.
        speedup_over_plain_loop: Ratio of the two.
        size_bytes: Size of the model.
    """

    agreement: dict[str, float]
    agreement_low: dict[str, float]
    agreement_high: dict[str, float]
    agreement_images: dict[str, int]
    judge_on_rendered: dict[str, float]
    table: tuple[TableRow, ...]
    images_per_second: float | None
    plain_loop_images_per_second: float
    speedup_over_plain_loop: float | None
    size_bytes: int


class LoopSpeed(Record):
    """Speed of the plain loop."""

    images_per_second: float


def run(params: Params, work: Path, report_progress: ReportProgress) -> Result:
    """Generate and measure.

    Raises:
        ParamsError: The checkout's params.yaml is missing or wrong.
        ModelError: The bundled model is incomplete.
        DataError: A command failed.
    """
    experiment = open_experiment(params, work)
    run_steps(list(plan(experiment)), report_progress)
    return measure(experiment)


def plan(experiment: Experiment[Params]) -> Iterator[Step]:
    """List all steps in order: prompts, generated, rendered and training images, the plain loop, the table."""
    params = experiment.params
    common = _open(experiment, "common")
    prompts = common.prompts()
    yield prompts
    path = common.path / PROMPTS
    yield _open(experiment, "defaults", GENERATOR).generate(path, (prompts.name,))
    yield _open(experiment, "rendered").generate(path, (prompts.name,))
    training = _open(experiment, "training")
    action = partial(_write_training_prompts, params.training_images, training.path / PROMPTS)
    yield training.step("prompts", "prompts", action, (PROMPTS,), count=params.training_images)
    yield training.generate()
    plain = _open(experiment, "plain", GENERATOR)
    action = partial(_run_plain_loop, plain.path / PLAIN_LOOP, path, params.plain_images)
    yield plain.step("loop", "generate", action, (PLAIN_LOOP,), (prompts.name,), count=params.plain_images)
    table_prompts = common.path / TABLE_PROMPTS
    action = partial(_write_first_prompts, path, table_prompts, params.table_images)
    outs, needs = (TABLE_PROMPTS,), (prompts.name,)
    first = common.step("table-prompts", "prompts", action, outs, needs, count=params.table_images)
    yield first
    for name, setting in params.settings().items():
        yield _open(experiment, name, GENERATOR, setting).generate(table_prompts, (first.name,))


def measure(experiment: Experiment[Params]) -> Result:
    """Measure the images that the steps left."""
    work, params = experiment.work, experiment.params
    judge = load_attribute_net(WEIGHTS / "judge.safetensors")
    prompts = read_rows(work / "common" / PROMPTS, Prompt)
    pixels = {name: read_pixels(work / name / IMAGES) for name in ("defaults", "rendered", "training")}
    generated = measure_alignment(prompts, predict_factors(judge, pixels["defaults"]))
    rendered = measure_alignment(prompts, predict_factors(judge, pixels["rendered"]))
    table = []
    for name, setting in params.settings().items():
        agreement = measure_alignment(
            prompts[: params.table_images], predict_factors(judge, read_pixels(work / name / IMAGES))
        )
        table.append(TableRow(steps=int(setting["steps"]), guidance=setting["guidance"], shares=_shares(agreement)))
    machine = read_machine_figures(work / "defaults" / IMAGE_METRICS.with_name(MACHINE_JSON))
    speed = find_figure(machine, "generate", "images_per_second")
    plain = read_json(work / "plain" / PLAIN_LOOP, LoopSpeed).images_per_second
    return Result(
        agreement=_shares(generated),
        agreement_low={name: alignment.low for name, alignment in generated.items()},
        agreement_high={name: alignment.high for name, alignment in generated.items()},
        agreement_images={name: alignment.count for name, alignment in generated.items()},
        judge_on_rendered=_shares(rendered),
        table=tuple(table),
        **dict(image_distances(judge, pixels)),
        images_per_second=speed,
        plain_loop_images_per_second=plain,
        speedup_over_plain_loop=None if speed is None else speed / plain,
        size_bytes=folder_bytes(WEIGHTS),
    )


def image_distances(judge: AttributeNet, pixels: Mapping[str, NDArray[np.uint8]]) -> ImageDistances:
    """Measure distances in the features of the attribute network.

    Args:
        judge: The network.
        pixels: "defaults", "rendered" and "training" -> images, uint8 (n, height, width, 3).
    """
    features = {name: pooled_features(judge, images) for name, images in pixels.items()}
    generated, rendered = (nearest_distances(features[name], features["training"]) for name in ("defaults", "rendered"))
    return ImageDistances(
        kid=kernel_distance(features["defaults"], features["rendered"]),
        kid_rendered=kernel_distance(features["training"], features["rendered"]),
        nearest_training_distance=float(np.median(generated)),
        nearest_training_distance_rendered=float(np.median(rendered)),
        copied_share=copied_share(generated, rendered),
    )


def read_pixels(folder: Path) -> NDArray[np.uint8]:
    """Read all images of shards: uint8 (n, height, width, 3)."""
    return np.stack(list(iterate_pixels(folder, read_index(folder))))


def time_plain_loop(out: str, prompts: str, count: int) -> None:
    """Generate ``count`` prompts one by one, after one image to warm up; writes ``LoopSpeed`` to ``out``.

    The settings are those of the params.yaml beside ``out``.
    """
    import torch
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    path = Path(out)
    section = load_params(path.parent / PARAMS).generate.section(GENERATOR)
    preset = Preset.model_validate(section["presets"][PRESET])
    pipe = StableDiffusionPipeline.from_pretrained(WEIGHTS, dtype=torch.float32, low_cpu_mem_usage=False)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    rows = read_rows(Path(prompts), Prompt)[:count]
    size = {"width": preset.width, "height": preset.height}
    setting = {"num_inference_steps": preset.steps, "guidance_scale": preset.guidance, **size}
    pipe(rows[0].text, **setting)
    start = time.perf_counter()
    for prompt in rows:
        pipe(prompt.text, generator=torch.Generator().manual_seed(prompt.seed), **setting)
    write_json(path, LoopSpeed(images_per_second=len(rows) / (time.perf_counter() - start)))


def _open(
    experiment: Experiment[Params], name: str, generator: str = "rendered", setting: Mapping[str, object] | None = None
) -> StageFolder:
    """Open a folder; ``setting`` changes the preset."""
    presets = experiment.base.generate.section(GENERATOR)["presets"]
    preset = {**presets[PRESET], **(setting or {})}
    return experiment.open(
        name,
        {
            "dataset": {"source": "generated"},
            "prompts": {"count": experiment.params.images, "seed": experiment.params.seed},
            "generate": {"generator": generator, "mix": {}, GENERATOR: {"preset": PRESET, "presets": {PRESET: preset}}},
        },
    )


def _shares(agreement: Mapping[str, Alignment]) -> dict[str, float]:
    return {name: alignment.share for name, alignment in agreement.items()}


def _write_training_prompts(count: int, path: Path) -> None:
    write_rows(path, training_prompts(load_config(WEIGHTS.parent / "params.yaml"))[:count])


def _write_first_prompts(source: Path, path: Path, count: int) -> None:
    write_rows(path, read_rows(source, Prompt)[:count])


def _run_plain_loop(out: Path, prompts: Path, count: int) -> None:
    """Run ``time_plain_loop`` in a process without the thread settings of our Makefile, as a user would.

    Those settings make waiting threads sleep, which helps several processes and halves the speed of a single one.
    """
    environment = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    code = f"from {__name__} import time_plain_loop; time_plain_loop(*{(str(out), str(prompts), count)!r})"
    try:
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    except subprocess.CalledProcessError as error:
        raise DataError(f"the plain loop ended with {error.returncode}; see its output above") from error
