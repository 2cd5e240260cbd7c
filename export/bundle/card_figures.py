"""The measured figures that go into a bundle: parts of metrics/measure.json, machine.json and gate.json.

Protocols, because export does not import benchmarks. The records that ``benchmarks.evaluation`` reads fit them. A
figure that was not measured is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pipeline.data.records import Outcome


class Estimate(Protocol):
    """A figure with its confidence interval."""

    @property
    def value(self) -> float:
        """The figure."""

    @property
    def low(self) -> float:
        """Lower end of the interval."""

    @property
    def high(self) -> float:
        """Upper end of the interval."""


class ArtifactFigures(Protocol):
    """One artifact on the selfies."""

    @property
    def accuracy(self) -> Estimate | None:
        """Share of selfies decided correctly."""

    @property
    def fnr(self) -> float | None:
        """False negative rate."""

    @property
    def fpr(self) -> float | None:
        """False positive rate."""

    @property
    def agreement(self) -> float | None:
        """Share of selfies on which it decides as the checkpoint does."""

    @property
    def abstention_rate(self) -> float | None:
        """Share of selfies inside the retake band."""

    @property
    def selective_accuracy(self) -> float | None:
        """Accuracy on the selfies outside the retake band."""


class CheckpointFigures(Protocol):
    """The float checkpoint on the selfies."""

    @property
    def accuracy(self) -> Estimate | None:
        """Share of selfies decided correctly."""

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of the accuracies on both kinds of selfies, positive or not."""

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve."""


class SliceFigures(Protocol):
    """The checkpoint on the selfies that share a factor's value."""

    @property
    def count(self) -> int:
        """Number of selfies."""

    @property
    def accuracy(self) -> Estimate | None:
        """Share of them decided correctly."""


class Timing(Protocol):
    """Latency of one artifact on the machine that measured."""

    @property
    def latency_p50_ms(self) -> float:
        """Median time of one frame."""

    @property
    def latency_p90_ms(self) -> float:
        """90th percentile."""


class SelfieSet(Protocol):
    """A test set."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def licence(self) -> str:
        """The licence that photographs are used under; empty for rendered selfies."""

    @property
    def note(self) -> str:
        """What its owner says about it."""

    @property
    def count(self) -> int:
        """Number of selfies."""

    @property
    def labels(self) -> Mapping[str, int]:
        """Label -> number of selfies."""

    @property
    def dataset_id(self) -> str:
        """Id of the set."""

    @property
    def source(self) -> Literal["rendered", "photos"] | None:
        """Whether they were rendered or are photographs; None if unknown."""


class Training(Protocol):
    """What the checkpoint was trained on."""

    @property
    def backbone(self) -> str:
        """Name of the timm model; empty if unknown."""

    @property
    def labels(self) -> Mapping[str, int]:
        """Label -> number of training images."""


class Generation(Protocol):
    """Where the training images come from."""

    @property
    def generator(self) -> str:
        """Name of the generator, or "photos"."""

    @property
    def model(self) -> str | None:
        """Model of a diffusion generator."""

    @property
    def model_revision(self) -> str | None:
        """Its revision."""

    @property
    def model_licence(self) -> str | None:
        """Its licence."""


class SetFigures(Protocol):
    """The models on one test set."""

    @property
    def checkpoint(self) -> CheckpointFigures:
        """Figures of the float checkpoint."""

    @property
    def artifacts(self) -> Mapping[str, ArtifactFigures]:
        """Artifact id -> its figures."""

    @property
    def selfies(self) -> SelfieSet:
        """The test set."""

    @property
    def slices(self) -> Mapping[str, Mapping[str, SliceFigures]]:
        """Factor -> value -> figures."""


class Measurement(SetFigures, Protocol):
    """The models on all test sets; its own figures are those on the set that the verdict stands on."""

    @property
    def confidence(self) -> float:
        """Level of the intervals, in (0, 1)."""

    @property
    def every_set(self) -> Mapping[str, SetFigures]:
        """Name -> figures of every test set, that of the verdict first."""


@dataclass(frozen=True, slots=True)
class CardFigures:
    """Everything that was measured of a bundle's artifacts.

    Attributes:
        measurement: None where nothing was measured.
        timings: Artifact id -> its latency; artifacts that this machine has not timed are left out.
        verdict: Verdict of the gate; None where it has not run.
        training: None where the checkpoint comes from elsewhere.
        generation: None where the images come from elsewhere.
    """

    measurement: Measurement | None = None
    timings: Mapping[str, Timing] = field(default_factory=dict)
    verdict: Outcome | None = None
    training: Training | None = None
    generation: Generation | None = None
