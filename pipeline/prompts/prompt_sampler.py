"""Scenes: stratified, plausible draws of every factor, and the prompts made from them.

A scene is one person, place and light. Each label makes one caption of it (counterfactuals: the same person with and
without), and each caption several prompts that differ in their noise seed only. Because every scene serves every label
alike, no shared factor can tell the label.

Scenes are drawn in blocks of ``BLOCK``: within a block each factor's values stand in proportion to their weights, by
systematic sampling (Madow & Madow, Ann. Math. Stat. 15, 1944), shuffled factor by factor. Where a plausibility rule is
broken, values are swapped between scenes of the block, which keeps the proportions; only where no swap helps is a
scene drawn anew. A block depends on the seed and its number alone, so asking for more prompts keeps the first ones.
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
SPACE_LIMIT = 50_000_000

Column = tuple[str, str]  # (label or "" for shared factors, factor name)
Codes = NDArray[np.intp]
Table = dict[Column, Codes]


@dataclass(frozen=True, slots=True)
class _Clause:
    """A rule compiled for one label: broken where every column's code is marked."""

    marks: Mapping[Column, NDArray[np.bool_]]

    def broken(self, table: Mapping[Column, Codes]) -> NDArray[np.bool_]:
        """Tell which rows of the table break the rule."""
        hits = (marked[table[column]] for column, marked in self.marks.items())
        return functools.reduce(np.logical_and, hits)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A policy compiled for drawing: its columns, its rules, and each label's factors with their columns."""

    columns: Mapping[Column, Factor]
    clauses: tuple[_Clause, ...]
    layout: Mapping[str, tuple[tuple[Factor, Column], ...]]


def draw_prompts(policy: Policy, count: int, seeds_per_caption: int, seed: int) -> list[Prompt]:
    """Draw the first ``count`` prompts of a policy's endless, seeded sequence.

    Args:
        policy: What to draw from.
        count: How many prompts.
        seeds_per_caption: Prompts of the same caption, each with a noise seed of its own.
        seed: Another seed, other scenes.

    Raises:
        PolicyError: The rules leave a label, or a value of a factor, without any plausible scene.
    """
    return list(itertools.islice(endless_prompts(policy, seeds_per_caption, seed), count))


def endless_prompts(policy: Policy, seeds_per_caption: int, seed: int) -> Iterator[Prompt]:
    """Draw a policy's endless, seeded sequence of prompts, of which ``draw_prompts`` takes the first.

    Raises:
        PolicyError: As ``draw_prompts``.
    """
    check_plausible(policy)
    plan = _plan(policy)
    for block in itertools.count():
        table = _draw_block(plan, seed, block)
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
    """Count the plausible combinations of factor values, over all labels: captions that could be asked for."""
    return sum(prod(int(allowed.sum()) for _, allowed in _components(policy, label)) for label in policy.labels)


def check_plausible(policy: Policy) -> None:
    """Check that each label, and each value of each factor, has a plausible scene.

    Raises:
        PolicyError: Names the label, or the factor and value, that the rules leave nothing of.
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
                for value, possible in zip(factor.values, np.any(allowed, axis=others).tolist(), strict=True):
                    if not possible:
                        raise PolicyError(
                            f"policy {policy.name} rules: {factor.name}: {value} can never appear with label {label}; "
                            "expected a plausible scene for it; relax a rule, or give it weight 0"
                        )


def _plan(policy: Policy) -> _Plan:
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
    """A rule as conjunctions of (factor in values), one a factor of ``never``; none where it is about other labels."""
    if label not in rule.when.get(LABEL, (label,)):
        return
    when = {name: values for name, values in rule.when.items() if name != LABEL}
    for name, values in rule.never.items():
        both = set(values) & set(when.get(name, values))
        yield {**when, name: sorted(both)}


def _components(policy: Policy, label: str) -> Iterable[tuple[list[Factor], NDArray[np.bool_]]]:
    """Groups of factors that rules tie together, each with its table of allowed combinations."""
    clauses = _clauses(policy, label)
    groups: list[set[Column]] = [{_column(policy, label, factor.name)} for factor in policy.factors_of(label)]
    for clause in clauses:
        tied = [group for group in groups if group & clause.marks.keys()]
        groups = [group for group in groups if group not in tied] + [set().union(*tied)]
    for group in groups:
        factors = [f for f in policy.factors_of(label) if _column(policy, label, f.name) in group]
        shape = tuple(len(factor.values) for factor in factors)
        if prod(shape) > SPACE_LIMIT:
            raise PolicyError(
                f"policy {policy.name} rules: they tie {len(factors)} factors together, {prod(shape)} combinations; "
                f"expected at most {SPACE_LIMIT}"
            )
        grid = {
            _column(policy, label, factor.name): axis
            for factor, axis in zip(factors, np.ix_(*[np.arange(n) for n in shape]), strict=True)
        }
        allowed = np.ones(shape, bool)
        for clause in clauses:
            if clause.marks.keys() <= group:
                allowed &= ~clause.broken(grid)
        yield factors, allowed


def _draw_block(plan: _Plan, seed: int, block: int) -> Table:
    table = {column: _systematic(factor, _stream(seed, block, column)) for column, factor in plan.columns.items()}
    rng = _stream(seed, block, ("", "repair"))
    ruled = {column: table[column] for clause in plan.clauses for column in clause.marks}  # the same arrays
    for row in np.flatnonzero(_count_broken(plan.clauses, table)).tolist():
        swaps = 0
        while swaps < len(plan.columns) and _swap_away(plan, ruled, row, rng):
            swaps += 1
        if any(clause.broken(_one_row(ruled, row))[0] for clause in plan.clauses):
            _redraw(plan, table, row, rng)
    return table


def _stream(seed: int, block: int, column: Column) -> np.random.Generator:
    return np.random.default_rng([seed, block, zlib.crc32("/".join(column).encode())])


def _systematic(factor: Factor, rng: np.random.Generator) -> Codes:
    points = (np.arange(BLOCK) + rng.random()) / BLOCK
    codes = np.searchsorted(np.cumsum(factor.shares), points, side="right").clip(max=len(factor.values) - 1)
    return np.asarray(rng.permutation(codes), np.intp)


def _count_broken(clauses: Iterable[_Clause], table: Mapping[Column, Codes]) -> NDArray[np.intp]:
    broken = [clause.broken(table) for clause in clauses] or np.zeros((1, BLOCK), bool)
    return np.asarray(np.sum(broken, axis=0), np.intp)


def _one_row(table: Table, row: int) -> Table:
    return {column: codes[row : row + 1] for column, codes in table.items()}


def _swap_away(plan: _Plan, table: Table, row: int, rng: np.random.Generator) -> bool:
    """Swap one value of ``row`` with the scene that mends most; False when the row is whole or nothing helps."""
    here = _one_row(table, row)  # one row broadcasts against a column
    broken = [clause for clause in plan.clauses if clause.broken(here)[0]]
    best_gain, best = 0, None
    for column in dict.fromkeys(itertools.chain.from_iterable(clause.marks for clause in broken)):
        touched = [clause for clause in plan.clauses if column in clause.marks]
        now = _count_broken(touched, table)
        with_theirs = _count_broken(touched, {**here, column: table[column]})
        with_mine = _count_broken(touched, {**table, column: here[column]})
        gains = now[row] + now - with_theirs - with_mine
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


def _redraw(plan: _Plan, table: Table, row: int, rng: np.random.Generator) -> None:
    """Replace a scene by a plausible one drawn by weight."""
    for _ in range(200):
        fresh = {column: rng.choice(len(f.values), size=BLOCK, p=f.shares) for column, f in plan.columns.items()}
        whole = np.flatnonzero(_count_broken(plan.clauses, fresh) == 0)
        if whole.size:
            for column, codes in fresh.items():
                table[column][row] = codes[whole[0]]
            return
    raise PolicyError("policy rules: fewer than 1 in 20000 scenes are plausible; expected more; relax a rule")


def _caption(policy: Policy, drawn: Iterable[tuple[Factor, int]]) -> tuple[str, dict[str, str]]:
    values: dict[str, str] = {}
    words = dict.fromkeys(policy.slots(), "")
    for factor, code in drawn:
        values[factor.name], words[factor.name] = factor.values[code], factor.phrases[code]
    told = {name: phrase.format_map(words) if "{" in phrase else phrase for name, phrase in words.items()}
    clauses = [clause.format_map(told).strip() for clause in policy.caption]
    scenario = policy.scenario_of(values)
    if scenario is not None:
        values[SCENARIO] = scenario
    return ", ".join(clause for clause in clauses if clause), values


def _noise_seed(seed: int, scene: int, k: int) -> int:
    """63 bits, the same for every label of a scene, so that counterfactuals start from the same noise."""
    digest = hashlib.sha256(f"{seed}/{scene}/{k}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
