"""Stage: a policy -> prompts, and figures of how well they are spread.

Reads policies/NAME.yaml; writes data/prompts.jsonl and metrics/prompts.json (by way of the command line).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.metrics import normalised_mutual_information
from pipeline.params import PromptsParams
from pipeline.policy import SCENARIO, Policy
from pipeline.records import Prompt
from pipeline.scenes import draw_prompts, space_size


@dataclass(frozen=True, slots=True)
class PromptsResult:
    """The prompts, and their metrics as they are written."""

    prompts: list[Prompt]
    metrics: dict[str, Any]


def run(params: PromptsParams, policy: Policy) -> PromptsResult:
    """Draw prompts and measure their spread.

    Raises:
        PolicyError: The policy's rules leave nothing to draw.
    """
    start = time.perf_counter()
    prompts = draw_prompts(policy, params.count, params.seeds_per_caption, params.seed)
    seconds = time.perf_counter() - start
    return PromptsResult(prompts, {**describe(policy, prompts), "seconds": round(seconds, 3)})


def describe(policy: Policy, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Measure a set of prompts.

    Returns:
        Counts; the size of the prompt space; per shared factor the normalised mutual information with the label
        (``label_information``, 0: the factor says nothing about the label) and the largest distance between a value's
        share and its weight (``largest_share_error``).
    """
    shared = [factor.name for factor in policy.factors]
    if policy.scenarios:
        shared.append(SCENARIO)
    information = {name: _label_information(prompts, name) for name in shared}
    return {
        "count": len(prompts),
        "captions": len({prompt.text for prompt in prompts}),
        "scenes": len({prompt.group for prompt in prompts}),
        "labels": dict(sorted(Counter(prompt.label for prompt in prompts).items())),
        "prompt_space": space_size(policy),
        "longest_caption_words": max((len(prompt.text.split()) for prompt in prompts), default=0),
        "largest_label_information": max(information.values(), default=0.0),
        "label_information": information,
        "largest_share_error": max((_share_error(policy, prompts, label) for label in policy.labels), default=0.0),
    }


def _label_information(prompts: Sequence[Prompt], factor: str) -> float:
    labels = np.unique([prompt.label for prompt in prompts], return_inverse=True)[1]
    values = np.unique([prompt.factors.get(factor, "") for prompt in prompts], return_inverse=True)[1]
    return round(normalised_mutual_information(values, labels), 6)


def _share_error(policy: Policy, prompts: Sequence[Prompt], label: str) -> float:
    rows = [prompt.factors for prompt in prompts if prompt.label == label]
    errors = [0.0]
    for factor in policy.factors_of(label):
        counts = Counter(row[factor.name] for row in rows)
        errors += [
            abs(counts[value] / len(rows) - share)
            for value, share in zip(factor.values, factor.shares, strict=True)
            if rows
        ]
    return round(max(errors), 4)
