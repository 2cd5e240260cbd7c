"""The records that cross the disk, and how: one JSON object a line, or one a file.

Every record carries its own id and its parent's, so that a row of any table leads back to the prompt it came from:

    Prompt -> Image -> kept Image | Rejection -> Artifact -> Measurement -> Verdict

Reads and writes JSON lines and JSON files; writes are atomic (a temporary file, then a rename).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

Outcome = Literal["pass", "fail", "unmeasured"]
Fault = Literal["nsfw", "black", "nan"]


class Record(BaseModel):
    """A frozen row; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Prompt(Record):
    """One picture to make.

    Attributes:
        id: Stable under growth: asking for more prompts keeps the ids and texts of the first ones.
        group: The scene it belongs to (same person, light and place, any label); the unit of splitting.
        label: One of the policy's labels; set here, never changed afterwards.
        text: The caption, in English, positive wording only.
        seed: Noise seed in [0, 2**63); shared by the counterfactuals of a scene.
        factors: Factor name -> value, as in the policy; includes the label's own slots and the scenario.
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
        id: Id of the image; of a generated image, its prompt's.
        group: Images of one group never stand on both sides of a split.
        label: Label set at the prompt, or the name of the photograph's folder.
        factors: Known factor values; empty for photographs.
        shard: File name of the tar shard, beside the index.
        offset: Byte offset of the encoded image inside the shard.
        size_bytes: Length of the encoded image (PNG or JPEG).
        sha256: Of the encoded image.
        width: Pixels, after EXIF orientation.
        height: Pixels, after EXIF orientation.
        fault: What the generator failed on, else None: "nsfw" (blanked by its safety checker), "black" or "nan".
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


class Rejection(Record):
    """An image that curation, or a reader of photographs, put aside.

    Attributes:
        image_id: The image, or the file name of an unreadable photograph.
        label: Its label, unchanged.
        reason: A filter's name, e.g. "dark" or "label_error".
        score: The filter's score in [0, 1]; lower is worse.
        threshold: Scores below it are rejected.
        detail: What a person needs to understand it (the twin of a duplicate, the decoder's message).
    """

    image_id: str
    label: str
    reason: str
    score: float
    threshold: float
    detail: str = ""


class Decision(Record):
    """What a person decided on one very picture; stronger than every check of curation.

    Attributes:
        image_id: The image.
        sha256: Of the encoded image the person saw; a picture drawn anew is another one.
        decision: "keep" or "drop" it, or "undo" what was decided before.
        reason: What curation had said of it; "" of a kept one.
        decided_at: When, in UTC (ISO 8601).
    """

    image_id: str
    sha256: str
    decision: Literal["keep", "drop", "undo"]
    reason: str
    decided_at: AwareDatetime


class Tensor(Record):
    """What a phone passes in or gets out: name, shape, dtype, layout and meaning."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    range: tuple[float, float]
    meaning: str


class QuantisationTrial(Record):
    """One way to quantise: share of calibration frames within each range, ops left in float, and how it answered."""

    percentile: float
    float_ops: int
    agreement: float
    log_odds_error: float


class Quantisation(Record):
    """How an artifact's 8 bits were chosen: the way taken, all ways tried, and what was found to do harm.

    ``sensitivity`` says how far log-odds stray where an op alone has 8 bits, the worst first; empty where never asked.
    """

    percentile: float
    float_ops: tuple[str, ...]
    trials: tuple[QuantisationTrial, ...]
    sensitivity: dict[str, float]


class Artifact(Record):
    """One exported model file of one format and recipe (file: relative to its artifact.json)."""

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


class Artifacts(Record):
    """The artifact.json of one format: its artifacts, a recipe each."""

    format: str
    artifacts: tuple[Artifact, ...]


class Check(Record):
    """One question of the gate and its answer; ``value`` or ``limit`` is None where there is none to give."""

    name: str
    artifact: str
    value: float | None
    limit: float | None
    verdict: Outcome
    reason: str


class Verdict(Record):
    """What the gate decided, and every check behind it."""

    verdict: Outcome
    baseline: str
    checks: tuple[Check, ...]
