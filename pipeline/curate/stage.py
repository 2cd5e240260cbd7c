"""Stage: images -> kept images and rejections; nothing is relabelled, nothing deleted.

Reads data/images/; writes data/kept.jsonl, data/rejected.jsonl, metrics/curate.json (and, by ``contact_sheets``,
report/curation/). Checks go in steps, each on what passed those before it, so that a broken picture neither hides a
good copy of itself nor teaches the probes that judge labels:

1. faults: duplicate_id; damaged, unreadable (no image, or not the index's); nsfw, nan, black (the generator's record);
2. quality: dark, light, low_information, blurry (``pipeline.curate.image_quality``);
3. near_duplicate: all but repeats an earlier picture of the same label, no counterfactual of it; the first stays;
4. label_error: the pooled opinions of probes and verifier give the label less than ``label_error``
   (``pipeline.curate.label_errors``); out_of_sample: like nothing else in the set (``pipeline.curate.outliers``).

Of several reasons of one step one is recorded, and the others stand in the detail: of quality the first in the order
above, for what is black has no edges either; of step 4 the one furthest below its threshold. At the end a person's
decisions (data/decisions.jsonl, made with ``gossamer review``) overrule the checks: ``manual_overrides``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.config.params import CurateParams
from pipeline.config.policy import Policy
from pipeline.curate.feature_cache import Looks, Store, find_witness, look
from pipeline.curate.image_quality import QUALITY, Finding, find, score_quality
from pipeline.curate.label_errors import Judgement, Labelled, Recipe, judge_labels
from pipeline.curate.manual_overrides import overrule
from pipeline.curate.near_duplicates import find_copies
from pipeline.curate.outliers import score_outliers
from pipeline.curate.rejection_rates import SliceLoss, losing_slices, slice_losses
from pipeline.data.machine_figures import Figures
from pipeline.data.records import Decision, Image, Rejection
from pipeline.errors import DataError

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CurateResult:
    """Every image once: kept, or rejected; both in the order of the images.

    Attributes:
        kept: Images that passed every check, unchanged.
        rejected: One a rejected image, with reason, score and threshold.
        metrics: Contents of metrics/curate.json.
        machine: Section ``curate`` of metrics/machine.json.
    """

    kept: list[Image]
    rejected: list[Rejection]
    metrics: dict[str, Any]
    machine: Figures


@dataclass(frozen=True, slots=True)
class Sources:
    """Where curation finds what it judges.

    Attributes:
        folder: Of the images' shards.
        work: Where what was seen is kept; may be lost.
        decisions: What a person decided; it overrules the checks.
    """

    folder: Path
    work: Path
    decisions: Sequence[Decision] = ()


@dataclass(frozen=True, slots=True)
class _Job:
    """What every check needs, and where it notes what it finds: row -> finding."""

    params: CurateParams
    images: Sequence[Image]
    labels: Sequence[str]
    progress: Progress
    findings: dict[int, Finding]

    def passed(self) -> Rows:
        return np.asarray([row for row in range(len(self.images)) if row not in self.findings], np.int64)

    def note(self, row: int, doubts: Sequence[Finding]) -> None:
        """Record the first finding, if there is one; the others are told with it."""
        if doubts:
            first, *others = doubts
            also = [f"also {other.reason} {other.score:.3f}" for other in others]
            detail = ", ".join(filter(None, [first.detail, *also]))
            self.findings[row] = Finding(first.reason, first.score, first.threshold, detail)


def run(params: CurateParams, images: Sequence[Image], sources: Sources, policy: Policy) -> CurateResult:
    """Decide which images to keep.

    Args:
        params: Thresholds, folds and the verifier.
        images: Records of the images, in order.
        sources: Their shards, the work area, and a person's decisions.
        policy: Its labels, and what tells them apart.

    Raises:
        DataError: There are no images, a label is not the policy's, or of some label nothing would be kept.
        ModelError: The verifier's model is not whole, or not to be had.
        ParamsError: There is no such verifier, or its section is wrong.
    """
    started = time.perf_counter()
    witness = find_witness(params, policy)
    _check_images(images, sources.folder, list(policy.labels))
    findings: dict[int, Finding] = {}
    with _progress() as progress:
        job = _Job(params, images, tuple(policy.labels), progress, findings)
        task = progress.add_task("looking at images", total=len(images))
        store = Store(sources.work, params.workers)
        looks = look(sources.folder, images, witness, store, lambda count: progress.advance(task, count))
        _find_faults(job, looks)
        _judge_quality(job, looks)
        _judge_copies(job, looks)
        judgement = _judge_content(job, looks)
    decided = overrule(findings, images, sources.decisions)
    kept = [image for row, image in enumerate(images) if row not in findings]
    rejected = [_reject(images[row], findings[row]) for row in sorted(findings)]
    _require_kept(images, kept, findings)
    metrics = _metrics(images, findings, judgement)
    seconds = round(time.perf_counter() - started, 1)
    return CurateResult(kept, rejected, {**metrics, "decisions": decided}, {"seconds": seconds})


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


def _find_faults(job: _Job, looks: Looks) -> None:
    times = Counter(image.id for image in job.images)
    for row, (image, error) in enumerate(zip(job.images, looks.column("error"), strict=True)):
        if times[image.id] > 1:
            job.findings[row] = Finding("duplicate_id", 0.0, 1.0, f"{times[image.id]} images have this id")
        elif image.fault is not None:
            job.findings[row] = Finding(image.fault, 0.0, 1.0, "reported by the generator")
        elif error:
            job.findings[row] = Finding("unreadable", 0.0, 1.0, error.decode(errors="replace"))


def _judge_quality(job: _Job, looks: Looks) -> None:
    rows = job.passed()
    if len(rows):
        scores = score_quality(looks.column("measures")[rows])
        thresholds = {reason: float(getattr(job.params, reason)) for reason in QUALITY}
        for position, row in enumerate(rows.tolist()):
            found = [find(reason, scores[reason][position], thresholds[reason]) for reason in QUALITY]
            job.note(row, [finding for finding in found if finding is not None])


def _judge_copies(job: _Job, looks: Looks) -> None:
    rows = job.passed()
    if len(rows):
        prints, threshold = looks.column("print")[rows], job.params.near_duplicate
        for position, (original, share) in find_copies(prints, [job.images[row] for row in rows], threshold).items():
            detail = f"repeats {job.images[rows[original]].id}"
            job.findings[int(rows[position])] = Finding("near_duplicate", share, threshold, detail)


def _judge_content(job: _Job, looks: Looks) -> Judgement:
    rows = job.passed()
    _require_kept(job.images, [job.images[row] for row in rows], job.findings)
    params = job.params
    task = job.progress.add_task("judging labels", total=params.folds * params.repeats)
    labelled = Labelled(
        lambda chosen: looks.features(rows[chosen]),
        np.asarray([job.labels.index(job.images[row].label) for row in rows], np.int64),
        [job.images[row].group for row in rows],
        tuple(job.labels),
        looks.column("probabilities")[rows],
    )
    recipe = Recipe(params.folds, params.repeats, params.seed)
    judgement = judge_labels(labelled, recipe, lambda: job.progress.advance(task))
    task = job.progress.add_task("looking for strangers", total=2)
    outliers = score_outliers(labelled.features, len(rows), lambda: job.progress.advance(task))
    for position, row in enumerate(rows.tolist()):
        found = (
            find("label_error", judgement.scores[position], params.label_error, _told(judgement, position, job.labels)),
            find("out_of_sample", outliers[position], params.out_of_sample),
        )
        doubts = [finding for finding in found if finding is not None]
        job.note(row, sorted(doubts, key=lambda finding: finding.score / finding.threshold))
    return judgement


def _told(judgement: Judgement, position: int, labels: Sequence[str]) -> str:
    best = int(judgement.probabilities[position].argmax())
    heard = [opinion for opinion in judgement.opinions if not opinion.unheard]
    told = ", ".join(f"{opinion.name} {opinion.probabilities[position][best]:.3f}" for opinion in heard)
    return f"looks like {labels[best]} ({told})"


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
            why = f": {worst.detail}" if worst.detail else ""
            knob = f", or lower curate.{reason} in params.yaml" if reason in CurateParams.model_fields else ""
            raise DataError(
                f"curate: none of {len(mine)} images of {label} would be kept; {count} were rejected as {reason} (a "
                f"score below {worst.threshold:g}; the first has {worst.score:.3f}{why}); look at the images{knob}"
            )


def _metrics(images: Sequence[Image], findings: Mapping[int, Finding], judgement: Judgement) -> dict[str, Any]:
    losses = slice_losses(images, findings)
    losing = losing_slices(losses)
    _warn(judgement, losing, len(findings) / len(images))
    return {
        "images": len(images),
        "kept": len(images) - len(findings),
        "rejected": len(findings),
        "rejection_rate": len(findings) / len(images),
        "reasons": dict(Counter(finding.reason for _, finding in sorted(findings.items())).most_common()),
        "rejection_rate_by": {
            factor: {value: {"rate": loss.rate, "low": loss.low, "high": loss.high} for value, loss in of.items()}
            for factor, of in losses.items()
        },
        "losing_slices": {loss.name: loss.top_up for loss in losing},
        "opinions": {
            opinion.name: {"agreement": opinion.agreement, "counts": not opinion.unheard}
            for opinion in judgement.opinions
        },
        "expected_label_errors": judgement.expected_errors,
    }


def _warn(judgement: Judgement, losing: Sequence[SliceLoss], average: float) -> None:
    said = [
        f"the {opinion.name} opinion on labels does not count: {opinion.unheard}"
        for opinion in judgement.opinions
        if opinion.unheard
    ]
    if len(said) == len(judgement.opinions):
        said.append("labels were not judged")
    said += [
        f"{loss.name} loses {loss.rate:.1%} of {loss.count} images ({loss.low:.1%} to {loss.high:.1%}), more than "
        f"twice the average, {average:.1%}; look at them: gossamer review"
        for loss in losing
    ]
    if losing:
        wanted = ", ".join(f"{loss.name}: {loss.top_up}" for loss in losing)
        said.append(f"to draw as many anew, in params.yaml: prompts.top_up: {{{wanted}}}")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for line in said:
        console.print(escape(f"curate: {line}"))
