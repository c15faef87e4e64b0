"""Read the records (TFRecord frames) of an event file. An event file is a sequence of these frames:

    uint64  length of the data             little-endian
    uint32  masked CRC-32C of the 8 bytes above
    byte    data[length]
    uint32  masked CRC-32C of the data

This module is the oracle of the writer's tests and shares no code with the writer, except the CRC: where tbc's
extension is built, its faster CRC replaces the one below. The tests compare both CRCs with an independent one.

A file may hold anything. Time is linear in its size; memory, in its largest record. For this, a length is used only if
its checksum is right; above SURE, only if the file is long enough, too. Each byte is read a limited number of times.
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
LIMIT = 2**31 - 1  # bytes of data in a record: no protobuf message is larger
SURE = 1 << 12  # bytes of data: if a record has more, the size of the file is checked before they are read
PIECE = 1 << 20  # bytes that records_in_a_piece reads
SNIFFED = 1 << 12  # bytes at the beginning of a file that _wrong_file looks at

# Match the upper half of a length, which is zero, where a checksum may follow. A crash may leave a long run of zeros.
# One match skips almost all of the run, because twelve zeros are not a head.
_HALF_A_HEAD = re.compile(rb"\0(?:(?<=\0{5})\0*(?=\0{11})|(?=\0{3}.{4}))", re.DOTALL)


class RecordError(ValueError):
    """A file is damaged, or ends within a record.

    path, offset: the file, and the byte at which the record begins
    problem: what is wrong, with the offset
    end: the byte at which the record ends, or None if its length is not known
    """

    def __init__(self, path: str, offset: int, problem: str, end: int | None = None) -> None:
        super().__init__(path, offset, problem, end)  # pickle calls the class with these arguments
        self.path = path
        self.offset = offset
        self.problem: str = f"{problem} in the record at byte {offset}"
        self.end = end

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class TruncatedRecordError(RecordError):
    """The file ends within a record: its writer was killed, or has not finished yet."""


class CorruptRecordError(RecordError):
    """A record is damaged: a checksum or the length is wrong, or the data is not an Event."""


class WrongFileError(CorruptRecordError):
    """The file is not an event file (gzip, HTML, a Git LFS pointer, ...), or a tool changed it as if it were text."""

    def __init__(self, path: str, offset: int, problem: str, end: int | None = None) -> None:
        super().__init__(path, offset, problem, end)
        self.problem = problem


def _crc_table() -> list[int]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc_table()


def crc32c_in_python(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli, RFC 3720) of the data."""
    table = _TABLE
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


crc32c: Callable[[bytes], int] = crc32c_in_python
with suppress(ImportError):
    from tbc._core import crc32c


def mask(crc: int) -> int:
    """Return a CRC as TFRecord stores it: rotated right by 15 bits, plus a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(
    path: str | os.PathLike[str], on_error: Callable[[RecordError], object] = raise_error
) -> Iterator[bytes]:
    """Yield the data of each record of a file, in order.

    on_error: called with each TruncatedRecordError or CorruptRecordError; the default raises the error. If on_error
        returns, reading continues: after the record if only its data is damaged, else at the next valid head of a
        record. Adjacent damaged records are one error.

    Raises OSError. By default also raises TruncatedRecordError where the file ends within a record, and
    CorruptRecordError where a checksum or a length is wrong. All records before the damage are yielded first.
    """
    for _, data in read_frames(path, on_error):
        yield data


def read_frames(
    path: str | os.PathLike[str], on_error: Callable[[RecordError], object] = raise_error, offset: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, data) of each record from byte `offset` on. Damage is handled as in read_records."""
    path = os.fsdecode(path)
    with open_file(path) as file:
        yield from frames_of(file, path, on_error, offset)


def frames_of(
    file: BinaryIO, path: str, on_error: Callable[[RecordError], object], offset: int
) -> Iterator[tuple[int, bytes]]:
    """Do as read_frames does, for an open file. All damage before the next good record is one error."""
    is_damaged = False
    while True:
        try:
            data = read_record(file, path, offset)
        except RecordError as caught:
            error = caught
        else:
            if data is None:
                return
            is_damaged = False
            yield offset, data
            offset = end_of(offset, len(data))
            continue
        following = error.end
        if isinstance(error, TruncatedRecordError):
            following = next_head(file, offset + 1)
            if following is not None:
                error = CorruptRecordError(path, offset, f"wrong length (another begins at byte {following})")
        if not is_damaged:
            on_error(with_cause(error, file))
            is_damaged = True
        if following is None and not isinstance(error, TruncatedRecordError):
            following = next_head(file, offset + 1)
        if following is None:
            return
        offset = following


def with_cause(error: RecordError, file: BinaryIO) -> RecordError:
    """Return the error, or a more precise one if the file's bytes show the cause."""
    problem = _wrong_file(file) if error.offset == 0 else None
    if problem is None and _is_crlf(file, error.offset):
        problem = r"a text-mode transfer turned \n into \r\n; copy the file again, as binary"
    if problem is not None:
        return WrongFileError(error.path, error.offset, problem, error.end)
    file.seek(error.offset)
    if isinstance(error, CorruptRecordError) and file.read(HEAD.size) == bytes(HEAD.size):
        return CorruptRecordError(error.path, error.offset, "zeros, perhaps left by a crash,", error.end)
    return error


_MAGIC = {  # the first bytes of a file: what it is, and what to do
    b"\x1f\x8b\x08": "the file is compressed with gzip; decompress it",
    b"PK\x03\x04": "the file is a zip archive; unpack it",
    b"BZh": "the file is compressed with bzip2; decompress it",
    b"\xfd7zXZ\0": "the file is compressed with xz; decompress it",
    b"\x28\xb5\x2f\xfd": "the file is compressed with zstd; decompress it",
    b"version https://git-lfs": "the file is a pointer of Git LFS; run `git lfs pull` to get the event file",
    b"\xff\xfe": "a tool changed the file to text in UTF-16; copy it again, as binary",
    b"\xfe\xff": "a tool changed the file to text in UTF-16; copy it again, as binary",
    b"\xef\xbb\xbf": "a tool put UTF-8's byte order mark before the file; copy it again, as binary",
}


def _wrong_file(file: BinaryIO) -> str | None:
    """Return what is wrong with the file as a whole; None if its first SNIFFED bytes do not show this."""
    file.seek(0)
    head = file.read(SNIFFED)
    if len(head) >= HEAD.size and _length(head[: HEAD.size]) is not None:
        return None  # the file begins with a valid head
    for magic, problem in _MAGIC.items():
        if head.startswith(magic):
            return problem
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        return "the file is an HTML page, perhaps a login page in place of a download"
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if len(head) < SNIFFED or error.start < SNIFFED - 3:  # else only the last character is cut off
            return None
        text = head[: error.start].decode()
    # A text has no zero byte. The fourth byte of a record's length is zero, unless the data has 16 MiB or more.
    if len(head) >= 4 and all(character.isprintable() or character.isspace() for character in text):
        return "the file is plain text"
    if len(head) >= 100 and not text.isascii():  # checksums are like random bytes, hardly ever UTF-8
        return "a tool changed the file to text in UTF-8; copy it again, as binary"
    return None


def _is_crlf(file: BinaryIO, offset: int) -> bool:
    r"""Return whether the damaged record at `offset` is valid once each \r\n is \n again.

    If the head has an \r\n, only the head is checked. Else the result is False for more than SNIFFED bytes of data.
    """
    file.seek(offset)
    found = file.read(2 * HEAD.size)
    head = found.replace(b"\r\n", b"\n")[: HEAD.size]
    length = _length(head) if len(head) == HEAD.size else None
    if length is None or head != found[: HEAD.size]:
        return length is not None
    if length > SNIFFED:
        return False
    size = end_of(0, length)
    file.seek(offset)
    record = file.read(2 * size).replace(b"\r\n", b"\n")[:size]
    return len(record) == size and TAIL.unpack(record[-TAIL.size :])[0] == mask(crc32c(record[HEAD.size : -TAIL.size]))


def frame(data: bytes) -> bytes:
    """Return the record of the data: head, data and checksum."""
    length = HEAD.pack(len(data), 0)[:8]
    return length + TAIL.pack(mask(crc32c(length))) + data + TAIL.pack(mask(crc32c(data)))


def end_of(offset: int, length: int) -> int:
    """Return where a record ends that begins at `offset` and has `length` bytes of data."""
    return offset + HEAD.size + length + TAIL.size


def read_record(file: BinaryIO, path: str, offset: int) -> bytes | None:
    """Return the data of the record at `offset`; None if the file ends there.

    Raises TruncatedRecordError or CorruptRecordError if the record is damaged.
    """
    file.seek(offset)
    head = file.read(HEAD.size)
    if not head:
        return None
    if len(head) < HEAD.size:
        raise TruncatedRecordError(path, offset, "the file ends")
    length = _length(head)
    if length is None:
        raise CorruptRecordError(path, offset, "wrong checksum of the length")
    if length > LIMIT:
        raise CorruptRecordError(path, offset, f"impossible length of {length} bytes")
    end = end_of(offset, length)
    if length > SURE and end > size_of(file):  # checked before memory is allocated
        raise TruncatedRecordError(path, offset, "the file ends")
    data = file.read(length)
    tail = file.read(TAIL.size)
    if len(tail) < TAIL.size:
        raise TruncatedRecordError(path, offset, "the file ends")
    if TAIL.unpack(tail)[0] != mask(crc32c(data)):
        raise CorruptRecordError(path, offset, "wrong checksum of the data", end)
    return data


def records_in_a_piece(file: BinaryIO, offset: int, size: int) -> Iterator[tuple[int, bytes, int]]:
    """Read up to PIECE bytes at `offset`; yield (offset, data, checksum) of each record in them. size: of the file.

    Stop at a record that is damaged or not whole in the piece: the caller reads it with read_record. With read_record
    alone, `follow` takes 10 % longer.
    """
    file.seek(offset)
    piece = file.read(min(PIECE, size - offset))
    begin = 0
    while begin + HEAD.size <= len(piece):
        length, sum_of_length = HEAD.unpack_from(piece, begin)
        start = begin + HEAD.size
        end = start + length
        if end + TAIL.size > len(piece) or sum_of_length != mask(crc32c(piece[begin : begin + 8])):
            return
        data = piece[start:end]
        (sum_of_data,) = TAIL.unpack_from(piece, end)
        if sum_of_data != mask(crc32c(data)):
            return
        yield offset + begin, data, sum_of_data
        begin = end + TAIL.size


def _length(head: bytes) -> int | None:
    """Return the length in the head of a record; None if the length's checksum is wrong."""
    length: int
    length, crc = HEAD.unpack(head)
    return length if crc == mask(crc32c(head[:8])) else None


def next_head(file: BinaryIO, offset: int, whole: bool = True) -> int | None:
    """Return the offset of the first head at or after `offset` whose checksum is right; None if there is none.

    whole: skip a head if the file ends before the end of its record.

    The pieces that are read double in size: with damage every few bytes, a mebibyte for each place would be slow.
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
    """Return the offset of the first data at or after `offset`: a sparse file may have a hole of exbibytes."""
    try:
        return file.seek(offset, os.SEEK_DATA)
    except (AttributeError, ValueError):  # this system, or a file at a URL, has no SEEK_DATA
        return offset
    except OSError as error:
        return size_of(file) if error.errno == errno.ENXIO else offset
