"""Fetches an arm64 Debian's Python and what it needs, and unpacks it; nothing of the machine's own is changed.

apt resolves, fetches and verifies with the machine's own sources and keys, but with lists, a cache and a (blank) state
in the lab's folder, as if for an arm64 machine where nothing is installed. ``dpkg-deb --extract`` unpacks: no package's
scripts run, no privileges are needed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import GossamerError

Tell = Callable[[str], None]
ENOUGH = "Debian 12 or later, whose archive has arm64"


@dataclass(frozen=True, slots=True)
class Apt:
    """apt for another architecture, all of whose files lie in ``folder`` (absolute)."""

    folder: Path

    def lay_out(self) -> None:
        """Write its configuration."""
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
        """Run apt-get or apt-cache; gives what it printed.

        Raises:
            GossamerError: It failed.
        """
        environment = {**os.environ, "APT_CONFIG": str(self._config), "LC_ALL": "C.UTF-8"}
        command = [tool, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            told = [line for line in done.stderr.splitlines() if line.startswith("E:")] or ["no reason given"]
            raise GossamerError(f"{' '.join(command)} (for arm64): {told[0]}; expected {ENOUGH}")
        return done.stdout

    @property
    def archives(self) -> Path:
        """Where fetched packages lie."""
        return self.folder / "cache" / "archives"

    @property
    def _config(self) -> Path:
        return self.folder / "apt.conf"


def fetch(apt: Apt, tell: Tell) -> tuple[str, dict[str, str]]:
    """Fetch Python, the C++ library and all they need; what is there already is not fetched again.

    Returns:
        Python's version, e.g. "3.11", and the packages with their versions.
    """
    apt.lay_out()
    tell("Debian's lists of packages for arm64 (about 10 MB)")
    apt.run("apt-get", "update")
    python = python_version(apt.run("apt-cache", "depends", "python3-minimal"))
    wanted = [f"python{python}-minimal", f"libpython{python}-stdlib", "libstdc++6", "libgcc-s1"]
    planned = packages(apt.run("apt-get", "install", "--simulate", *wanted))
    size = fetch_size(apt.run("apt-get", "install", "--yes", "--print-uris", *wanted))
    tell(f"{len(planned)} packages: {size} to fetch")
    apt.run("apt-get", "install", "--yes", "--download-only", *wanted)
    return python, planned


def unpack(archives: Path, planned: Mapping[str, str], root: Path) -> None:
    """Unpack the planned packages, without running anything of theirs.

    Raises:
        GossamerError: One is not there, or damaged.
    """
    root.mkdir(exist_ok=True)
    for name, version in planned.items():
        pattern = f"{name}_{version.replace(':', '%3a')}_*.deb"
        path = next(archives.glob(pattern), archives / pattern)
        done = subprocess.run(["dpkg-deb", "--extract", path, root], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise GossamerError(f"{path}: cannot be unpacked: {done.stderr.strip()}; remove it and run this again")
    if not (root / "lib").exists():  # a merged /usr, where base-files would have made the link
        (root / "lib").symlink_to("usr/lib")


def python_version(depends: str) -> str:
    """Read the version of Python from what python3-minimal depends on.

    Raises:
        GossamerError: It depends on none.
    """
    found = re.search(r"python(3\.\d+)-minimal", depends)
    if found is None:
        raise GossamerError(f"apt-cache depends python3-minimal (for arm64): no Python; expected {ENOUGH}")
    return found[1]


def fetch_size(plan: str) -> str:
    """Read how much apt is about to fetch, in its own words."""
    need = re.search(r"Need to get (\S+ k?M?G?B)", plan)
    return need[1] if need else "nothing"


def packages(plan: str) -> dict[str, str]:
    """Read a simulated installation's packages and their versions: lines ``Inst NAME (VERSION ...``."""
    return dict(sorted(re.findall(r"^Inst (\S+) \((\S+)", plan, re.MULTILINE)))


def tools() -> Sequence[str]:
    """Programs this needs."""
    return ("apt-get", "apt-cache", "dpkg-deb")
