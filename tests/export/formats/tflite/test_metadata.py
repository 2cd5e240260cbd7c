"""The metadata for Android's tools, read back table by table."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import encode as flat
from flatbuffers import number_types
from flatbuffers.table import Table

from export.formats.tflite.metadata import NAME, add_metadata, encode
from tests.export.conftest import Convert

FACTS = {"description": "Does it?", "version": "abc", "author": "Gossamer", "license": "Apache-2.0"}
SCHEMA_READER = "tensorflow_lite_support.metadata.python.metadata"


def root(data: bytes) -> Table:
    return Table(bytearray(data), flat.Get(number_types.UOffsetTFlags.packer_type, data, 0))


def follow(table: Table, *slots: int) -> Table:
    """Follow the slots of tables; a negative slot is a vector, of which the first entry is taken."""
    for slot in slots:
        place = table.Pos + offset_of(table, abs(slot))
        start = table.Indirect(place)
        table = Table(table.Bytes, table.Indirect(start + 4) if slot < 0 else start)
    return table


def offset_of(table: Table, slot: int) -> int:
    found = table.Offset(4 + 2 * slot)
    assert found, f"slot {slot} is empty"
    return int(found)


def text(table: Table, slot: int) -> str:
    return bytes(table.String(table.Pos + offset_of(table, slot))).decode()


def number(table: Table, slot: int, kind: object) -> int:
    return int(table.Get(kind, table.Pos + offset_of(table, slot)))


def floats(table: Table, slot: int) -> list[float]:
    return [float(value) for value in table.GetVectorAsNumpy(number_types.Float32Flags, offset_of(table, slot))]


def test_the_input_is_an_rgb_image_of_the_models_size_without_normalisation() -> None:
    graph = follow(root(encode((64, 48), FACTS, ("image", "probs"))), -3)
    frame = follow(graph, -2)
    assert text(frame, 0) == "image"
    content = follow(frame, 3)
    assert number(content, 0, number_types.Uint8Flags) == 2  # image properties
    picture = follow(content, 1)
    assert number(picture, 0, number_types.Int8Flags) == 1  # RGB
    size = follow(picture, 1)
    assert [number(size, slot, number_types.Uint32Flags) for slot in (0, 1)] == [48, 64]
    unit = follow(frame, -4)
    assert number(unit, 0, number_types.Uint8Flags) == 1  # normalisation
    assert (floats(follow(unit, 1), 0), floats(follow(unit, 1), 1)) == ([0.0], [1.0])
    assert (floats(follow(frame, 5), 1), floats(follow(frame, 5), 0)) == ([0.0], [255.0])


def test_the_output_refers_to_the_file_of_labels() -> None:
    data = encode((64, 48), FACTS, ("image", "probs"))
    assert data[4:8] == b"M001"
    output = follow(root(data), -3, -3)
    assert text(output, 0) == "probs"
    listed = follow(output, -6)
    assert (text(listed, 0), number(listed, 2, number_types.Int8Flags)) == ("labels.txt", 2)  # labels of an axis
    assert [text(root(data), slot) for slot in (1, 2, 4, 5, 7)] == [
        "Does it?",
        "abc",
        "Gossamer",
        "Apache-2.0",
        "1.0.0",
    ]


@pytest.mark.parametrize("recipe", ["float32", "dynamic_wi8_afp32", "static_wi8_ai8"])
def test_every_file_has_metadata_and_aligned_constants_inside_the_flatbuffer(convert: Convert, recipe: str) -> None:
    result, folder = convert("tflite")
    data = (folder / f"{recipe}.tflite").read_bytes()
    model = schema.Model.GetRootAs(data, 0)
    (entry,) = [found for i in range(model.MetadataLength()) if (found := model.Metadata(i)).Name() == NAME.encode()]
    metadata = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    assert text(root(metadata), 2) == result.artifacts.artifacts[0].checkpoint_id[:12]
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        assert buffer.Offset() <= 1, "bytes behind the flatbuffer"
        if buffer.DataLength():
            assert buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0


def test_constants_behind_a_flatbuffer_are_moved_into_it(convert: Convert) -> None:
    _, folder = convert("tflite")
    data = (folder / "float32.tflite").read_bytes()
    packed = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    largest = max(
        range(len(packed.buffers)), key=lambda i: 0 if packed.buffers[i].data is None else len(packed.buffers[i].data)
    )
    constants = bytes(packed.buffers[largest].data)
    packed.buffers[largest].data, packed.buffers[largest].size = None, len(constants)
    packed.buffers[largest].offset = 2
    from flatbuffers import Builder

    builder = Builder(1024)
    builder.Finish(packed.Pack(builder), file_identifier=b"TFL3")
    length = len(builder.Output())
    packed.buffers[largest].offset = length
    builder = Builder(1024)
    builder.Finish(packed.Pack(builder), file_identifier=b"TFL3")
    outside = bytes(builder.Output()) + constants
    model = schema.Model.GetRootAs(add_metadata(outside, (64, 48), FACTS, ("image", "probs")), 0)
    np.testing.assert_array_equal(model.Buffers(largest).DataAsNumpy(), np.frombuffer(constants, np.uint8))


def test_the_official_reader_reads_it(convert: Convert) -> None:
    metadata = pytest.importorskip(SCHEMA_READER, exc_type=ImportError)
    displayer = metadata.MetadataDisplayer.with_model_file(str(convert("tflite")[1] / "float32.tflite"))
    assert '"default_size"' in displayer.get_metadata_json()
    assert "labels.txt" in displayer.get_packed_associated_file_list()


def test_the_same_facts_give_the_same_bytes() -> None:
    assert encode((64, 48), FACTS, ("image", "probs")) == encode((64, 48), dict(FACTS), ("image", "probs"))
