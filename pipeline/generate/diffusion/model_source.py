"""Source of a diffusion model: its folder or hub id, completeness, revision and licence.

Reads model files to hash them, and the model card (README.md) for the licence; contacts the hub only for a hub id.
Writes only huggingface_hub's cache.
"""

from __future__ import annotations

import contextlib
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from pipeline.config.yaml_file import YamlError, parse_yaml
from pipeline.data.hashing import hash_folder
from pipeline.errors import ModelError, ParamsError, cut, shown
from pipeline.generate.diffusion.presets import BUNDLED, Preset

WEIGHTS = Path(__file__).parents[2] / "bundled_diffusion" / "weights"
UNKNOWN = "unknown"
CHECKER_PARTS = {"safety_checker", "feature_extractor"}
"""Parts of a model that only its safety checker needs."""
PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
LOADING_ERRORS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    ImportError,
    SafetensorError,
)
"""What diffusers and transformers raise where a model folder is incomplete, damaged, or made for another version."""
REPAIR = "save it with DiffusionPipeline.save_pretrained, or download it again"
REPAIR_BUNDLED = "restore pipeline/bundled_diffusion/weights/ of this version of Gossamer, or choose another preset"
# Matches the names of licences that forbid commercial use: cc-by-nc-4.0, sai-nc-community, ...
NON_COMMERCIAL = re.compile(r"(^|[^a-z])nc([^a-z]|$)|non-?commercial|research", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence.

    Attributes:
        name: Its name, e.g. "sai-nc-community".
        tag: ``license`` of the model card, in the hub's vocabulary; "other" for licences it does not list.
    """

    name: str = UNKNOWN
    tag: str = UNKNOWN


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model on this machine or on the hub.

    Attributes:
        name: Hub id, or name of the folder.
        folder: Folder of a local model; None: a hub id.
        commit: Commit of a hub id; None: a folder.
        card: Path of the model card, which may not exist.
    """

    name: str
    folder: Path | None
    commit: str | None
    card: Path

    def revision(self) -> str:
        """Return the commit of a hub id, or a hash of a folder's files."""
        return self.commit or hash_folder(self.folder or Path())


def local_folder(model: str) -> Path | None:
    """Return the folder of a local or the bundled model; None: ``model`` is a hub id."""
    if model == BUNDLED:
        return WEIGHTS
    return Path(model) if Path(model).is_dir() else None


def find_source(preset: Preset, place: str) -> ModelSource:
    """Find a preset's model.

    Args:
        preset: Its ``model`` is "bundled", a folder or a hub id.
        place: Path of the preset in params.yaml, for messages.

    Raises:
        ModelError: It is neither a local folder nor available from the hub, or the folder is incomplete.
    """
    folder = local_folder(preset.model)
    if folder is None:
        return _find_on_hub(preset, place)
    check_folder(folder, preset, place)
    name = BUNDLED if preset.model == BUNDLED else folder.resolve().name
    return ModelSource(name, folder, None, folder / "README.md")


def check_folder(folder: Path, preset: Preset, place: str) -> None:
    """Check that a model folder has every part that its model_index.json lists.

    Raises:
        ModelError: It is no diffusers folder, or a part is missing.
    """
    lead = f"{place}.model: {preset.model} ({folder.name}/) is not a complete diffusers model"
    advice = REPAIR_BUNDLED if preset.model == BUNDLED else REPAIR
    try:
        index = json.loads((folder / "model_index.json").read_bytes())
    except FileNotFoundError as error:
        raise ModelError(f"{lead}: model_index.json is missing; expected the diffusers layout; {advice}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{lead}: model_index.json is not JSON ({cut(str(error))}); {advice}") from error
    if not isinstance(index, dict):
        raise ModelError(f"{lead}: model_index.json: {shown(index)}; expected the parts of a pipeline; {advice}")
    parts = {name: kind for name, kind in index.items() if isinstance(kind, list) and kind and kind[0]}
    optional = set() if preset.safety_checker else CHECKER_PARTS
    missing = [name for name in parts if name not in optional and not (folder / name).is_dir()]
    if missing:
        raise ModelError(
            f"{lead}: {missing[0]}/ is missing; expected {parts[missing[0]][1]} there, and in all: "
            f"{', '.join(f'{name}/' for name in parts)}; {advice}"
        )
    for name in parts:
        refuse_pickles(folder / name, f"{place}.model: {preset.model}")


def refuse_pickles(folder: Path, lead: str) -> None:
    """Refuse a folder whose weights are a pickle, which may run code when it is opened, and not safetensors.

    Args:
        folder: Folder of one model.
        lead: Beginning of the error.

    Raises:
        ModelError: The folder has pickled weights and no safetensors.
    """
    pickles = [path for path in sorted(folder.glob("*")) if path.suffix in PICKLES]
    if pickles and not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{lead}: {folder.name}/{pickles[0].name} is a pickle, which may run code when it is opened; expected "
            "weights as .safetensors; where you trust it, open the model in Python and save_pretrained() it again"
        )


def check_vocabulary(tokens: int, expected: int, lead: str) -> None:
    """Check that a tokenizer has the tokens of its text encoder: where its files are missing, it opens with none.

    Args:
        tokens: Size of the tokenizer.
        expected: Size of the text encoder's vocabulary.
        lead: Beginning of the error.

    Raises:
        ModelError: The tokenizer has fewer than half of them.
    """
    if tokens < expected / 2:
        raise ModelError(
            f"{lead}: a tokenizer of {tokens:,} tokens; expected {expected:,}, as many as its text encoder has; "
            "restore the tokenizer's files, or save the model again with save_pretrained()"
        )


def require_acknowledged(name: str, licence: Licence, preset: Preset, place: str) -> None:
    """Require that a licence which forbids commercial use is acknowledged in the preset.

    Raises:
        ParamsError: It is not.
    """
    if NON_COMMERCIAL.search(licence.name) and preset.licence_acknowledged != licence.name:
        found = "null" if preset.licence_acknowledged is None else repr(preset.licence_acknowledged)
        raise ParamsError(
            f"{place}.licence_acknowledged: {found}; {name} is under {licence.name}, which forbids commercial use, "
            f"perhaps also of generated images; read it, then set licence_acknowledged: {licence.name}"
        )


def read_licence(card: Path) -> Licence:
    """Read the licence from the front matter of a model card; "unknown" if there is none."""
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    front = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    try:
        facts = parse_yaml(front[1]) if front else None
    except YamlError:
        return Licence()
    if not isinstance(facts, dict) or not facts.get("license"):
        return Licence()
    licence = facts["license"]
    tag = cut(str(licence[0] if isinstance(licence, list) else licence).lower())
    return Licence(cut(str(facts.get("license_name") or tag)), tag)


def _find_on_hub(preset: Preset, place: str) -> ModelSource:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        index = Path(hf_hub_download(preset.model, "model_index.json", revision=preset.revision))
    except (OSError, ValueError, EntryNotFoundError) as error:
        raise ModelError(explain_unavailable(preset, place, error)) from error
    commit = index.parent.name  # the cache keeps a commit's files in snapshots/COMMIT/
    with contextlib.suppress(OSError, ValueError, EntryNotFoundError):  # no card; or offline, and no cached one
        hf_hub_download(preset.model, "README.md", revision=commit)
    return ModelSource(preset.model, None, commit, index.parent / "README.md")


def explain_unavailable(preset: Preset, place: str, error: Exception) -> str:
    """Word the error for a model that is neither a local folder nor available from the hub."""
    reason = textwrap.shorten(str(error).partition("\n")[0] or type(error).__name__, 160, placeholder="...")
    at = f" at revision {preset.revision}" if preset.revision else ""
    return (
        f"{place}.model: {preset.model} is not a local folder, and not available from the hub{at} ({reason}); "
        "expected bundled, a local folder in the diffusers layout, or a hub id and a network; or set "
        "generate.generator: rendered"
    )
