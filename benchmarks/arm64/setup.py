"""Sets the ARM lab up: ``python -m benchmarks.arm64.setup [FOLDER]``.

Fetches an arm64 Debian's Python (apt, by name) and the runtimes' wheels for aarch64 (pip, by name, in the versions of
this environment), unpacks them, compiles the plug-in that counts, and tries it all out. Works in FOLDER.part, which is
renamed to FOLDER when everything works; a setup that was stopped goes on with what it had fetched.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.arm64 import debian_packages, guest_script
from benchmarks.arm64.emulated import EmulatedLab, can_fix_addresses, read_counts
from benchmarks.arm64.lab import open_lab
from benchmarks.arm64.lab_layout import (
    DEFAULT_FOLDER,
    EMULATOR,
    KEPT,
    PLUGIN,
    PROCESSORS,
    RECORD,
    ROOT,
    WHEELS,
    LabRecord,
    dress,
    emulator_version,
    installed_runtimes,
)
from pipeline.data.storage import write_json
from pipeline.errors import GossamerError, ModelError

NEEDED_GB = 0.7
PLUGIN_SOURCE = Path(__file__).with_name("count.c")
PLUGIN_APIS = range(1, 8)  # QEMU 4.2 to 8.1 speak 1; later ones refuse it and want a higher one
_GLIBC = range(36, 16, -1)


def missing(folder: Path) -> list[str]:
    """Say what this machine lacks, each with what is to be done."""
    lacks = []
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        lacks.append(f"{sys.platform} on {platform.machine()}; expected Linux on x86_64 (an ARM machine needs no lab)")
    absent = (tool for tool in debian_packages.tools() if shutil.which(tool) is None)
    lacks += [f"{tool}: not found; expected {debian_packages.ENOUGH}" for tool in absent]
    if shutil.which("cc") is None:
        lacks.append("cc: not found; install a C compiler: apt-get install gcc libc6-dev")
    if not emulator_version():
        lacks.append(f"{EMULATOR}: not found; apt-get install qemu-user")
    elif "-plugin" not in _output([EMULATOR, "-help"]):
        lacks.append(f"{EMULATOR}: built without plug-ins; install qemu-user (the one of qemu-user-static has none)")
    if "pip" not in _output([sys.executable, "-m", "pip", "--version"]):
        lacks.append(f"{sys.executable} -m pip: does not work; expected pip in this environment")
    free = shutil.disk_usage(next(path for path in folder.absolute().parents if path.is_dir())).free / 1e9
    if folder.exists() and not (folder / RECORD).is_file():
        lacks.append(f"{folder}: there already, and no ARM lab; expected a folder that is not there yet")
    if free < NEEDED_GB:
        lacks.append(f"{folder.parent}: {free:.1f} GB free; expected {NEEDED_GB} GB")
    return lacks


def set_up(folder: Path, tell: debian_packages.Tell) -> LabRecord:
    """Set the lab up in ``folder``, or leave no ``folder``.

    Raises:
        GossamerError: Something is missing on this machine, cannot be fetched, or does not work in the end.
    """
    lacks = missing(folder)
    if lacks:
        raise GossamerError("the ARM lab cannot be set up here:\n" + "\n".join(f"  {lack}" for lack in lacks))
    part = folder.absolute().with_name(f"{folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    tell(f"fetches about 85 MB into {part}, which unpack to 250 MB")
    apt, runtimes = debian_packages.Apt(part / "apt"), installed_runtimes()
    python, packages = debian_packages.fetch(apt, tell)
    wheels = fetch_wheels(runtimes, python, part / "wheels", tell)
    tell("unpacking")
    _unpack(apt, packages, wheels, part)
    for processor in PROCESSORS:
        dress(part, processor)
    tell("compiling the plug-in that counts, and trying all of it out")
    build_plugin(part)
    source = hashlib.sha256(PLUGIN_SOURCE.read_bytes()).hexdigest()
    record = LabRecord(
        emulator=emulator_version(), python=python, packages=packages, runtimes=runtimes, plugin_sha256=source
    )
    for processor in PROCESSORS:
        try_out(part, processor.name, runtimes)
    _finish(part, folder, record)
    return record


def fetch_wheels(runtimes: dict[str, str], python: str, into: Path, tell: debian_packages.Tell) -> list[Path]:
    """Fetch the runtimes' wheels for aarch64; those that are there already are not fetched again.

    Raises:
        GossamerError: pip cannot fetch one.
    """
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in _GLIBC] + ["manylinux2014_aarch64"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", f"--python-version={python}", "--implementation=cp", f"--dest={into}"]
    command += [f"--platform={name}" for name in platforms]
    wheels = []
    for name, version in runtimes.items():
        pattern = f"{name.replace('-', '_')}-{version}-*.whl"
        if not any(into.glob(pattern)):
            tell(f"wheel {name} {version} (15 to 25 MB)")
            done = subprocess.run([*command, f"{name}=={version}"], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                told = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or ["no reason given"]
                raise GossamerError(f"pip download {name}=={version} (for aarch64, Python {python}): {told[-1]}")
        wheels.append(next(into.glob(pattern)))
    return wheels


def build_plugin(folder: Path) -> None:
    """Compile the plug-in for the first version of the emulator's interface that it is loaded with.

    Raises:
        GossamerError: It does not compile, or this QEMU loads none.
    """
    told = ""
    marks = [f"-DMARK={guest_script.MARK:#x}ull", f"-DSTART={guest_script.START}", f"-DSTOP={guest_script.STOP}"]
    for api in PLUGIN_APIS:
        command = [
            "cc",
            "-O2",
            "-Wall",
            "-Wextra",
            "-shared",
            "-fPIC",
            f"-DAPI={api}",
            *marks,
            "-o",
            str(folder / PLUGIN),
        ]
        done = subprocess.run([*command, str(PLUGIN_SOURCE)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise GossamerError(f"{PLUGIN_SOURCE}: does not compile: {done.stderr.strip()}")
        loaded = [EMULATOR, "-L", ROOT, "-plugin", f"./{PLUGIN},out=/dev/null", f"{ROOT}/usr/bin/python3", "-S", "-V"]
        done = subprocess.run(loaded, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        told = told or done.stderr.strip()
    raise GossamerError(f"{EMULATOR} {emulator_version()}: does not load the plug-in: {told}")


def try_out(folder: Path, cpu: str, runtimes: dict[str, str]) -> None:
    """Import the runtimes on a processor and count it.

    Raises:
        GossamerError: They do not start, are other versions, or nothing was counted.
    """
    lab = EmulatedLab(folder, "", can_fix_addresses())
    work = folder / "trial"
    work.mkdir(exist_ok=True)
    try:
        found = json.loads(lab.run(work, cpu, ["versions"], counted=True))
    except ModelError as error:
        raise GossamerError(f"{folder}: the runtimes do not start: {error}") from error
    counts = read_counts(work / "counts")
    shutil.rmtree(work)
    if found != runtimes:
        raise GossamerError(f"{folder}: found {found}; expected {runtimes}; remove the folder and run this again")
    if len(counts) != 1 or counts[0] < 1_000_000:
        raise GossamerError(f"{folder}: the plug-in counted {counts} instructions; expected one count of millions")


def main(arguments: Sequence[str]) -> int:
    """Set the lab up where the first argument says, usually data/arm64-lab; 2 for an error a user can mend."""
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        sys.stderr.write(f"{__doc__}")
        return 2
    folder = Path(arguments[0]) if arguments else DEFAULT_FOLDER
    found = open_lab(folder)
    if not isinstance(found, str):
        sys.stdout.write(f"{folder}: set up already\n" if found.emulated else "an ARM machine: nothing to set up\n")
        return 0
    try:
        record = set_up(
            folder,
            lambda text: Console(stderr=True, soft_wrap=True).print(f"arm64: {text}", highlight=False, markup=False),
        )
    except GossamerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    runtimes = ", ".join(f"{name} {version}" for name, version in record.runtimes.items())
    sys.stdout.write(f"{folder}: set up: {runtimes}, Python {record.python}, QEMU {record.emulator}\n")
    return 0


def _unpack(apt: debian_packages.Apt, packages: Mapping[str, str], wheels: Sequence[Path], part: Path) -> None:
    root = part / ROOT
    shutil.rmtree(root, ignore_errors=True)  # half-unpacked by a setup that was stopped
    debian_packages.unpack(apt.archives, packages, root)
    programs = root / "usr" / "bin"
    (programs / "python3").symlink_to(next(programs.glob("python3.*")).name)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(root / WHEELS)


def _finish(part: Path, folder: Path, record: LabRecord) -> None:
    """Put the new lab in the old one's place, with what was measured before (its keys name the lab it is of)."""
    for name in ("apt", "wheels"):
        shutil.rmtree(part / name)
    write_json(part / RECORD, record)
    if (folder / KEPT).is_dir():
        (folder / KEPT).rename(part / KEPT)
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)


def _output(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
