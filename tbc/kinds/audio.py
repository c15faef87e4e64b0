"""Encode sound as WAV files with 16-bit samples."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from tbc import convert

MAX_SAMPLE_RATE = 2**32 // 4 - 1  # Hz: the header has 32 bits for the bytes per second, and a stereo frame has 4 bytes
FULL_SCALE = 32767
WIDTH = 2  # bytes of a sample
PCM = 1  # the code of uncompressed samples
HEADER: struct.Struct = struct.Struct("<4sI4s4sIHHIIHH4sI")  # little-endian, like the whole file
BLOCK = 1 << 16  # frames to convert at a time, so that a long sound needs little memory


class Sound:
    """Checked samples, and the WAV file they become: `size` bytes, which fill() writes.

    samples: one channel, in any shape with at most one dimension above 1, or two channels of shape (2, L) or (L, 2).
    Floats and bools from -1 to 1: values outside are clipped, and NaN becomes silence. Integers of 8, 16 and 32 bits
    use the full range of their type; silence is 0, or the middle of the range if they are unsigned.
    sample_rate: frames per second, in Hz.

    Raises AssertionError for other shapes, as torch does; ValueError for an empty array or a sample_rate out of range;
    TypeError for 64-bit integers, whose full range no sound uses, and for values that are not real numbers.
    """

    def __init__(self, samples: npt.NDArray[Any], sample_rate: float) -> None:
        frames = samples.squeeze()
        if frames.ndim == 0:
            frames = frames[np.newaxis]
        if frames.ndim == 2 and frames.shape[0] == 2:
            frames = frames.T
        if frames.ndim > 2 or (frames.ndim == 2 and frames.shape[1] != 2):
            raise AssertionError(f"a sound has one channel or two, of shape (2, L) or (L, 2), got {samples.shape}")
        if not 1 <= convert.parameter(sample_rate, "sample_rate") <= MAX_SAMPLE_RATE:
            raise ValueError(f"sample_rate must be from 1 to {MAX_SAMPLE_RATE} Hz, got {sample_rate!r}")
        if samples.size == 0:
            raise ValueError(f"a sound needs at least one sample, got an array of shape {samples.shape}")
        to_int16(frames[:1])  # raises TypeError now for a type that fill() could not convert
        self._samples = frames
        self._rate = round(float(sample_rate))
        self.channels: int = frames.ndim
        self.frames: int = len(frames)
        self.size: int = HEADER.size + WIDTH * frames.size

    def fill(self, file: memoryview) -> int:
        """Write the WAV file into `file`; return how many samples were clipped or NaN."""
        frame, content = WIDTH * self.channels, self.size - HEADER.size
        riff = b"RIFF", self.size - 8, b"WAVE"
        kind = b"fmt ", 16, PCM, self.channels, self._rate, self._rate * frame, frame, 8 * WIDTH
        HEADER.pack_into(file, 0, *riff, *kind, b"data", content)
        beyond = 0
        for start in range(0, self.frames, BLOCK):
            pcm, more = to_int16(self._samples[start : start + BLOCK])
            at = HEADER.size + start * frame
            file[at : at + pcm.nbytes] = pcm.reshape(-1).view(np.uint8).data
            beyond += more
        return beyond


def to_int16(samples: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int16], int]:
    """Return little-endian 16-bit samples, rounded toward zero like torch's, and how many were out of range or NaN."""
    samples = convert.real(samples, "samples")
    kind, bits = samples.dtype.kind, 8 * samples.dtype.itemsize
    if kind in "iu" and bits <= 32:
        signed = samples.astype(np.int64) - (1 << bits - 1 if kind == "u" else 0)
        return (signed << 16 >> bits).astype("<i2"), 0
    if kind not in "bf":
        raise TypeError(f"samples must be floats, or integers of at most 32 bits, got an array of {samples.dtype}")
    floats = samples.astype(np.float32) if samples.dtype.itemsize < 4 else samples
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = floats * FULL_SCALE  # read the samples only once: another thread may change them after the check
    beyond = int(np.count_nonzero(~(np.abs(scaled) <= FULL_SCALE)))
    if beyond:
        scaled = np.nan_to_num(scaled, nan=0).clip(-FULL_SCALE, FULL_SCALE)
    return scaled.astype("<i2"), beyond
