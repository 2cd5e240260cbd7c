"""What the figures of a run, or of a benchmark, depend on besides the code: policy, params and the bundled weights.

Reads the weights of the bundled model; writes nothing. A benchmark stores its conditions with its result, and the
report compares them with those of the run that it shows: figures of another policy or model are not this run's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from pipeline.config.fields import ROOT
from pipeline.config.params import Params
from pipeline.config.policy import Policy
from pipeline.data.hashing import content_hash, hash_folder
from pipeline.data.records import Record

WEIGHTS = ROOT / "pipeline" / "bundled_diffusion" / "weights"
SECTIONS = ("dataset", "prompts", "generate", "curate", "split", "train", "selfies", "convert")
"""Sections of params.yaml that a model and its test set are made with."""


class Conditions(Record):
    """Policy, params and weights; what an earlier version did not record is empty, and equal to nothing.

    Attributes:
        policy: Name of the policy.
        policy_hash: Hash of its contents.
        weights: Hash of the bundled model's weights.
        params: Section of params.yaml -> hash of its contents.
    """

    policy: str
    policy_hash: str = ""
    weights: str = ""
    params: dict[str, str] = Field(default_factory=dict)


def read_conditions(params: Params, policy: Policy, weights: Path = WEIGHTS) -> Conditions:
    """Hash the conditions of this checkout.

    Args:
        params: params.yaml.
        policy: The policy that is used.
        weights: Folder of the bundled model.
    """
    return Conditions(
        policy=policy.name,
        policy_hash=content_hash(policy),
        weights=hash_folder(weights),
        params={name: content_hash(getattr(params, name)) for name in SECTIONS},
    )


def differences(theirs: Conditions, ours: Conditions) -> tuple[str, ...]:
    """What differs between the conditions of other figures and of this run, in words; empty where nothing does."""
    return tuple(_differences(theirs, ours))


def _differences(theirs: Conditions, ours: Conditions) -> Iterator[str]:
    if theirs.policy != ours.policy:
        yield f"policy {theirs.policy} instead of {ours.policy}"
    elif not _same(theirs.policy_hash, ours.policy_hash):
        yield _name(f"text of policy {theirs.policy}", recorded=bool(theirs.policy_hash))
    if not _same(theirs.weights, ours.weights):
        yield _name("weights of the bundled model", recorded=bool(theirs.weights))
    sections = [name for name in SECTIONS if not _same(theirs.params.get(name, ""), ours.params.get(name, ""))]
    if sections:
        yield _name(f"params {', '.join(sections)}", recorded=bool(theirs.params))


def _same(one: str, other: str) -> bool:
    return bool(one) and one == other


def _name(what: str, *, recorded: bool) -> str:
    return f"other {what}" if recorded else f"{what}, not recorded"
