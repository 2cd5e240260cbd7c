"""Reads the output of apt and writes its configuration; fetches nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.arm64 import debian_packages
from pipeline.errors import GossamerError

DEPENDS = "python3-minimal\n  PreDepends: python3.11-minimal\n  Depends: dpkg\n"
SIMULATED = """The following NEW packages will be installed:
  gcc-12-base libc6 zlib1g
Inst gcc-12-base (12.2.0-14+deb12u1 Debian:12.15/oldstable [arm64])
Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [arm64]) []
Inst zlib1g (1:1.2.13.dfsg-1 Debian:12.15/oldstable [arm64])
Conf libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [arm64])
"""


def test_the_version_of_python_is_read_from_the_dependencies() -> None:
    assert debian_packages.python_version(DEPENDS) == "3.11"
    with pytest.raises(GossamerError, match="expected Debian 12 or later"):
        debian_packages.python_version("N: Unable to locate package python3-minimal\n")


def test_packages_and_versions_are_read_from_a_simulated_installation() -> None:
    assert debian_packages.packages(SIMULATED) == {
        "gcc-12-base": "12.2.0-14+deb12u1",
        "libc6": "2.36-9+deb12u14",
        "zlib1g": "1:1.2.13.dfsg-1",
    }


@pytest.mark.parametrize(
    ("plan", "size"),
    [("Need to get 15.6 MB of archives.", "15.6 MB"), ("Need to get 0 B/15.6 MB of archives.", "0 B"), ("", "nothing")],
)
def test_the_size_is_that_of_the_remaining_download(plan: str, size: str) -> None:
    assert debian_packages.fetch_size(plan) == size


def test_apt_is_configured_for_arm64_only_and_in_its_own_folder(tmp_path: Path) -> None:
    apt = debian_packages.Apt(tmp_path / "apt")
    apt.configure()
    config = (tmp_path / "apt" / "apt.conf").read_text(encoding="utf-8")
    assert 'APT::Architectures { "arm64"; };' in config
    assert f'Dir::State "{tmp_path}/apt";' in config
    assert f'Dir::Cache "{tmp_path}/apt/cache";' in config
    assert (tmp_path / "apt" / "status").read_bytes() == b"", "as if nothing were installed"


@pytest.mark.skipif(shutil.which("apt-config") is None, reason="no apt here")
def test_apt_reads_that_configuration(tmp_path: Path) -> None:
    apt = debian_packages.Apt(tmp_path)
    apt.configure()
    read = apt.run("apt-config", "dump")
    assert 'APT::Architectures:: "arm64";' in read
    assert "amd64" not in read.partition("APT::Architectures")[2].partition("\n")[0]
    assert f'Dir::State::status "{tmp_path}/status";' in read


def test_an_error_of_apt_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "apt-get"
    failing.write_text("#!/bin/sh\necho 'W: slow' >&2\necho 'E: Unable to locate package libc6' >&2\nexit 100\n")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(GossamerError, match=r"apt-get update \(for arm64\): E: Unable to locate package libc6"):
        debian_packages.Apt(tmp_path).run("apt-get", "update")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb here")
def test_packages_are_unpacked_without_running_their_scripts(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr" / "lib").mkdir(parents=True)
    (tree / "usr" / "lib" / "libthing.so").write_bytes(b"library")
    control = "Package: thing\nVersion: 1:2.0\nArchitecture: arm64\nMaintainer: N <n@example.org>\nDescription: thing\n"
    (tree / "DEBIAN" / "control").write_text(control, encoding="utf-8")
    (tree / "DEBIAN" / "postinst").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n", encoding="utf-8")
    (tree / "DEBIAN" / "postinst").chmod(0o755)
    archive = tmp_path / "thing_1%3a2.0_arm64.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, archive], check=True, capture_output=True)
    (tmp_path / "stale_1.0_arm64.deb").write_bytes(b"of an earlier plan, must be ignored")
    debian_packages.unpack(tmp_path, {"thing": "1:2.0"}, tmp_path / "root")
    assert (tmp_path / "root" / "lib" / "libthing.so").read_bytes() == b"library", "through the link of a merged /usr"
    assert not (tmp_path / "ran").exists()
    with pytest.raises(GossamerError, match=r"gone_1\.0_.*cannot be unpacked"):
        debian_packages.unpack(tmp_path, {"gone": "1.0"}, tmp_path / "root")
