"""Setup without downloads: missing tools are listed first, and the folder appears complete or not at all."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from benchmarks.arm64 import setup
from benchmarks.arm64.lab_layout import CACHE, PROCESSORS, RECORD, LabRecord, link_root
from pipeline.errors import GossamerError

RECORDED = LabRecord(emulator="7", python="3.11", packages={}, runtimes={}, plugin_sha256="")


def test_all_missing_tools_are_listed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    lacks = "\n".join(setup.missing(tmp_path / "lab"))
    for tool in ("apt-get", "dpkg-deb", "cc", "qemu-aarch64"):
        assert f"{tool}: not found" in lacks
    with pytest.raises(GossamerError, match="cannot be set up here"):
        setup.set_up(tmp_path / "lab", lambda _text: None)
    assert not list(tmp_path.iterdir())


def test_an_emulator_without_plug_in_support_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = tmp_path / "qemu-aarch64"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for options, lacking in (("-cpu model", True), ("-plugin file", False)):
        emulator.write_text(f"#!/bin/sh\necho 'qemu-aarch64 version 7.2.22'\necho '{options}'\n", encoding="utf-8")
        emulator.chmod(0o755)
        assert any("without plug-ins" in lack for lack in setup.missing(tmp_path / "lab")) == lacking


def test_an_existing_folder_that_is_no_lab_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    assert any("is no ARM lab" in lack for lack in setup.missing(tmp_path / "photographs"))
    assert not any("is no ARM lab" in lack for lack in setup.missing(tmp_path / "new"))


@pytest.mark.parametrize("place", ["lab", "lab.part"])
def test_a_lab_and_a_begun_setup_with_somebody_elses_file_are_refused_by_its_name(tmp_path: Path, place: str) -> None:
    folder = tmp_path / place
    (folder / "root").mkdir(parents=True)
    (folder / "tmpab3_xyz9").mkdir()  # of a killed run
    (folder / (RECORD if place == "lab" else setup.BEGUN)).touch()
    assert not any(str(folder) in lack for lack in setup.missing(tmp_path / "lab")), "nothing but its own files"
    (folder / "holiday.jpg").touch()
    assert any(f"{folder}: holds 'holiday.jpg'" in lack for lack in setup.missing(tmp_path / "lab"))
    with pytest.raises(GossamerError, match=r"holiday\.jpg"):
        setup.set_up(tmp_path / "lab", lambda _text: None)
    assert (folder / "holiday.jpg").exists()


def test_a_folder_beside_the_lab_that_no_setup_began_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.part" / "root").mkdir(parents=True)
    assert any("lab.part: exists and is no ARM lab" in lack for lack in setup.missing(tmp_path / "lab"))


def test_wheels_that_were_fetched_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl"
    wheel.write_bytes(b"")
    monkeypatch.setattr(setup.sys, "executable", "/nonexistent")
    assert setup.fetch_wheels({"ai-edge-litert": "2.3.0"}, "3.11", tmp_path, lambda _text: None) == [wheel]


def test_an_error_of_pip_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = tmp_path / "python"
    pip.write_text("#!/bin/sh\necho \"$@\" > arguments\necho 'ERROR: No matching distribution' >&2\nexit 1\n")
    pip.chmod(0o755)
    monkeypatch.setattr(setup.sys, "executable", str(pip))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GossamerError, match=r"numpy==2\.4\.6 \(for aarch64, Python 3\.11\): ERROR: No matching"):
        setup.fetch_wheels({"numpy": "2.4.6"}, "3.11", tmp_path / "wheels", lambda _text: None)
    arguments = (tmp_path / "arguments").read_text(encoding="utf-8")
    assert "--platform=manylinux_2_28_aarch64" in arguments
    assert "--only-binary=:all:" in arguments


def test_a_new_lab_replaces_the_old_one_and_keeps_its_cache(tmp_path: Path) -> None:
    old, part = tmp_path / "lab", tmp_path / "lab.part"
    (old / CACHE).mkdir(parents=True)
    (old / CACHE / "key.json").write_text("5", encoding="utf-8")
    (old / "root").mkdir()
    for name in ("apt", "wheels", "root"):
        (part / name).mkdir(parents=True)
    (part / "root" / "new").touch()
    (part / setup.BEGUN).touch()
    setup._finish(part, old, RECORDED)
    assert sorted(path.name for path in old.iterdir()) == [CACHE, RECORD, "root"]
    assert (old / "root" / "new").exists()
    assert (old / CACHE / "key.json").read_text(encoding="utf-8") == "5"
    assert not part.exists()


def test_a_processor_folder_links_the_root_and_has_its_own_cpuinfo(tmp_path: Path) -> None:
    (tmp_path / "root" / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "root" / "usr" / "bin" / "python3").touch()
    (tmp_path / "root" / "proc").mkdir()
    for _again in range(2):
        for processor in PROCESSORS:
            link_root(tmp_path, processor)
    a76 = (tmp_path / "cortex-a76" / "proc" / "cpuinfo").read_text(encoding="utf-8")
    assert "CPU part\t: 0xd0b" in a76
    assert "asimddp" in a76, "runtimes choose dot product kernels by it"
    a53 = (tmp_path / "cortex-a53" / "proc" / "cpuinfo").read_text(encoding="utf-8")
    assert "CPU part\t: 0xd03" in a53
    assert "asimddp" not in a53
    assert (tmp_path / "cortex-a53" / "usr" / "bin" / "python3").exists()
    assert (tmp_path / "cortex-a53" / "sys/devices/system/cpu/online").read_text(encoding="utf-8") == "0\n"


def test_a_root_that_was_left_incomplete_is_unpacked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(_archives: Path, _packages: object, root: Path) -> None:
        (root / "usr" / "bin").mkdir(parents=True)
        (root / "usr" / "bin" / "python3.13").touch()

    monkeypatch.setattr(setup.debian_packages, "unpack", unpack)
    wheel = tmp_path / "thing.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing/__init__.py", "")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "half").touch()
    setup._unpack(setup.debian_packages.Apt(tmp_path), {}, [wheel], tmp_path)
    assert not (tmp_path / "root" / "half").exists()
    assert (tmp_path / "root" / "usr" / "bin" / "python3").resolve().name == "python3.13"
    assert (tmp_path / "root" / "opt" / "wheels" / "thing" / "__init__.py").exists()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_the_plug_in_compiles_without_warnings(tmp_path: Path) -> None:
    marks = ["-DAPI=1", "-DMARK=1", "-DSTART=1", "-DSTOP=2"]
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *marks, "-o", tmp_path / "count.so"]
    subprocess.run([*command, setup.PLUGIN_SOURCE], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_a_refused_plug_in_is_compiled_for_later_interfaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qemu-aarch64").write_text(
        "#!/bin/sh\n[ -e tried ] && exit 0\ntouch tried\necho 'plug-in needs API 2' >&2\nexit 1\n", encoding="utf-8"
    )
    (tmp_path / "qemu-aarch64").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    setup.build_plugin(tmp_path)
    (tmp_path / "qemu-aarch64").write_text("#!/bin/sh\necho 'no plug-ins today' >&2\nexit 1\n", encoding="utf-8")
    with pytest.raises(GossamerError, match="does not load the plug-in: no plug-ins today"):
        setup.build_plugin(tmp_path)


def test_the_help_option_prints_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert setup.main(["--help"]) == 2
    assert "python -m benchmarks.arm64.setup [FOLDER]" in capsys.readouterr().err
