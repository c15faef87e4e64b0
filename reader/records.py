"""TFRecord frames, one after another: the container of every event file.

    uint64  length of the data             little-endian
    uint32  masked CRC-32C of the 8 bytes above
    byte    data[length]
    uint32  masked CRC-32C of the data

This is the oracle of the writer's tests and shares no code with it. Where tbc's extension is built, its CRC is taken
for speed instead of the one below; the tests hold both against others, and read with this one.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress

HEAD = struct.Struct("<QI")
TAIL = struct.Struct("<I")


class RecordError(ValueError):
    """A file that is not a run of whole records. `path` and `offset` (in bytes) say where."""

    def __init__(self, path: str, offset: int, problem: str) -> None:
        super().__init__(f"{path}: {problem} in the record at byte {offset}")
        self.path = path
        self.offset = offset


class TruncatedRecordError(RecordError):
    """The file ends within a record: its writer was killed, or has not finished yet."""


class CorruptRecordError(RecordError):
    """The bytes of a record are not those that were written. Nothing behind it is read."""


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


def read_records(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The data of each record of a file, in order.

    Raises OSError, TruncatedRecordError where the file ends within a record, and CorruptRecordError where a checksum is
    wrong; all that stands before has been given by then.
    """
    for _, data in read_frames(path):
        yield data


def read_frames(path: str | os.PathLike[str]) -> Iterator[tuple[int, bytes]]:
    """As read_records, each with the offset of its record."""
    name = os.fsdecode(path)
    with open(path, "rb") as file:
        offset = 0
        while head := file.read(HEAD.size):
            if len(head) < HEAD.size:
                raise TruncatedRecordError(name, offset, "the file ends")
            length, crc = HEAD.unpack(head)
            if crc != mask(crc32c(head[:8])):
                raise CorruptRecordError(name, offset, "wrong checksum of the length")
            end = offset + HEAD.size + length + TAIL.size
            if end > os.fstat(file.fileno()).st_size:  # before memory is taken for it
                raise TruncatedRecordError(name, offset, "the file ends")
            data = file.read(length)
            tail = file.read(TAIL.size)
            if len(tail) < TAIL.size:
                raise TruncatedRecordError(name, offset, "the file ends")
            if TAIL.unpack(tail)[0] != mask(crc32c(data)):
                raise CorruptRecordError(name, offset, "wrong checksum of the data")
            yield offset, data
            offset = end
