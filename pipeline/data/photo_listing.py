"""A folder of photographs, FOLDER/LABEL/FILE -> the files to read, and a rejection with a reason for every other file.

Looks at names, kinds and, of files that have no photograph's suffix, the first bytes. Nothing is skipped without a
record: files of the operating system, files outside the labels' folders, nested folders, links that are broken or lead
out of the folder, and special files are all named. Reads folders; writes nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pipeline.data.decoding.file_formats import READABLE, SIGNATURE_BYTES, SUFFIXES, name_format
from pipeline.data.records import Rejection
from pipeline.errors import DataError

LAYOUT = "a folder for each label ({labels}) with JPEG, PNG, WebP or HEIC files"
SYSTEM_FILE = "system_file"
HIDDEN_FILE = "hidden_file"
ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "unreadable": "damaged, truncated or not permitted to read",
        "needs_pillow_heif": "HEIC; to read them: pip install pillow-heif, then: dvc repro -sf generate (or selfies)",
        "unsupported_format": "of another format than JPEG, PNG, WebP or HEIC; convert those that are photographs",
        "too_large": "too many bytes or pixels; scale them down",
        "too_small": "too few pixels, or too narrow, to show a face",
        "nested_folder": "in a folder within a label's folder; move them up to read them",
        "outside_labels": "in no label's folder",
        "link_outside": "links to files outside the folder; copy the files into it to read them",
        "broken_link": "links to files that are missing",
        "special_file": "pipes, sockets or devices",
        "other_file": "without the suffix of a photograph",
        HIDDEN_FILE: "hidden: their names begin with a dot",
        SYSTEM_FILE: "left by macOS, Windows or a file manager; nothing to do",
    }
)
"""Reason of a rejection -> what such files are, and what to do."""

_SYSTEM_NAMES = frozenset(
    {
        ".ds_store",
        ".localized",
        ".nomedia",
        ".directory",
        ".picasa.ini",
        "picasa.ini",
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "icon\r",
        "__macosx",
        "@eadir",
        ".thumbnails",
        ".trashes",
        ".fseventsd",
        ".spotlight-v100",
        ".temporaryitems",
        "$recycle.bin",
        "system volume information",
    }
)
"""Lower-case names of files and folders that operating systems and file managers leave among photographs."""
_APPLE_DOUBLE = "._"


@dataclass(frozen=True, slots=True)
class PhotoListing:
    """Contents of a folder of photographs.

    Attributes:
        photographs: (label, file) to read, in order of label and file name.
        rejections: All other files.
    """

    photographs: list[tuple[str, Path]]
    rejections: list[Rejection]


def list_photographs(folder: Path, labels: Sequence[str]) -> PhotoListing:
    """List the files of a folder.

    Args:
        folder: Contains one folder per label, named exactly as the label.
        labels: The policy's labels, in order.

    Raises:
        DataError: The folder or a label's folder is missing or cannot be listed, or has no file to read.
    """
    layout = LAYOUT.format(labels=", ".join(labels))
    _require_label_folders(folder, labels, layout)
    root = os.path.realpath(folder)
    listing = PhotoListing([], [])
    for label in labels:
        entries = _entries(folder / label)
        base = os.path.realpath(folder / label)
        found = [(entry, _find_problem(entry, root, base)) for entry in entries]
        photographs = [entry for entry, problem in found if problem is None]
        rejected = [row for entry, problem in found if problem for row in _reject(folder, label, entry, *problem)]
        if not photographs:
            reasons = f" ({count_reasons(rejected)})" if rejected else ""
            raise DataError(
                f"{folder / label}: no photographs among {len(entries)} entries{reasons}; expected {layout}"
            )
        listing.photographs.extend((label, entry) for entry in photographs)
        listing.rejections.extend(rejected)
    for entry in _entries(folder):
        if entry.name not in labels:
            reason = HIDDEN_FILE if entry.name.startswith(".") else "outside_labels"
            listing.rejections.extend(_reject(folder, "", entry, reason, f"expected files in {', '.join(labels)}"))
    return listing


def reject_file(folder: Path, label: str, path: Path, reason: str, detail: str) -> Rejection:
    """Make the rejection of one file; it is named by its path within the folder."""
    name = printable(path.relative_to(folder).as_posix())
    return Rejection(image_id=name, label=label, reason=reason, score=0.0, threshold=1.0, detail=printable(detail))


def count_reasons(rejections: Sequence[Rejection]) -> str:
    """Count rejections by reason, the most frequent first: "3 needs_pillow_heif, 1 unreadable"."""
    counts = Counter(row.reason for row in rejections).most_common()
    return ", ".join(f"{count} {reason}" for reason, count in counts)


def printable(name: str) -> str:
    """Escape what cannot be stored as UTF-8: a file name may have bytes that are no text."""
    return name.encode("utf-8", "backslashreplace").decode()


def _require_label_folders(folder: Path, labels: Sequence[str], layout: str) -> None:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected {layout}")
    folders = [entry.name for entry in _entries(folder) if entry.is_dir()]
    missing = [label for label in labels if label not in folders]
    if missing:
        found = f"found the folders {', '.join(folders)}" if folders else "found no folders"
        raise DataError(f"{folder}: no folder {', '.join(missing)}; {found}; expected {layout}")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be listed ({error.strerror}); expected a folder that this user may read"
        ) from error


def _find_problem(entry: Path, root: str, base: str) -> tuple[str, str] | None:
    """Why an entry of a label's folder is not read, as (reason, detail); None if it is to be read.

    Args:
        entry: The entry.
        root: Real path of the folder of photographs.
        base: Real path of the label's folder.
    """
    problem = _find_link_problem(entry, root, base)
    if _is_system_name(entry.name):
        return SYSTEM_FILE, ""
    if entry.name.startswith("."):
        return HIDDEN_FILE, ""
    if problem:
        return problem
    if entry.is_dir():
        return "nested_folder", f"expected files directly in {entry.parent.name}"
    if not entry.is_file():
        return "special_file", "expected a regular file"
    return None if entry.suffix.lower() in SUFFIXES else _name_other_file(entry)


def _find_link_problem(entry: Path, root: str, base: str) -> tuple[str, str] | None:
    target = os.path.realpath(entry) if entry.is_symlink() else os.path.join(base, entry.name)  # noqa: PTH118 - strings
    if not os.path.exists(entry):  # noqa: PTH110 - Path.exists raises if it may not look
        return "broken_link", f"expected a file at {target}"
    if os.path.commonpath([root, target]) != root:
        return "link_outside", f"leads to {target}; expected a file in the folder"
    return None


def _name_other_file(path: Path) -> tuple[str, str]:
    """Reason and detail of a file without the suffix of a photograph."""
    try:
        with path.open("rb") as file:
            name = name_format(file.read(SIGNATURE_BYTES))
    except OSError as error:
        return "other_file", f"cannot be read ({error.strerror})"
    if name in READABLE:
        return "other_file", f"the format is {name}; to read it, give it the suffix {READABLE[name].suffixes[0]}"
    if name:
        return "unsupported_format", f"the format is {name}"
    return "other_file", f"expected one of the suffixes {' '.join(SUFFIXES)}"


def _reject(folder: Path, label: str, entry: Path, reason: str, detail: str) -> Iterator[Rejection]:
    """Reject a file, or every file below a folder; links are not followed, and an empty folder stands for itself."""
    files = _files_below(entry) if entry.is_dir() and not entry.is_symlink() else []
    for path in files or [entry]:
        of_system = any(map(_is_system_name, path.relative_to(folder).parts))
        yield reject_file(folder, label, path, SYSTEM_FILE if of_system else reason, "" if of_system else detail)


def _files_below(folder: Path) -> list[Path]:
    """List all files below a folder, and the folders that cannot be listed; links count as files."""
    files: list[Path] = []
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = list(current.iterdir())
        except OSError:  # not permitted, or the path is too long
            files.append(current)
            continue
        for entry in entries:
            (waiting if entry.is_dir() and not entry.is_symlink() else files).append(entry)
    return sorted(files)


def _is_system_name(name: str) -> bool:
    return name.startswith(_APPLE_DOUBLE) or name.lower() in _SYSTEM_NAMES
