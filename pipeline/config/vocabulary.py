"""Compares a policy with what a generator or a verifier learned: words, and values of factors.

A small text-to-image model draws words that it has not learned as something else, and nothing later notices: a hair net
becomes a helmet, under the label of a hair net. Pure: reads and writes no file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from pipeline.config.policy import FIELD, Factor, Policy, fields_of
from pipeline.errors import listed, shown

WORD = re.compile(r"[^\W\d_]+")
MAX_GAPS = 20
"""Most gaps that are listed for one part."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a generator or a verifier learned; None: it takes anything.

    Attributes:
        words: Words of captions, in small letters.
        unclear: Words that it may have learned, or only as the end of a longer one.
        factors: Factor -> values.
    """

    words: AbstractSet[str] | None = None
    unclear: AbstractSet[str] = frozenset()
    factors: Mapping[str, Collection[str]] | None = None

    def knows(self, word: str) -> bool:
        """Whether a word was learned, or may have been."""
        return self.words is None or word in self.words or word in self.unclear

    def unknown(self, text: str) -> list[str]:
        """List the words of a text that were not learned, once each."""
        return [word for word in words_of(text) if not self.knows(word)]


@dataclass(frozen=True, slots=True)
class Gap:
    """Something in a policy that a part of the chain does not know.

    Attributes:
        place: Where it is in the policy, e.g. ``labels.net.headwear.hair_net``.
        problem: What is not known.
        is_refused: Whether pictures of a label would show something else.
    """

    place: str
    problem: str
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much of a policy one part of the chain knows.

    Attributes:
        summary: The part and the result, on one line.
        gaps: What it does not know.
        advice: What to do about the gaps; may be empty.
    """

    summary: str
    gaps: tuple[Gap, ...] = ()
    advice: str = ""

    def accepted(self) -> Comparison:
        """The same comparison, with no gap that is refused."""
        return replace(self, gaps=tuple(replace(gap, is_refused=False) for gap in self.gaps))

    def lines(self) -> Iterator[str]:
        """The summary, then a line per gap, then the advice."""
        yield self.summary
        for gap in self.gaps[:MAX_GAPS]:
            yield f"  {gap.place}: {gap.problem}"
        if len(self.gaps) > MAX_GAPS:
            yield f"  and {len(self.gaps) - MAX_GAPS:,} more"
        if self.gaps and self.advice:
            yield f"  {self.advice}"


def words_of(text: str) -> list[str]:
    """List the words of a text in small letters, once each, without names in braces and numbers."""
    return list(dict.fromkeys(WORD.findall(FIELD.sub(" ", text).lower())))


def compare_words(part: str, vocabulary: Vocabulary, policy: Policy, advice: str) -> Comparison:
    """Find the words of a policy that a generator did not learn.

    Of the factors that distinguish the labels, it refuses values whose own words are all unknown, and all values where
    none is free of unknown words. A word is a value's own if no caption, shared factor or other label has it. It also
    refuses a label that its captions do not mention.
    """
    texts = [*policy.caption, *(phrase for _, factor in _places(policy) for phrase in factor.phrases)]
    words = words_of(" ".join(texts))
    unknown = vocabulary.unknown(" ".join(texts))
    gaps = tuple(_word_gaps(vocabulary, policy))
    if not unknown:
        result = "takes any words" if vocabulary.words is None else f"knows all {len(words)} words of the policy"
        return Comparison(f"{part}: {result}", gaps, advice)
    learned = sorted(vocabulary.words or ())
    alike = {word: difflib.get_close_matches(word, learned, n=1, cutoff=0.8) for word in unknown}
    guesses = [f"{word} (did you mean {match[0]}?)" if match else word for word, match in alike.items()]
    summary = f"{part}: knows {len(words) - len(unknown)} of {len(words)} words of the policy, not {listed(guesses)}"
    return Comparison(summary, gaps, advice)


def compare_values(
    part: str, known: Mapping[str, Collection[str]], policy: Policy, advice: str, *, refuse: bool
) -> Comparison:
    """Find the factors and values of a policy that a renderer cannot draw; ``refuse``: whether it refuses them."""
    gaps: list[Gap] = []
    for place, factor in _places(policy):
        expected = known.get(factor.name)
        if expected is None:
            gaps.append(Gap(place, f"cannot draw this factor; expected {listed(known)}", refuse))
        else:
            missing = [value for value in factor.values if value not in expected]
            gaps += [
                Gap(f"{place}.{value}", f"cannot draw it; expected {listed(expected)}", refuse) for value in missing
            ]
    result = "draws all factors and values of the policy" if not gaps else "cannot draw all of the policy"
    return Comparison(f"{part}: {result}", tuple(gaps), advice)


def compare_labels(part: str, known: Mapping[str, Collection[str]] | None, policy: Policy, advice: str) -> Comparison:
    """Find out whether a verifier can tell a policy's labels apart; ``known``: factor -> values that it predicts."""
    name = policy.label_factor(known)
    if name is None:
        others = [factor.name for factor in next(iter(policy.labels.values()))]
        problem = f"it learned no values of {listed(others)} that tell them apart"
        return Comparison(f"{part}: cannot check the labels", (Gap("labels", problem),), advice)
    missing = [
        Gap(
            f"labels.{label}.{name}.{value}",
            "not learned; its pictures may be rejected as label_error: look at them (gossamer review)",
        )
        for label, own in policy.labels.items()
        for factor in own
        if factor.name == name
        for value in factor.values
        if known is not None and value not in known[name]
    ]
    return Comparison(f"{part}: checks the labels by {name}", tuple(missing))


def _places(policy: Policy) -> Iterator[tuple[str, Factor]]:
    """Yield every factor with its place in the file."""
    for label, own in policy.labels.items():
        yield from ((f"labels.{label}.{factor.name}", factor) for factor in own)
    yield from ((f"factors.{factor.name}", factor) for factor in policy.factors)


def _word_gaps(vocabulary: Vocabulary, policy: Policy) -> Iterator[Gap]:
    for number, clause in enumerate(policy.caption):
        if vocabulary.unknown(clause):
            yield Gap(f"caption.{number}", f"{shown(clause)}: does not know {listed(vocabulary.unknown(clause))}")
    for factor in policy.factors:
        yield from (_unknown_phrase(f"factors.{factor.name}", *gap) for gap in _unknown_phrases(vocabulary, factor, {}))
    for label, own in policy.labels.items():
        distinguishing = set(_distinguishing(policy, label))
        yield from _unnamed(policy, label, distinguishing)
        inner = {factor.name: factor for factor in own}
        for factor in own:
            unknown = list(_unknown_phrases(vocabulary, factor, inner))
            is_lost = len(unknown) == len(factor.values)
            for value, phrase, words in unknown:
                own_words = _own_words(policy, label, " ".join([phrase, *_inner_phrases(phrase, inner)]))
                is_other = not any(vocabulary.knows(word) for word in own_words)
                refused = factor.name in distinguishing and (is_lost or is_other)
                yield _unknown_phrase(f"labels.{label}.{factor.name}", value, phrase, words, is_refused=refused)


def _unknown_phrase(place: str, value: str, phrase: str, words: list[str], *, is_refused: bool = False) -> Gap:
    return Gap(f"{place}.{value}", f"{shown(phrase)}: does not know {listed(words)}", is_refused)


def _unknown_phrases(
    vocabulary: Vocabulary, factor: Factor, inner: Mapping[str, Factor]
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield value, phrase and unknown words; a factor of the same label in braces counts if all its values are lost."""
    for value, phrase in zip(factor.values, factor.phrases, strict=True):
        lost = [
            " ".join(inner[name].phrases)
            for name in fields_of(phrase)
            if name in inner and all(vocabulary.unknown(each) for each in inner[name].phrases)
        ]
        words = vocabulary.unknown(" ".join([phrase, *lost]))
        if words:
            yield value, phrase, words


def _inner_phrases(phrase: str, inner: Mapping[str, Factor]) -> Iterator[str]:
    for name in fields_of(phrase):
        if name in inner:
            yield from inner[name].phrases


def _distinguishing(policy: Policy, label: str) -> Iterator[str]:
    """Name the factors of a label that have no value in common with the same factor of some other label."""
    for factor in policy.labels[label]:
        for other, own in policy.labels.items():
            same = [set(each.values) for each in own if each.name == factor.name]
            if other != label and same and same[0].isdisjoint(factor.values):
                yield factor.name


def _unnamed(policy: Policy, label: str, distinguishing: AbstractSet[str]) -> Iterator[Gap]:
    """Refuse a label that its captions do not mention."""
    named, unread = set[str](), {name for clause in policy.caption for name in fields_of(clause)}
    while unread:
        named |= unread
        phrases = [each for factor in policy.factors_of(label) if factor.name in unread for each in factor.phrases]
        unread = {name for phrase in phrases for name in fields_of(phrase)} - named
    if not distinguishing & named:
        names = " or ".join(f"{{{name}}}" for name in sorted(distinguishing))
        yield Gap(f"labels.{label}", f"captions do not say it; expected {names} in the caption", is_refused=True)


def _own_words(policy: Policy, label: str, text: str) -> set[str]:
    """Words of a text about a label that no caption clause, shared factor or other label has."""
    others = [*policy.caption]
    for place, factor in _places(policy):
        if not place.startswith(f"labels.{label}."):
            others += factor.phrases
    return set(words_of(text)) - set(words_of(" ".join(others)))
