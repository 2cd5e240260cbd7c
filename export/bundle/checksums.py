"""The files of a bundle and their checksums: SHA256SUMS is written, read and compared here, and so is what lies there.

``sha256sum -c SHA256SUMS`` reads the same file, but ignores what is not listed. Here a bundle is exactly the listed
files: links, special files, empty folders and everything else are findings. What Finder and Explorer leave behind in a
folder (``pipeline.data.hashing.is_system_file``) is skipped.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.hashing import files_of, is_system_file, sha256_of

SUMS = "SHA256SUMS"
_MOST_BYTES, _MOST_LEVELS = 1_000_000, 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*")
_LINE = re.compile(rf"(?P<digest>[0-9a-f]{{64}})  (?P<name>{_NAME.pattern})")
_ODD_LINE = re.compile(r"[0-9A-Fa-f]{64}[ *]+.*")
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A defect of a bundle: the file, relative to the bundle, and what is wrong with it."""

    file: str
    problem: str

    def __str__(self) -> str:
        """File and problem in one line; characters that would change a terminal are escaped."""
        return f"{printable(self.file)}: {printable(self.problem)}"


@dataclass(frozen=True, slots=True)
class Listing:
    """What SHA256SUMS lists and what is there.

    Attributes:
        sums: File, relative to the bundle -> SHA-256, of the files that are listed and unchanged.
        findings: Everything that is not as it should be.
        digest: SHA-256 of SHA256SUMS itself: it stands for the whole bundle. Empty if there is no such file.
    """

    sums: Mapping[str, str]
    findings: tuple[Finding, ...]
    digest: str


def write_sums(bundle: Path) -> str:
    """Write SHA256SUMS of all files of a folder; returns its own SHA-256, the digest of the bundle."""
    files = [file for file in files_of(bundle) if file != bundle / SUMS]
    lines = [f"{sha256_of(file)}  {file.relative_to(bundle).as_posix()}\n" for file in files]
    (bundle / SUMS).write_text("".join(lines), encoding="ascii", newline="\n")
    return sha256_of(bundle / SUMS)


def listed_files(bundle: Path) -> tuple[str, ...]:
    """Return the files, relative to a folder, that its SHA256SUMS lists; none where it has no such file."""
    sums = bundle / SUMS
    if sums.is_symlink() or not sums.is_file() or sums.stat().st_size > _MOST_BYTES:
        return ()
    return tuple(_parse(sums.read_bytes())[0])


def check_sums(bundle: Path) -> Listing:
    """Compare everything in a bundle with its SHA256SUMS; opens regular files only, and follows no link."""
    files, findings = _walk(bundle)
    if SUMS not in files:
        return Listing({}, (*findings, Finding(SUMS, "missing; pull the bundle again")), "")
    if files[SUMS].stat().st_size > _MOST_BYTES:
        return Listing({}, (*findings, Finding(SUMS, f"larger than {_MOST_BYTES:,} bytes")), "")
    data = files.pop(SUMS).read_bytes()
    listed, malformed = _parse(data)
    findings += [*malformed, *_compare(files, listed)]
    return Listing(listed, tuple(findings), hashlib.sha256(data).hexdigest())


def printable(text: str) -> str:
    """Escape whatever a terminal would not print as it is."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _walk(bundle: Path) -> tuple[dict[str, Path], list[Finding]]:
    """List the regular files below a folder by their relative name; what is neither file nor folder is a finding."""
    files: dict[str, Path] = {}
    findings: list[Finding] = []

    def visit(folder: Path, depth: int) -> int:
        count = 0
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path = Path(entry.path)
            name, mode = path.relative_to(bundle).as_posix(), entry.stat(follow_symlinks=False).st_mode
            kind = stat.S_IFMT(mode)
            if kind == stat.S_IFDIR:
                count += 1
                if depth == _MOST_LEVELS:
                    findings.append(Finding(name, f"more than {_MOST_LEVELS} folders deep"))
                elif not visit(path, depth + 1):
                    findings.append(Finding(name, "an empty folder; a bundle has none"))
            elif kind != stat.S_IFREG:
                count += 1
                findings.append(
                    Finding(name, f"{_KINDS.get(kind, 'a special file')}; expected plain files and folders")
                )
            elif not is_system_file(entry.name):
                count += 1
                files[name] = path
        return count

    visit(bundle, 0)
    return files, findings


def _parse(data: bytes) -> tuple[dict[str, str], list[Finding]]:
    """Read SHA256SUMS strictly: every line as ``write_sums`` writes it, each file once."""
    listed: dict[str, str] = {}
    alike: dict[str, str] = {}
    findings: list[Finding] = []
    text = data.decode("utf-8", errors="backslashreplace")
    if "\r" in text:
        return {}, [
            Finding(SUMS, "line ends of Windows; expected LF alone: pull the bundle without conversion of text")
        ]
    if not text.endswith("\n"):
        findings.append(Finding(SUMS, "does not end with a line end; it is cut short or changed"))
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            findings.append(Finding(SUMS, f"line {number}: {_what_is_odd(line)}"))
        elif match["name"] == SUMS:
            findings.append(Finding(SUMS, f"line {number}: lists itself"))
        elif match["name"] in listed:
            findings.append(Finding(SUMS, f"line {number}: {match['name']} is listed twice"))
        elif match["name"].lower() in alike:
            other = alike[match["name"].lower()]
            findings.append(Finding(SUMS, f"line {number}: {match['name']} and {other} differ in case only"))
        else:
            listed[match["name"]] = match["digest"]
            alike[match["name"].lower()] = match["name"]
    return listed, findings


def _what_is_odd(line: str) -> str:
    """Say what is wrong with a line."""
    shown = line if len(line) <= 160 else f"{line[:157]}..."
    if _ODD_LINE.fullmatch(line) is None:
        return f"{shown!r}; expected 64 hexadecimal digits, two spaces and a file name"
    if line[:64] != line[:64].lower():
        return f"{shown!r}; expected digits in lower case"
    return (
        f"{shown!r}; expected two spaces, then a relative name without links out of the bundle, hidden parts or blanks"
    )


def _compare(files: Mapping[str, Path], listed: Mapping[str, str]) -> Iterator[Finding]:
    for name, digest in listed.items():
        if name not in files:
            yield Finding(name, f"missing; listed in {SUMS}")
            continue
        try:
            found = sha256_of(files[name])
        except OSError as error:
            yield Finding(name, f"cannot be read: {error.strerror}")
            continue
        if found != digest:
            yield Finding(name, f"differs from the file listed in {SUMS}; pull the bundle again")
    for name in sorted(files.keys() - listed.keys()):
        yield Finding(name, f"not listed in {SUMS}")
