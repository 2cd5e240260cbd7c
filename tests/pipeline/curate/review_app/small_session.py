"""Review sessions of any number of images; the images share the bytes of four pictures."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipeline.curate.review_app.server import ReviewServer
from pipeline.curate.review_app.session import ReviewPaths, ReviewSession, open_session
from pipeline.data.preprocess import encode_png
from pipeline.data.records import Image, Rejection
from pipeline.data.shards import Encoded, write_images, write_index
from pipeline.data.storage import write_rows

LABELS = ("no_helmet", "helmet")
LIGHTS = ("day", "indoor", "night")
REJECTED_STEP = 3  # every third image is rejected


def paths_in(folder: Path) -> ReviewPaths:
    data = folder / "data"
    return ReviewPaths(data / "images", data / "kept.jsonl", data / "rejected.jsonl", data / "decisions.jsonl")


def write_curated(folder: Path, count: int) -> ReviewPaths:
    """Write the outputs of curation: the label of image n is n modulo 2, its light n modulo 3."""
    paths = paths_in(folder)
    shades = [np.full((128, 96, 3), 30 + 40 * shade, np.uint8) for shade in range(4)]
    encoded = [Encoded(f"{n}", f"{n}", "helmet", {}, encode_png(shade), 96, 128) for n, shade in enumerate(shades)]
    written = write_images(paths.images, encoded, 4)
    images = [written[n % 4].model_copy(update=fields(n)) for n in range(count)]
    write_index(paths.images, images)
    write_rows(paths.kept, [image for n, image in enumerate(images) if n % REJECTED_STEP])
    write_rows(paths.rejected, [rejection(image) for image in images[::REJECTED_STEP]])
    return paths


def fields(number: int) -> dict[str, object]:
    factors = {"light": LIGHTS[number % 3], "label": f"mine-{number % 2}"}  # a factor may be named label
    return {"id": f"{number:05d}", "label": LABELS[number % 2], "factors": factors}


def rejection(image: Image) -> Rejection:
    """Reject an image as blurry or as a label error; later images have lower scores."""
    number = int(image.id)
    return Rejection(
        image_id=image.id,
        label=image.label,
        reason="blurry" if number % 4 else "label_error",
        score=0.1 / (1 + number),
        threshold=0.2,
        detail=f"looks doubtful: {number}",
    )


def small_session(folder: Path, count: int = 12) -> ReviewSession:
    return open_session(write_curated(folder, count))


@contextmanager
def serving(session: ReviewSession) -> Iterator[ReviewServer]:
    """Serve a session in a thread until the end of the block."""
    with ReviewServer(session) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def full_disk(path: Path, room: int = 20) -> Iterator[None]:
    """Limit files of this process to the size of this one plus ``room`` bytes: larger writes stay incomplete."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((path.stat().st_size if path.exists() else 0) + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
