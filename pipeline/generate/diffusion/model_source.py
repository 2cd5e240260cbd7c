"""Where a model comes from: its folder or hub id, whether it is whole, which state of it, and under which licence.

Reads model files to hash them, and the model card (README.md) for the licence; asks the hub only about a hub id.
Writes nothing but what huggingface_hub caches.
"""

from __future__ import annotations

import contextlib
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.data.hashing import hash_folder
from pipeline.errors import ModelError, ParamsError
from pipeline.generate.diffusion.presets import BUNDLED, Preset

WEIGHTS = Path(__file__).parents[2] / "bundled_diffusion" / "weights"
UNKNOWN = "unknown"
CHECKER = {"safety_checker", "feature_extractor"}
"""The parts of a model that only its safety checker needs."""
REPAIR = "save it with DiffusionPipeline.save_pretrained, or fetch all of it from where it came"
REPAIR_BUNDLED = "bring back pipeline/bundled_diffusion/weights/ of this version of Gossamer, or choose another preset"
# What the names of licences that bar commercial use have in common: cc-by-nc-4.0, sai-nc-community, ...
NON_COMMERCIAL = re.compile(r"(^|[^a-z])nc([^a-z]|$)|non-?commercial|research", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence: its name, and the ``license`` of a card in the hub's vocabulary ("other" where it knows no name)."""

    name: str = UNKNOWN
    tag: str = UNKNOWN


@dataclass(frozen=True, slots=True)
class Source:
    """A model that was found.

    Attributes:
        name: Hub id, or a folder's own name.
        folder: Where it lies, if it is local.
        commit: Of a hub id.
        card: Its model card, which may be missing.
    """

    name: str
    folder: Path | None
    commit: str | None
    card: Path

    def revision(self) -> str:
        """The commit of a hub id; of a folder, a hash of its files' contents."""
        return self.commit or hash_folder(self.folder or Path())


def local_folder(model: str) -> Path | None:
    """The folder that ``model`` names, or None: it must be a hub id."""
    if model == BUNDLED:
        return WEIGHTS
    return Path(model) if Path(model).is_dir() else None


def find_source(preset: Preset, place: str) -> Source:
    """Find a preset's model; ``place`` names the preset in messages.

    Raises:
        ModelError: It is no folder here, and the hub does not give it; or the folder is not a whole diffusers model.
    """
    folder = local_folder(preset.model)
    if folder is None:
        return _ask_hub(preset, place)
    check_folder(folder, preset, place)
    name = BUNDLED if preset.model == BUNDLED else folder.resolve().name
    return Source(name, folder, None, folder / "README.md")


def check_folder(folder: Path, preset: Preset, place: str) -> None:
    """Compare a model folder with its own list of parts.

    Raises:
        ModelError: It is no diffusers folder, or a part of it is missing.
    """
    lead = f"{place}.model: {preset.model} ({folder.name}/) is not a whole diffusers model"
    advice = REPAIR_BUNDLED if preset.model == BUNDLED else REPAIR
    try:
        index = json.loads((folder / "model_index.json").read_bytes())
    except FileNotFoundError as error:
        raise ModelError(f"{lead}: model_index.json is missing; expected the diffusers layout; {advice}") from error
    except ValueError as error:
        raise ModelError(f"{lead}: model_index.json is not JSON ({error}); {advice}") from error
    parts = {name: kind for name, kind in index.items() if isinstance(kind, list) and kind and kind[0]}
    spared = set() if preset.safety_checker else CHECKER
    missing = [name for name in parts if name not in spared and not (folder / name).is_dir()]
    if missing:
        raise ModelError(
            f"{lead}: {missing[0]}/ is missing; expected {parts[missing[0]][1]} there, and in all: "
            f"{', '.join(f'{name}/' for name in parts)}; {advice}"
        )


def require_acknowledged(name: str, licence: Licence, preset: Preset, place: str) -> None:
    """Stop where a licence bars commercial use and nobody has written down that they know.

    Raises:
        ParamsError: It does, and nobody has.
    """
    if NON_COMMERCIAL.search(licence.name) and preset.licence_acknowledged != licence.name:
        found = "null" if preset.licence_acknowledged is None else repr(preset.licence_acknowledged)
        raise ParamsError(
            f"{place}.licence_acknowledged: {found}; {name} is under {licence.name}, which bars commercial use, maybe "
            f"of what is made with it as well; read it, then set licence_acknowledged: {licence.name}"
        )


def read_licence(card: Path) -> Licence:
    """Read the licence from the front matter of a model card; unknown where there is none."""
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    front = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    try:
        facts = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:
        return Licence()
    if not isinstance(facts, dict) or not facts.get("license"):
        return Licence()
    found = facts["license"]
    tag = str(found[0] if isinstance(found, list) else found).lower()
    return Licence(str(facts.get("license_name") or tag), tag)


def _ask_hub(preset: Preset, place: str) -> Source:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        index = Path(hf_hub_download(preset.model, "model_index.json", revision=preset.revision))
    except (OSError, ValueError, EntryNotFoundError) as error:
        raise ModelError(not_to_be_had(preset, place, error)) from error
    commit = index.parent.name  # the cache keeps a commit's files in snapshots/COMMIT/
    with contextlib.suppress(OSError, ValueError, EntryNotFoundError):  # it has no card; or offline, and none is cached
        hf_hub_download(preset.model, "README.md", revision=commit)
    return Source(preset.model, None, commit, index.parent / "README.md")


def not_to_be_had(preset: Preset, place: str, error: Exception) -> str:
    """Say that a model is no folder here and that the hub did not give it either, and what to do."""
    reason = textwrap.shorten(str(error).partition("\n")[0] or type(error).__name__, 160, placeholder="...")
    at = f" at revision {preset.revision}" if preset.revision else ""
    return (
        f"{place}.model: {preset.model} is no folder here, and the hub did not give it{at} ({reason}); expected "
        "bundled, a local folder in the diffusers layout, or a hub id and a network; or set generate.generator: "
        "rendered"
    )
