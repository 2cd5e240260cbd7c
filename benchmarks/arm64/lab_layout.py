"""Layout of the lab's folder, and the record that marks it as complete.

FOLDER/lab.json          ``LabRecord``; written last
FOLDER/root/             Python and C libraries of an arm64 Debian, unpacked; the runtimes in opt/wheels
FOLDER/cortex-a76/, ...  the same root for one processor: links, and its own /proc/cpuinfo
FOLDER/count.so          the plug-in that counts instructions
FOLDER/cache/            cached results
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arm64.guests import arm64_guests
from pipeline.data.records import Record

DEFAULT_FOLDER = Path("data/arm64-lab")
EMULATOR = "qemu-aarch64"
SETUP = "python -m benchmarks.arm64.setup"
RECORD = "lab.json"
ROOT = "root"
WHEELS = "opt/wheels"
PLUGIN = "count.so"
CACHE = "cache"


class LabRecord(Record):
    """Versions of everything in a lab.

    Attributes:
        emulator: Version of QEMU.
        python: Version of Python in the root, e.g. "3.11".
        packages: Debian package -> version.
        runtimes: Wheel -> version.
        plugin_sha256: SHA-256 of the plug-in's source.
    """

    emulator: str
    python: str
    packages: dict[str, str]
    runtimes: dict[str, str]
    plugin_sha256: str

    def id(self) -> str:
        """SHA-256 of the record; labs with other ids may give other counts and probabilities."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Processor:
    """A phone processor that the emulator models; variant, part and revision as in its main ID register.

    Runtimes choose their kernels by ``features`` and by the part number
    (https://www.kernel.org/doc/html/latest/arch/arm64/elf_hwcaps.html).
    """

    name: str
    features: str
    variant: int
    part: int
    revision: int

    def cpuinfo(self) -> str:
        """Text of /proc/cpuinfo: one core."""
        return (
            "processor\t: 0\nBogoMIPS\t: 50.00\n"
            f"Features\t: {self.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
            f"CPU variant\t: {self.variant:#x}\nCPU part\t: {self.part:#05x}\nCPU revision\t: {self.revision}\n\n"
        )


PROCESSORS = (
    # Large core, 2018 and later: dot products, half-precision arithmetic.
    Processor(
        "cortex-a76",
        "fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        0x4,
        0xD0B,
        1,
    ),
    # Small core of 2012 to 2018: neither.
    Processor("cortex-a53", "fp asimd aes pmull sha1 sha2 crc32 cpuid", 0x0, 0xD03, 4),
)


def installed_runtimes() -> dict[str, str]:
    """Versions of the runtimes in this environment, which the lab must match."""
    packages = {"numpy", *(package for guest in arm64_guests().values() for package in guest.packages)}
    return {name: importlib.metadata.version(name) for name in sorted(packages)}


def emulator_version() -> str:
    """Version of the emulator on the path, e.g. "7.2.22"; empty where there is none."""
    try:
        output = subprocess.run([EMULATOR, "--version"], capture_output=True, check=False, text=True).stdout
    except OSError:
        return ""
    match = re.search(r"version (\S+)", output)
    return match[1] if match else ""


def link_root(folder: Path, processor: Processor) -> None:
    """Make FOLDER/PROCESSOR: links to the root, and the files from which runtimes read the processor's features."""
    place = folder / processor.name
    for name in sorted(path.name for path in (folder / ROOT).iterdir()):
        link = place / name
        link.parent.mkdir(exist_ok=True)
        if name not in ("proc", "sys") and not link.is_symlink():
            link.symlink_to(Path("..") / ROOT / name)
    (place / "proc").mkdir(exist_ok=True)
    (place / "proc" / "cpuinfo").write_text(processor.cpuinfo(), encoding="utf-8")
    cores = place / "sys" / "devices" / "system" / "cpu"
    cores.mkdir(parents=True, exist_ok=True)
    for name in ("possible", "present", "online"):
        (cores / name).write_text("0\n", encoding="utf-8")
