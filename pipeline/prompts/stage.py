"""Stage: a policy -> prompts, and metrics of their distribution.

Reads policies/NAME.yaml; writes data/prompts.jsonl and metrics/prompts.json (through the command line).
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.config.params import PromptsParams
from pipeline.config.policy import LABEL, SCENARIO, Policy
from pipeline.data.machine_figures import Figures
from pipeline.data.records import Prompt
from pipeline.errors import ParamsError
from pipeline.metrics.classification import normalised_mutual_information
from pipeline.prompts.prompt_sampler import prompt_sequence, space_size

Slice = tuple[str, str]
"""(factor or ``label``, value)."""
MAX_MISSES = 100_000
"""Consecutive prompts outside all requested slices, after which the search fails."""


@dataclass(frozen=True, slots=True)
class PromptsResult:
    """Prompts and their metrics.

    Attributes:
        prompts: In the order of sampling.
        metrics: Contents of metrics/prompts.json.
        machine: Section ``prompts`` of metrics/machine.json.
    """

    prompts: list[Prompt]
    metrics: dict[str, Any]
    machine: Figures


def run(params: PromptsParams, policy: Policy) -> PromptsResult:
    """Sample prompts and measure their distribution.

    Args:
        params: Number of prompts, seed, and ``top_up``: prompts to add per slice.
        policy: Policy to sample from.

    Raises:
        PolicyError: The policy's rules exclude every scene of a label or value.
        ParamsError: ``top_up`` names a slice that the policy does not have, or one that the sequence does not reach.
    """
    start = time.perf_counter()
    requested = {_parse_slice(policy, name): count for name, count in params.top_up.items()}
    sequence = prompt_sequence(policy, params.seeds_per_caption, params.seed)
    prompts = [*itertools.islice(sequence, params.count), *_top_up(sequence, requested)]
    seconds = time.perf_counter() - start
    return PromptsResult(prompts, distribution_metrics(policy, prompts), {"seconds": round(seconds, 3)})


def _top_up(sequence: Iterator[Prompt], requested: Mapping[Slice, int]) -> Iterator[Prompt]:
    """Continue the sequence; yield prompts of the requested slices. A prompt counts for every slice it is part of."""
    missing, misses = dict(requested), 0
    while missing:
        prompt = next(sequence)
        values = {LABEL: prompt.label, **prompt.factors}
        matches = [(factor, value) for factor, value in missing if values.get(factor) == value]
        for match in matches:
            missing[match] -= 1
            if not missing[match]:
                del missing[match]
        misses = 0 if matches else misses + 1
        if matches:
            yield prompt
        elif misses == MAX_MISSES:
            names = ", ".join("=".join(name) for name in missing)
            raise ParamsError(f"params.yaml prompts.top_up: {names}: found in none of {MAX_MISSES} prompts; remove it")


def _parse_slice(policy: Policy, name: str) -> Slice:
    values: dict[str, dict[str, None]] = {LABEL: dict.fromkeys(policy.labels)}
    if policy.scenarios:
        values[SCENARIO] = dict.fromkeys(scenario.name for scenario in policy.scenarios)
    for label in policy.labels:
        for factor_of_label in policy.factors_of(label):
            values.setdefault(factor_of_label.name, {}).update(dict.fromkeys(factor_of_label.values))
    factor, _, value = name.partition("=")
    if value not in values.get(factor, {}):
        known = f"{factor}= one of {', '.join(values[factor])}" if factor in values else f"one of {', '.join(values)}"
        raise ParamsError(
            f"params.yaml prompts.top_up: {name}: no such slice in policy {policy.name}; expected factor=value, {known}"
        )
    return factor, value


def distribution_metrics(policy: Policy, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Measure the distribution of a set of prompts.

    Returns:
        Contents of metrics/prompts.json: counts; the size of the prompt space; for each shared factor the normalised
        mutual information with the label in [0, 1] (``label_mutual_information``, 0: independent); and the largest
        difference between the proportion of a value and its weight (``largest_proportion_error``).
    """
    shared = [factor.name for factor in policy.factors]
    if policy.scenarios:
        shared.append(SCENARIO)
    mutual_information = {name: _label_mutual_information(prompts, name) for name in shared}
    return {
        "count": len(prompts),
        "captions": len({prompt.text for prompt in prompts}),
        "scenes": len({prompt.group for prompt in prompts}),
        "labels": dict(sorted(Counter(prompt.label for prompt in prompts).items())),
        "prompt_space": space_size(policy),
        "longest_caption_words": max((len(prompt.text.split()) for prompt in prompts), default=0),
        "largest_label_mutual_information": max(mutual_information.values(), default=0.0),
        "label_mutual_information": mutual_information,
        "largest_proportion_error": max(
            (_proportion_error(policy, prompts, label) for label in policy.labels), default=0.0
        ),
    }


def _label_mutual_information(prompts: Sequence[Prompt], factor: str) -> float:
    labels = np.unique([prompt.label for prompt in prompts], return_inverse=True)[1]
    values = np.unique([prompt.factors.get(factor, "") for prompt in prompts], return_inverse=True)[1]
    return round(normalised_mutual_information(values, labels), 6)


def _proportion_error(policy: Policy, prompts: Sequence[Prompt], label: str) -> float:
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
