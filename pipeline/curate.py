"""Stage: images -> kept images and rejections; nothing is relabelled, nothing deleted.

Reads data/images/; writes data/kept.jsonl, data/rejected.jsonl, metrics/curate.json (and, by pipeline.review,
report/curation/). Each check sees only what passed those before it, so that a broken picture neither hides a good copy
of itself nor teaches the network that judges labels:

1. faults: unreadable, nsfw, nan, black (the generator's own record);
2. quality: dark, light, low_information, blurry (``pipeline.filters``);
3. near_duplicate: all but repeats an earlier picture of the same label, no counterfactual of it; the first stays;
4. label_error: confident learning doubts the label *and* its out-of-fold probability lies below ``label_error``.

An image is rejected for the first reason in that order; further ones of the same step stand in the detail. At the end a
person's decisions (data/decisions.jsonl, made with ``gossamer review``) overrule the checks: ``pipeline.overrule``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.bias import Losses, SliceLoss, losing_slices, slice_losses
from pipeline.confident_learning import THUMBNAIL, Judgement, Labelled, Recipe, judge_labels, label_scores
from pipeline.errors import DataError
from pipeline.filters import (
    QUALITY,
    Finding,
    Fingerprint,
    find,
    find_copies,
    fingerprint,
    measure_quality,
    score_quality,
)
from pipeline.overrule import overrule
from pipeline.params import CurateParams
from pipeline.policy import LABEL
from pipeline.preprocess import Pixels, PreprocessSpec, decode, fit
from pipeline.records import Decision, Image, Rejection
from pipeline.shards import read_bytes

_SPEC = PreprocessSpec(input_size=THUMBNAIL, fit="pad")


@dataclass(frozen=True, slots=True)
class CurateResult:
    """Every image once: kept, or rejected; both in the order of the images.

    Attributes:
        kept: Images that passed every check, unchanged.
        rejected: One a rejected image, with reason, score and threshold.
        metrics: As metrics/curate.json.
    """

    kept: list[Image]
    rejected: list[Rejection]
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Job:
    """What every check needs, and where it notes what it finds: row -> finding."""

    params: CurateParams
    images: Sequence[Image]
    labels: Sequence[str]
    progress: Progress
    findings: dict[int, Finding]

    def passed(self, views: dict[int, _View]) -> dict[int, _View]:
        return {row: view for row, view in views.items() if row not in self.findings}


@dataclass(frozen=True, slots=True)
class _View:
    """What one look at a picture leaves behind: measures, fingerprint, thumbnail uint8 (64, 48, 3)."""

    measures: dict[str, float]
    fingerprint: Fingerprint
    thumbnail: Pixels


def run(
    params: CurateParams,
    images: Sequence[Image],
    folder: Path,
    labels: Sequence[str],
    decisions: Sequence[Decision] = (),
) -> CurateResult:
    """Decide which images to keep.

    Args:
        params: Thresholds, folds and the network's training.
        images: Records of the images, in order.
        folder: Where their shards lie.
        labels: The policy's labels.
        decisions: What a person decided; it overrules the checks.

    Raises:
        DataError: There are no images, a label is not the policy's, a shard is damaged, there are fewer groups than
            folds, or of some label nothing would be kept.
    """
    started = time.perf_counter()
    _check_images(images, folder, labels)
    findings: dict[int, Finding] = {}
    with _progress() as progress:
        job = _Job(params, images, labels, progress, findings)
        views = _look(job, folder)
        _judge_quality(job, views)
        _judge_copies(job, job.passed(views))
        judgement = _judge_labels(job, job.passed(views))
    decided = overrule(findings, images, decisions)
    kept = [image for row, image in enumerate(images) if row not in findings]
    rejected = [_reject(images[row], findings[row]) for row in sorted(findings)]
    _require_kept(images, kept, findings)
    losses = slice_losses(images, findings)
    _warn(judgement, losing_slices(losses), len(findings) / len(images))
    metrics = _metrics(findings, losses, judgement, time.perf_counter() - started)
    return CurateResult(kept, rejected, {**metrics, "decisions": decided})


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _check_images(images: Sequence[Image], folder: Path, labels: Sequence[str]) -> None:
    if not images:
        raise DataError(f"{folder}: no images; expected at least one of each label; run: dvc repro generate")
    counts = Counter(image.label for image in images)
    strangers = sorted(set(counts) - set(labels))
    absent = [label for label in labels if not counts[label]]
    if strangers or absent:
        found = ", ".join(f"{label} {count}" for label, count in counts.items())
        raise DataError(
            f"{folder}: found images of {found}; expected images of {', '.join(labels)}, and of no other label"
        )
    twice = [name for name, count in Counter(image.id for image in images).items() if count > 1]
    if twice:
        raise DataError(f"{folder}: image {twice[0]} is listed twice; expected every id once; run: dvc repro generate")


def _look(job: _Job, folder: Path) -> dict[int, _View]:
    views: dict[int, _View] = {}
    for row, image in enumerate(job.progress.track(job.images, description="looking at images")):
        data = read_bytes(folder, image)
        if image.fault is not None:
            job.findings[row] = Finding(image.fault, 0.0, 1.0, "reported by the generator")
            continue
        try:
            pixels = decode(data)
        except DataError as error:
            job.findings[row] = Finding("unreadable", 0.0, 1.0, str(error))
            continue
        views[row] = _View(measure_quality(pixels), fingerprint(pixels), fit(pixels, _SPEC))
    return views


def _judge_quality(job: _Job, views: dict[int, _View]) -> None:
    if not views:
        return
    scores = score_quality([view.measures for view in views.values()])
    thresholds = {reason: float(getattr(job.params, reason)) for reason in QUALITY}
    for position, row in enumerate(views):
        found = [find(reason, scores[reason][position], thresholds[reason]) for reason in QUALITY]
        doubts = [finding for finding in found if finding is not None]
        if doubts:
            also = ", ".join(f"also {other.reason} {other.score:.3f}" for other in doubts[1:])
            job.findings[row] = Finding(doubts[0].reason, doubts[0].score, doubts[0].threshold, also)


def _judge_copies(job: _Job, views: dict[int, _View]) -> None:
    if not views:
        return
    rows = list(views)
    prints = np.stack([view.fingerprint for view in views.values()])
    threshold = job.params.near_duplicate
    for position, (original, share) in find_copies(prints, [job.images[row] for row in rows], threshold).items():
        detail = f"repeats {job.images[rows[original]].id}"
        job.findings[rows[position]] = Finding("near_duplicate", share, threshold, detail)


def _judge_labels(job: _Job, views: dict[int, _View]) -> Judgement:
    _require_kept(job.images, [job.images[row] for row in views], job.findings)
    rows = list(views)
    labelled = Labelled(
        np.stack([view.thumbnail for view in views.values()]),
        np.asarray([job.labels.index(job.images[row].label) for row in rows], np.int64),
        [job.images[row].group for row in rows],
        tuple(job.labels),
    )
    params = job.params
    task = job.progress.add_task("judging labels", total=params.folds)
    recipe = Recipe(params.folds, params.epochs, params.workers, params.seed)
    judgement = judge_labels(labelled, recipe, lambda: job.progress.advance(task))
    scores = label_scores(labelled.targets, judgement.probabilities)
    for position in np.flatnonzero(judgement.doubted):
        detail = _looks_like(judgement.probabilities[position], job.labels)
        finding = find("label_error", scores[position], params.label_error, detail)
        if finding is not None:
            job.findings[rows[position]] = finding
    return judgement


def _looks_like(probabilities: NDArray[np.float64], labels: Sequence[str]) -> str:
    best = int(probabilities.argmax())
    return f"looks like {labels[best]} ({probabilities[best]:.3f})"


def _reject(image: Image, finding: Finding) -> Rejection:
    return Rejection(
        image_id=image.id,
        label=image.label,
        reason=finding.reason,
        score=finding.score,
        threshold=finding.threshold,
        detail=finding.detail,
    )


def _require_kept(images: Sequence[Image], kept: Sequence[Image], findings: dict[int, Finding]) -> None:
    remaining = {image.label for image in kept}
    for label in dict.fromkeys(image.label for image in images):
        if label not in remaining:
            mine = [finding for row, finding in findings.items() if images[row].label == label]
            reason, count = Counter(finding.reason for finding in mine).most_common(1)[0]
            worst = next(finding for finding in mine if finding.reason == reason)
            knob = f", or lower curate.{reason} in params.yaml" if reason in CurateParams.model_fields else ""
            raise DataError(
                f"curate: none of {len(mine)} images of {label} would be kept; {count} were rejected as {reason} (a "
                f"score below {worst.threshold:g}; the first has {worst.score:.3f}); look at the images{knob}"
            )


def _warn(judgement: Judgement, losing: Sequence[SliceLoss], average: float) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if not judgement.informative:
        console.print(
            f"curate: labels were not judged: out of fold the network agrees with only {judgement.accuracy:.0%} of them"
        )
    for loss in losing:
        console.print(
            f"curate: {loss.name} loses {loss.rate:.1%} of {loss.count} images ({loss.low:.1%} to {loss.high:.1%}), "
            f"more than twice the average, {average:.1%}; look at them: gossamer review"
        )
    if losing:
        wanted = ", ".join(f"{loss.name}: {loss.top_up}" for loss in losing)
        console.print(f"curate: to draw as many anew, in params.yaml: prompts.top_up: {{{wanted}}}")


def _metrics(findings: dict[int, Finding], losses: Losses, judgement: Judgement, seconds: float) -> dict[str, Any]:
    images = sum(loss.count for loss in losses[LABEL].values())
    return {
        "images": images,
        "kept": images - len(findings),
        "rejected": len(findings),
        "rejection_rate": len(findings) / images,
        "reasons": dict(Counter(finding.reason for _, finding in sorted(findings.items())).most_common()),
        "rejection_rate_by": {
            factor: {value: {"rate": loss.rate, "low": loss.low, "high": loss.high} for value, loss in of.items()}
            for factor, of in losses.items()
        },
        "losing_slices": {loss.name: loss.top_up for loss in losing_slices(losses)},
        "out_of_fold_accuracy": judgement.accuracy,
        "labels_judged": judgement.informative,
        "seconds": round(seconds, 1),
    }
