"""Sources of models: revisions of folders and hub ids, complete folders, licences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from pipeline.data.hashing import hash_folder
from pipeline.errors import ModelError, ParamsError
from pipeline.generate.diffusion import model_source
from pipeline.generate.diffusion.model_source import Licence, find_source, read_licence, require_acknowledged
from tests.pipeline.tiny_diffusion import tiny_preset

COMMIT = "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"


def card(folder: Path, text: str) -> Path:
    (folder / "README.md").write_text(text, encoding="utf-8")
    return folder / "README.md"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\nlicense: creativeml-openrail-m\ntags: [a]\n---\n# Model", Licence(*["creativeml-openrail-m"] * 2)),
        ("---\nlicense: Apache-2.0\n---", Licence("apache-2.0", "apache-2.0")),
        ("---\nlicense: other\nlicense_name: sai-nc-community\n---\n", Licence("sai-nc-community", "other")),
        ("---\nlicense: [mit, apache-2.0]\n---\n", Licence("mit", "mit")),
        ("---\ntags: [a]\n---\n", Licence("unknown", "unknown")),
        ("---\nlicense: [\n---\n", Licence("unknown", "unknown")),
        ("---\nlicense: mit\nlicense: apache-2.0\n---\n", Licence("unknown", "unknown")),
        (f"---\nlicense: {'[' * 5000}\n---\n", Licence("unknown", "unknown")),
        (f"---\nlicense: other\nlicense_name: {'long ' * 100}\n---\n", Licence("long " * 39 + "lo...", "other")),
        ("# No front matter\n\nlicense: mit", Licence("unknown", "unknown")),
    ],
)
def test_the_licence_is_read_from_the_card(tmp_path: Path, text: str, expected: Licence) -> None:
    assert read_licence(card(tmp_path, text)) == expected


def test_without_a_card_the_licence_is_unknown(tmp_path: Path) -> None:
    assert read_licence(tmp_path / "README.md") == Licence("unknown", "unknown")


@pytest.mark.parametrize("index", ["[]", "null", "[" * 100_000, '"parts"', "{"])
def test_a_list_of_parts_that_is_none_is_an_error(tmp_path: Path, index: str) -> None:
    (tmp_path / "model_index.json").write_text(index, encoding="utf-8")
    with pytest.raises(ModelError, match=r"is not a complete diffusers model: model_index\.json"):
        find_source(tiny_preset(tmp_path), "here")


@pytest.mark.parametrize(
    "name",
    ["cc-by-nc-4.0", "cc-by-nc-sa-4.0", "sai-nc-community", "flux-1-dev-non-commercial-license", "noncommercial"],
)
def test_licences_that_forbid_commercial_use_must_be_acknowledged(name: str) -> None:
    with pytest.raises(ParamsError, match=f"here.licence_acknowledged: null; m is under {name}"):
        require_acknowledged("m", Licence(name, "other"), tiny_preset("m"), "here")
    with pytest.raises(ParamsError, match="licence_acknowledged: 'mit'; m is under"):
        require_acknowledged("m", Licence(name, "other"), tiny_preset("m", licence_acknowledged="mit"), "here")
    require_acknowledged("m", Licence(name, "other"), tiny_preset("m", licence_acknowledged=name), "here")


@pytest.mark.parametrize(
    "name", ["creativeml-openrail-m", "openrail++", "apache-2.0", "mit", "unknown", "bsd-3-clause"]
)
def test_other_licences_need_no_acknowledgement(name: str) -> None:
    require_acknowledged("m", Licence(name, name), tiny_preset("m"), "here")


def test_the_revision_of_a_folder_depends_on_its_visible_model_files_only(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "unet").mkdir(parents=True)
        (tmp_path / name / "unet" / "weights").write_bytes(b"1")
    (tmp_path / "two" / ".cache").mkdir()
    (tmp_path / "two" / ".cache" / "lock").write_bytes(b"x")
    (tmp_path / "two" / "README.md").write_text("# A card\n", encoding="utf-8")
    assert hash_folder(tmp_path / "one") == hash_folder(tmp_path / "two")
    (tmp_path / "two" / "unet" / "weights").write_bytes(b"2")
    assert hash_folder(tmp_path / "one") != hash_folder(tmp_path / "two")


def test_a_folder_without_a_valid_model_index_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a complete diffusers model: model_index\.json is missing; expected the"):
        find_source(tiny_preset(tmp_path), "here")
    (tmp_path / "model_index.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"model_index\.json is not JSON"):
        find_source(tiny_preset(tmp_path), "here")


def test_the_safety_checkers_parts_are_required_only_with_the_safety_checker(tmp_path: Path) -> None:
    index = {"_class_name": "X", "safety_checker": ["a", "Checker"], "feature_extractor": ["a", "F"], "o": [None, None]}
    (tmp_path / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    assert find_source(tiny_preset(tmp_path), "here").name == tmp_path.name
    with pytest.raises(ModelError, match="safety_checker/ is missing; expected Checker there"):
        find_source(tiny_preset(tmp_path, safety_checker=True), "here")


def test_the_bundled_model_is_the_folder_that_comes_with_gossamer(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert root / "pipeline" / "bundled_diffusion" / "weights" == model_source.WEIGHTS
    monkeypatch.setattr(model_source, "WEIGHTS", tmp_path)
    with pytest.raises(
        ModelError, match=r"bundled \(.*\) is not a complete .* restore pipeline/bundled_diffusion/weights/"
    ):
        find_source(tiny_preset("bundled"), "here")
    (tmp_path / "model_index.json").write_text("{}", encoding="utf-8")
    assert find_source(tiny_preset("bundled"), "here").name == "bundled"


def hub(folder: Path, files: dict[str, str]) -> Any:
    """A hub that has these files, cached as huggingface_hub caches them."""

    def download(_: str, name: str, revision: str | None = None) -> str:
        if name not in files:
            raise EntryNotFoundError(f"404: {name} at {revision}")
        path = folder / "snapshots" / COMMIT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name], encoding="utf-8")
        return str(path)

    return download


def test_a_hub_id_has_the_commit_as_revision_and_the_licence_of_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"model_index.json": "{}", "README.md": "---\nlicense: openrail++\n---\n"}
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub(tmp_path, files))
    found = find_source(tiny_preset("somebody/model", revision="main"), "here")
    assert (found.name, found.folder, found.revision()) == ("somebody/model", None, COMMIT)
    assert read_licence(found.card).name == "openrail++"


def test_a_hub_id_without_a_card_has_an_unknown_licence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub(tmp_path, {"model_index.json": "{}"}))
    assert read_licence(find_source(tiny_preset("somebody/model"), "here").card).name == "unknown"


def test_an_unreachable_hub_is_an_error_that_lists_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("Cannot find the requested files in the disk cache\nmore")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(ModelError) as caught:
        find_source(tiny_preset("somebody/model", revision="v2"), "here")
    assert str(caught.value).startswith("here.model: somebody/model is not a local folder, and not available from the")
    assert "revision v2 (Cannot find the requested files in the disk cache); expected bundled" in str(caught.value)
