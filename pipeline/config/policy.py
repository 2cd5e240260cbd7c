"""A policy file: a question, its labels, the factors that vary, excluded combinations, and the costs of errors.

Reads policies/NAME.yaml and checks all of it, so that later stages need not. The comments in policies/helmet.yaml
explain the format.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Container, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError

from pipeline.config.fields import Section, explain, join_problems, no_boolean
from pipeline.config.yaml_file import read_yaml
from pipeline.errors import PolicyError, cut, listed, shown

MAX_WEIGHT = 1_000_000
"""Largest weight of a value, and largest cost of an error."""
Weight = Annotated[float, BeforeValidator(no_boolean), Field(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Text = Annotated[str, Field(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$", max_length=500)]
Values = dict[Name, tuple[Weight, Text]]
Conditions = dict[Name, tuple[Name, ...]]
Cost = Weight

LABEL = "label"
SCENARIO = "scenario"
FIELD = re.compile(r"\{([^{}]*)\}")
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
    because: Text


class PolicySection(Section):
    """The contents of a policy file, before the checks across sections."""

    name: Name
    question: Text
    labels: Annotated[dict[Name, dict[Name, Values]], Field(max_length=100)]
    scenarios: dict[Name, ScenarioSection] = Field(default_factory=dict)
    factors: dict[Name, Values]
    rules: tuple[RuleSection, ...] = ()
    caption: Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)]


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

    def label_factor(self, known: Mapping[str, Container[str]] | None = None) -> str | None:
        """Name the factor that distinguishes the labels: every label has it, and no value occurs under two labels.

        Args:
            known: Factor -> values that somebody knows; None: all are.

        Returns:
            The first such factor of which at least one value of each label is known; None: there is none.
        """
        owned = [{factor.name: factor.values for factor in own} for own in self.labels.values()]
        for name in owned[0]:
            values = [own[name] for own in owned if name in own]
            is_known = known is None or all(any(each in known.get(name, ()) for each in some) for some in values)
            if len(values) == len(owned) and is_known and len(set().union(*values)) == sum(map(len, values)):
                return name
        return None

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
    raw = read_yaml(path, PolicyError, _present(path))
    try:
        section = PolicySection.model_validate(raw)
    except ValidationError as error:
        raise PolicyError(explain(str(path), error)) from error
    problems = list(_problems(section))
    if problems:
        raise PolicyError(join_problems([f"{path} {problem}" for problem in problems]))
    return _checked(section)


def _present(path: Path) -> str:
    """Name the policies in the folder of one that is missing, and the one most alike."""
    present = sorted(other.stem for other in path.parent.glob("*.yaml"))
    alike = difflib.get_close_matches(path.stem[:100], present, n=1)
    meant = f"; did you mean {path.with_name(alike[0] + '.yaml')}?" if alike else ""
    return f"policies in that folder: {listed(present)}{meant}"


def fields_of(text: str) -> list[str]:
    """Names in braces in a clause of the caption, or in a value's words, in their order."""
    return FIELD.findall(text)


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
        yield f"labels: {listed(section.labels)}; expected two or more, the positive one last"
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
    factors = known.keys() - {LABEL}
    words = {(place, value): text for place, values in _factor_places(section) for value, (_, text) in values.items()}
    # Words are filled once, so the words that they name must be plain.
    filled = {place.rpartition(".")[2] for (place, _), text in words.items() if "{" in text}
    for number, clause in enumerate(section.caption):
        yield from _text_problems(f"caption.{number}", clause, factors, set())
    for (place, value), text in words.items():
        yield from _text_problems(f"{place}.{value}", text, factors, filled)


def _text_problems(place: str, text: str, factors: AbstractSet[str], filled: AbstractSet[str]) -> Iterator[str]:
    if any(brace in FIELD.sub("", text) for brace in "{}"):
        yield f"{place}: {shown(text)}; expected braces only around the name of a factor: {{NAME}}, and nothing else"
        return
    for field in fields_of(text):
        name = re.split(r"\W", field, maxsplit=1)[0]
        if field not in factors and name in factors:
            yield f"{place}: {{{cut(field, 60)}}}; expected {{{name}}}: a plain name, with no format or index"
        elif field not in factors:
            yield f"{place}: {{{cut(field, 60)}}}; expected the name of a factor: {listed(sorted(factors))}"
        elif field in filled:
            yield f"{place}: {{{field}}}; the words of {field} have braces themselves; expected plain words"
    negation = NEGATION.search(text)
    if negation:
        where = f"{negation.group()!r} in {shown(text)}"
        yield f"{place}: {where}; describe what is visible: image models draw every word"


def _condition_problems(section: PolicySection, known: Mapping[str, set[str]]) -> Iterator[str]:
    conditions = [(f"scenarios.{name}.when", scenario.when) for name, scenario in section.scenarios.items()]
    for number, rule in enumerate(section.rules):
        conditions += [(f"rules.{number}.when", rule.when), (f"rules.{number}.never", rule.never)]
    for place, condition in conditions:
        for name, values in condition.items():
            if name not in known:
                yield f"{place}.{name}: no such factor; expected one of {listed(sorted(known))}"
                continue
            for value in sorted(set(values) - known[name]):
                yield f"{place}.{name}: {value}; expected values of this factor: {listed(sorted(known[name]))}"
    for number, rule in enumerate(section.rules):
        if LABEL in rule.never:
            yield f"rules.{number}.never.label: labels are balanced by design; expected the label under when"


def _scenario_problems(section: PolicySection) -> Iterator[str]:
    expected = {f"false_{label}" for label in section.labels}
    for name, scenario in section.scenarios.items():
        if set(scenario.cost) != expected:
            priced = listed(sorted(scenario.cost), "no cost")
            yield f"scenarios.{name}.cost: {priced}; expected {listed(sorted(expected))}"


def _distinction_problems(section: PolicySection) -> Iterator[str]:
    for (first, own), (second, other) in itertools.combinations(section.labels.items(), 2):
        if not any(set(own[name]).isdisjoint(other[name]) for name in own.keys() & other.keys()):
            yield f"labels: no factor distinguishes {first} from {second}; expected one without common values"
