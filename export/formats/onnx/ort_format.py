"""Sorts the table of kernels in an .ort file, which ONNX Runtime writes in the order of a hash map.

An .ort file is a flatbuffer; it is read and written here with the schema's generated code, which comes with ONNX
Runtime. Flatbuffers are written back to front: the graph and everything it refers to are at the end, the table of
kernels and the root table before them. So the end is copied unchanged, and what precedes it is written again with the
kernels sorted. Pure and deterministic: bytes in, bytes out.
"""

from __future__ import annotations

import struct
from typing import Any

import flatbuffers

IDENTIFIER = b"ORTM"
_ALIGNMENT = 16
Argument = tuple[int, int]
"""Kind (0: input, 1: output) and index."""
Kernel = tuple[bytes, tuple[tuple[bytes, tuple[Argument, ...]], ...]]
"""An operator, and the arguments of each of its type parameters: (operator, ((type parameter, arguments), ...))."""


def sort_kernels(model: bytes) -> bytes:
    """Sort the kernels of an .ort file; the model stays the same.

    Raises:
        ValueError: The bytes are no .ort file.
    """
    fbs, session = _schema(), _open(model)
    tail = model[_first_byte(model, session.Model()._tab.Pos) :]  # noqa: SLF001 - the generated code gives offsets nowhere else
    builder = flatbuffers.Builder(len(model))
    builder.minalign = _ALIGNMENT
    builder.head = len(builder.Bytes) - len(tail)
    builder.Bytes[builder.head :] = tail
    graph = len(model) - session.Model()._tab.Pos  # noqa: SLF001 - counted from the end, as builders do
    table = _write_kernels(builder, read_kernels(model))
    version = builder.CreateString(session.OrtVersion())
    fbs.InferenceSession.Start(builder)
    fbs.InferenceSession.AddOrtVersion(builder, version)
    fbs.InferenceSession.AddModel(builder, graph)
    fbs.InferenceSession.AddKernelTypeStrResolver(builder, table)
    builder.Finish(fbs.InferenceSession.End(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def read_kernels(model: bytes) -> list[Kernel]:
    """Read the table of kernels, sorted.

    Raises:
        ValueError: The bytes are no .ort file.
    """
    resolver = _open(model).KernelTypeStrResolver()
    entries = map(resolver.OpKernelTypeStrArgs, range(resolver.OpKernelTypeStrArgsLength()))
    return sorted((bytes(entry.OpId()), _read_types(entry)) for entry in entries)


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
