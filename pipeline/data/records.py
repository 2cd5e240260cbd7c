"""The records that stages exchange on disk: pydantic models, one JSON object per line or per file.

Every record carries its own id and its parent's, so that a row of any table leads back to its prompt:

    Prompt -> Image -> kept Image | Rejection -> Artifact -> Measurement -> Verdict

``pipeline.data.storage`` reads and writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

Outcome = Literal["pass", "fail", "unmeasured"]
Fault = Literal["nsfw", "black", "nan"]


class Record(BaseModel):
    """Base of all records: frozen; unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Prompt(Record):
    """One image to generate.

    Attributes:
        id: Name of the prompt; a larger ``prompts.count`` keeps the ids and texts of the first prompts.
        group: The scene it belongs to (same person, light and place, any label); splits keep groups together.
        label: One of the policy's labels; set here, never changed afterwards.
        text: The caption, in English; describes what is in the image, never what is not.
        seed: Noise seed in [0, 2**63); the counterfactuals of a scene share it.
        factors: Factor name -> value, as in the policy; includes the label's own factors and the scenario.
    """

    id: str
    group: str
    label: str
    text: str
    seed: int
    factors: dict[str, str]


class Image(Record):
    """One image in a tar shard.

    Attributes:
        id: Name of the image; a generated image has its prompt's.
        group: Images of one group are never in both training and validation rows.
        label: The prompt's label, or the name of the photograph's folder.
        factors: Factor name -> value; of photographs those that a CSV file gives.
        shard: File name of the tar shard, in the folder of the index.
        offset: Byte offset of the encoded image in the shard.
        size_bytes: Length of the encoded image (PNG or JPEG).
        sha256: SHA-256 of the encoded image, hexadecimal.
        width: Pixels, after EXIF orientation.
        height: Pixels, after EXIF orientation.
        fault: How generation failed: "nsfw" (blanked by the model's safety checker), "black" or "nan"; else None.
        generator: Name of the generator that drew it; None of a photograph.
    """

    id: str
    group: str
    label: str
    factors: dict[str, str]
    shard: str
    offset: int
    size_bytes: int
    sha256: str
    width: int
    height: int
    fault: Fault | None = None
    generator: str | None = None


def more_images(images: Sequence[Image]) -> str:
    """Say how to get more images of the kind of these: generated images have factors, photographs have none."""
    if any(image.factors for image in images):
        return "generate more (prompts.count)"
    photographs = "add photographs to dataset.folder"
    return photographs if images else f"generate more (prompts.count), or {photographs}"


class Rejection(Record):
    """An image that curation rejected, or a photograph that could not be read.

    Attributes:
        image_id: Id of the image, or LABEL/FILE of an unreadable photograph.
        label: Its label, unchanged.
        reason: Name of the check, e.g. "dark" or "label_error".
        score: The check's score in [0, 1]; lower is worse.
        threshold: Scores below it are rejected.
        detail: What a person needs to know besides (the original of a duplicate, the decoder's message).
    """

    image_id: str
    label: str
    reason: str
    score: float
    threshold: float
    detail: str = ""


class Decision(Record):
    """A person's decision on one image; overrides curation's checks (``pipeline.curate.manual_overrides``).

    Attributes:
        image_id: Id of the image.
        sha256: SHA-256 of the encoded image that was reviewed; the decision does not apply to a new image of this id.
        decision: "keep" or "drop" it, or "undo" the decision before.
        reason: Curation's reason at that time; "" if it was kept.
        decided_at: When, in UTC (ISO 8601).
    """

    image_id: str
    sha256: str
    decision: Literal["keep", "drop", "undo"]
    reason: str
    decided_at: AwareDatetime


class Tensor(Record):
    """Input or output tensor of an artifact.

    Attributes:
        name: Name in the model file.
        shape: Sizes of all dimensions, the batch of 1 included.
        dtype: Element type, e.g. "uint8".
        layout: Meaning of the dimensions, e.g. "NHWC".
        range: (lowest, highest) value.
        meaning: What the values are, in words.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    range: tuple[float, float]
    meaning: str


class QuantisationTrial(Record):
    """One 8-bit configuration that was tried, and how it did on validation frames.

    Attributes:
        percentile: Per cent of calibration frames whose activations lie within each activation's range.
        float_ops: Number of operations left in float.
        agreement: Share of decisions equal to the checkpoint's.
        log_odds_error: Root mean square of the difference in log-odds from the checkpoint.
    """

    percentile: float
    float_ops: int
    agreement: float
    log_odds_error: float


class Quantisation(Record):
    """How an artifact's 8-bit configuration was chosen.

    Attributes:
        percentile: As in ``QuantisationTrial``, of the chosen configuration.
        float_ops: Names of the operations left in float.
        trials: All configurations that were tried, in order.
        sensitivity: Operation -> log-odds error with only that operation in 8 bits, the largest first; empty if it was
            not needed.
    """

    percentile: float
    float_ops: tuple[str, ...]
    trials: tuple[QuantisationTrial, ...]
    sensitivity: dict[str, float]


class Artifact(Record):
    """One exported model: an entry of artifacts/FORMAT/artifact.json.

    Attributes:
        id: FORMAT-RECIPE.
        format: Name of a format (export/formats/).
        recipe: Quantisation recipe, one of the format's.
        file: File or folder name, in the folder of artifact.json.
        sha256: SHA-256 of the file, or of the folder's list of files (``pipeline.data.hashing``).
        size_bytes: Size of the file, or of all files of the folder.
        input: The image that goes in.
        output: The probabilities that come out.
        labels: In the order of the output; the last is the positive one.
        threshold: Decide for the positive label where its probability is at least this high.
        retake_band: (low, high): probabilities between them ask for another photograph; None: it never asks.
        preprocess: The checkpoint's ``PreprocessSpec`` as JSON; all but the scaling to the input size is in the graph.
        tools: Package -> version, of what wrote the file.
        checkpoint_id: SHA-256 of the checkpoint's weights.
        dataset_id: SHA-256 over the rows it was trained on.
        quantisation: How the 8-bit configuration was chosen; None for recipes without 8-bit activations.
    """

    id: str
    format: str
    recipe: str
    file: str
    sha256: str
    size_bytes: int
    input: Tensor
    output: Tensor
    labels: tuple[str, ...]
    threshold: float
    retake_band: tuple[float, float] | None
    preprocess: dict[str, Any]
    tools: dict[str, str]
    checkpoint_id: str
    dataset_id: str
    quantisation: Quantisation | None = None


class ConvertInputs(Record):
    """What the artifacts of one format were made with, beside the checkpoint and the data set that each names.

    Attributes:
        policy: ``content_hash`` of the policy.
        params: ``content_hash`` of the section ``convert`` of params.yaml, with this format alone.
    """

    policy: str
    params: str


class Artifacts(Record):
    """Contents of artifact.json: the artifacts of one format, one per recipe.

    Attributes:
        format: Name of the format.
        artifacts: In the order of ``recipes`` in params.yaml.
        inputs: What they were made with; None in a file of an earlier version, which no release accepts.
    """

    format: str
    artifacts: tuple[Artifact, ...]
    inputs: ConvertInputs | None = None


class Check(Record):
    """One check of the gate.

    Attributes:
        name: Name of the check.
        artifact: Id of the artifact it concerns, or "*" for all.
        value: What was measured; None if it could not be, or is not a number.
        limit: What the value is compared with; None if there is no limit.
        verdict: "pass", "fail" or "unmeasured".
        reason: The verdict in words.
        test_set: Name of the test set it was made on; empty for the headline, and where it depends on none.
    """

    name: str
    artifact: str
    value: float | None
    limit: float | None
    verdict: Outcome
    reason: str
    test_set: str = ""


class MeasureInputs(Record):
    """What a measurement was made of, beside the checkpoint and the selfies, whose ids it has.

    Attributes:
        policy: ``content_hash`` of the policy.
        params: ``measure_params_hash`` of params.yaml.
        artifacts: Artifact name -> ``content_hash`` of its record in artifact.json, which has the SHA-256 of its file.
        predictions: ``Predictions.content_hash`` of the predictions that were written with it.
    """

    policy: str
    params: str
    artifacts: dict[str, str]
    predictions: str


class GateInputs(Record):
    """What a verdict was decided on.

    Attributes:
        measurement: ``content_hash`` of metrics/measure.json.
        predictions: ``Predictions.content_hash`` of data/predictions.parquet.
        baseline: Id of the accepted baseline; None if there was none.
        params: ``content_hash`` of the section ``gate`` of params.yaml.
    """

    measurement: str
    predictions: str
    baseline: str | None
    params: str


class Verdict(Record):
    """Contents of metrics/gate.json.

    Attributes:
        verdict: "fail" if a check that counts failed, else "unmeasured" if one could not be made, else "pass".
        baseline: Name of the baseline it was compared with, in words if there is none.
        checks: All checks.
        headline: Name of the test set it stands on.
        inputs: What it was decided on; None for a verdict that is on no disk, which no release accepts.
    """

    verdict: Outcome
    baseline: str
    checks: tuple[Check, ...]
    headline: str = "rendered"
    inputs: GateInputs | None = None
