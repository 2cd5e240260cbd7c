"""Images on disk: tar shards and one index. No other module depends on this layout.

    FOLDER/index.jsonl      one Image record per line, in order
    FOLDER/shard-00000.tar  plain tar; each record has its shard, byte offset and length, so reading seeks there
    FOLDER/README.md        training images only: the dataset card, for people

Few large files, because hashing ten thousand small ones takes DVC ten times as long as five tars. Tar headers carry no
time and no user names, so equal images give equal bytes. Each file appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.decoding.decode import decode
from pipeline.data.preprocess import Pixels, PreprocessSpec, fit
from pipeline.data.records import Fault, Image
from pipeline.data.storage import atomic_write, read_rows, write_rows
from pipeline.errors import DataError

INDEX = "index.jsonl"
CARD = "README.md"
FILES = (INDEX, CARD, "rejected.jsonl", "shard-*.tar")
"""Patterns of the files in a folder of shards; the first is in every one."""
LONGEST_MEMBER = 100
"""Bytes of a file name in a tar header (USTAR)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded image to write into a shard, with the values of its record (``Image``).

    Attributes:
        data: PNG or JPEG bytes; the other attributes are those of ``Image``.
    """

    id: str
    group: str
    label: str
    factors: dict[str, str]
    data: bytes
    width: int
    height: int
    fault: Fault | None = None
    generator: str | None = None


def shard_name(number: int) -> str:
    """Return the file name of a shard; numbers begin at 0."""
    return f"shard-{number:05d}.tar"


def write_shard(folder: Path, name: str, images: Iterable[Encoded]) -> list[Image]:
    """Write one tar shard and return its records; if writing fails, there is no file."""
    records: list[Image] = []
    with (
        atomic_write(folder / name) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT, encoding="utf-8") as tar,
    ):
        for image in images:
            suffix = "png" if image.data.startswith(b"\x89PNG") else "jpg"
            member = tarfile.TarInfo(_member_name(image.id, suffix))
            member.size = len(image.data)
            header = tar.offset
            tar.addfile(member, io.BytesIO(image.data))
            records.append(
                Image(
                    id=image.id,
                    group=image.group,
                    label=image.label,
                    factors=image.factors,
                    shard=name,
                    offset=header + tarfile.BLOCKSIZE,
                    size_bytes=len(image.data),
                    sha256=hashlib.sha256(image.data).hexdigest(),
                    width=image.width,
                    height=image.height,
                    fault=image.fault,
                    generator=image.generator,
                )
            )
    return records


def _member_name(image_id: str, suffix: str) -> str:
    """Name a file of the tar after its image; an id that is too long for the header is cut, and gets a hash."""
    plain = f"{image_id}.{suffix}"
    if len(plain.encode()) <= LONGEST_MEMBER:
        return plain
    ending = f"-{hashlib.sha256(image_id.encode()).hexdigest()[:16]}.{suffix}"
    return image_id.encode()[: LONGEST_MEMBER - len(ending)].decode(errors="ignore") + ending


def write_images(folder: Path, images: Iterable[Encoded], images_per_shard: int) -> list[Image]:
    """Write shards of ``images_per_shard`` images each (the last may be smaller), then the index."""
    records: list[Image] = []
    batch: list[Encoded] = []
    number = 0
    for image in images:
        batch.append(image)
        if len(batch) == images_per_shard:
            records += write_shard(folder, shard_name(number), batch)
            batch, number = [], number + 1
    if batch:
        records += write_shard(folder, shard_name(number), batch)
    write_index(folder, records)
    return records


def write_index(folder: Path, records: Iterable[Image]) -> None:
    """Write the index; it comes last, so a folder without an index is unfinished."""
    write_rows(folder / INDEX, records)


def write_card(folder: Path, text: str) -> None:
    """Write the dataset card (Markdown) for people and for the Hugging Face hub."""
    with atomic_write(folder / CARD) as file:
        file.write(text.encode())


def read_index(folder: Path) -> list[Image]:
    """Read the records of a folder, in order.

    Raises:
        DataError: There is no index, or a row of it is damaged.
    """
    return read_rows(folder / INDEX, Image)


def read_bytes(folder: Path, image: Image) -> bytes:
    """Read one encoded image.

    Raises:
        DataError: The shard is missing or its bytes are not those the index names.
    """
    try:
        with (folder / image.shard).open("rb") as file:
            file.seek(image.offset)
            data = file.read(image.size_bytes)
    except FileNotFoundError as error:
        raise DataError(f"{folder / image.shard}: missing; named by {folder / INDEX}; run dvc repro") from error
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise DataError(
            f"{folder / image.shard}: image {image.id} at byte {image.offset} is not the one in {INDEX}; run dvc repro"
        )
    return data


def read_pixels(folder: Path, image: Image) -> Pixels:
    """Read and decode one image: uint8 (height, width, 3) RGB, upright."""
    return decode(read_bytes(folder, image), f"{folder / image.shard}: image {image.id}")


def iterate_pixels(folder: Path, images: Iterable[Image]) -> Iterator[Pixels]:
    """Read and decode images one at a time, in the given order: uint8 (height, width, 3) RGB each."""
    for image in images:
        yield read_pixels(folder, image)


def load_batch(folder: Path, images: Sequence[Image], spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Read images and scale them to the input size: uint8 (n, input height, input width, 3) RGB."""
    height, width = spec.input_size
    batch = np.empty((len(images), height, width, 3), np.uint8)
    for row, image in enumerate(images):
        batch[row] = fit(read_pixels(folder, image), spec)
    return batch


def repack(image: Image, data: bytes) -> Encoded:
    """Combine an image's record and its encoded bytes for writing into another shard."""
    own = (image.width, image.height, image.fault, image.generator)
    return Encoded(image.id, image.group, image.label, image.factors, data, *own)
