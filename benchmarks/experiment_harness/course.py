"""The course that experiments share: folders in a work area, in which stages of the chain run as steps.

An experiment opens its folders, each with other params, and lists the steps in them; ``run_steps`` runs those that are
not finished. Paths inside a folder are those of dvc.yaml, so the commands get the arguments that DVC gives them. Reads
params.yaml and policies/ of the checkout; writes only below the work area.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from benchmarks.experiment_harness.workspace import (
    PARAMS,
    POLICIES,
    Changes,
    Step,
    derive_params,
    open_folder,
    run_gossamer,
)
from pipeline.config.fields import Section
from pipeline.config.params import Params, load_params

P = TypeVar("P", bound=Section)

PROMPTS, PROMPT_METRICS = Path("data/prompts.jsonl"), Path("metrics/prompts.json")
IMAGES, IMAGE_METRICS = Path("data/images"), Path("metrics/generate.json")
KEPT, REJECTED, CURATE_METRICS = Path("data/kept.jsonl"), Path("data/rejected.jsonl"), Path("metrics/curate.json")
CURATED = (KEPT, REJECTED, CURATE_METRICS, Path("report/curation"))
ROWS = (Path("data/train.jsonl"), Path("data/val.jsonl"))
SELFIES = Path("data/selfies")
CHECKPOINT = Path("models/checkpoint")
TRAINED = (CHECKPOINT, Path("metrics/train.json"), Path("plots/train.csv"))
ARTIFACTS = Path("artifacts")


@dataclass(frozen=True, slots=True)
class StageFolder:
    """A folder in which stages run as steps named FOLDER/STAGE.

    Each method returns the step of one stage. Arguments that name files of other folders are absolute paths, and
    ``needs`` names the steps that write them; by default a stage reads what the stage before it wrote in this folder.

    Attributes:
        path: The folder.
        policy: The policy file, relative to the folder.
    """

    path: Path
    policy: Path

    @property
    def name(self) -> str:
        """Name of the folder, with which the names of its steps begin."""
        return self.path.name

    def step(
        self,
        name: str,
        stage: str,
        action: Callable[[], object],
        outs: Sequence[Path],
        needs: tuple[str, ...] = (),
        **inputs: object,
    ) -> Step:
        """Return a step that calls a function.

        Args:
            name: Follows the folder's in the name of the step.
            stage: The stage whose params and code the result depends on.
            action: The function.
            outs: Files that it writes.
            needs: Names of the steps whose results it uses.
            inputs: Further values that the result depends on, such as params of the experiment.
        """
        paths = tuple(self.path / out for out in outs)
        return Step(f"{self.name}/{name}", stage, self.path, action, paths, needs, inputs=inputs)

    def prompts(self) -> Step:
        """Draw prompts."""
        return self._command(("prompts", self.policy, PROMPTS, PROMPT_METRICS), (PROMPTS, PROMPT_METRICS))

    def selfies(self) -> Step:
        """Make the test set."""
        return self._command(("selfies", self.policy, SELFIES, IMAGES), (SELFIES,))

    def generate(self, prompts: Path = PROMPTS, needs: tuple[str, ...] | None = None) -> Step:
        """Generate images of prompts, or pack photographs where the folder's params say so."""
        return self._command(
            ("generate", prompts, self.policy, IMAGES, IMAGE_METRICS),
            (IMAGES, IMAGE_METRICS),
            self._own("prompts") if needs is None else needs,
        )

    def curate(self, images: Path = IMAGES, needs: tuple[str, ...] | None = None) -> Step:
        """Curate images."""
        return self._command(
            ("curate", images, self.policy, *CURATED), CURATED, self._own("generate") if needs is None else needs
        )

    def split(self, kept: Path = KEPT, needs: tuple[str, ...] | None = None) -> Step:
        """Split kept images into training and validation rows."""
        return self._command(("split", kept, *ROWS), ROWS, self._own("curate") if needs is None else needs)

    def train(self, rows: Sequence[Path], images: Path, needs: tuple[str, ...]) -> Step:
        """Train on (training rows, validation rows) of images in shards."""
        return self._command(("train", *rows, images, self.policy, *TRAINED), TRAINED, needs)

    def convert(self, format_name: str, rows: Sequence[Path], images: Path, needs: tuple[str, ...]) -> Step:
        """Convert the folder's checkpoint to one format; the step is named convert-FORMAT."""
        inputs: tuple[str | Path, ...] = (format_name, CHECKPOINT, *rows, images, self.policy)
        arguments = ("convert", *inputs, ARTIFACTS, "metrics")
        return self._command(arguments, (ARTIFACTS / format_name,), needs, format_name)

    def _command(
        self, arguments: Sequence[str | Path], outs: Sequence[Path], needs: tuple[str, ...] = (), key: str = ""
    ) -> Step:
        stage = str(arguments[0])
        name = f"{self.name}/{stage}-{key}" if key else f"{self.name}/{stage}"
        action = partial(run_gossamer, self.path, *arguments)
        return Step(name, stage, self.path, action, tuple(self.path / out for out in outs), needs, key)

    def _own(self, stage: str) -> tuple[str, ...]:
        return (f"{self.name}/{stage}",)


@dataclass(frozen=True, slots=True)
class Experiment(Generic[P]):
    """A running experiment.

    Attributes:
        work: Its work area.
        params: Its params.
        base: The checkout's params.yaml, which all its folders start from.
        policies: The checkout's folder of policies.
    """

    work: Path
    params: P
    base: Params
    policies: Path = Path(POLICIES)

    def open(self, name: str, changes: Changes) -> StageFolder:
        """Open the folder WORK/NAME with changed params."""
        params = derive_params(self.base, changes)
        path = open_folder(self.work / name, params, self.policies)
        return StageFolder(path, Path(POLICIES) / f"{params.policy}.yaml")

    @property
    def policy_file(self) -> Path:
        """The policy file in the checkout."""
        return self.policies / f"{self.base.policy}.yaml"


def open_experiment(params: P, work: Path, policy: str | None = None) -> Experiment[P]:
    """Start an experiment from the params.yaml of the current folder; ``policy`` replaces the one it names.

    Raises:
        ParamsError: params.yaml is missing or wrong.
    """
    base = load_params(Path(PARAMS))
    return Experiment(work, params, base.model_copy(update={"policy": policy}) if policy else base)
