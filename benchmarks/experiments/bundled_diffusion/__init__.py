"""The Stable Diffusion that comes with Gossamer: does it draw what is asked, how near the real thing, how fast?

Draws the same prompts, of scenes it never learned from, by ``gossamer generate`` at the settings of params.yaml and
over a table of steps and guidance. The judge that comes with the model (learned from rendered portraits alone) says
what it sees; how well it sees rendered portraits of the same prompts stands beside it. Closeness is measured in the
judge's features, and so is copying: the distance to the nearest training picture, beside that of rendered pictures
nobody learned from. Speed is that of ``gossamer generate``, its start and shards included, beside the plain loop
``for p in prompts: pipe(p)``.

Reads params.yaml, policies/ and the model; leaves its work in the work area.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field

from benchmarks.experiment_harness.workspace import PARAMS, POLICIES, Step, carry_out, derive, gossamer, open_folder
from benchmarks.experiments import Tell
from benchmarks.experiments.bundled_diffusion.image_distance import copied_share, kernel_distance, nearest_distances
from pipeline.bundled_diffusion.config import load_config
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, load_attribute_net, pooled_features
from pipeline.bundled_diffusion.portrait_dataset import training_prompts
from pipeline.bundled_diffusion.prompt_alignment import Alignment, measure_alignment, predict_factors
from pipeline.config.fields import Positive, Section, Seed
from pipeline.config.params import load_params
from pipeline.data.hashing import folder_bytes
from pipeline.data.machine_figures import MACHINE_JSON, find_figure, read_machine_figures
from pipeline.data.records import Prompt
from pipeline.data.shards import iterate_pixels, read_index
from pipeline.data.storage import read_metrics, read_rows, write_json, write_rows
from pipeline.errors import DataError
from pipeline.generate.diffusion.model_source import WEIGHTS

RESULT = "embedded"

GENERATOR = "stable_diffusion"
PRESET = "bundled"
THREAD_SETTINGS = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME")
IMAGES, METRICS = Path("data/images"), Path("metrics/generate.json")


class Params(Section):
    """How many pictures, and the settings of the table; ``seed`` is that of the prompts."""

    images: Positive = 2000
    table_images: Positive = 400
    steps: tuple[Positive, ...] = (4, 8, 20)
    guidance: tuple[Annotated[float, Field(ge=0)], ...] = (1.0, 2.5, 5.0)
    training_images: Positive = 8000
    plain_images: Annotated[int, Field(ge=2)] = 128
    seed: Seed = 31337


@dataclass(frozen=True, slots=True)
class Course:
    """The benchmark's work area, and what its steps need to know."""

    work: Path
    values: Mapping[str, Any]
    params: Params

    @property
    def policy(self) -> str:
        """The policy's file, as commands are told it."""
        return f"{POLICIES}/{self.values['policy']}.yaml"

    @property
    def prompts(self) -> Path:
        """The prompts that all pictures but the training ones are drawn from."""
        return self.work / "common/data/prompts.jsonl"

    def open(self, name: str, generator: str = "rendered", setting: Mapping[str, Any] | None = None) -> Path:
        """Make a folder to run commands in; ``setting`` changes the preset."""
        drawn = self.values["generate"][GENERATOR]
        preset = {**drawn["presets"][PRESET], **(setting or {})}
        own = {"preset": PRESET, "presets": {PRESET: preset}}
        changes: dict[str, dict[str, Any]] = {
            "dataset": {"source": "generated"},
            "prompts": {"count": self.params.images, "seed": self.params.seed},
            "generate": {"generator": generator, GENERATOR: own},
        }
        return open_folder(self.work / name, derive(self.values, changes), Path(POLICIES))

    def cells(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The table: (folder, setting)."""
        for steps in self.params.steps:
            for guidance in self.params.guidance:
                yield f"steps-{steps}-guidance-{guidance:g}", {"steps": steps, "guidance": guidance}


def run(params: Params, workspace: Path, tell: Tell) -> dict[str, Any]:
    """Draw and judge; what is drawn already is not drawn again.

    Raises:
        ParamsError: The checkout's params.yaml is missing or wrong.
        ModelError: The embedded model is not whole.
        DataError: A command failed.
    """
    load_params()
    values = yaml.safe_load(Path(PARAMS).read_text(encoding="utf-8"))
    course = Course(workspace, values, params)
    carry_out(list(plan(course)), tell)
    return figures(course)


def plan(course: Course) -> Iterator[Step]:
    """Every step: prompts, pictures at the defaults, rendered ones, training ones, the plain loop, the table."""
    common = course.open("common")
    outs = (course.prompts, common / "metrics/prompts.json")
    yield Step("common/prompts", "prompts", common, partial(gossamer, common, "prompts", course.policy, *outs), outs)
    yield _draw(course, course.open("defaults", GENERATOR), course.prompts)
    yield _draw(course, course.open("rendered"), course.prompts)
    training = course.open("training")
    rows = training / "data/prompts.jsonl"
    act = partial(_write_training_prompts, course.params.training_images, rows)
    yield Step("training/prompts", "prompts", training, act, (rows,))
    yield _draw(course, training, rows, "training/prompts")
    plain = course.open("plain", GENERATOR)
    act = partial(_loop_plainly, course, plain / "plain.json")
    yield Step("plain/loop", "generate", plain, act, (plain / "plain.json",), ("common/prompts",))
    few = common / "data/few.jsonl"
    act = partial(_write_few, course, few)
    yield Step("common/few", "prompts", common, act, (few,), ("common/prompts",))
    for name, setting in course.cells():
        yield _draw(course, course.open(name, GENERATOR, setting), few, "common/few")


def figures(course: Course) -> dict[str, Any]:
    """Judge what was drawn."""
    judge = load_attribute_net(WEIGHTS / "judge.safetensors")
    prompts = read_rows(course.prompts, Prompt)
    few = prompts[: course.params.table_images]
    pixels = {name: read_all(course.work / name / IMAGES) for name in ("defaults", "rendered", "training")}
    judged = {name: predict_factors(judge, pixels[name]) for name in ("defaults", "rendered")}
    shown = {name: measure_alignment(prompts, predicted) for name, predicted in judged.items()}
    machine = read_machine_figures(course.work / "defaults" / METRICS.with_name(MACHINE_JSON))
    rate = find_figure(machine, "generate", "images_per_second")
    plain = read_metrics(course.work / "plain/plain.json")["images_per_second"]
    table = [
        {**setting, **_shares(measure_alignment(few, predict_factors(judge, read_all(course.work / name / IMAGES))))}
        for name, setting in course.cells()
    ]
    return {
        "agreement": _shares(shown["defaults"]),
        "agreement_low": {name: each.low for name, each in shown["defaults"].items()},
        "agreement_high": {name: each.high for name, each in shown["defaults"].items()},
        "agreement_images": {name: each.count for name, each in shown["defaults"].items()},
        "judge_on_rendered": _shares(shown["rendered"]),
        "table": table,
        **closeness(judge, pixels),
        "images_per_second": rate,
        "plain_loop_images_per_second": plain,
        "speedup_over_plain_loop": None if rate is None else rate / plain,
        "size_bytes": folder_bytes(WEIGHTS),
    }


def closeness(judge: AttributeNet, pixels: Mapping[str, NDArray[np.uint8]]) -> dict[str, float]:
    """Distances between pictures made at the defaults, rendered ones of the same prompts, and training ones."""
    seen = {name: pooled_features(judge, pictures) for name, pictures in pixels.items()}
    made, unseen = (nearest_distances(seen[name], seen["training"]) for name in ("defaults", "rendered"))
    return {
        "kid": kernel_distance(seen["defaults"], seen["rendered"]),
        "kid_rendered": kernel_distance(seen["training"], seen["rendered"]),
        "nearest_training_distance": float(np.median(made)),
        "nearest_training_distance_rendered": float(np.median(unseen)),
        "copied_share": copied_share(made, unseen),
    }


def read_all(folder: Path) -> NDArray[np.uint8]:
    """All pictures of shards: uint8 (N, height, width, 3)."""
    return np.stack(list(iterate_pixels(folder, read_index(folder))))


def _shares(found: Mapping[str, Alignment]) -> dict[str, float]:
    return {name: each.share for name, each in found.items()}


def _draw(course: Course, folder: Path, prompts: Path, before: str = "common/prompts") -> Step:
    outs = (folder / IMAGES, folder / METRICS)
    act = partial(gossamer, folder, "generate", prompts, course.policy, *outs)
    return Step(f"{folder.name}/generate", "generate", folder, act, outs, (before,))


def _write_training_prompts(count: int, path: Path) -> None:
    write_rows(path, training_prompts(load_config(WEIGHTS.parent / "params.yaml"))[:count])


def _write_few(course: Course, path: Path) -> None:
    write_rows(path, read_rows(course.prompts, Prompt)[: course.params.table_images])


def _loop_plainly(course: Course, path: Path) -> None:
    """Time what a user without Gossamer would write, in a process without the thread settings of our Makefile.

    Those keep threads asleep while they wait, which helps several processes and halves the speed of one.
    """
    user = {name: value for name, value in os.environ.items() if name not in THREAD_SETTINGS}
    arguments = (str(path), str(course.prompts), course.params.plain_images)
    code = f"from {__name__} import time_plain_loop; time_plain_loop(*{arguments!r})"
    try:
        subprocess.run([sys.executable, "-c", code], env=user, check=True)
    except subprocess.CalledProcessError as error:
        raise DataError(f"the plain loop ended with {error.returncode}; see above") from error


def time_plain_loop(out: str, prompts: str, count: int) -> None:
    """Draw ``count`` prompts one by one at the settings beside ``out``; one picture first, to warm up."""
    import torch
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    path = Path(out)
    preset = load_params(path.parent / PARAMS).generate.section(GENERATOR)["presets"][PRESET]
    pipe = StableDiffusionPipeline.from_pretrained(WEIGHTS, dtype=torch.float32, low_cpu_mem_usage=False)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    rows = read_rows(Path(prompts), Prompt)[:count]
    size = {"width": preset["width"], "height": preset["height"]}
    setting = {"num_inference_steps": preset["steps"], "guidance_scale": preset["guidance"], **size}
    pipe(rows[0].text, **setting)
    start = time.perf_counter()
    for prompt in rows:
        pipe(prompt.text, generator=torch.Generator().manual_seed(prompt.seed), **setting)
    write_json(path, {"images_per_second": len(rows) / (time.perf_counter() - start)})
