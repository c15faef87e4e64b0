"""Pixels into PNG files.

A PNG is a signature, a header chunk, the pixels as one zlib stream, an end chunk. Each row is stored as its difference
from the row above (the Up filter), which numpy does in one subtraction; the deflate is ISA-L's, at its fast level.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    from isal import isal_zlib as zlib
except ImportError:  # no wheel for this platform: the same stream, ten times slower
    import zlib  # type: ignore[no-redef]

GRID_COLUMNS = 8
SIGNATURE = b"\x89PNG\r\n\x1a\n"
UP = 2
COLOR_TYPE = {2: 4, 3: 2, 4: 6}  # channels: gray and alpha, RGB, RGBA


def to_hwc(pixels: npt.NDArray[Any], dataformats: str) -> npt.NDArray[Any]:
    """Any layout as rows, columns, channels; a batch as a grid of eight images a row.

    dataformats: a permutation of "HW", "HWC" or "NCHW", in either case, one letter for each dimension of `pixels`.
    Channels: 1 to 4; in a batch 1 or 3. Raises AssertionError where torch does (a letter twice, another number of
    dimensions, channels of a batch), ValueError for other letters or channels and for an image without pixels,
    TypeError for what is no real number.
    """
    if len(set(dataformats)) != len(dataformats):
        raise AssertionError(f"dataformats has a dimension twice: {dataformats!r}")
    if len(dataformats) != pixels.ndim:
        raise AssertionError(f"dataformats {dataformats!r} does not fit an image of shape {pixels.shape}")
    letters = dataformats.upper()
    order = {2: "HW", 3: "HWC", 4: "NCHW"}.get(len(letters), "")
    if sorted(letters) != sorted(order):
        raise ValueError(f"dataformats must be a permutation of HW, HWC or NCHW, got {dataformats!r}")
    if pixels.dtype.kind not in "biuf":
        raise TypeError(f"pixels must be real numbers, got an array of {pixels.dtype}")
    if pixels.size == 0:
        raise ValueError(f"an image needs at least one pixel, got one of shape {pixels.shape}")
    pixels = pixels.transpose([letters.index(letter) for letter in order])
    if len(letters) == 4:
        return _grid(pixels)
    if len(letters) == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.shape[2] not in (1, 2, 3, 4):
        raise ValueError(f"an image has 1 to 4 channels, got {pixels.shape[2]} in shape {pixels.shape} (HWC)")
    return pixels


def snapshot(pixels: npt.NDArray[Any], dataformats: str) -> npt.NDArray[Any]:
    """As to_hwc, in memory of its own, which the caller cannot change any more."""
    laid_out = to_hwc(pixels, dataformats)
    return laid_out.copy(order="K") if np.may_share_memory(laid_out, pixels) else laid_out


def _grid(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
    n, channels, height, width = batch.shape
    if channels not in (1, 3):
        raise AssertionError(f"images in a batch have 1 or 3 channels, got {channels} in shape {batch.shape} (NCHW)")
    columns = min(n, GRID_COLUMNS)
    rows = -(-n // columns)
    canvas = np.zeros((rows * columns, height, width, channels), batch.dtype)
    canvas[:n] = batch.transpose(0, 2, 3, 1)
    tiled = canvas.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return tiled.reshape(rows * height, columns * width, channels)


def to_uint8(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Whatever is not uint8 runs from 0 to 1, as torch has it: times 255, cut off at both ends, rounded down."""
    if pixels.dtype == np.uint8:
        return pixels
    with np.errstate(invalid="ignore"):  # NaN becomes 0
        return (pixels.astype(np.float32) * 255).clip(0, 255).astype(np.uint8)


def encode_png(pixels: npt.NDArray[Any]) -> tuple[int, int, int, bytes]:
    """Pixels as to_hwc gives them into (height, width, channels, PNG file); one channel becomes three."""
    pixels = to_uint8(pixels)
    if pixels.shape[2] == 1:
        pixels = pixels.repeat(3, axis=2)
    height, width, channels = pixels.shape
    rows = pixels.reshape(height, width * channels)
    lines = np.empty((height, 1 + width * channels), np.uint8)
    lines[:, 0] = UP
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, COLOR_TYPE[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b"")]
    return height, width, channels, SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
