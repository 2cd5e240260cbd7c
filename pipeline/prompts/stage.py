"""Stage: a policy -> prompts, and figures of how well they are spread.

Reads policies/NAME.yaml; writes data/prompts.jsonl and metrics/prompts.json (by way of the command line).
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
from pipeline.prompts.prompt_sampler import endless_prompts, space_size

Slice = tuple[str, str]
"""A factor (or the label) and its value."""
PATIENCE = 100_000
"""Prompts in a row that serve no wanted slice, before the search for it is given up."""


@dataclass(frozen=True, slots=True)
class PromptsResult:
    """Prompts and their figures.

    Attributes:
        prompts: In the order they were drawn.
        metrics: Contents of metrics/prompts.json.
        machine: Section ``prompts`` of metrics/machine.json.
    """

    prompts: list[Prompt]
    metrics: dict[str, Any]
    machine: Figures


def run(params: PromptsParams, policy: Policy) -> PromptsResult:
    """Draw prompts and measure their spread.

    Raises:
        PolicyError: The policy's rules leave nothing to draw.
        ParamsError: ``top_up`` names a slice that the policy does not have.
    """
    start = time.perf_counter()
    wanted = {_slice(policy, name): count for name, count in params.top_up.items()}
    sequence = endless_prompts(policy, params.seeds_per_caption, params.seed)
    prompts = [*itertools.islice(sequence, params.count), *_top_up(sequence, wanted)]
    seconds = time.perf_counter() - start
    return PromptsResult(prompts, describe(policy, prompts), {"seconds": round(seconds, 3)})


def _top_up(sequence: Iterator[Prompt], wanted: Mapping[Slice, int]) -> Iterator[Prompt]:
    """Go on in the sequence and take what a slice still wants; a prompt counts for every slice it lies in."""
    missing, passed = dict(wanted), 0
    while missing:
        prompt = next(sequence)
        values = {LABEL: prompt.label, **prompt.factors}
        served = [(factor, value) for factor, value in missing if values.get(factor) == value]
        for each in served:
            missing[each] -= 1
            if not missing[each]:
                del missing[each]
        passed = 0 if served else passed + 1
        if served:
            yield prompt
        elif passed == PATIENCE:
            names = ", ".join("=".join(each) for each in missing)
            raise ParamsError(f"params.yaml prompts.top_up: {names}: found in none of {PATIENCE} prompts; take it out")


def _slice(policy: Policy, name: str) -> Slice:
    values: dict[str, dict[str, None]] = {LABEL: dict.fromkeys(policy.labels)}
    if policy.scenarios:
        values[SCENARIO] = dict.fromkeys(scenario.name for scenario in policy.scenarios)
    for label in policy.labels:
        for each in policy.factors_of(label):
            values.setdefault(each.name, {}).update(dict.fromkeys(each.values))
    factor, _, value = name.partition("=")
    if value not in values.get(factor, {}):
        known = f"{factor}= one of {', '.join(values[factor])}" if factor in values else f"one of {', '.join(values)}"
        raise ParamsError(
            f"params.yaml prompts.top_up: {name}: no such slice in policy {policy.name}; expected factor=value, {known}"
        )
    return factor, value


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
