"""Fetches Python and its dependencies for an arm64 Debian and unpacks them, without changing this machine.

apt resolves, fetches and verifies with this machine's sources and keys, but keeps lists, cache and an empty state in
the lab's folder, as if for an arm64 machine where nothing is installed. ``dpkg-deb --extract`` unpacks without running
any package's scripts and without privileges.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import GossamerError

ReportProgress = Callable[[str], None]
"""Shows what is being done."""
REQUIREMENT = "Debian 12 or later, whose archive has arm64"


@dataclass(frozen=True, slots=True)
class Apt:
    """apt for arm64, with all its files in ``folder`` (absolute)."""

    folder: Path

    def configure(self) -> None:
        """Create its folders and write its configuration."""
        for name in ("lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        self._config.write_text(
            'APT::Architecture "arm64";\nAPT::Architectures { "arm64"; };\n'
            f'Dir::State "{self.folder}";\nDir::State::status "{self.folder}/status";\n'
            f'Dir::Cache "{self.folder}/cache";\n'
            'APT::Sandbox::User "root";\nAPT::Install-Recommends "false";\n',
            encoding="utf-8",
        )

    def run(self, tool: str, *arguments: str) -> str:
        """Run apt-get or apt-cache; returns what it printed.

        Raises:
            GossamerError: It failed.
        """
        environment = {**os.environ, "APT_CONFIG": str(self._config), "LC_ALL": "C.UTF-8"}
        command = [tool, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if line.startswith("E:")] or ["no reason given"]
            raise GossamerError(f"{' '.join(command)} (for arm64): {errors[0]}; expected {REQUIREMENT}")
        return done.stdout

    @property
    def archives(self) -> Path:
        """Folder of the fetched packages."""
        return self.folder / "cache" / "archives"

    @property
    def _config(self) -> Path:
        return self.folder / "apt.conf"


def fetch(apt: Apt, report_progress: ReportProgress) -> tuple[str, dict[str, str]]:
    """Fetch Python, the C++ library and their dependencies, except those that were fetched before.

    Returns:
        The version of Python, e.g. "3.11", and package -> version.
    """
    apt.configure()
    report_progress("fetching Debian's package lists for arm64 (about 10 MB)")
    apt.run("apt-get", "update")
    python = python_version(apt.run("apt-cache", "depends", "python3-minimal"))
    wanted = [f"python{python}-minimal", f"libpython{python}-stdlib", "libstdc++6", "libgcc-s1"]
    planned = packages(apt.run("apt-get", "install", "--simulate", *wanted))
    size = fetch_size(apt.run("apt-get", "install", "--yes", "--print-uris", *wanted))
    report_progress(f"fetching {len(planned)} packages ({size})")
    apt.run("apt-get", "install", "--yes", "--download-only", *wanted)
    return python, planned


def unpack(archives: Path, planned: Mapping[str, str], root: Path) -> None:
    """Unpack the planned packages without running their scripts.

    Raises:
        GossamerError: A package is missing or damaged.
    """
    root.mkdir(exist_ok=True)
    for name, version in planned.items():
        pattern = f"{name}_{version.replace(':', '%3a')}_*.deb"
        path = next(archives.glob(pattern), archives / pattern)
        done = subprocess.run(["dpkg-deb", "--extract", path, root], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise GossamerError(f"{path}: cannot be unpacked: {done.stderr.strip()}; remove it and run this again")
    if not (root / "lib").exists():  # /usr is merged; the package base-files would have made the link
        (root / "lib").symlink_to("usr/lib")


def python_version(depends: str) -> str:
    """Read the version of Python from the dependencies of python3-minimal.

    Raises:
        GossamerError: There is no Python among them.
    """
    match = re.search(r"python(3\.\d+)-minimal", depends)
    if match is None:
        raise GossamerError(f"apt-cache depends python3-minimal (for arm64): no Python; expected {REQUIREMENT}")
    return match[1]


def fetch_size(plan: str) -> str:
    """Read the download size from apt's plan, e.g. "15.6 MB"."""
    match = re.search(r"Need to get (\S+ k?M?G?B)", plan)
    return match[1] if match else "nothing"


def packages(plan: str) -> dict[str, str]:
    """Read package -> version from a simulated installation: lines ``Inst NAME (VERSION ...``."""
    return dict(sorted(re.findall(r"^Inst (\S+) \((\S+)", plan, re.MULTILINE)))


def tools() -> Sequence[str]:
    """Names of the programs that this module runs."""
    return ("apt-get", "apt-cache", "dpkg-deb")
