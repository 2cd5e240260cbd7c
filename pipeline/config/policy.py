"""A policy file: a question, its labels, the factors that vary, excluded combinations, and the costs of errors.

Reads policies/NAME.yaml and checks all of it, so that later stages need not. The comments in policies/helmet.yaml
explain the format.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from pipeline.config.fields import Section, explain
from pipeline.errors import PolicyError

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Values = dict[Name, tuple[Weight, str]]
Conditions = dict[Name, tuple[Name, ...]]
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]

LABEL = "label"
SCENARIO = "scenario"
NEGATION = re.compile(r"\b(no|not|never|none|without|lacks?|lacking)\b|n't\b", re.IGNORECASE)


class ScenarioSection(Section):
    """A situation in which the policy is applied, and the costs of errors in it."""

    risk: Literal["low", "medium", "high"]
    when: Conditions = Field(default_factory=dict)
    cost: dict[Name, Cost]


class RuleSection(Section):
    """Excludes every value of ``never`` wherever all conditions of ``when`` hold."""

    when: Conditions
    never: Conditions
    because: str


class PolicySection(Section):
    """The contents of a policy file, before the checks across sections."""

    name: Name
    question: str
    labels: dict[Name, dict[Name, Values]]
    scenarios: dict[Name, ScenarioSection] = Field(default_factory=dict)
    factors: dict[Name, Values]
    rules: tuple[RuleSection, ...] = ()
    caption: Annotated[tuple[str, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor that varies: its values of positive weight, their shares (sum 1) and their words for the caption."""

    name: str
    values: tuple[str, ...]
    shares: tuple[float, ...]
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A situation; ``costs`` maps a label to the cost of predicting it wrongly."""

    name: str
    risk: str
    when: Mapping[str, tuple[str, ...]]
    costs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rule:
    """Excludes every value of ``never`` wherever all conditions of ``when`` hold."""

    when: Mapping[str, tuple[str, ...]]
    never: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked policy.

    Attributes:
        labels: Label -> factors that only this label has (slots); the last label is the positive one.
        factors: Factors that all labels share.
        scenarios: Scenarios in the order in which their conditions are tried.
        caption: Clauses of the caption, with factor names in braces.
    """

    name: str
    question: str
    labels: Mapping[str, tuple[Factor, ...]]
    factors: tuple[Factor, ...]
    scenarios: tuple[Scenario, ...]
    rules: tuple[Rule, ...]
    caption: tuple[str, ...]

    def factors_of(self, label: str) -> tuple[Factor, ...]:
        """All factors of a picture with this label: the shared ones, then the label's own."""
        return (*self.factors, *self.labels[label])

    def slots(self) -> frozenset[str]:
        """Names of the factors that belong to labels. They may reveal the label; shared factors must not."""
        return frozenset(factor.name for own in self.labels.values() for factor in own)

    def scenario_of(self, values: Mapping[str, str]) -> str | None:
        """Name of the first scenario whose conditions these factor values meet; None if there is none."""
        for scenario in self.scenarios:
            if all(values.get(name) in allowed for name, allowed in scenario.when.items()):
                return scenario.name
        return None


def load_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        PolicyError: The file is missing or not YAML, or it has an unknown key, only one label, a caption with an
            unknown factor, a condition on unknown values, a negation, or two labels that no factor distinguishes.
            The message names every problem.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        present = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise PolicyError(f"params.yaml policy: {path} is missing; policies in that folder: {present}") from error
    except yaml.YAMLError as error:
        raise PolicyError(f"{path}: not YAML: {error}") from error
    try:
        section = PolicySection.model_validate(raw)
    except ValidationError as error:
        raise PolicyError(explain(str(path), error)) from error
    problems = list(_problems(section))
    if problems:
        raise PolicyError("\n".join(f"{path} {problem}" for problem in problems))
    return _checked(section)


def _checked(section: PolicySection) -> Policy:
    return Policy(
        name=section.name,
        question=section.question,
        labels={label: tuple(_factor(*item) for item in own.items()) for label, own in section.labels.items()},
        factors=tuple(_factor(*item) for item in section.factors.items()),
        scenarios=tuple(
            Scenario(name, s.risk, s.when, {label.removeprefix("false_"): cost for label, cost in s.cost.items()})
            for name, s in section.scenarios.items()
        ),
        rules=tuple(Rule(rule.when, rule.never) for rule in section.rules),
        caption=section.caption,
    )


def _factor(name: str, values: Values) -> Factor:
    drawn = {value: entry for value, entry in values.items() if entry[0] > 0}
    total = sum(weight for weight, _ in drawn.values())
    return Factor(
        name=name,
        values=tuple(drawn),
        shares=tuple(weight / total for weight, _ in drawn.values()),
        phrases=tuple(words for _, words in drawn.values()),
    )


def _problems(section: PolicySection) -> Iterator[str]:
    """Every problem of a well-formed policy, beginning with its place in the file."""
    if len(section.labels) < 2:
        yield f"labels: {', '.join(section.labels) or 'none'}; expected two or more, the positive one last"
    known = _known_values(section)
    for label, own in section.labels.items():
        for name in own.keys() & section.factors.keys():
            yield f"labels.{label}.{name}: also under factors; expected in only one of the two places"
    yield from _weight_problems(section)
    yield from _word_problems(section, known)
    yield from _condition_problems(section, known)
    yield from _scenario_problems(section)
    yield from _distinction_problems(section)


def _known_values(section: PolicySection) -> dict[str, set[str]]:
    known: dict[str, set[str]] = {LABEL: set(section.labels)}
    for own in (section.factors, *section.labels.values()):
        for name, values in own.items():
            known.setdefault(name, set()).update(values)
    return known


def _factor_places(section: PolicySection) -> Iterator[tuple[str, Values]]:
    for name, values in section.factors.items():
        yield f"factors.{name}", values
    for label, own in section.labels.items():
        for name, values in own.items():
            yield f"labels.{label}.{name}", values


def _weight_problems(section: PolicySection) -> Iterator[str]:
    for place, values in _factor_places(section):
        if place.rpartition(".")[2] in {LABEL, SCENARIO}:
            yield f"{place}: a reserved name; expected another name"
        if not any(weight > 0 for weight, _ in values.values()):
            yield f"{place}: no value has a weight above 0; expected at least one"


def _word_problems(section: PolicySection, known: Mapping[str, set[str]]) -> Iterator[str]:
    texts = [(f"caption.{number}", clause) for number, clause in enumerate(section.caption)]
    texts += [
        (f"{place}.{value}", words) for place, values in _factor_places(section) for value, (_, words) in values.items()
    ]
    for place, text in texts:
        try:
            fields = [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
        except ValueError as error:
            yield f"{place}: {text!r}; {error}"
            continue
        for field in fields:
            if field not in known:
                yield f"{place}: {{{field}}}; expected the name of a factor: {', '.join(sorted(known))}"
        negation = NEGATION.search(text)
        if negation:
            yield f"{place}: {negation.group()!r} in {text!r}; describe what is visible: image models draw every word"


def _condition_problems(section: PolicySection, known: Mapping[str, set[str]]) -> Iterator[str]:
    conditions = [(f"scenarios.{name}.when", scenario.when) for name, scenario in section.scenarios.items()]
    for number, rule in enumerate(section.rules):
        conditions += [(f"rules.{number}.when", rule.when), (f"rules.{number}.never", rule.never)]
    for place, condition in conditions:
        for name, values in condition.items():
            if name not in known:
                yield f"{place}.{name}: no such factor; expected one of {', '.join(sorted(known))}"
                continue
            for value in sorted(set(values) - known[name]):
                yield f"{place}.{name}: {value}; expected values of this factor: {', '.join(sorted(known[name]))}"
    for number, rule in enumerate(section.rules):
        if LABEL in rule.never:
            yield f"rules.{number}.never.label: labels are balanced by design; expected the label under when"


def _scenario_problems(section: PolicySection) -> Iterator[str]:
    expected = {f"false_{label}" for label in section.labels}
    for name, scenario in section.scenarios.items():
        if set(scenario.cost) != expected:
            priced = ", ".join(sorted(scenario.cost)) or "no cost"
            yield f"scenarios.{name}.cost: {priced}; expected {', '.join(sorted(expected))}"


def _distinction_problems(section: PolicySection) -> Iterator[str]:
    for (first, own), (second, other) in itertools.combinations(section.labels.items(), 2):
        if not any(set(own[name]).isdisjoint(other[name]) for name in own.keys() & other.keys()):
            yield f"labels: no factor distinguishes {first} from {second}; expected one without common values"
