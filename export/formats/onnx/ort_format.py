"""Writes two parts of an .ort file again: the table of kernels, and the metadata.

ONNX Runtime writes kernels in the order of a hash map, and no metadata into a finished file.
An .ort file is a flatbuffer; it is read and written here with the schema's generated code, which comes with ONNX
Runtime. Flatbuffers are written back to front: the graph and everything it refers to are at the end, the table of
kernels and the root table before them. So the end is copied unchanged, and what precedes it is written again with the
kernels sorted. Pure and deterministic: bytes in, bytes out.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import flatbuffers
from flatbuffers import number_types

IDENTIFIER = b"ORTM"
_ALIGNMENT = 16
_MODEL_FIELDS = (
    "number",  # ir_version
    "reference",  # opset_import
    "reference",  # producer_name
    "reference",  # producer_version
    "reference",  # domain
    "number",  # model_version
    "replaced",  # doc_string
    "reference",  # graph
    "reference",  # graph_doc_string
    "replaced",  # metadata_props
)
"""Fields of the table of the model, in the order of the schema."""
Argument = tuple[int, int]
"""Kind (0: input, 1: output) and index."""
Kernel = tuple[bytes, tuple[tuple[bytes, tuple[Argument, ...]], ...]]
"""An operator, and the arguments of each of its type parameters: (operator, ((type parameter, arguments), ...))."""


def sort_kernels(model: bytes) -> bytes:
    """Sort the kernels of an .ort file; the model stays the same.

    Raises:
        ValueError: The bytes are no .ort file.
    """
    builder = _copy_graph(model)
    return _finish(builder, model, _from_end(model, _open(model).Model()))


def replace_metadata(model: bytes, metadata: Mapping[str, str]) -> bytes:
    """Replace the metadata of an .ort file; ``description`` becomes the model's doc string, too.

    The model's table is written again, and refers to the graph and all else where they were.

    Raises:
        ValueError: The bytes are no .ort file.
    """
    fbs, old = _schema(), _open(model).Model()
    if read_metadata(model) == dict(metadata):
        return model
    builder = _copy_graph(model)
    entries = []
    for key, value in sorted(metadata.items()):
        name, text = builder.CreateString(key), builder.CreateString(value)
        fbs.StringStringEntry.Start(builder)
        fbs.StringStringEntry.AddKey(builder, name)
        fbs.StringStringEntry.AddValue(builder, text)
        entries.append(fbs.StringStringEntry.End(builder))
    properties, description = _vector(builder, entries), builder.CreateString(metadata.get("description", ""))
    fbs.Model.Start(builder)
    for slot, field in enumerate(_MODEL_FIELDS):
        at = old._tab.Offset(4 + 2 * slot)  # noqa: SLF001 - the generated code gives offsets nowhere else
        if at and field == "number":
            value = old._tab.Get(number_types.Int64Flags, old._tab.Pos + at)  # noqa: SLF001
            builder.PrependInt64Slot(slot, value, 0)
        elif at and field == "reference":
            target = len(model) - old._tab.Indirect(old._tab.Pos + at)  # noqa: SLF001
            builder.PrependUOffsetTRelativeSlot(slot, target, 0)
    fbs.Model.AddDocString(builder, description)
    fbs.Model.AddMetadataProps(builder, properties)
    return _finish(builder, model, fbs.Model.End(builder))


def read_metadata(model: bytes) -> dict[str, str]:
    """Read the metadata of an .ort file.

    Raises:
        ValueError: The bytes are no .ort file.
    """
    table = _open(model).Model()
    entries = map(table.MetadataProps, range(table.MetadataPropsLength()))
    return {entry.Key().decode(): entry.Value().decode() for entry in entries}


def read_kernels(model: bytes) -> list[Kernel]:
    """Read the table of kernels, sorted.

    Raises:
        ValueError: The bytes are no .ort file.
    """
    resolver = _open(model).KernelTypeStrResolver()
    entries = map(resolver.OpKernelTypeStrArgs, range(resolver.OpKernelTypeStrArgsLength()))
    return sorted((bytes(entry.OpId()), _read_types(entry)) for entry in entries)


def _copy_graph(model: bytes) -> flatbuffers.Builder:
    """Begin a file with the end of another one: the table of the model and everything it refers to."""
    tail = model[_first_byte(model, _open(model).Model()._tab.Pos) :]  # noqa: SLF001 - given nowhere else
    builder = flatbuffers.Builder(len(model))
    builder.minalign = _ALIGNMENT
    builder.head = len(builder.Bytes) - len(tail)
    builder.Bytes[builder.head :] = tail
    return builder


def _from_end(model: bytes, table: Any) -> int:  # noqa: ANN401 - untyped
    """Return the place of a table, counted from the end of the file, as builders do."""
    return len(model) - int(table._tab.Pos)  # noqa: SLF001


def _finish(builder: flatbuffers.Builder, model: bytes, table: int) -> bytes:
    """Write the sorted kernels and the root table of a file whose model is the table at this place."""
    fbs = _schema()
    kernels = _write_kernels(builder, read_kernels(model))
    version = builder.CreateString(_open(model).OrtVersion())
    fbs.InferenceSession.Start(builder)
    fbs.InferenceSession.AddOrtVersion(builder, version)
    fbs.InferenceSession.AddModel(builder, table)
    fbs.InferenceSession.AddKernelTypeStrResolver(builder, kernels)
    builder.Finish(fbs.InferenceSession.End(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _read_types(entry: Any) -> tuple[tuple[bytes, tuple[Argument, ...]], ...]:  # noqa: ANN401 - untyped
    types = map(entry.KernelTypeStrArgs, range(entry.KernelTypeStrArgsLength()))
    return tuple(sorted((bytes(kind.KernelTypeStr()), _read_arguments(kind)) for kind in types))


def _read_arguments(entry: Any) -> tuple[Argument, ...]:  # noqa: ANN401 - untyped
    arguments = map(entry.Args, range(entry.ArgsLength()))
    return tuple((argument.ArgType(), argument.Index()) for argument in arguments)


def _write_kernels(builder: flatbuffers.Builder, kernels: list[Kernel]) -> int:
    fbs = _schema()
    written = []
    for operator, types in kernels:
        table = _vector(builder, [_write_type(builder, name, arguments) for name, arguments in types])
        name = builder.CreateString(operator)
        fbs.OpIdKernelTypeStrArgsEntry.Start(builder)
        fbs.OpIdKernelTypeStrArgsEntry.AddOpId(builder, name)
        fbs.OpIdKernelTypeStrArgsEntry.AddKernelTypeStrArgs(builder, table)
        written.append(fbs.OpIdKernelTypeStrArgsEntry.End(builder))
    table = _vector(builder, written)
    fbs.KernelTypeStrResolver.Start(builder)
    fbs.KernelTypeStrResolver.AddOpKernelTypeStrArgs(builder, table)
    return int(fbs.KernelTypeStrResolver.End(builder))


def _write_type(builder: flatbuffers.Builder, name: bytes, arguments: tuple[Argument, ...]) -> int:
    fbs = _schema()
    written = []
    for kind, index in arguments:
        fbs.ArgTypeAndIndex.Start(builder)
        fbs.ArgTypeAndIndex.AddArgType(builder, kind)
        fbs.ArgTypeAndIndex.AddIndex(builder, index)
        written.append(fbs.ArgTypeAndIndex.End(builder))
    table, text = _vector(builder, written), builder.CreateString(name)
    fbs.KernelTypeStrArgsEntry.Start(builder)
    fbs.KernelTypeStrArgsEntry.AddKernelTypeStr(builder, text)
    fbs.KernelTypeStrArgsEntry.AddArgs(builder, table)
    return int(fbs.KernelTypeStrArgsEntry.End(builder))


def _vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _first_byte(model: bytes, table: int) -> int:
    """Offset where a table and everything it refers to start: at its vtable if that precedes it, else at the table."""
    (back,) = struct.unpack_from("<i", model, table)
    return min(table, table - int(back))


def _open(model: bytes) -> Any:  # noqa: ANN401 - untyped
    session = _schema().InferenceSession.InferenceSession
    if len(model) < 8 or not session.InferenceSessionBufferHasIdentifier(model, 0):
        raise ValueError(f"begins with {model[4:8]!r}; expected the file identifier {IDENTIFIER!r} of an .ort file")
    return session.GetRootAs(model)


def _schema() -> Any:  # noqa: ANN401 - untyped
    import onnxruntime.tools.ort_format_model  # noqa: F401 - makes its schema importable
    from ort_flatbuffers_py import fbs

    return fbs
