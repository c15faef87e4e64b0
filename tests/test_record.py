"""TFRecord frames: bytes that TensorFlow and PyTorch wrote, and files that are cut or damaged."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbc import _core
from tbc.reader import CorruptRecordError, TruncatedRecordError, read_records
from tbc.reader.records import crc32c_in_python, mask, read_frames

DATA = Path(__file__).parent / "data"  # see README.md there
TENSORFLOW_PAYLOADS = [b"", b"a", b"hello TFRecord", bytes(range(256)) * 5]


@pytest.mark.parametrize("name", ["tensorflow.tfrecord", "tensorflow.tfevents.v2", "pytorch.tfevents"])
def test_frames_are_those_of_tensorflow_and_pytorch(name):
    payloads = list(read_records(DATA / name))
    assert b"".join(map(_core.frame, payloads)) == (DATA / name).read_bytes()


def test_the_reader_finds_what_tensorflow_wrote():
    assert list(read_records(DATA / "tensorflow.tfrecord")) == TENSORFLOW_PAYLOADS


@given(st.lists(st.binary(max_size=100)))
def test_a_run_of_frames_is_read_back(tmp_path_factory, payloads):
    path = tmp_path_factory.mktemp("records") / "file"
    path.write_bytes(b"".join(map(_core.frame, payloads)))
    assert list(read_records(path)) == payloads
    assert [offset for offset, _ in read_frames(str(path))] == [
        sum(16 + len(before) for before in payloads[:i]) for i in range(len(payloads))
    ]


def test_a_file_cut_anywhere_in_its_last_record_is_truncated(tmp_path):
    whole = _core.frame(b"first") + _core.frame(b"second")
    path = tmp_path / "file"
    for size in range(len(_core.frame(b"first")) + 1, len(whole)):
        path.write_bytes(whole[:size])
        records = read_records(path)
        assert next(records) == b"first"
        with pytest.raises(TruncatedRecordError, match="byte 21") as caught:
            next(records)
        assert (caught.value.path, caught.value.offset) == (str(path), 21)


def test_a_flipped_bit_anywhere_in_a_record_is_corruption(tmp_path):
    first, second = _core.frame(b"first"), _core.frame(b"second")
    path = tmp_path / "file"
    for position in range(len(second)):
        for bit in (1, 128):
            damaged = bytearray(second)
            damaged[position] ^= bit
            path.write_bytes(first + damaged + first)
            records = read_records(path)
            assert next(records) == b"first"
            with pytest.raises(CorruptRecordError, match="byte 21"):
                next(records)


def test_a_length_beyond_the_file_takes_no_memory(tmp_path):
    path = tmp_path / "file"
    length = (2**30).to_bytes(8, "little")
    path.write_bytes(length + mask(crc32c_in_python(length)).to_bytes(4, "little") + b"x" * 100)
    with pytest.raises(TruncatedRecordError):
        list(read_records(path))


def test_a_missing_file_raises_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(read_records(tmp_path / "none"))
