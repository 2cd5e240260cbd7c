"""What the search of ``export.quantisation`` expects of every format's quantiser; each format's tests inherit it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from export.formats import ExportJob
from export.parity import ReferencePredictions
from export.quantisation.int8_search import Quantiser, Scheme
from export.toolkit_output import quiet_toolkits
from pipeline.train.model import PortableClassifier
from tests.export.tiny import draw_frames, job_of


class QuantiserContract:
    """Tests of one format's quantiser; a subclass says how to open it and how to look into its models."""

    @classmethod
    def open_quantiser(cls, job: ExportJob) -> Quantiser[Any]:
        raise NotImplementedError

    @classmethod
    def first_convolution(cls, quantiser: Quantiser[Any]) -> str:
        return next(op for op in quantiser.ops if "conv" in op.lower())

    def inputs_are_rounded(self, model: Any, op: str) -> bool:
        """Whether an op of a quantised model still has 8-bit inputs."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def quantiser(cls, classifier: PortableClassifier) -> Quantiser[Any]:
        with quiet_toolkits():
            return cls.open_quantiser(job_of(classifier, draw_frames(16, 8)))

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, quantiser: Quantiser[Any]) -> Any:
        """A model whose ops all have 8 bits."""
        with quiet_toolkits():
            return quantiser.quantise(Scheme(99.0))

    @pytest.fixture(scope="class")
    @classmethod
    def spared(cls, quantiser: Quantiser[Any]) -> Any:
        """A model whose first convolution is in float."""
        with quiet_toolkits():
            return quantiser.quantise(Scheme(99.0, (cls.first_convolution(quantiser),)))

    @pytest.fixture(scope="class")
    @classmethod
    def reference(cls, classifier: PortableClassifier) -> ReferencePredictions:
        return job_of(classifier, draw_frames(1, 8)).reference

    def test_an_op_that_is_to_stay_in_float_does_and_the_others_do_not(
        self, quantiser: Quantiser[Any], whole: Any, spared: Any
    ) -> None:
        op = self.first_convolution(quantiser)
        assert len(set(quantiser.ops)) == len(quantiser.ops) > 30
        assert self.inputs_are_rounded(whole, op)
        assert not self.inputs_are_rounded(spared, op)

    def test_one_quantised_op_errs_less_than_all_of_them(
        self, quantiser: Quantiser[Any], whole: Any, reference: ReferencePredictions
    ) -> None:
        with quiet_toolkits():
            alone = reference.parity_of(quantiser.isolate(self.first_convolution(quantiser), 99.0))
            together = reference.parity_of(quantiser.open(whole))
        assert 1e-4 < alone.log_odds_error < together.log_odds_error

    def test_the_same_scheme_gives_the_same_predictions(
        self, quantiser: Quantiser[Any], spared: Any, reference: ReferencePredictions
    ) -> None:
        op = self.first_convolution(quantiser)
        with quiet_toolkits():
            first, again = (quantiser.open(model) for model in (spared, quantiser.quantise(Scheme(99.0, (op,)))))
        np.testing.assert_array_equal(first(reference.frames[:2]), again(reference.frames[:2]))

    def test_narrower_ranges_change_the_predictions(
        self, quantiser: Quantiser[Any], reference: ReferencePredictions
    ) -> None:
        with quiet_toolkits():
            narrow, wide = (quantiser.open(quantiser.quantise(Scheme(percentile))) for percentile in (60.0, 100.0))
        assert not np.array_equal(narrow(reference.frames[:2]), wide(reference.frames[:2]))
