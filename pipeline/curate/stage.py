"""Stage: images -> kept images and rejections. No image is relabelled, none is deleted.

Reads data/images/ and data/decisions.jsonl; writes data/kept.jsonl, data/rejected.jsonl, metrics/curate.json and (with
``contact_sheets``) report/curation/. Each step checks only the images that passed the steps before it, so that a broken
image neither displaces an intact duplicate of itself nor trains the probes that check labels:

1. faults: duplicate_id; unreadable (cannot be decoded, or differs from the index); nsfw, nan, black (reported by the
   generator);
2. quality: dark, light, low_information, blurry (``image_quality``);
3. near_duplicate: repeats an earlier image of the same label that is not its counterfactual (``near_duplicates``);
4. label_error: the pooled probability of the given label is below the threshold (``label_errors``); out_of_sample:
   unlike all other images (``outliers``).

One reason is recorded per image, and its detail lists the other reasons of the same step: in step 2 the first in the
order above is recorded, because a black image has no edges either; in step 4 the one furthest below its threshold.
Finally a person's decisions (``gossamer review``) override the checks (``manual_overrides``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from pipeline.curate.feature_cache import CacheOptions, FeatureCache, compute_features, load_verifier_spec
from pipeline.curate.findings import Finding, check_score, merge_findings
from pipeline.curate.image_quality import QUALITY_REASONS, score_quality
from pipeline.curate.label_errors import LabelledSet, LabelQuality, ProbeConfig, score_labels
from pipeline.curate.manual_overrides import apply_overrides
from pipeline.curate.near_duplicates import find_near_duplicates
from pipeline.curate.outliers import score_outliers
from pipeline.curate.rejection_rates import SliceRejections, count_rejections, over_rejected_slices
from pipeline.data.machine_figures import Figures
from pipeline.data.records import Decision, Image, Rejection, more_images
from pipeline.errors import DataError

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CurateResult:
    """Every image once, kept or rejected; both lists in the order of the images.

    Attributes:
        kept: Images that passed every check, unchanged.
        rejected: One rejection per rejected image, with reason, score and threshold.
        metrics: Contents of metrics/curate.json.
        machine: Section ``curate`` of metrics/machine.json.
    """

    kept: list[Image]
    rejected: list[Rejection]
    metrics: dict[str, Any]
    machine: Figures


@dataclass(frozen=True, slots=True)
class CurateInputs:
    """What curation reads besides the index.

    Attributes:
        shards: Folder of the shards.
        work: Folder of the feature cache; may be deleted at any time.
        decisions: A person's decisions, which override the checks.
    """

    shards: Path
    work: Path
    decisions: Sequence[Decision] = ()


@dataclass(frozen=True, slots=True)
class _Curation:
    """State of a run: the images, and the findings so far (row -> finding)."""

    params: CurateParams
    images: Sequence[Image]
    labels: Sequence[str]
    progress: Progress
    findings: dict[int, Finding]

    def passed(self) -> Rows:
        """Rows without a finding, int64 (rows,)."""
        return np.asarray([row for row in range(len(self.images)) if row not in self.findings], np.int64)

    def record(self, row: int, candidates: Sequence[Finding | None]) -> None:
        """Record the findings of one step on one image, if there are any."""
        findings = [finding for finding in candidates if finding is not None]
        if findings:
            self.findings[row] = merge_findings(findings)


def run(params: CurateParams, images: Sequence[Image], inputs: CurateInputs, policy: Policy) -> CurateResult:
    """Decide which images to keep.

    Args:
        params: Thresholds, probe configuration and the verifier.
        images: Records of the images, in order.
        inputs: Shards, work area, and a person's decisions.
        policy: Its labels, and the factor that distinguishes them.

    Raises:
        DataError: There are no images, a label is not one of the policy's, or all images of a label would be rejected.
        ModelError: The verifier's model is missing or damaged.
        ParamsError: There is no such verifier, or its section is wrong.
    """
    started = time.perf_counter()
    verifier = load_verifier_spec(params, policy)
    _require_policy_labels(images, inputs.shards, list(policy.labels))
    findings: dict[int, Finding] = {}
    with _progress() as progress:
        curation = _Curation(params, images, tuple(policy.labels), progress, findings)
        task = progress.add_task("computing features", total=len(images))
        options = CacheOptions(inputs.work, params.workers)
        features = compute_features(
            inputs.shards, images, verifier, options, lambda count: progress.advance(task, count)
        )
        _check_faults(curation, features)
        _check_quality(curation, features)
        _check_near_duplicates(curation, features)
        label_quality = _check_labels_and_outliers(curation, features)
    decisions = apply_overrides(findings, images, inputs.decisions)
    kept = [image for row, image in enumerate(images) if row not in findings]
    rejected = [_rejection(images[row], findings[row]) for row in sorted(findings)]
    _require_kept(images, kept, findings)
    metrics = _metrics(images, findings, label_quality)
    seconds = round(time.perf_counter() - started, 1)
    return CurateResult(kept, rejected, {**metrics, "decisions": decisions}, {"seconds": seconds})


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _require_policy_labels(images: Sequence[Image], folder: Path, labels: Sequence[str]) -> None:
    if not images:
        raise DataError(f"{folder}: no images; expected at least one of each label; run: dvc repro generate")
    counts = Counter(image.label for image in images)
    unknown = sorted(set(counts) - set(labels))
    absent = [label for label in labels if not counts[label]]
    if unknown or absent:
        listing = ", ".join(f"{label} {count}" for label, count in counts.items())
        raise DataError(
            f"{folder}: found images of {listing}; expected images of {', '.join(labels)}, and of no other label"
        )


def _check_faults(curation: _Curation, features: FeatureCache) -> None:
    id_counts = Counter(image.id for image in curation.images)
    for row, (image, error) in enumerate(zip(curation.images, features.column("error"), strict=True)):
        if id_counts[image.id] > 1:
            detail = f"{id_counts[image.id]} images have this id"
            curation.findings[row] = Finding("duplicate_id", 0.0, 1.0, detail)
        elif image.fault is not None:
            curation.findings[row] = Finding(image.fault, 0.0, 1.0, "reported by the generator")
        elif error:
            curation.findings[row] = Finding("unreadable", 0.0, 1.0, error.decode(errors="replace"))


def _check_quality(curation: _Curation, features: FeatureCache) -> None:
    rows = curation.passed()
    if len(rows):
        scores = score_quality(features.column("measures")[rows])
        thresholds = {reason: float(getattr(curation.params, reason)) for reason in QUALITY_REASONS}
        for position, row in enumerate(rows.tolist()):
            checks = [(reason, scores[reason][position], thresholds[reason]) for reason in QUALITY_REASONS]
            curation.record(row, [check_score(*check) for check in checks])


def _check_near_duplicates(curation: _Curation, features: FeatureCache) -> None:
    rows = curation.passed()
    if len(rows):
        hashes, threshold = features.column("perceptual_hash")[rows], curation.params.near_duplicate
        duplicates = find_near_duplicates(hashes, [curation.images[row] for row in rows], threshold)
        for position, (original, share) in duplicates.items():
            detail = f"repeats {curation.images[rows[original]].id}"
            curation.findings[int(rows[position])] = Finding("near_duplicate", share, threshold, detail)


def _check_labels_and_outliers(curation: _Curation, features: FeatureCache) -> LabelQuality:
    rows = curation.passed()
    _require_kept(curation.images, [curation.images[row] for row in rows], curation.findings)
    params = curation.params
    labelled = LabelledSet(
        lambda chosen: features.features(rows[chosen]),
        np.asarray([curation.labels.index(curation.images[row].label) for row in rows], np.int64),
        [curation.images[row].group for row in rows],
        tuple(curation.labels),
        features.column("probabilities")[rows],
        more_images(curation.images),
    )
    task = curation.progress.add_task("checking labels", total=params.folds * params.repeats)
    config = ProbeConfig(params.folds, params.repeats, params.seed)
    quality = score_labels(labelled, config, lambda: curation.progress.advance(task))
    task = curation.progress.add_task("searching outliers", total=2)
    outlier_scores = score_outliers(labelled.features, len(rows), lambda: curation.progress.advance(task))
    for position, row in enumerate(rows.tolist()):
        detail = _label_detail(quality, position, curation.labels)
        label_error = check_score("label_error", quality.scores[position], params.label_error, detail)
        outlier = check_score("out_of_sample", outlier_scores[position], params.out_of_sample)
        findings = [finding for finding in (label_error, outlier) if finding is not None]
        findings.sort(key=lambda finding: finding.score / finding.threshold)
        curation.record(row, findings)
    return quality


def _label_detail(quality: LabelQuality, position: int, labels: Sequence[str]) -> str:
    best = int(quality.probabilities[position].argmax())
    used = [predictor for predictor in quality.predictors if not predictor.exclusion]
    values = ", ".join(f"{predictor.name} {predictor.probabilities[position][best]:.3f}" for predictor in used)
    return f"looks like {labels[best]} ({values})"


def _rejection(image: Image, finding: Finding) -> Rejection:
    return Rejection(
        image_id=image.id,
        label=image.label,
        reason=finding.reason,
        score=finding.score,
        threshold=finding.threshold,
        detail=finding.detail,
    )


def _require_kept(images: Sequence[Image], kept: Sequence[Image], findings: dict[int, Finding]) -> None:
    """Raise ``DataError`` if all images of a label are rejected; name the most frequent reason and its threshold."""
    remaining = {image.label for image in kept}
    for label in dict.fromkeys(image.label for image in images):
        if label not in remaining:
            of_label = [finding for row, finding in findings.items() if images[row].label == label]
            reason, count = Counter(finding.reason for finding in of_label).most_common(1)[0]
            first = next(finding for finding in of_label if finding.reason == reason)
            detail = f": {first.detail}" if first.detail else ""
            advice = f", or lower curate.{reason} in params.yaml" if reason in CurateParams.model_fields else ""
            scores = f"a score below {first.threshold:g}; the first has {first.score:.3f}{detail}"
            raise DataError(
                f"curate: none of {len(of_label)} images of {label} would be kept; {count} were rejected as {reason} "
                f"({scores}); look at the images{advice}"
            )


def _metrics(images: Sequence[Image], findings: Mapping[int, Finding], quality: LabelQuality) -> dict[str, Any]:
    slices = count_rejections(images, findings)
    over_rejected = over_rejected_slices(slices)
    _warn(images, quality, over_rejected, len(findings) / len(images))
    return {
        "images": len(images),
        "kept": len(images) - len(findings),
        "rejected": len(findings),
        "rejection_rate": len(findings) / len(images),
        "reasons": dict(Counter(finding.reason for _, finding in sorted(findings.items())).most_common()),
        "rejection_rate_by": {
            factor: {value: {"rate": row.rate, "low": row.low, "high": row.high} for value, row in values.items()}
            for factor, values in slices.items()
        },
        "over_rejected_slices": {row.name: row.top_up for row in over_rejected},
        "label_predictors": {
            predictor.name: {
                "agreement": predictor.agreement,
                "chance": predictor.chance,
                "used": not predictor.exclusion,
                "exclusion": predictor.exclusion,
            }
            for predictor in quality.predictors
        },
        "expected_label_errors": quality.expected_errors,
    }


def _label_warnings(quality: LabelQuality) -> Iterator[str]:
    """Say which predictors are not used, or agree with few labels, and what that means for the labels."""
    for predictor in quality.predictors:
        if predictor.exclusion:
            yield f"label predictor {predictor.name} is not used: {predictor.exclusion}"
        elif predictor.is_weak:
            yield f"label predictor {predictor.name} agrees with {predictor.agreement:.1%} of the labels, little"
    if all(predictor.exclusion for predictor in quality.predictors):
        yield "labels were not checked"
    verifier = quality.predictors[-1]
    if verifier.exclusion or verifier.is_weak:
        yield (
            "the verifier does not know these labels, or the images do not show them: look at the images (gossamer "
            "review), run gossamer policy check, or choose another verifier (curate.verifier); the gate is unmeasured"
        )


def _warn(
    images: Sequence[Image], quality: LabelQuality, over_rejected: Sequence[SliceRejections], average: float
) -> None:
    warnings = list(_label_warnings(quality))
    warnings += [
        f"{row.name}: {row.rate:.1%} of {row.images} images are rejected ({row.low:.1%} to {row.high:.1%}), more than "
        f"twice the average of {average:.1%}; look at them: gossamer review"
        for row in over_rejected
    ]
    if over_rejected:
        top_up = ", ".join(f"{row.name}: {row.top_up}" for row in over_rejected)
        generated = any(image.factors for image in images)
        advice = f"to generate replacements, set in params.yaml: prompts.top_up: {{{top_up}}}"
        warnings.append(advice if generated else f"{more_images(images)}: {top_up}")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for warning in warnings:
        console.print(escape(f"curate: {warning}"))
