"""A folder of photographs, FOLDER/LABEL/*.jpg|png|webp|heic -> encoded images for shards, with ids and groups.

``photo_listing`` decides which files are read, by name and kind. Reads each of them once to group it, and again when
its image is used. Photographs of the same scene form a group, so that a split never separates them: exact copies (equal
SHA-256) and near copies (re-encoded, resized, brightened, mirrored, or cropped by a percent: perceptual hashes that
differ in few bits). A group is named after its contents, and a hash of that name and a seed assigns it to a part of the
folder: two stages that read disjoint parts share no group. Every other file becomes a ``Rejection``; the stages write
these to ``REJECTED`` beside the images (``write_rejections``).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from pipeline.data.decoding.decode import decode
from pipeline.data.decoding.file_formats import JPEG, MAX_BYTES, MEGABYTE, PNG, name_format
from pipeline.data.hashing import hash_share
from pipeline.data.perceptual_hash import Fingerprint, fingerprint, near_pairs
from pipeline.data.photo_listing import ADVICE, count_reasons, list_photographs, printable, reject_file
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Rejection
from pipeline.data.shards import Encoded
from pipeline.data.storage import atomic_write, write_rows
from pipeline.errors import DataError, ImageError

REJECTED = "rejected.jsonl"
"""Name of the file of rejections, beside the shards."""
MIN_SIDE = 16
"""Pixels; the least width and height of a photograph."""
MAX_ASPECT = 16
"""The longer side of a photograph is at most this many times the shorter one."""
SAME_SCENE = 0.20
"""Share of differing hash bits below which two photographs are taken to show the same scene. Of 969 photographs of
heads the most similar pair of different scenes differs in 0.22. Of copies cropped by 1 % or brightened by 30 %, 95 %
differ in less than 0.12; of copies with JPEG quality 20, half the size or added noise, in less than 0.05."""
LONGEST_ID = 90
"""Characters of label and file name in an id; a longer name is cut, and gets digits of a hash."""


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
            re-encoded as PNG without loss).
        rejections: All other files of the folder, by name: without pixels they have no group, and so no part.
        readable: Number of readable photographs in all parts.
    """

    images: PhotographFiles
    rejections: list[Rejection]
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
    listing = list_photographs(folder, labels)
    scans: list[_Scan] = []
    rejections = list(listing.rejections)
    for label, path in _progress(listing.photographs, folder):
        scan = _scan(folder, label, path)
        if isinstance(scan, _Scan):
            scans.append(scan)
        else:
            rejections.append(scan)
    rejections.sort(key=lambda row: row.image_id)
    _require_labels(scans, labels, folder, _describe_failures(listing.photographs, rejections))
    groups = _group(scans)
    ids = _identify(scans)
    chosen = [row for row, group in enumerate(groups) if part[0] <= hash_share(seed, group) < part[1]]
    _require_labels([scans[row] for row in chosen], labels, folder, f"part {list(part)} of {len(scans)} photographs")
    files = [
        Photograph(scan.path, ids[row], groups[row], scan.label, scan.sha256, *scan.size)
        for row, scan in ((row, scans[row]) for row in chosen)
    ]
    return Photographs(PhotographFiles(files), rejections, len(scans))


def write_rejections(path: Path, rejections: Sequence[Rejection], taken: int, final_path: Path | None = None) -> None:
    """Write the files that were not taken as JSON lines, and print their number by reason on stderr.

    Args:
        path: Where to write them; usually ``REJECTED`` in the folder of the images.
        rejections: May be empty: the file is then, too, and nothing is printed.
        taken: Number of photographs that were taken.
        final_path: Where the file will be moved to; None: it stays.
    """
    if not rejections:
        with atomic_write(path):
            return
    write_rows(path, rejections)
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    files = f"{len(rejections)} file was" if len(rejections) == 1 else f"{len(rejections)} files were"
    console.print(
        escape(f"photographs: {taken} taken; {files} not, each named with its reason in {final_path or path}:")
    )
    for reason, count in Counter(row.reason for row in rejections).most_common():
        console.print(escape(f"  {count} {reason}: {ADVICE.get(reason, '')}".rstrip(": ")))


def _progress(paths: list[tuple[str, Path]], folder: Path) -> Iterator[tuple[str, Path]]:
    from rich.console import Console
    from rich.progress import track

    yield from track(paths, f"reading {folder}", console=Console(stderr=True), transient=True)


def _scan(folder: Path, label: str, path: Path) -> _Scan | Rejection:
    name = printable(path.relative_to(folder).as_posix())
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_BYTES:
            found = f"{name}: not read ({size_bytes / MEGABYTE:.0f} MB); expected at most {MAX_BYTES // MEGABYTE} MB"
            return reject_file(folder, label, path, "too_large", found)
        data = path.read_bytes()
        pixels = decode(data, name)
    except ImageError as error:
        return reject_file(folder, label, path, error.reason, str(error))
    except OSError as error:
        return reject_file(folder, label, path, "unreadable", f"{name}: cannot be read ({error.strerror})")
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE or max(height, width) > MAX_ASPECT * min(height, width):
        expected = f"expected sides of at least {MIN_SIDE} pixels, none over {MAX_ASPECT} times the other"
        return reject_file(folder, label, path, "too_small", f"{name}: {width} x {height} pixels; {expected}")
    hashes = fingerprint(pixels), fingerprint(pixels[:, ::-1])
    return _Scan(path, label, hashlib.sha256(data).hexdigest(), (width, height), hashes)


def _describe_failures(paths: Sequence[tuple[str, Path]], rejections: Sequence[Rejection]) -> str:
    """Describe which of the files that were read cannot be used, for an error."""
    read = {printable(f"{label}/{path.name}") for label, path in paths}
    failed = [row for row in rejections if row.image_id in read]
    reasons = f" ({count_reasons(failed)}; the first: {failed[0].detail})" if failed else ""
    return f"{len(failed)} of {len(paths)} files cannot be decoded{reasons}"


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
    """Name each photograph after its label and file; a name that is not safe or not unique gets 8 digits of a hash.

    Where two of these are equal as well, which 8 digits allow among very many names of only foreign letters, they get
    all 64 digits.
    """
    full_names = [f"{scan.label}-{scan.path.stem}" for scan in scans]
    plain = [re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:LONGEST_ID] for name in full_names]
    digests = [hashlib.sha256(os.fsencode(f"{scan.label}/{scan.path.name}")).hexdigest() for scan in scans]
    shared = Counter(plain)
    ids = [
        name if name == full and shared[name] == 1 else f"{name}-{digest[:8]}"
        for name, full, digest in zip(plain, full_names, digests, strict=True)
    ]
    while repeated := {name for name, count in Counter(ids).items() if count > 1}:
        ids = [
            f"{short}-{digest}" if name in repeated else name
            for name, short, digest in zip(ids, plain, digests, strict=True)
        ]
    return ids


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
    if name_format(data) not in {PNG, JPEG}:
        data = encode_png(decode(data, printable(str(file.path))))
    return Encoded(file.id, file.group, file.label, {}, data, file.width, file.height)
