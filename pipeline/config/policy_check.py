"""Checks a policy against the generator, the verifier and the renderer that params.yaml chooses.

Finds generators and verifiers by their file names; each states what it learned (``vocabulary`` in the contracts of
``pipeline.generate.generators`` and ``pipeline.curate.verifiers``). Reads their tokenizers and headers of weights, no
weights, so the check takes a second. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.config.fields import PlugInSection, load_section
from pipeline.config.params import Params
from pipeline.config.policy import Policy
from pipeline.config.vocabulary import MAX_GAPS, Comparison, Vocabulary, compare_labels, compare_values, compare_words
from pipeline.errors import PolicyError, listed
from pipeline.machine import plugins

RENDERED = "rendered"
"""The generator that draws from factors, and the source of selfies that it draws."""


def check_policy(params: Params, policy: Policy, place: str, tell: Callable[[str], None]) -> None:
    """Tell what each chosen part of the chain knows of a policy, and stop where it is not enough.

    Args:
        params: Generator, verifier, source of the selfies, and ``prompts.allow_unknown_words``.
        policy: Policy to check.
        place: Its path, for messages.
        tell: Prints one line.

    Raises:
        PolicyError: Pictures of a label would show something else, or cannot be drawn.
        ParamsError: There is no such generator or verifier, or its section is wrong.
        ModelError: Its model is missing or damaged.
    """
    comparisons = examine(params, policy)
    for comparison in comparisons:
        for line in comparison.lines():
            tell(line)
    refuse_unknown(comparisons, place)


def examine(params: Params, policy: Policy) -> list[Comparison]:
    """Compare a policy with what each chosen part of the chain learned.

    Raises:
        ParamsError: There is no such generator or verifier, or its section is wrong.
        ModelError: Its model is missing or damaged.
    """
    comparisons = (
        []
        if params.dataset.source == "photos"
        else [_examine_generator(params, policy, name) for name in params.generate.generators]
    )
    comparisons.append(_examine_verifier(params, policy))
    if params.selfies.count:
        comparisons.append(_examine_renderer(params, policy))
    return comparisons


def refuse_unknown(comparisons: Sequence[Comparison], place: str) -> None:
    """Stop where pictures of a label would show something else, or cannot be drawn.

    Args:
        comparisons: Results of ``examine``.
        place: Path of the policy, for messages.

    Raises:
        PolicyError: Names every such value, and the ways out.
    """
    refused = [comparison for comparison in comparisons if any(gap.is_refused for gap in comparison.gaps)]
    if not refused:
        return
    lines = []
    for comparison in refused:
        gaps = [gap for gap in comparison.gaps if gap.is_refused]
        lines += [f"{place} {gap.place}: {gap.problem}" for gap in gaps[:MAX_GAPS]]
        lines.append(f"pictures of these labels would show something else; {comparison.advice}")
    raise PolicyError("\n".join(lines))


def _examine_generator(params: Params, policy: Policy, name: str) -> Comparison:
    vocabulary = _vocabulary(params.generate, name, "generate")
    diffusion = params.generate.section("stable_diffusion")
    chosen, part = diffusion.get("preset"), f"generator {name}"
    if vocabulary.factors is not None and name != params.generate.generator:
        advice = "set generate.mix: {} so that generate.generator draws all scenes, or change the policy"
        return compare_values(f"{part} (generate.mix)", vocabulary.factors, policy, advice, refuse=True)
    if vocabulary.factors is not None:
        presets = listed(list(diffusion.get("presets", {})))
        advice = (
            f"set generate.generator: stable_diffusion with a preset ({presets}), train on photographs "
            "(dataset.source: photos), or change the policy"
        )
        return compare_values(part, vocabulary.factors, policy, advice, refuse=True)
    others = listed([preset for preset in diffusion.get("presets", {}) if preset != chosen])
    advice = (
        f"choose another preset (generate.stable_diffusion.preset: {others}), train on photographs (dataset.source: "
        "photos), use other words, or set prompts.allow_unknown_words: true"
    )
    compared = compare_words(f"{part} (preset {chosen})", vocabulary, policy, advice)
    return compared.accepted() if params.prompts.allow_unknown_words else compared


def _examine_verifier(params: Params, policy: Policy) -> Comparison:
    name = params.curate.verifier
    vocabulary = _vocabulary(params.curate, name, "curate")
    advice = (
        "the labels would be checked by the pictures alone, and the gate reads unmeasured; choose another verifier "
        "(curate.verifier), or review the images (gossamer review) and set gate.require_label_verifier: false"
    )
    return compare_labels(f"verifier {name}", vocabulary.factors, policy, advice)


def _examine_renderer(params: Params, policy: Policy) -> Comparison:
    renderer = plugins.find(params.generate.plug_ins, RENDERED, "params.yaml selfies")
    size = renderer.Params(width=params.selfies.width, height=params.selfies.height)
    advice = (
        "stage selfies would stop there; test on photographs alone (selfies.count: 0, selfies.photographs, "
        "measure.headline), or change the policy"
    )
    known: Vocabulary = renderer.vocabulary(size)
    return compare_values("renderer of the selfies", known.factors or {}, policy, advice, refuse=False)


def _vocabulary(section: PlugInSection, name: str, place: str) -> Vocabulary:
    """What a plug-in learned; everything, where it does not state it."""
    kind = {"generate": "generator", "curate": "verifier"}[place]
    module = plugins.find(section.plug_ins, name, f"params.yaml {place}.{kind}")
    state = getattr(module, "vocabulary", None)
    if state is None:
        return Vocabulary()
    vocabulary: Vocabulary = state(load_section(module.Params, section.section(name), f"{place}.{name}"))
    return vocabulary
