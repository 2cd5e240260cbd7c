"""Prompt sampler: stratified sampling of plausible scenes from a policy, and the prompts of each scene.

A scene is one combination of person, place and light. It yields one caption per label (counterfactuals: the same person
with and without a helmet), and each caption yields several prompts that differ only in their noise seed. Every scene
yields every label, so the shared factors are independent of the label.

Scenes are sampled in blocks of ``BLOCK``. Within a block, the values of each factor occur in proportion to their
weights: systematic sampling (Madow & Madow, Ann. Math. Stat. 15, 1944), then a random permutation per factor. A scene
that violates a plausibility rule swaps values with other scenes of the block, which keeps the proportions; it is
sampled again only if no swap repairs it. A block depends only on the seed and its number, so a larger ``count`` keeps
the first prompts. Reads and writes no files.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from pipeline.config.policy import LABEL, SCENARIO, Factor, Policy, Rule
from pipeline.data.records import Prompt
from pipeline.errors import PolicyError

BLOCK = 100
"""Scenes per block. Part of the sequence: another value gives other prompts."""
MAX_COMBINATIONS = 50_000_000
"""Largest table of value combinations, bool, that rules may require."""
_RESAMPLE_BLOCKS = 200

Column = tuple[str, str]
"""(label, factor); the label of a shared factor is empty."""
Codes = NDArray[np.intp]
"""Indices of factor values, intp (scenes,)."""
Table = dict[Column, Codes]


@dataclass(frozen=True, slots=True)
class _Clause:
    """A forbidden combination of values, compiled from a rule for one label.

    Attributes:
        forbidden: Column -> which of its values are part of the combination, bool (values,).
    """

    forbidden: Mapping[Column, NDArray[np.bool_]]

    def violated(self, table: Mapping[Column, Codes]) -> NDArray[np.bool_]:
        """Find the rows whose values are forbidden in every column: bool (scenes,)."""
        matches = (values[table[column]] for column, values in self.forbidden.items())
        return functools.reduce(np.logical_and, matches)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A policy compiled for sampling.

    Attributes:
        columns: Column -> factor.
        clauses: Forbidden combinations of all rules and labels.
        layout: Label -> its factors, shared ones included, with their columns.
    """

    columns: Mapping[Column, Factor]
    clauses: tuple[_Clause, ...]
    layout: Mapping[str, tuple[tuple[Factor, Column], ...]]


def draw_prompts(policy: Policy, count: int, seeds_per_caption: int, seed: int) -> list[Prompt]:
    """Sample the first ``count`` prompts of the sequence of a policy and a seed.

    Args:
        policy: Policy to sample from.
        count: Number of prompts.
        seeds_per_caption: Prompts per caption, each with a different noise seed.
        seed: Seed of the sequence.

    Raises:
        PolicyError: The rules exclude every scene of a label, or of a value of a factor.
    """
    return list(itertools.islice(prompt_sequence(policy, seeds_per_caption, seed), count))


def prompt_sequence(policy: Policy, seeds_per_caption: int, seed: int) -> Iterator[Prompt]:
    """Sample the infinite sequence of prompts whose beginning ``draw_prompts`` returns.

    Raises:
        PolicyError: As ``draw_prompts``.
    """
    check_plausible(policy)
    plan = _compile(policy)
    for block in itertools.count():
        table = _sample_block(plan, seed, block)
        for row in range(BLOCK):
            scene = block * BLOCK + row
            captions = {
                label: _caption(policy, [(factor, table[column][row]) for factor, column in layout])
                for label, layout in plan.layout.items()
            }
            for k in range(seeds_per_caption):
                noise = _noise_seed(seed, scene, k)
                for label, (text, values) in captions.items():
                    yield Prompt(
                        id=f"{scene:07d}-{label}-{k}",
                        group=f"{scene:07d}",
                        label=label,
                        text=text,
                        seed=noise,
                        factors=values,
                    )


def space_size(policy: Policy) -> int:
    """Count the plausible combinations of factor values over all labels: the captions that can occur."""
    return sum(prod(int(allowed.sum()) for _, allowed in _components(policy, label)) for label in policy.labels)


def check_plausible(policy: Policy) -> None:
    """Check that each label, and each value of each factor, has a plausible scene.

    Raises:
        PolicyError: The rules exclude every scene of a label, or of a value; the message names it.
    """
    for label in policy.labels:
        for factors, allowed in _components(policy, label):
            names = ", ".join(factor.name for factor in factors)
            if not allowed.any():
                raise PolicyError(
                    f"policy {policy.name} rules: they exclude every picture of label {label} (between {names}); "
                    "expected at least one; relax a rule"
                )
            for axis, factor in enumerate(factors):
                others = tuple(i for i in range(len(factors)) if i != axis)
                for value, is_possible in zip(factor.values, np.any(allowed, axis=others).tolist(), strict=True):
                    if not is_possible:
                        raise PolicyError(
                            f"policy {policy.name} rules: {factor.name}: {value} can never appear with label {label}; "
                            "expected a plausible scene for it; relax a rule, or give it weight 0"
                        )


def _compile(policy: Policy) -> _Plan:
    layout = {
        label: tuple((factor, _column(policy, label, factor.name)) for factor in policy.factors_of(label))
        for label in policy.labels
    }
    return _Plan(
        columns={column: factor for pairs in layout.values() for factor, column in pairs},
        clauses=tuple(clause for label in policy.labels for clause in _clauses(policy, label)),
        layout=layout,
    )


def _column(policy: Policy, label: str, factor: str) -> Column:
    return ("" if any(shared.name == factor for shared in policy.factors) else label, factor)


def _clauses(policy: Policy, label: str) -> list[_Clause]:
    factors = {factor.name: factor for factor in policy.factors_of(label)}
    return [
        _Clause({_column(policy, label, name): np.isin(factors[name].values, values) for name, values in terms.items()})
        for rule in policy.rules
        for terms in _terms(rule, label)
        if terms.keys() <= factors.keys()
    ]


def _terms(rule: Rule, label: str) -> Iterable[dict[str, Sequence[str]]]:
    """Split a rule into conjunctions of (factor in values), one per factor of ``never``; none for other labels."""
    if label not in rule.when.get(LABEL, (label,)):
        return
    when = {name: values for name, values in rule.when.items() if name != LABEL}
    for name, values in rule.never.items():
        common = set(values) & set(when.get(name, values))
        yield {**when, name: sorted(common)}


def _components(policy: Policy, label: str) -> Iterable[tuple[list[Factor], NDArray[np.bool_]]]:
    """Yield groups of factors that rules connect, each with its table of allowed combinations, bool (values, ...)."""
    clauses = _clauses(policy, label)
    groups: list[set[Column]] = [{_column(policy, label, factor.name)} for factor in policy.factors_of(label)]
    for clause in clauses:
        connected = [group for group in groups if group & clause.forbidden.keys()]
        groups = [group for group in groups if group not in connected] + [set().union(*connected)]
    for group in groups:
        columns = {_column(policy, label, factor.name): factor for factor in policy.factors_of(label)}
        factors = {column: factor for column, factor in columns.items() if column in group}
        inside = [clause for clause in clauses if clause.forbidden.keys() <= group]
        yield list(factors.values()), _allowed_combinations(policy.name, factors, inside)


def _allowed_combinations(
    policy: str, factors: Mapping[Column, Factor], clauses: Iterable[_Clause]
) -> NDArray[np.bool_]:
    """Build the table of allowed combinations: bool, one axis per factor, one index per value."""
    shape = tuple(len(factor.values) for factor in factors.values())
    if prod(shape) > MAX_COMBINATIONS:
        raise PolicyError(
            f"policy {policy} rules: they connect {len(factors)} factors, {prod(shape)} combinations; "
            f"expected at most {MAX_COMBINATIONS}"
        )
    grid = dict(zip(factors, np.ix_(*[np.arange(size) for size in shape]), strict=True))
    allowed = np.ones(shape, bool)
    for clause in clauses:
        allowed &= ~clause.violated(grid)
    return allowed


def _sample_block(plan: _Plan, seed: int, block: int) -> Table:
    table = {column: _systematic(factor, _stream(seed, block, column)) for column, factor in plan.columns.items()}
    rng = _stream(seed, block, ("", "repair"))
    constrained = {column: table[column] for clause in plan.clauses for column in clause.forbidden}  # the same arrays
    for row in np.flatnonzero(_count_violations(plan.clauses, table)).tolist():
        swaps = 0
        while swaps < len(plan.columns) and _swap_value(plan, constrained, row, rng):
            swaps += 1
        if any(clause.violated(_one_row(constrained, row))[0] for clause in plan.clauses):
            _resample(plan, table, row, rng)
    return table


def _stream(seed: int, block: int, column: Column) -> np.random.Generator:
    return np.random.default_rng([seed, block, zlib.crc32("/".join(column).encode())])


def _systematic(factor: Factor, rng: np.random.Generator) -> Codes:
    points = (np.arange(BLOCK) + rng.random()) / BLOCK
    codes = np.searchsorted(np.cumsum(factor.shares), points, side="right").clip(max=len(factor.values) - 1)
    return np.asarray(rng.permutation(codes), np.intp)


def _count_violations(clauses: Iterable[_Clause], table: Mapping[Column, Codes]) -> NDArray[np.intp]:
    violations = [clause.violated(table) for clause in clauses] or np.zeros((1, BLOCK), bool)
    return np.asarray(np.sum(violations, axis=0), np.intp)


def _one_row(table: Table, row: int) -> Table:
    return {column: codes[row : row + 1] for column, codes in table.items()}


def _swap_value(plan: _Plan, table: Table, row: int, rng: np.random.Generator) -> bool:
    """Swap one value of ``row`` with the scene that removes most violations; False if no swap removes any."""
    here = _one_row(table, row)  # one row broadcasts against a column
    violated = [clause for clause in plan.clauses if clause.violated(here)[0]]
    best_gain, best = 0, None
    for column in dict.fromkeys(itertools.chain.from_iterable(clause.forbidden for clause in violated)):
        affected = [clause for clause in plan.clauses if column in clause.forbidden]
        before = _count_violations(affected, table)
        row_after = _count_violations(affected, {**here, column: table[column]})
        partner_after = _count_violations(affected, {**table, column: here[column]})
        gains = before[row] + before - row_after - partner_after
        gains[row] = 0
        order = rng.permutation(BLOCK)
        partner = int(order[gains[order].argmax()])
        if gains[partner] > best_gain:
            best_gain, best = int(gains[partner]), (column, partner)
    if best is None:
        return False
    column, partner = best
    table[column][[row, partner]] = table[column][[partner, row]]
    return True


def _resample(plan: _Plan, table: Table, row: int, rng: np.random.Generator) -> None:
    """Replace a scene by a plausible one, with values sampled independently by weight."""
    for _ in range(_RESAMPLE_BLOCKS):
        fresh = {column: rng.choice(len(f.values), size=BLOCK, p=f.shares) for column, f in plan.columns.items()}
        plausible = np.flatnonzero(_count_violations(plan.clauses, fresh) == 0)
        if plausible.size:
            for column, codes in fresh.items():
                table[column][row] = codes[plausible[0]]
            return
    raise PolicyError("policy rules: fewer than 1 in 20000 scenes are plausible; expected more; relax a rule")


def _caption(policy: Policy, scene: Iterable[tuple[Factor, int]]) -> tuple[str, dict[str, str]]:
    values: dict[str, str] = {}
    phrases = dict.fromkeys(policy.slots(), "")
    for factor, code in scene:
        values[factor.name], phrases[factor.name] = factor.values[code], factor.phrases[code]
    filled = {name: phrase.format_map(phrases) if "{" in phrase else phrase for name, phrase in phrases.items()}
    clauses = [clause.format_map(filled).strip() for clause in policy.caption]
    scenario = policy.scenario_of(values)
    if scenario is not None:
        values[SCENARIO] = scenario
    return ", ".join(clause for clause in clauses if clause), values


def _noise_seed(seed: int, scene: int, k: int) -> int:
    """Hash to 63 bits; the label is left out, so that the counterfactuals of a scene start from the same noise."""
    digest = hashlib.sha256(f"{seed}/{scene}/{k}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
