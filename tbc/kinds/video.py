"""Encode clips as animated GIF and PNG files.

A GIF has 256 colours. A clip with no more than 256 keeps them all. Any other clip gets a fixed palette, a cube of
6 x 6 x 6 colours, and an ordered dither for the colours between: finding the best palette takes longer than all the
rest. Pillow compresses the frames, but this module writes the file around them: Pillow would write a palette for every
frame, merge equal frames into one, and fail if that one lasts longer than a GIF can express.

An animated PNG keeps the pixels exactly: it is a PNG of the first frame, with further chunks for the other frames.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile  # noqa: F401, or Image would import it on the encoder's thread, which must not import

from tbc import _core, convert
from tbc.kinds import images

GIF_CHANNELS = (1, 3)
APNG_CHANNELS = (1, 2, 3, 4)
LIMIT = 65535  # the largest value of the 16-bit fields of both formats
SHORTEST = 2  # hundredths of a second
GRAYS = bytes(level for level in range(256) for _ in "rgb")
STEP = 51  # between two levels of a channel in the cube: 5 * 51 = 255
CUBE = bytes(STEP * level for r in range(6) for g in range(6) for b in range(6) for level in (r, g, b))
BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.uint16)
THRESHOLDS = (BAYER * STEP + STEP // 2) // BAYER.size  # 1 to 49, below STEP: a multiple of STEP stays as it is


def tile(video: npt.NDArray[Any], channels: Collection[int] = APNG_CHANNELS) -> images.Tiles:
    """Arrange a batch of clips (N, T, C, H, W) as T frames, with the clips in a grid.

    The grid is torch's: black clips fill N up to a power of two, and there are one, two or four times as many columns
    as rows. channels: the numbers of channels that the format can show. Raises ValueError for other numbers of
    dimensions or channels and for a video without pixels, TypeError for values that are not real numbers.
    """
    if video.ndim != 5:
        raise ValueError(f"a video must have 5 dimensions (N, T, C, H, W), got {video.ndim} in shape {video.shape}")
    video = convert.real(video, "pixels")
    n, _, c, h, w = video.shape
    _check_channels(c, channels, video.shape)
    if video.size == 0:
        raise ValueError(f"a video needs at least one frame and pixel, got one of shape {video.shape} (NTCHW)")
    rows = 1 << (n.bit_length() - 1) // 2
    columns = (1 << (n - 1).bit_length()) // rows
    _check_sides(rows * h, columns * w)
    return images.Tiles(video.transpose(1, 0, 3, 4, 2), rows, columns)


def frame_rate(fps: float) -> float:
    """Return fps as a float. Raises ValueError if it is not finite and above 0, TypeError if it is not a number."""
    rate = convert.parameter(fps, "fps")
    if not 0 < rate < math.inf:
        raise ValueError(f"fps must be a finite number above 0, got {fps!r}")
    return rate


def encode_gif(frames: npt.NDArray[np.uint8], fps: float) -> _core.LargeBytes:
    """Encode frames (T, height, width, 1 or 3) as a GIF that loops forever.

    Gray is exact, and so are up to 256 colours in the whole clip. With more colours, each channel is less than 51 off.
    A frame lasts a whole number of hundredths of a second, rounded so that the sum is right: 33, 34, 33, ... for 3 fps.
    It lasts at least 2, as browsers show a shorter frame for 10, and at most 65535. Raises ValueError for other
    channels, a side of more than 65535 pixels, or a bad fps.
    """
    t, height, width, channels = frames.shape
    _check_channels(channels, GIF_CHANNELS, frames.shape)
    _check_sides(height, width)
    period = min(max(100 / frame_rate(fps), SHORTEST), LIMIT)
    durations = np.diff((np.arange(t + 1) * period + 0.5).astype(np.int64))
    indices, palette = (frames[..., 0], GRAYS) if channels == 1 else _few_colors(frames) or (_dithered(frames), CUBE)
    file = _core.LargeBytes()
    file.add(struct.pack("<6sHHBBB", b"GIF89a", width, height, 0xF7, 0, 0))  # 0xF7: a palette of 256 colours follows
    file.add(palette.ljust(3 * 256, b"\0"))
    file.add(struct.pack("<BBB11sBBHB", 0x21, 0xFF, 11, b"NETSCAPE2.0", 3, 1, 0, 0))  # 0 times: loop forever
    for image, duration in zip(indices, durations, strict=True):
        control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, 0, duration, 0, 0)
        descriptor = struct.pack("<BHHHHBB", 0x2C, 0, 0, width, height, 0, 8)  # 8: bits of an index
        for part in (control, descriptor, Image.fromarray(image).tobytes("gif", "L"), b"\0"):
            file.add(part)
    file.add(b";")
    return file


def _few_colors(frames: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], bytes] | None:
    """Return indices (T, height, width) and the palette of RGB frames, or None if they have more than 256 colours.

    Number the pairs of red and green first, then the pairs of such a number and blue: both times a table of 65536
    entries suffices, which fits into the cache.
    """
    pairs = _numbered(frames[..., 0], frames[..., 1])
    if pairs is None:
        return None
    numbers, red, green = pairs
    triples = _numbered(numbers, frames[..., 2])
    if triples is None:
        return None
    indices, pair, blue = triples
    return indices, np.stack([red[pair], green[pair], blue], axis=1).astype(np.uint8).tobytes()


def _numbered(upper: npt.NDArray[np.uint8], lower: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], ...] | None:
    """Number the distinct pairs (upper, lower); return each pixel's number, and the upper and lower of each number.

    Return None if there are more than 256 pairs.
    """
    seen = np.zeros(1 << 16, np.bool_)
    for pairs in map(_pairs, upper, lower):
        seen[pairs] = True
        if np.count_nonzero(seen) > 256:
            return None
    distinct = np.flatnonzero(seen)
    table = np.zeros(1 << 16, np.uint8)
    table[distinct] = np.arange(distinct.size)
    numbers = np.empty(upper.shape, np.uint8)
    for number, pairs in zip(numbers, map(_pairs, upper, lower), strict=True):  # frame by frame, to use little memory
        table.take(pairs, out=number)
    return numbers, distinct >> 8, distinct & 255


def _pairs(upper: npt.NDArray[np.uint8], lower: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    return upper.astype(np.uint16) << 8 | lower


def _dithered(frames: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the indices (height, width) of each RGB frame in the cube."""
    _, height, width, _ = frames.shape
    thresholds = np.tile(THRESHOLDS, (height // 4 + 1, width // 4 + 1))[:height, :width]
    for frame in frames:
        indices = np.zeros((height, width), np.uint8)
        for channel in range(3):
            indices *= 6
            indices += ((frame[..., channel] + thresholds) // np.uint16(STEP)).astype(np.uint8)
        yield indices


def encode_apng(frames: npt.NDArray[np.uint8], fps: float, compress: images.Compress = images.fast) -> _core.LargeBytes:
    """Encode frames (T, height, width, 1 to 4) as an animated PNG that loops forever; one channel becomes three.

    A frame lasts 1 / fps seconds, as a fraction of two numbers up to 65535. The fraction is exact where fps is a whole
    number or a decimal like 29.97, else the nearest one. Raises ValueError for other channels and a bad fps.
    """
    _check_channels(frames.shape[3], APNG_CHANNELS, frames.shape)
    fps = min(max(frame_rate(fps), 1 / LIMIT), LIMIT)
    rate = Fraction(fps).limit_denominator(min(int(LIMIT / fps), LIMIT))
    t, height, width, channels = frames.shape

    def chunks() -> Iterator[tuple[bytes, bytes]]:
        yield b"IHDR", images.header(height, width, channels)
        yield b"acTL", struct.pack(">II", t, 0)
        number = count()  # numbers all fcTL and fdAT chunks; the first frame is in IDAT, which is not numbered
        for k, frame in enumerate(frames):
            place = (next(number), width, height, 0, 0)
            yield b"fcTL", struct.pack(">IIIIIHHBB", *place, rate.denominator, rate.numerator, 0, 0)
            for part in compress(images.colored(frame)):
                yield (b"fdAT", struct.pack(">I", next(number)) + part) if k else (b"IDAT", part)
        yield b"IEND", b""

    return images.png(chunks())


def _check_sides(height: int, width: int) -> None:
    if max(height, width) > LIMIT:
        raise ValueError(f"a video must have at most {LIMIT} pixels a side, got {width} x {height}")


def _check_channels(channels: int, wanted: Collection[int], shape: tuple[int, ...]) -> None:
    if channels not in wanted:
        raise ValueError(f"frames must have {' or '.join(map(str, wanted))} channels, got {channels} in shape {shape}")


FORMATS: dict[str, tuple[Callable[..., _core.LargeBytes], Collection[int]]] = {
    "gif": (encode_gif, GIF_CHANNELS),
    "apng": (encode_apng, APNG_CHANNELS),
}
