"""Reads the constants of a MIL program: immediate values in the protobuf, and blobs in weights/weight.bin.

The blob file is parsed here because coremltools' native reader is not available on every platform. Its layout (version
2): at the offset that the program gives there is little-endian metadata: a sentinel, the type, the length in bytes and
the offset of the data (coremltools, mlmodel/src/MILBlob/Blob/StorageFormat.hpp).
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError

FLOAT16 = 10
FLOAT32 = 11
_STRING = 2
_BOOL = 1
_DTYPES = {_BOOL: np.bool_, FLOAT16: np.float16, FLOAT32: np.float32, 21: np.int8, 22: np.int16, 23: np.int32}
_DTYPES |= {24: np.int64, 31: np.uint8, 32: np.uint16, 33: np.uint32}
_PACKED = {35: 4, 36: 2, 37: 1, 38: 6, 39: 3}
"""MIL type -> number of bits of unsigned integers that are packed from the lowest bit of each byte on."""
_SENTINEL = 0xDEADBEEF
_METADATA = struct.Struct("<IIQQ")


def read_value(value: Any, weights: Path) -> Any:  # noqa: ANN401 - protobuf in; array, text or list out
    """Convert a protobuf ``Value`` to an array, a string or a list of strings.

    Raises:
        ModelError: The blob file is cut short, or the type is not supported.
    """
    if value.type.WhichOneof("type") == "listType":
        return [read_value(item, weights) for item in value.immediateValue.list.values]
    if value.type.WhichOneof("type") != "tensorType":
        raise ModelError(f"{weights.parent}: constant of {value.type.WhichOneof('type')}; expected a tensor or a list")
    kind = value.type.tensorType.dataType
    shape = tuple(int(side.constant.size) for side in value.type.tensorType.dimensions)
    if kind == _STRING:
        return str(value.immediateValue.tensor.strings.values[0])
    if kind in _PACKED:
        count, bits = math.prod(shape), _PACKED[kind]
        packed = _read_blob(weights, int(value.blobFileValue.offset), np.dtype(np.uint8), (-(-count * bits // 8),))
        return unpack(packed, bits, count).reshape(shape)
    if kind not in _DTYPES:
        raise ModelError(f"{weights.parent}: constant of MIL type {kind}; expected one of {sorted(_DTYPES)}")
    if value.WhichOneof("value") == "blobFileValue":
        return _read_blob(weights, int(value.blobFileValue.offset), np.dtype(_DTYPES[kind]), shape)
    tensor = value.immediateValue.tensor
    stored = getattr(tensor, tensor.WhichOneof("value")).values
    if isinstance(stored, bytes):
        return np.frombuffer(stored, _DTYPES[kind]).reshape(shape)
    return np.array(list(stored)).astype(_DTYPES[kind]).reshape(shape)


def unpack(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """Unpack ``count`` integers of ``bits`` bits each from bytes: uint8 (count,)."""
    single = np.unpackbits(packed, bitorder="little")[: count * bits].reshape(count, bits)
    return np.packbits(single, axis=1, bitorder="little")[:, 0]


def _read_blob(weights: Path, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:  # noqa: ANN401
    expected = math.prod(shape) * dtype.itemsize
    if not weights.is_file():
        raise ModelError(f"{weights}: missing; the program refers to it; run dvc repro convert@coreml")
    with weights.open("rb") as file:
        file.seek(offset)
        header = file.read(_METADATA.size)
        sentinel, _, length, start = _METADATA.unpack(header) if len(header) == _METADATA.size else (0, 0, 0, 0)
        if sentinel != _SENTINEL or length != expected:
            raise ModelError(f"{weights}: no blob of {expected} bytes at {offset}; run dvc repro convert@coreml")
        file.seek(start)
        data = file.read(length)
    if len(data) != length:
        raise ModelError(
            f"{weights}: cut short: {len(data)} of {length} bytes at {start}; run dvc repro convert@coreml"
        )
    return np.frombuffer(data, dtype).reshape(shape)
