"""Sets up the ARM lab: ``python -m benchmarks.arm64.setup [FOLDER]``.

Fetches Python for an arm64 Debian with apt, and the runtimes' aarch64 wheels with pip in the versions of this
environment; unpacks them, compiles the plug-in that counts instructions, and tests the result. Works in FOLDER.part,
which is renamed to FOLDER when everything works; an interrupted setup continues with what it has fetched. Replaces only
labs, and works only in what a setup has begun: a folder with anything else in it is refused.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.arm64 import debian_packages, guest_script
from benchmarks.arm64.emulated import EmulatedLab, can_fix_addresses, read_counts
from benchmarks.arm64.guests import arm64_guests
from benchmarks.arm64.lab import open_lab
from benchmarks.arm64.lab_layout import (
    CACHE,
    DEFAULT_FOLDER,
    EMULATOR,
    PLUGIN,
    PROCESSORS,
    RECORD,
    ROOT,
    WHEELS,
    LabRecord,
    emulator_version,
    installed_runtimes,
    link_root,
)
from pipeline.data.hashing import is_system_file
from pipeline.data.storage import write_json
from pipeline.errors import GossamerError, ModelError

NEEDED_GB = 0.7
BEGUN = "lab.part"
"""File that marks FOLDER.part as this command's."""
_OWN = {RECORD, ROOT, CACHE, PLUGIN, *(processor.name for processor in PROCESSORS)}
_STOPPED = re.compile(r"tmp\w{8}")
"""Name of the folder of a run in the lab, which a killed process leaves."""
_OWN_PART = {*_OWN, BEGUN, "apt", "wheels", "trial"}
PLUGIN_SOURCE = Path(__file__).with_name("count.c")
PLUGIN_APIS = range(1, 8)  # QEMU 4.2 to 8.1 speak 1; later ones refuse it and want a higher one
_GLIBC = range(36, 16, -1)


def missing(folder: Path) -> list[str]:
    """List what this machine lacks, each with the remedy."""
    lacks = []
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        lacks.append(f"{sys.platform} on {platform.machine()}; expected Linux on x86_64 (an ARM machine needs no lab)")
    absent = (tool for tool in debian_packages.tools() if shutil.which(tool) is None)
    lacks += [f"{tool}: not found; expected {debian_packages.REQUIREMENT}" for tool in absent]
    if shutil.which("cc") is None:
        lacks.append("cc: not found; install a C compiler: apt-get install gcc libc6-dev")
    if not emulator_version():
        lacks.append(f"{EMULATOR}: not found; apt-get install qemu-user")
    elif "-plugin" not in _output([EMULATOR, "-help"]):
        lacks.append(f"{EMULATOR}: built without plug-ins; install qemu-user (that of qemu-user-static has none)")
    if "pip" not in _output([sys.executable, "-m", "pip", "--version"]):
        lacks.append(f"{sys.executable} -m pip: does not run; expected pip in this environment")
    free = shutil.disk_usage(next(path for path in folder.absolute().parents if path.is_dir())).free / 1e9
    lacks += [*_foreign(folder, RECORD, _OWN), *_foreign(_part_of(folder), BEGUN, _OWN_PART)]
    if free < NEEDED_GB:
        lacks.append(f"{folder.parent}: {free:.1f} GB free; expected {NEEDED_GB} GB")
    return lacks


def set_up(folder: Path, report_progress: debian_packages.ReportProgress) -> LabRecord:
    """Set up the lab in ``folder``; on an error there is no ``folder``.

    Raises:
        GossamerError: Something is missing on this machine, cannot be fetched, or fails its test.
    """
    lacks = missing(folder)
    if lacks:
        raise GossamerError("the ARM lab cannot be set up here:\n" + "\n".join(f"  {lack}" for lack in lacks))
    part = _part_of(folder)
    part.mkdir(parents=True, exist_ok=True)
    (part / BEGUN).touch()
    report_progress(f"fetching about 85 MB into {part}; unpacked 250 MB")
    apt, runtimes = debian_packages.Apt(part / "apt"), installed_runtimes()
    python, packages = debian_packages.fetch(apt, report_progress)
    wheels = fetch_wheels(runtimes, python, part / "wheels", report_progress)
    report_progress("unpacking")
    _unpack(apt, packages, wheels, part)
    for processor in PROCESSORS:
        link_root(part, processor)
    report_progress("compiling the plug-in and testing the lab")
    build_plugin(part)
    source = hashlib.sha256(PLUGIN_SOURCE.read_bytes()).hexdigest()
    record = LabRecord(
        emulator=emulator_version(), python=python, packages=packages, runtimes=runtimes, plugin_sha256=source
    )
    for processor in PROCESSORS:
        check_lab(part, processor.name, runtimes)
    _finish(part, folder, record)
    return record


def fetch_wheels(
    runtimes: dict[str, str], python: str, into: Path, report_progress: debian_packages.ReportProgress
) -> list[Path]:
    """Fetch the runtimes' wheels for aarch64, except those that were fetched before.

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
            report_progress(f"fetching {name} {version} (15 to 25 MB)")
            done = subprocess.run([*command, f"{name}=={version}"], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or ["no reason given"]
                raise GossamerError(f"pip download {name}=={version} (for aarch64, Python {python}): {errors[-1]}")
        wheels.append(next(into.glob(pattern)))
    return wheels


def build_plugin(folder: Path) -> None:
    """Compile the plug-in for the first version of the plug-in interface that this QEMU accepts.

    Raises:
        GossamerError: It does not compile, or this QEMU accepts no version.
    """
    reason = ""
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
        reason = reason or done.stderr.strip()
    raise GossamerError(f"{EMULATOR} {emulator_version()}: does not load the plug-in: {reason}")


def check_lab(folder: Path, cpu: str, runtimes: dict[str, str]) -> None:
    """Import the runtimes on a processor and count its instructions.

    Raises:
        GossamerError: They do not start, have other versions, or nothing was counted.
    """
    lab = EmulatedLab(folder, "", can_fix_addresses(), {})
    work = folder / "trial"
    work.mkdir(exist_ok=True)
    scripts = [shutil.copyfile(guest.script, work / f"{name}.py") for name, guest in arm64_guests().items()]
    names = [str(script.relative_to(folder)) for script in scripts]
    try:
        versions = json.loads(lab.run(work, cpu, ["versions", *names], counted=True))
    except ModelError as error:
        raise GossamerError(f"{folder}: the runtimes do not start: {error}") from error
    counts = read_counts(work / "counts")
    shutil.rmtree(work)
    if versions != runtimes:
        raise GossamerError(f"{folder}: found {versions}; expected {runtimes}; remove the folder and run this again")
    if len(counts) != 1 or counts[0] < 1_000_000:
        raise GossamerError(f"{folder}: the plug-in counted {counts} instructions; expected one count of millions")


def main(arguments: Sequence[str]) -> int:
    """Set up the lab in the folder of the first argument (default data/arm64-lab); returns 2 for a user's error."""
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        sys.stderr.write(f"{__doc__}")
        return 2
    folder = Path(arguments[0]) if arguments else DEFAULT_FOLDER
    lab = open_lab(folder)
    if not isinstance(lab, str):
        sys.stdout.write(f"{folder}: already set up\n" if lab.emulated else "an ARM machine: nothing to set up\n")
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


def _part_of(folder: Path) -> Path:
    return folder.absolute().with_name(f"{folder.absolute().name}.part")


def _foreign(folder: Path, mark: str, own: Collection[str]) -> list[str]:
    """Say why a folder is not this command's to replace; nothing if it is, or if there is none."""
    if not folder.exists() and not folder.is_symlink():
        return []
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []
    if mark not in names:
        return [f"{folder}: exists and is no ARM lab; expected a new folder"]
    foreign = [name for name in names if name not in own and not is_system_file(name) and not _STOPPED.fullmatch(name)]
    return (
        [f"{folder}: holds {foreign[0]!r}, which no setup wrote; move it away, or name a new folder"] if foreign else []
    )


def _unpack(apt: debian_packages.Apt, packages: Mapping[str, str], wheels: Sequence[Path], part: Path) -> None:
    root = part / ROOT
    shutil.rmtree(root, ignore_errors=True)  # a stopped setup may have left it incomplete
    debian_packages.unpack(apt.archives, packages, root)
    programs = root / "usr" / "bin"
    (programs / "python3").symlink_to(next(programs.glob("python3.*")).name)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(root / WHEELS)


def _finish(part: Path, folder: Path, record: LabRecord) -> None:
    """Replace the old lab by the new one and keep its cached results, whose keys contain the id of their lab."""
    for name in ("apt", "wheels"):
        shutil.rmtree(part / name)
    (part / BEGUN).unlink()
    write_json(part / RECORD, record)
    if (folder / CACHE).is_dir():
        (folder / CACHE).rename(part / CACHE)
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
