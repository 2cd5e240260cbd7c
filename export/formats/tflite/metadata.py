"""Adds the metadata that Android's tools read to a TFLite flatbuffer: name, labels, size and normalisation.

The entry ``TFLITE_METADATA`` of a model names a buffer that holds a second flatbuffer, of the published schema
``metadata_schema.fbs`` (https://ai.google.dev/edge/litert/conversion/tensorflow/metadata). The writers on the package
index are old or corrupt the model, so the few tables needed are written here; slots are numbered as the fields of the
schema. Pure and deterministic: bytes in, bytes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

NAME = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"
_MODEL_IDENTIFIER, _METADATA_IDENTIFIER = b"TFL3", b"M001"
_PARSER = "1.0.0"
"""Oldest version of the schema that a reader needs: all fields written here have been in it from the start."""
_ALIGNMENT = 16
_RGB, _IMAGE, _FEATURE, _NORMALISATION, _AXIS_LABELS = 1, 2, 1, 1, 2
"""Values of the schema's enumerations and unions."""
Field = Callable[[flatbuffers.Builder, int], None]


def add_metadata(model: bytes, size: tuple[int, int], facts: Mapping[str, str], names: tuple[str, str]) -> bytes:
    """Add the metadata to a model, in place of those it has.

    Args:
        model: A flatbuffer.
        size: Height and width of the frame, in pixels.
        facts: Values for ``description``, ``version``, ``author`` and ``license``.
        names: Names of input and output in the signature.
    """
    packed = schema.ModelT.InitFromPackedBuf(bytearray(model), 0)
    packed.buffers = [_AlignedBuffer(buffer, model) for buffer in packed.buffers]
    buffer = _AlignedBuffer(_buffer(encode(size, facts, names)))
    entry = next((each for each in packed.metadata or () if each.name in (NAME, NAME.encode())), None)
    if entry is None:
        packed.buffers.append(buffer)
        entry = schema.MetadataT()
        entry.name, entry.buffer = NAME, len(packed.buffers) - 1
        packed.metadata = [*(packed.metadata or ()), entry]
    else:
        packed.buffers[entry.buffer] = buffer
    builder = flatbuffers.Builder(len(model) + 4096)
    builder.Finish(packed.Pack(builder), file_identifier=_MODEL_IDENTIFIER)
    return bytes(builder.Output())


def encode(size: tuple[int, int], facts: Mapping[str, str], names: tuple[str, str]) -> bytes:
    """Encode the table ``ModelMetadata``: one uint8 RGB frame in, without normalisation, and probabilities out."""
    height, width = size
    builder = flatbuffers.Builder(1024)
    text = builder.CreateString
    box = _table(builder, 2, {0: _uint(width), 1: _uint(height)})
    picture = _table(builder, 2, {0: _byte(_RGB), 1: _link(box)})
    units = [_table(builder, 2, {0: _union(_NORMALISATION), 1: _link(_normalisation(builder))})]
    frame = {
        0: _link(text(names[0])),
        1: _link(text("one upright RGB frame, 0 to 255; normalisation is inside the model")),
        3: _link(_content(builder, _IMAGE, picture)),
        4: _link(_vector(builder, units)),
    }
    ends = {0: _link(_floats(builder, [255.0])), 1: _link(_floats(builder, [0.0]))}
    source = _table(builder, 7, {**frame, 5: _link(_table(builder, 2, ends))})
    listed = {0: _link(text(LABELS_FILE)), 1: _link(text("a label a line")), 2: _byte(_AXIS_LABELS)}
    probabilities = {
        0: _link(text(names[1])),
        1: _link(text("a probability a label")),
        3: _link(_content(builder, _FEATURE, _table(builder, 0, {}))),
        6: _link(_vector(builder, [_table(builder, 4, listed)])),
    }
    ends = {0: _link(_floats(builder, [1.0])), 1: _link(_floats(builder, [0.0]))}
    result = _table(builder, 7, {**probabilities, 5: _link(_table(builder, 2, ends))})
    graph = _table(builder, 10, {2: _link(_vector(builder, [source])), 3: _link(_vector(builder, [result]))})
    about = {
        0: _link(text(facts["author"] + " classifier")),
        1: _link(text(facts["description"])),
        2: _link(text(facts["version"])),
        3: _link(_vector(builder, [graph])),
        4: _link(text(facts["author"])),
        5: _link(text(facts["license"])),
        7: _link(text(_PARSER)),
    }
    builder.Finish(_table(builder, 8, about), file_identifier=_METADATA_IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose bytes start at a multiple of 16: the schema demands it, the generated code ignores it.

    Bytes that the quantiser appended to the flatbuffer are moved inside, because offsets to them would become stale.
    """

    def __init__(self, buffer: Any, model: bytes = b"") -> None:  # noqa: ANN401 - generated code is untyped
        super().__init__()
        outside = model[buffer.offset : buffer.offset + buffer.size] if buffer.offset > 1 else None
        self.data = buffer.data if outside is None else outside

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the generated code's name
        """Write the buffer; returns its offset."""
        place = None
        data = b"" if self.data is None else bytes(self.data)
        if data:
            builder.Prep(_ALIGNMENT, len(data))
            place = builder.CreateByteVector(data)
        schema.BufferStart(builder)
        if place is not None:
            schema.BufferAddData(builder, place)
        return int(schema.BufferEnd(builder))


def _buffer(data: bytes) -> Any:  # noqa: ANN401 - generated code is untyped
    buffer = schema.BufferT()
    buffer.data = data
    return buffer


def _table(builder: flatbuffers.Builder, slots: int, fields: Mapping[int, Field]) -> int:
    builder.StartObject(slots)
    for slot, put in fields.items():
        put(builder, slot)
    return int(builder.EndObject())


def _link(offset: int) -> Field:
    return lambda builder, slot: builder.PrependUOffsetTRelativeSlot(slot, offset, 0)


def _byte(value: int) -> Field:
    return lambda builder, slot: builder.PrependInt8Slot(slot, value, 0)


def _union(value: int) -> Field:
    return lambda builder, slot: builder.PrependUint8Slot(slot, value, 0)


def _uint(value: int) -> Field:
    return lambda builder, slot: builder.PrependUint32Slot(slot, value, 0)


def _content(builder: flatbuffers.Builder, kind: int, properties: int) -> int:
    return _table(builder, 3, {0: _union(kind), 1: _link(properties)})


def _normalisation(builder: flatbuffers.Builder) -> int:
    """Mean 0 and deviation 1, so that an app that normalises by the metadata does not change the pixels."""
    return _table(builder, 2, {0: _link(_floats(builder, [0.0])), 1: _link(_floats(builder, [1.0]))})


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())
