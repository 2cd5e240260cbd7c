"""A folder of photographs, FOLDER/LABEL/*.jpg|jpeg|png|webp -> encoded images for shards, with ids and groups.

Reads every file once to group it, and again when its image is used; writes nothing. Photographs of the same scene form
a group, so that a split never separates them: exact copies (equal SHA-256) and near copies (re-encoded, resized,
brightened, mirrored, or cropped by a percent: perceptual hashes that differ in few bits). A group is named after its
contents, and a hash of that name and a seed assigns it to a part of the folder: two stages that read disjoint parts
share no group. A file that cannot be decoded becomes a ``Rejection``.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from pipeline.data.hashing import hash_share
from pipeline.data.perceptual_hash import Fingerprint, fingerprint, near_pairs
from pipeline.data.preprocess import decode, encode_png
from pipeline.data.records import Rejection
from pipeline.data.shards import Encoded
from pipeline.errors import DataError

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
UNREADABLE = "unreadable"
SAME_SCENE = 0.20
"""Share of differing hash bits below which two photographs are taken to show the same scene. Of 969 photographs of
heads the most similar pair of different scenes differs in 0.22. Of copies cropped by 1 % or brightened by 30 %, 95 %
differ in less than 0.12; of copies with JPEG quality 20, half the size or added noise, in less than 0.05."""
LONGEST_ID = 90
PNG, JPEG = b"\x89PNG", b"\xff\xd8"


@dataclass(frozen=True, slots=True)
class Photograph:
    """One readable file.

    Attributes:
        path: The file.
        id: Label and file name, made safe and unique.
        group: Name of the scene.
        label: Name of its folder.
        sha256: Of the file when it was grouped; it must not change until it is used.
        width: Pixels, after EXIF orientation.
        height: Pixels, after EXIF orientation.
    """

    path: Path
    id: str
    group: str
    label: str
    sha256: str
    width: int
    height: int


class PhotographFiles(Sequence[Encoded]):
    """Encoded photographs in order of label and file name; a file is read when its item is accessed."""

    def __init__(self, files: Sequence[Photograph]) -> None:
        self.files = tuple(files)

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> Encoded: ...

    @overload
    def __getitem__(self, index: slice) -> PhotographFiles: ...

    def __getitem__(self, index: int | slice) -> Encoded | PhotographFiles:
        if isinstance(index, slice):
            return PhotographFiles(self.files[index])
        return _read(self.files[index])

    def __iter__(self) -> Iterator[Encoded]:
        return map(_read, self.files)


@dataclass(frozen=True, slots=True)
class Photographs:
    """Contents of a folder of photographs.

    Attributes:
        images: Photographs of the requested part, with the bytes of their files (formats other than PNG and JPEG are
            re-encoded as PNG).
        rejections: Unreadable files of all parts: without pixels they have no group, and so no part.
        ignored: Number of entries in the label folders whose suffix is not a photograph's.
        readable: Number of readable photographs in all parts.
    """

    images: PhotographFiles
    rejections: list[Rejection]
    ignored: int
    readable: int


@dataclass(frozen=True, slots=True)
class _Scan:
    """One decoded file: size as (width, height), and the hashes of the image and of its mirror image."""

    path: Path
    label: str
    sha256: str
    size: tuple[int, int]
    fingerprints: tuple[Fingerprint, Fingerprint]


def read_photographs(folder: Path, labels: Sequence[str], part: tuple[float, float], seed: int) -> Photographs:
    """Read the photographs of one part of a folder.

    Args:
        folder: Contains one folder per label, named exactly as the label.
        labels: The policy's labels, in order.
        part: (low, high) in [0, 1]: groups with low <= hash < high are taken; (0, 1) takes all.
        seed: Seed of the hash; another seed assigns other groups to the part.

    Raises:
        DataError: The folder or a label's folder is missing, or a label has no readable photograph, in the folder or
            in this part.
    """
    paths, ignored = _list_files(folder, labels)
    scans: list[_Scan] = []
    rejections: list[Rejection] = []
    for label, path in _progress(paths, folder):
        scan = _scan(label, path)
        if isinstance(scan, _Scan):
            scans.append(scan)
        else:
            rejections.append(scan)
    _require_labels(scans, labels, folder, f"{len(rejections)} of {len(paths)} files cannot be decoded")
    groups = _group(scans)
    ids = _identify(scans)
    chosen = [row for row, group in enumerate(groups) if part[0] <= hash_share(seed, group) < part[1]]
    _require_labels([scans[row] for row in chosen], labels, folder, f"part {list(part)} of {len(scans)} photographs")
    files = [
        Photograph(scan.path, ids[row], groups[row], scan.label, scan.sha256, *scan.size)
        for row, scan in ((row, scans[row]) for row in chosen)
    ]
    return Photographs(PhotographFiles(files), rejections, ignored, len(scans))


def _list_files(folder: Path, labels: Sequence[str]) -> tuple[list[tuple[str, Path]], int]:
    layout = f"expected a folder for each label ({', '.join(labels)}) with .jpg, .jpeg, .png or .webp files"
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {layout}")
    folders = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    missing = [label for label in labels if label not in folders]
    if missing:
        found = f"found the folders {', '.join(folders)}" if folders else "found no folders"
        raise DataError(f"{folder}: no folder {', '.join(missing)}; {found}; {layout}")
    paths: list[tuple[str, Path]] = []
    ignored = 0
    for label in labels:
        entries = sorted((folder / label).iterdir(), key=lambda entry: entry.name)
        photographs = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()]
        if not photographs:
            raise DataError(f"{folder / label}: no photographs among {len(entries)} entries; {layout}")
        paths += [(label, entry) for entry in photographs]
        ignored += len(entries) - len(photographs)
    return paths, ignored


def _progress(paths: list[tuple[str, Path]], folder: Path) -> Iterator[tuple[str, Path]]:
    from rich.console import Console
    from rich.progress import track

    yield from track(paths, f"reading {folder}", console=Console(stderr=True), transient=True)


def _scan(label: str, path: Path) -> _Scan | Rejection:
    try:
        data = path.read_bytes()
        pixels = decode(data, str(path))
    except (OSError, DataError) as error:
        name = f"{label}/{path.name}"
        return Rejection(image_id=name, label=label, reason=UNREADABLE, score=0.0, threshold=1.0, detail=str(error))
    height, width = pixels.shape[:2]
    hashes = fingerprint(pixels), fingerprint(pixels[:, ::-1])
    return _Scan(path, label, hashlib.sha256(data).hexdigest(), (width, height), hashes)


def _require_labels(scans: Sequence[_Scan], labels: Sequence[str], folder: Path, found: str) -> None:
    counts = Counter(scan.label for scan in scans)
    empty = [label for label in labels if not counts[label]]
    if empty:
        tally = ", ".join(f"{label} {counts[label]}" for label in labels)
        raise DataError(
            f"{folder}: no readable photograph of {', '.join(empty)} in {found} (left: {tally}); "
            "expected at least one of each label; add photographs or widen the part"
        )


def _group(scans: Sequence[_Scan]) -> list[str]:
    """Name the group of each photograph by the smallest digest among its copies; groups are connected components."""
    plain = np.stack([scan.fingerprints[0] for scan in scans])
    mirrored = np.stack([scan.fingerprints[1] for scan in scans])
    parent = list(range(len(scans)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for others in (plain, mirrored):
        for row, copy, _ in near_pairs(plain, others, SAME_SCENE):
            parent[root(row)] = root(copy)
    names: dict[int, str] = {}
    for row, scan in enumerate(scans):
        key = root(row)
        names[key] = min(names.get(key, scan.sha256), scan.sha256)
    return [f"photograph-{names[root(row)][:16]}" for row in range(len(scans))]


def _identify(scans: Sequence[_Scan]) -> list[str]:
    """Name each photograph after its label and file; a name that is not safe or not unique gets 8 digits of a hash."""
    full_names = [f"{scan.label}-{scan.path.stem}" for scan in scans]
    plain = [re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:LONGEST_ID] for name in full_names]
    shared = Counter(plain)
    return [
        name
        if name == full and shared[name] == 1
        else f"{name}-{hashlib.sha256(f'{scan.label}/{scan.path.name}'.encode()).hexdigest()[:8]}"
        for name, full, scan in zip(plain, full_names, scans, strict=True)
    ]


def _read(file: Photograph) -> Encoded:
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{file.path}: cannot be read ({error}); expected the file that was there when the folder was read; "
            "run the stage again"
        ) from error
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise DataError(f"{file.path}: changed since the folder was read; run the stage again")
    if not data.startswith((PNG, JPEG)):
        data = encode_png(decode(data, str(file.path)))
    return Encoded(file.id, file.group, file.label, {}, data, file.width, file.height)
