"""An image of one folder on its way into another, with its record's values but for its place."""

from __future__ import annotations

from pipeline.data.records import Image
from pipeline.data.shards import Encoded

_KEPT = frozenset({"id", "group", "label", "factors", "width", "height", "fault"})


def repack(image: Image, data: bytes) -> Encoded:
    """Put an image's values and its encoded bytes together for a new shard."""
    return Encoded(data=data, **image.model_dump(include=set(_KEPT)))
