"""TFRecord frames, one after another: the container of every event file.

    uint64  length of the data             little-endian
    uint32  masked CRC-32C of the 8 bytes above
    byte    data[length]
    uint32  masked CRC-32C of the data

This is the oracle of the writer's tests and shares no code with it. Where tbc's extension is built, its CRC is taken
for speed instead of the one below; the tests hold both against others, and read with this one.

A file may hold anything. Whatever it is, time goes with its size and memory with its largest record: a length is
believed once its checksum holds and the file has room for it, and no byte is looked at more than twice.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO

from .files import open_file, raise_error, size_of

HEAD = struct.Struct("<QI")
TAIL = struct.Struct("<I")
LIMIT = 2**31 - 1  # bytes of data: no protobuf message is larger
SURE = 1 << 12  # bytes that are read without a look whether the file has them

# The upper half of a length, which is zero, and the checksum behind it. A run of zeros, which a crash may leave in
# plenty, is one match: twelve zeros are no head.
_HALF_A_HEAD = re.compile(rb"\0(?:(?<=\0{5})\0*(?=\0{11})|(?=\0{3}.{4}))", re.DOTALL)


class RecordError(ValueError):
    """A file that is not a run of whole records.

    `problem` says what is wrong, `path` and `offset` (in bytes) where; `end` is where that record ends, if its length
    can be believed.
    """

    def __init__(self, path: str, offset: int, problem: str, end: int | None = None) -> None:
        super().__init__(path, offset, problem, end)  # what pickle hands over
        self.path = path
        self.offset = offset
        self.problem: str = f"{problem} in the record at byte {offset}"
        self.end = end

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class TruncatedRecordError(RecordError):
    """The file ends within a record: its writer was killed, or has not finished yet."""


class CorruptRecordError(RecordError):
    """The bytes of a record are not those that were written."""


def _crc_table() -> list[int]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc_table()


def crc32c_in_python(data: bytes) -> int:
    """CRC-32C (Castagnoli, RFC 3720), a byte at a time."""
    table = _TABLE
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


crc32c: Callable[[bytes], int] = crc32c_in_python
with suppress(ImportError):
    from tbc._core import crc32c


def mask(crc: int) -> int:
    """As it is stored: rotated right by 15 bits, plus a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(
    path: str | os.PathLike[str], on_error: Callable[[RecordError], object] = raise_error
) -> Iterator[bytes]:
    """The data of each record of a file, in order.

    Raises OSError, TruncatedRecordError where the file ends within a record, and CorruptRecordError where a checksum is
    wrong; all that stands before has been given by then. With an `on_error` of the caller's, these two are given to it
    in place of being raised, and reading goes on: behind a record whose data is damaged, else at the next head of one.
    """
    for _, data in read_frames(path, on_error):
        yield data


def read_frames(
    path: str | os.PathLike[str], on_error: Callable[[RecordError], object] = raise_error, offset: int = 0
) -> Iterator[tuple[int, bytes]]:
    """As read_records, each with the offset of its record, from the record on that begins at `offset`."""
    name = os.fsdecode(path)
    with open_file(name) as file:
        yield from frames_of(file, name, on_error, offset)


def frames_of(
    file: BinaryIO, name: str, on_error: Callable[[RecordError], object], offset: int
) -> Iterator[tuple[int, bytes]]:
    """As read_frames, of an open file."""
    while True:
        try:
            data = read_record(file, name, offset)
        except RecordError as error:
            on_error(error)
            behind = error.end or next_head(file, offset + 1)
            if behind is None:
                return
            if isinstance(error, TruncatedRecordError):
                on_error(CorruptRecordError(name, offset, f"wrong length (another begins at byte {behind})"))
            offset = behind
        else:
            if data is None:
                return
            yield offset, data
            offset = end_of(offset, len(data))


def frame(data: bytes) -> bytes:
    """A record with that data."""
    length = HEAD.pack(len(data), 0)[:8]
    return length + TAIL.pack(mask(crc32c(length))) + data + TAIL.pack(mask(crc32c(data)))


def end_of(offset: int, length: int) -> int:
    """Where the record ends that begins at `offset` and has so much data."""
    return offset + HEAD.size + length + TAIL.size


def read_record(file: BinaryIO, name: str, offset: int) -> bytes | None:
    """The data of the record that begins at `offset`; None if the file ends there. Raises as read_records does."""
    file.seek(offset)
    head = file.read(HEAD.size)
    if not head:
        return None
    if len(head) < HEAD.size:
        raise TruncatedRecordError(name, offset, "the file ends")
    length = _length(head)
    if length is None:
        raise CorruptRecordError(name, offset, "wrong checksum of the length")
    if length > LIMIT:
        raise CorruptRecordError(name, offset, f"impossible length of {length} bytes")
    end = end_of(offset, length)
    if length > SURE and end > size_of(file):  # before memory is taken for it
        raise TruncatedRecordError(name, offset, "the file ends")
    data = file.read(length)
    tail = file.read(TAIL.size)
    if len(tail) < TAIL.size:
        raise TruncatedRecordError(name, offset, "the file ends")
    if TAIL.unpack(tail)[0] != mask(crc32c(data)):
        raise CorruptRecordError(name, offset, "wrong checksum of the data", end)
    return data


def _length(head: bytes) -> int | None:
    """What the head of a record says, if its checksum holds."""
    length: int
    length, crc = HEAD.unpack(head)
    return length if crc == mask(crc32c(head[:8])) else None


def next_head(file: BinaryIO, offset: int, whole: bool = True) -> int | None:
    """Where the next record begins, at `offset` or behind: a length whose checksum holds, and which the file has room
    for, unless the record need not be whole.

    Pieces double, so that damage every few bytes does not have a mebibyte read for each.
    """
    size = size_of(file)
    step = 1 << 10
    while offset < size:
        offset = max(offset, _next_data(file, offset) - HEAD.size + 1)
        file.seek(offset)
        piece = file.read(step + HEAD.size - 1)
        for match in _HALF_A_HEAD.finditer(piece, 4):
            at = match.start() - 4
            length = _length(piece[at : at + HEAD.size])
            if length is not None and (not whole or end_of(offset + at, length) <= size):
                return offset + at
        offset += step
        step = min(2 * step, 1 << 20)
    return None


def _next_data(file: BinaryIO, offset: int) -> int:
    """Where there are bytes, at `offset` or behind: a file of exbibytes may be a hole."""
    try:
        return file.seek(offset, os.SEEK_DATA)
    except (AttributeError, ValueError):  # no such thing here, or at a URL
        return offset
    except OSError as error:
        return size_of(file) if error.errno == errno.ENXIO else offset
