"""The CRC-32C kernels: the RFC's vectors, and every path this processor has compared to the reader's Python code."""

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbc import _core
from tbc.reader.records import crc32c_in_python

RFC_3720 = [  # appendix B.4
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (
        bytes.fromhex(
            "01c00000 00000000 00000000 00000000 14000000 0000040000000014 00000018 28000000 00000000 02000000 00000000"
        ),
        0xD9963A56,
    ),
]

each_path = pytest.mark.parametrize("path", _core.crc32c_paths())


@each_path
@pytest.mark.parametrize(("data", "crc"), RFC_3720)
def test_vectors_of_rfc_3720(path, data, crc):
    assert _core.crc32c(data, path) == crc
    assert crc32c_in_python(data) == crc


@each_path
def test_every_length_to_4096_at_every_alignment(path):
    data = bytes((i * 193 + i // 256) & 255 for i in range(4096))
    expected = [google_crc32c.value(data[:length]) for length in range(4097)]
    for alignment in range(16):
        view = memoryview(bytes(alignment) + data)[alignment:]
        for length in range(4097):
            assert _core.crc32c(view[:length], path) == expected[length]


@each_path
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_lengths_around_whole_blocks(path, blocks):
    block, step = 8704, 136  # bytes per block and step of the fused path
    data = bytes((i * 193 + i // 256) & 255 for i in range(blocks * block + 2 * step + 8))
    for length in range(blocks * block - step - 8, len(data)):
        assert _core.crc32c(data[:length], path) == google_crc32c.value(data[:length])


@each_path
@given(st.integers(0, 100_000), st.integers(0, 15), st.integers(0, 255))
def test_any_length(path, length, start, seed):
    data = np.random.default_rng(seed).bytes(start + length)
    assert _core.crc32c(memoryview(data)[start:], path) == google_crc32c.value(data[start:])


@given(st.binary(max_size=300))
def test_the_default_path_and_the_readers_crc(data):
    assert _core.crc32c(data) == crc32c_in_python(data) == google_crc32c.value(data)


def test_an_unknown_path_is_told():
    assert _core.crc32c_paths()[0] == "portable"
    with pytest.raises(ValueError, match="portable"):
        _core.crc32c(b"", "quantum")
