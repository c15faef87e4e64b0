"""Read Event messages, and split them into values."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from tbc.proto import Event

from .files import raise_error
from .records import CorruptRecordError, RecordError, read_frames
from .tags import kind_of, plugin_of

STRING = 7
DTYPES = {  # by TensorProto.dtype: name, struct code of tensor_content, and the field that may hold the values instead
    1: ("float32", "f", "float_val"),
    2: ("float64", "d", "double_val"),
    3: ("int32", "i", "int_val"),
    4: ("uint8", "B", "int_val"),
    5: ("int16", "h", "int_val"),
    6: ("int8", "b", "int_val"),
    STRING: ("string", "", "string_val"),
    8: ("complex64", "f", "scomplex_val"),
    9: ("int64", "q", "int64_val"),
    10: ("bool", "?", "bool_val"),
    14: ("bfloat16", "H", "half_val"),
    17: ("uint16", "H", "int_val"),
    18: ("complex128", "d", "dcomplex_val"),
    19: ("float16", "e", "half_val"),
    22: ("uint32", "I", "uint32_val"),
    23: ("uint64", "Q", "uint64_val"),
}


@dataclass(frozen=True)
class Value:
    """One value that was logged.

    step, wall_time: of its event; wall_time in seconds since 1970
    kind: scalar, histogram, image, audio, text, pr_curve, mesh, hparams, custom_scalars, keras_model, tensor or empty.
        Events without a summary have the kinds file_version, session_log, graph, meta_graph and run_metadata, and an
        empty tag (a run_metadata may have one)
    content: the Summary.Value message, or what the event holds instead of a summary. Writers store the same kind in
        several ways; decode() reads them all
    """

    step: int
    wall_time: float
    tag: str
    kind: str
    content: Any

    def decode(self) -> Any:
        """Return the number, text, array or object, as the function `decode` does. Raises ValueError."""
        from .kinds import decode

        return decode(self)


def read_events(path: str | os.PathLike[str], on_error: Callable[[RecordError], object] = raise_error) -> Iterator[Any]:
    """Yield the Event messages (tbc.proto.Event) of a file, in order.

    Raises, or calls `on_error`, as read_records does. A record that is not an Event is a CorruptRecordError, too.
    """
    for offset, data in read_frames(path, on_error):
        event = event_of(data, os.fsdecode(path), offset, on_error)
        if event is not None:
            yield event


def event_of(data: bytes, path: str, offset: int, on_error: Callable[[RecordError], object]) -> Any | None:
    """Return the Event in a record's data; call `on_error` and return None if the data is not an Event."""
    try:
        return Event.FromString(data)
    except (DecodeError, UnicodeDecodeError):  # protobuf in pure Python raises the latter
        on_error(CorruptRecordError(path, offset, "no Event message"))
        return None


def read_values(
    path: str | os.PathLike[str], on_error: Callable[[RecordError], object] = raise_error
) -> Iterator[Value]:
    """Yield each value in the events of a file, in order. Raises, or calls `on_error`, as read_events does."""
    plugins: dict[str, str] = {}
    for event in read_events(path, on_error):
        yield from values_of(event, plugins)


def values_of(event: Any, plugins: dict[str, str] | None = None) -> Iterator[Value]:
    """Yield each value of an event.

    plugins: the plugin of each tag so far; tags.plugin_of reads and extends it
    """
    what = event.WhichOneof("what")
    if what == "summary":
        step, wall_time = event.step, event.wall_time
        for value in event.summary.value:
            tag = value.tag
            # HasField first: reading the fields of absent metadata is slow.
            plugin = value.metadata.plugin_data.plugin_name if value.HasField("metadata") else ""
            if plugins is not None:
                plugin = plugin_of(tag, plugin, plugins)
            yield Value(step, wall_time, tag, kind_of(value.WhichOneof("value"), plugin), value)
    elif what is not None:
        tag = event.tagged_run_metadata.tag if what == "tagged_run_metadata" else ""
        yield Value(event.step, event.wall_time, tag, kind_of(what, ""), getattr(event, what))


def tensor_values(tensor: Any, limit: int | None = None) -> list[Any]:
    """Return the stored elements of a TensorProto as a flat list; at most the first `limit`.

    Strings are bytes, and a complex number is two elements. The shape is ignored: it may have more or fewer elements.
    """
    name, code, field = DTYPES.get(tensor.dtype, ("", "", ""))
    if not field:
        return []
    if tensor.tensor_content and code:
        n = len(tensor.tensor_content) // struct.calcsize(code)
        n = n if limit is None else min(n, limit)
        values = list(struct.unpack_from(f"<{n}{code}", tensor.tensor_content))
    else:
        values = list(getattr(tensor, field)[:limit])
        if name == "uint8" and not values:  # torch's writer puts them into uint32_val
            values = list(tensor.uint32_val[:limit])
        if name == "float16":
            values = [_half(bits) for bits in values]
    if name == "bfloat16":
        values = [_bfloat(bits) for bits in values]
    return values


def numbers_of(tensor: Any, limit: int | None = None) -> list[Any]:
    """Return tensor_values(tensor, limit). Raises ValueError for a tensor of strings."""
    if tensor.dtype == STRING:
        raise ValueError("expected numbers, got string")
    return tensor_values(tensor, limit)


def _float_of(bits: int) -> float:
    value: float = struct.unpack("<f", struct.pack("<I", bits & 0xFFFFFFFF))[0]
    return value


def _half(bits: int) -> float:
    """Return the number in an element of half_val: 16 bits of a half, or the 32 bits of a float of torch's writer."""
    value: float = struct.unpack("<e", struct.pack("<H", bits))[0] if 0 <= bits < 1 << 16 else _float_of(bits)
    return value


def _bfloat(bits: int) -> float:
    return _float_of(bits << 16 if 0 <= bits < 1 << 16 else bits)


def scalar_of(value: Any) -> float:
    """Return the number of a scalar: a simple_value, or the first element of a tensor; NaN if the tensor is empty."""
    if value.WhichOneof("value") == "simple_value":
        return float(value.simple_value)
    values = numbers_of(value.tensor, 1)
    return float(values[0]) if values else math.nan
