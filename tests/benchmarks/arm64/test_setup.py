"""Setting up, all but the fetching: what is missing is said first, and a folder is made whole or not at all."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from benchmarks.arm64 import setup
from benchmarks.arm64.lab_layout import KEPT, PROCESSORS, RECORD, LabRecord, dress
from pipeline.errors import GossamerError

RECORDED = LabRecord(emulator="7", python="3.11", packages={}, runtimes={}, plugin_sha256="")


def test_a_machine_without_the_tools_is_told_all_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    lacks = "\n".join(setup.missing(tmp_path / "lab"))
    for tool in ("apt-get", "dpkg-deb", "cc", "qemu-aarch64"):
        assert f"{tool}: not found" in lacks
    with pytest.raises(GossamerError, match="cannot be set up here"):
        setup.set_up(tmp_path / "lab", lambda _text: None)
    assert not list(tmp_path.iterdir())


def test_an_emulator_without_plug_ins_is_told_from_one_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = tmp_path / "qemu-aarch64"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for options, lacking in (("-cpu model", True), ("-plugin file", False)):
        emulator.write_text(f"#!/bin/sh\necho 'qemu-aarch64 version 7.2.22'\necho '{options}'\n", encoding="utf-8")
        emulator.chmod(0o755)
        assert any("without plug-ins" in lack for lack in setup.missing(tmp_path / "lab")) == lacking


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    assert any("no ARM lab" in lack for lack in setup.missing(tmp_path / "photographs"))
    assert not any("no ARM lab" in lack for lack in setup.missing(tmp_path / "new"))


def test_wheels_that_are_there_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl"
    wheel.write_bytes(b"")
    monkeypatch.setattr(setup.sys, "executable", "/nonexistent")
    assert setup.fetch_wheels({"ai-edge-litert": "2.3.0"}, "3.11", tmp_path, lambda _text: None) == [wheel]


def test_what_pip_complains_of_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = tmp_path / "python"
    pip.write_text("#!/bin/sh\necho \"$@\" > asked\necho 'ERROR: No matching distribution' >&2\nexit 1\n")
    pip.chmod(0o755)
    monkeypatch.setattr(setup.sys, "executable", str(pip))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GossamerError, match=r"numpy==2\.4\.6 \(for aarch64, Python 3\.11\): ERROR: No matching"):
        setup.fetch_wheels({"numpy": "2.4.6"}, "3.11", tmp_path / "wheels", lambda _text: None)
    asked = (tmp_path / "asked").read_text(encoding="utf-8")
    assert "--platform=manylinux_2_28_aarch64" in asked
    assert "--only-binary=:all:" in asked


def test_a_new_lab_takes_the_old_ones_place_and_its_memory(tmp_path: Path) -> None:
    old, part = tmp_path / "lab", tmp_path / "lab.part"
    (old / KEPT).mkdir(parents=True)
    (old / KEPT / "key.json").write_text("5", encoding="utf-8")
    (old / "root").mkdir()
    for name in ("apt", "wheels", "root"):
        (part / name).mkdir(parents=True)
    (part / "root" / "new").touch()
    setup._finish(part, old, RECORDED)
    assert sorted(path.name for path in old.iterdir()) == [KEPT, RECORD, "root"]
    assert (old / "root" / "new").exists()
    assert (old / KEPT / "key.json").read_text(encoding="utf-8") == "5"
    assert not part.exists()


def test_a_processor_shows_the_root_and_its_own_registers(tmp_path: Path) -> None:
    (tmp_path / "root" / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "root" / "usr" / "bin" / "python3").touch()
    (tmp_path / "root" / "proc").mkdir()
    for _again in range(2):
        for processor in PROCESSORS:
            dress(tmp_path, processor)
    a76 = (tmp_path / "cortex-a76" / "proc" / "cpuinfo").read_text(encoding="utf-8")
    assert "CPU part\t: 0xd0b" in a76
    assert "asimddp" in a76, "by which runtimes choose kernels with dot products"
    a53 = (tmp_path / "cortex-a53" / "proc" / "cpuinfo").read_text(encoding="utf-8")
    assert "CPU part\t: 0xd03" in a53
    assert "asimddp" not in a53
    assert (tmp_path / "cortex-a53" / "usr" / "bin" / "python3").exists()
    assert (tmp_path / "cortex-a53" / "sys/devices/system/cpu/online").read_text(encoding="utf-8") == "0\n"


def test_a_root_is_unpacked_afresh_after_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(_archives: Path, _packages: object, root: Path) -> None:
        (root / "usr" / "bin").mkdir(parents=True)
        (root / "usr" / "bin" / "python3.13").touch()

    monkeypatch.setattr(setup.debian, "unpack", unpack)
    wheel = tmp_path / "thing.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing/__init__.py", "")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "half").touch()
    setup._unpack(setup.debian.Apt(tmp_path), {}, [wheel], tmp_path)
    assert not (tmp_path / "root" / "half").exists()
    assert (tmp_path / "root" / "usr" / "bin" / "python3").resolve().name == "python3.13"
    assert (tmp_path / "root" / "opt" / "wheels" / "thing" / "__init__.py").exists()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_the_plug_in_compiles_without_a_warning(tmp_path: Path) -> None:
    marks = ["-DAPI=1", "-DMARK=1", "-DSTART=1", "-DSTOP=2"]
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *marks, "-o", tmp_path / "count.so"]
    subprocess.run([*command, setup.PLUGIN_SOURCE], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_a_plug_in_that_is_refused_is_tried_for_later_interfaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "qemu-aarch64").write_text(
        "#!/bin/sh\n[ -e tried ] && exit 0\ntouch tried\necho 'plug-in needs API 2' >&2\nexit 1\n", encoding="utf-8"
    )
    (tmp_path / "qemu-aarch64").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    setup.build_plugin(tmp_path)
    (tmp_path / "qemu-aarch64").write_text("#!/bin/sh\necho 'no plug-ins today' >&2\nexit 1\n", encoding="utf-8")
    with pytest.raises(GossamerError, match="does not load the plug-in: no plug-ins today"):
        setup.build_plugin(tmp_path)


def test_a_wrong_argument_shows_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert setup.main(["--help"]) == 2
    assert "python -m benchmarks.arm64.setup [FOLDER]" in capsys.readouterr().err
