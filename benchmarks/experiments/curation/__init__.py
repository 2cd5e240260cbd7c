"""Curation: are planted errors found, are generated images' own, does the classifier gain by it, and what does it cost?

- Labels of rendered images are certain. Some are changed, uniformly or in one slice, and found again: by each opinion
  alone, by both together as ``gossamer curate`` pools them, and by plain cleanlab (its defaults, on the probabilities
  of a default logistic regression of the same features). Then whole defects are planted and all of curation runs.
- Of generated images a judge that curation never uses (``pipeline.bundled_diffusion``; trained on rendered portraits
  alone) reports which show another label than theirs, before and after curation. Its own error rate, on rendered images
  of the same prompts, stands beside it.
- Classifiers learn from all generated images, from the curated ones, from as many taken at random, and from all with
  the labels the judge sees; with the labels as they are, and with a share of them changed. All answer the same selfies.
- ``gossamer curate`` on more and more rendered images: images a second, and the memory of its largest process.

Reads params.yaml, policies/ and the embedded model; leaves its work in the work area.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field

from benchmarks.experiment_harness.command_cost import run_measured
from benchmarks.experiment_harness.planted_errors import KINDS, Defects, Mask, choose, relabel, score, spoil
from benchmarks.experiment_harness.workspace import PARAMS, POLICIES, Step, carry_out, derive, gossamer, open_folder
from benchmarks.experiments import Tell
from benchmarks.experiments.curation import downstream_accuracy
from benchmarks.experiments.curation.label_judge import disagreements, rate, see_labels
from pipeline.bundled_diffusion.prompt_alignment import HELMET_LOOKALIKES
from pipeline.config.fields import Positive, Section, Seed, Share
from pipeline.config.params import Params as AllParams
from pipeline.config.params import load_params
from pipeline.config.policy import load_policy
from pipeline.curate.feature_cache import CacheOptions, compute_features, load_verifier_spec
from pipeline.curate.label_errors import LabelledSet, ProbeConfig, score_labels
from pipeline.data.records import Image, Rejection
from pipeline.data.shards import INDEX, read_index, write_images
from pipeline.data.storage import read_metrics, read_rows, write_json
from pipeline.metrics.statistics import wilson_interval

GENERATORS = ("rendered", "stable_diffusion")
IMAGES = Path("data/images")
CURATED = tuple(map(Path, ("data/kept.jsonl", "data/rejected.jsonl", "metrics/curate.json", "report/curation")))
LABELS = ("no_helmet", "helmet")
"""Of the helmet policy: it is the judge's, and that of the confusing headwear."""


class Params(Section):
    """How many images, which shares of labels are changed, and how much is trained and timed.

    Attributes:
        images: Prompts that each generator draws.
        noise: Shares of labels to change.
        slice: The factor and value that clustered changes keep to.
        defects: Of each kind.
        pays: Where classifiers learn: (share of labels changed before, images they choose from). What few wrong labels
            cost is seen among many images only.
        pays_seeds: Trainings of each.
        cost_images: Sizes at which curation is timed.
        seed: Of prompts and changes.
    """

    images: Positive = 6000
    noise: tuple[Share, ...] = (0.05, 0.10, 0.20, 0.40)
    slice: tuple[str, str] = ("light", "night")
    defects: Positive = 100
    pays: tuple[tuple[Share, Positive], ...] = ((0.0, 6000), (0.10, 2000))
    pays_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (11, 12, 13)
    cost_images: tuple[Positive, ...] = (1000, 10000, 50000)
    seed: Seed = 4711


@dataclass(frozen=True, slots=True)
class Course:
    """The benchmark's work area, and what its steps need to know."""

    work: Path
    values: Mapping[str, Any]
    params: Params

    @property
    def policy(self) -> str:
        """The policy's file, as commands are told it."""
        return f"{POLICIES}/helmet.yaml"

    @property
    def checked(self) -> AllParams:
        """The checkout's params."""
        return AllParams.model_validate(self.values)

    def open(self, name: str, seed: int | None = None, generator: str = "rendered", count: int = 0) -> Path:
        """Make a folder to run commands in; ``seed`` is that of a training."""
        changes: dict[str, dict[str, Any]] = {
            "dataset": {"source": "generated"},
            "prompts": {"count": count or self.params.images, "seed": self.params.seed, "top_up": {}},
            "generate": {"generator": generator},
            "selfies": {"source": "rendered"},
            "train": {} if seed is None else {"seed": seed},
        }
        return open_folder(self.work / name, derive({**self.values, "policy": "helmet"}, changes), Path(POLICIES))

    def drawn(self, generator: str) -> Path:
        """What a generator drew."""
        return self.work / f"drawn-{generator}" / IMAGES

    def grounds(self) -> Iterator[tuple[float, downstream_accuracy.Ground]]:
        """Where it is tried whether curation pays: (share of labels changed, where)."""
        for share, count in self.params.pays:
            yield (
                share,
                downstream_accuracy.Ground(
                    f"pays-{share:.2f}",
                    self.drawn("stable_diffusion"),
                    partial(self._first, share=share, count=count),
                    partial(see_labels, labels=LABELS),
                    self.work / "selfies/data/selfies",
                    self.policy,
                    self.params.pays_seeds,
                    self.open,
                    ("stable_diffusion/generate", "selfies/selfies"),
                ),
            )

    def _first(self, images: Sequence[Image], share: float, count: int) -> list[Image]:
        first = images[:count]
        return relabel(first, choose(first, share, self.params.seed), LABELS)


def run(params: Params, workspace: Path, tell: Tell) -> dict[str, Any]:
    """Draw, plant, curate, train and time; what is done already is not done again.

    Raises:
        ParamsError: The checkout's params.yaml is missing or wrong.
        ModelError: The embedded model is not whole.
        DataError: A command failed.
    """
    load_params()
    course = Course(workspace, yaml.safe_load(Path(PARAMS).read_text(encoding="utf-8")), params)
    carry_out(list(plan(course)), tell)
    return figures(course)


def plan(course: Course) -> Iterator[Step]:
    """Every step: pictures, defects, curation of each, the four ways to learn, the sizes."""
    selfies = course.open("selfies")
    act = partial(gossamer, selfies, "selfies", course.policy, "data/selfies")
    yield Step("selfies/selfies", "selfies", selfies, act, (selfies / "data/selfies" / INDEX,))
    for generator in GENERATORS:
        yield from _draw(course, generator, course.open(f"drawn-{generator}", generator=generator))
        yield _curate(course, generator, course.open(f"drawn-{generator}", generator=generator))
    spoiled = course.open("spoiled")
    act = partial(_spoil, course, spoiled)
    yield Step("spoiled/generate", "curate", spoiled, act, (spoiled / "planted.json",), ("rendered/generate",))
    yield _curate(course, "spoiled", spoiled)
    for _, ground in course.grounds():
        yield from downstream_accuracy.steps(ground)
    for count in course.params.cost_images:
        folder = course.open(f"cost-{count}", count=count)
        yield from _draw(course, folder.name, folder)
        act = partial(_time, course, folder)
        yield Step(f"{folder.name}/time", "curate", folder, act, (folder / "cost.json",), (f"{folder.name}/generate",))


def figures(course: Course) -> dict[str, Any]:
    """Judge what was done."""
    costs = [read_metrics(course.work / f"cost-{count}" / "cost.json") for count in course.params.cost_images]
    return {
        **noise_figures(course),
        "defects": defect_figures(course.work / "spoiled"),
        **mislabel_figures(course),
        "pays": {f"{share:.2f}": downstream_accuracy.figures(ground) for share, ground in course.grounds()},
        "cost": {name: [cost[name] for cost in costs] for name in ("images", "images_per_second", "peak_rss_bytes")},
    }


def noise_figures(course: Course) -> dict[str, Any]:
    """Find changed labels again: how -> share changed -> precision, recall, F1."""
    params = course.checked.curate
    images = read_index(course.drawn("rendered"))
    verifier = load_verifier_spec(params, load_policy(Path(course.policy)))
    options = CacheOptions(course.work / "looks.work", params.workers)
    cache = compute_features(course.drawn("rendered"), images, verifier, options, _quiet)
    every = np.arange(len(images))
    features, verified = cache.features(every), cache.column("probabilities")
    config = ProbeConfig(params.folds, params.repeats, params.seed)
    found: dict[str, Any] = {}
    for mode, within in (("uniform", None), ("clustered", course.params.slice)):
        for share in course.params.noise:
            wrong = choose(images, share, course.params.seed, within)
            told = relabel(images, wrong, LABELS)
            targets = np.asarray([LABELS.index(image.label) for image in told], np.int64)
            rows = LabelledSet(cache.features, targets, [image.group for image in told], LABELS, verified)
            quality = score_labels(rows, config, lambda: None)
            accused = {mode: quality.scores < params.label_error}
            for predictor in quality.predictors:
                accused[f"{predictor.name}_{mode}"] = predictor.probabilities[every, targets] < params.label_error
            accused[f"cleanlab_default{'' if mode == 'uniform' else '_clustered'}"] = _plain_cleanlab(features, targets)
            for name, mask in accused.items():
                found.setdefault(name, {})[f"{share:.2f}"] = score(mask, wrong)
    return found


def defect_figures(folder: Path) -> dict[str, Any]:
    """What became of planted defects: kind -> how many went, and for which reasons; and who else went."""
    planted = read_metrics(folder / "planted.json")
    reasons = {row.image_id: row.reason for row in read_rows(folder / CURATED[1], Rejection)}
    found: dict[str, Any] = {}
    for kind in KINDS:
        names = [name for name, each in planted.items() if each == kind]
        said = [reasons[name] for name in names if name in reasons]
        low, high = wilson_interval(len(said), len(names))
        told = {reason: said.count(reason) for reason in dict.fromkeys(said)}
        found[kind] = {
            "planted": len(names),
            "recall": len(said) / len(names),
            "recall_low": low,
            "recall_high": high,
            **told,
        }
    hits = sum(name in planted for name in reasons)
    return {**found, "rejected": len(reasons), "precision": hits / len(reasons) if reasons else None}


def mislabel_figures(course: Course) -> dict[str, Any]:
    """Share of generated images that show another label than theirs, as the judge sees it, before and after."""
    wrong = {generator: disagreements(course.drawn(generator), LABELS) for generator in GENERATORS}
    drawn = wrong["stable_diffusion"]
    kept = [image.id for image in read_rows(course.drawn("stable_diffusion").parents[1] / CURATED[0], Image)]
    rejected = sorted(set(drawn) - set(kept))
    return {
        **rate("embedded_mislabel_rate_before", list(drawn.values())),
        **rate("embedded_mislabel_rate_after", [drawn[each] for each in kept]),
        **rate("embedded_mislabel_rate_rejected", [drawn[each] for each in rejected]),
        **rate("judge_error_on_rendered", list(wrong["rendered"].values())),
        "embedded_images": len(drawn),
        "embedded_rejected": len(rejected),
    }


def _plain_cleanlab(features: NDArray[np.float32], targets: NDArray[np.int64]) -> Mask:
    """Find label issues as cleanlab's documentation does: all defaults, probabilities by cross-validation."""
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    told = cross_val_predict(LogisticRegression(max_iter=1000), features, targets, cv=5, method="predict_proba")
    return np.asarray(find_label_issues(targets, told, n_jobs=1), np.bool_)


def _draw(course: Course, name: str, folder: Path) -> Iterator[Step]:
    outs = (folder / "data/prompts.jsonl", folder / "metrics/prompts.json")
    act = partial(gossamer, folder, "prompts", course.policy, *outs)
    yield Step(f"{name}/prompts", "prompts", folder, act, outs)
    act = partial(gossamer, folder, "generate", outs[0], course.policy, IMAGES, "metrics/generate.json")
    yield Step(f"{name}/generate", "generate", folder, act, (folder / IMAGES / INDEX,), (f"{name}/prompts",))


def _curate(course: Course, name: str, folder: Path) -> Step:
    act = partial(gossamer, folder, "curate", IMAGES, course.policy, *CURATED)
    outs = tuple(folder / out for out in CURATED)
    return Step(f"{name}/curate", "curate", folder, act, outs, (f"{name}/generate",))


def _spoil(course: Course, folder: Path) -> None:
    source = course.drawn("rendered")
    images = read_index(source)
    confusing = [image for image in images if image.factors.get("headwear") in HELMET_LOOKALIKES]
    defects = Defects(course.params.defects, LABELS[1], course.params.seed)
    planted: dict[str, str] = {}

    def encoded() -> Iterator[Any]:
        for kind, image in spoil(source, images, confusing, defects):
            if kind:
                planted[image.id] = kind
            yield image

    write_images(folder / IMAGES, encoded(), course.checked.generate.images_per_shard)
    write_json(folder / "planted.json", planted)


def _time(course: Course, folder: Path) -> None:
    """Curate as for the first time, and write what it cost."""
    for cached in (folder / "data/curate.work").glob("*.npy"):
        cached.unlink()
    count = len(read_index(folder / IMAGES))
    cost = run_measured(folder, "curate", IMAGES, course.policy, *CURATED)
    figures = {"images": count, "images_per_second": count / cost.seconds, "peak_rss_bytes": cost.peak_rss_bytes}
    write_json(folder / "cost.json", figures)


def _quiet(_: int) -> None:
    """Take no notice of progress."""
