"""A desk of as many pictures as a test asks for; they share the bytes of four."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipeline.curate.review_app.server import DeskServer
from pipeline.curate.review_app.session import Desk, DeskPaths, open_desk
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Image, Rejection
from pipeline.data.shards import Encoded, write_images, write_index
from pipeline.data.storage import write_rows

LABELS = ("no_helmet", "helmet")
LIGHTS = ("day", "indoor", "night")
DOUBTED = 3  # every third picture is put aside


def paths_in(folder: Path) -> DeskPaths:
    data = folder / "data"
    return DeskPaths(data / "images", data / "kept.jsonl", data / "rejected.jsonl", data / "decisions.jsonl")


def lay_out(folder: Path, count: int) -> DeskPaths:
    """Write what curation leaves behind: of picture n the label is n's parity, the light n modulo 3."""
    paths = paths_in(folder)
    shades = [np.full((128, 96, 3), 30 + 40 * shade, np.uint8) for shade in range(4)]
    encoded = [Encoded(f"{n}", f"{n}", "helmet", {}, encode_png(shade), 96, 128) for n, shade in enumerate(shades)]
    few = write_images(paths.images, encoded, 4)
    images = [few[n % 4].model_copy(update=facts(n)) for n in range(count)]
    write_index(paths.images, images)
    write_rows(paths.kept, [image for n, image in enumerate(images) if n % DOUBTED])
    write_rows(paths.rejected, [doubt(image) for image in images[::DOUBTED]])
    return paths


def facts(number: int) -> dict[str, object]:
    factors = {"light": LIGHTS[number % 3], "label": f"mine-{number % 2}"}  # a factor may be called label, too
    return {"id": f"{number:05d}", "label": LABELS[number % 2], "factors": factors}


def doubt(image: Image) -> Rejection:
    """Put aside as blurry or as wrongly labelled, the later the more doubtful."""
    number = int(image.id)
    return Rejection(
        image_id=image.id,
        label=image.label,
        reason="blurry" if number % 4 else "label_error",
        score=0.1 / (1 + number),
        threshold=0.2,
        detail=f"looks doubtful: {number}",
    )


def small_desk(folder: Path, count: int = 12) -> Desk:
    return open_desk(lay_out(folder, count))


@contextmanager
def serving(desk: Desk) -> Iterator[DeskServer]:
    """Serve a desk in a thread until the block ends."""
    with DeskServer(desk) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def full_disk(path: Path, room: int = 20) -> Iterator[None]:
    """Let no file of this process grow beyond ``room`` bytes more than this one has: writes end half-done."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((path.stat().st_size if path.exists() else 0) + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
