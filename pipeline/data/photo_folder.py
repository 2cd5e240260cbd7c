"""A folder of real photographs, FOLDER/LABEL/*.jpg|jpeg|png|webp -> images ready for shards, read when asked for.

Photographs that show the same scene share a group, so that no scene stands on both sides of a split: exact copies by
SHA-256, near copies (re-encoded, resized, brightened, mirrored, trimmed by a percent) by perceptual hash. A group is
known by its content, and its hash with a seed decides which part of the folder it belongs to: two disjoint parts, read
by two stages, share no group. A file that cannot be decoded becomes a ``Rejection``.
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
"""Share of differing hash bits below which two photographs show one scene. On 969 photographs of heads the nearest
different pair differs in 0.22; 95 % of copies cut by 1 % or lit by 30 % more differ in under 0.12, and by JPEG quality
20, half the size or noise in under 0.05."""
LONGEST_ID = 90
PNG, JPEG = b"\x89PNG", b"\xff\xd8"


@dataclass(frozen=True, slots=True)
class Photograph:
    """One readable file: where it lies, what it is called, and the digest and size it had when it was grouped."""

    path: Path
    id: str
    group: str
    label: str
    sha256: str
    width: int
    height: int


class PhotographFiles(Sequence[Encoded]):
    """Encoded photographs, read from their files one at a time as they are asked for; in order of label and name."""

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
        return _encode(self.files[index])

    def __iter__(self) -> Iterator[Encoded]:
        return map(_encode, self.files)


@dataclass(frozen=True, slots=True)
class Photographs:
    """What a folder holds.

    Attributes:
        images: Of the part asked for; bytes as in the file (WebP and other formats are re-encoded as PNG, losslessly).
        rejections: Unreadable files of the whole folder: without content they belong to no part.
        ignored: How many entries of the label folders are no photographs, by their suffix.
        found: Readable photographs in the whole folder, all parts.
    """

    images: PhotographFiles
    rejections: list[Rejection]
    ignored: int
    found: int


@dataclass(frozen=True, slots=True)
class _Scan:
    path: Path
    label: str
    sha256: str
    size: tuple[int, int]
    fingerprints: tuple[Fingerprint, Fingerprint]


def read_photographs(folder: Path, labels: Sequence[str], part: tuple[float, float], seed: int) -> Photographs:
    """Read the photographs of one part of a folder.

    Args:
        folder: Holds one folder a label, named exactly as the label.
        labels: The policy's labels, in order.
        part: (low, high) in [0, 1]: groups whose hash lies in low <= hash < high are taken; (0, 1) takes all.
        seed: Of the hash; another seed deals the groups out differently.

    Raises:
        DataError: The folder or a label's folder is missing, or holds no readable photograph, in all or in this part.
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
    there = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    missing = [label for label in labels if label not in there]
    if missing:
        found = f"found the folders {', '.join(there)}" if there else "found no folders"
        raise DataError(f"{folder}: no folder {', '.join(missing)}; {found}; {layout}")
    paths: list[tuple[str, Path]] = []
    ignored = 0
    for label in labels:
        entries = sorted((folder / label).iterdir(), key=lambda entry: entry.name)
        taken = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()]
        if not taken:
            raise DataError(f"{folder / label}: no photographs among {len(entries)} entries; {layout}")
        paths += [(label, entry) for entry in taken]
        ignored += len(entries) - len(taken)
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
    both = fingerprint(pixels), fingerprint(pixels[:, ::-1])
    return _Scan(path, label, hashlib.sha256(data).hexdigest(), (width, height), both)


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
    """Name the group of each photograph: the smallest digest among the copies it is linked to."""
    plain = np.stack([scan.fingerprints[0] for scan in scans])
    mirrored = np.stack([scan.fingerprints[1] for scan in scans])
    parent = list(range(len(scans)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for others in (plain, mirrored):
        for row, twin, _ in near_pairs(plain, others, SAME_SCENE):
            parent[root(row)] = root(twin)
    names: dict[int, str] = {}
    for row, scan in enumerate(scans):
        key = root(row)
        names[key] = min(names.get(key, scan.sha256), scan.sha256)
    return [f"photograph-{names[root(row)][:16]}" for row in range(len(scans))]


def _identify(scans: Sequence[_Scan]) -> list[str]:
    """Name each photograph after its label and file; a changed or shared name gets eight digits of a hash."""
    wanted = [f"{scan.label}-{scan.path.stem}" for scan in scans]
    plain = [re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:LONGEST_ID] for name in wanted]
    shared = Counter(plain)
    return [
        name
        if name == full and shared[name] == 1
        else f"{name}-{hashlib.sha256(f'{scan.label}/{scan.path.name}'.encode()).hexdigest()[:8]}"
        for name, full, scan in zip(plain, wanted, scans, strict=True)
    ]


def _encode(file: Photograph) -> Encoded:
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise DataError(f"{file.path}: cannot be read any more ({error}); run the stage again") from error
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise DataError(f"{file.path}: changed while the folder was being read; run the stage again")
    if not data.startswith((PNG, JPEG)):
        data = encode_png(decode(data, str(file.path)))
    return Encoded(file.id, file.group, file.label, {}, data, file.width, file.height)
