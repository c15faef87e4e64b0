"""Pixels into PNG files.

A PNG is a signature, a header chunk, the pixels as one zlib stream, an end chunk. Each row is stored as its difference
from the row above (the Up filter), which numpy does in one subtraction; the deflate is ISA-L's, at its fast level.
"""

from __future__ import annotations

import io
import struct
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from tbc import _core, convert

try:
    from isal import isal_zlib as zlib
except ImportError:  # no wheel for this platform: the same stream, ten times slower
    import zlib  # type: ignore[no-redef]

Pixels = npt.NDArray[Any]

GRID_COLUMNS = 8
SIGNATURE = b"\x89PNG\r\n\x1a\n"
UP = 2
COLOR_TYPE = {2: 4, 3: 2, 4: 6}  # channels: gray and alpha, RGB, RGBA


# --- arrays into layouts ---


def to_hwc(pixels: Pixels, dataformats: str) -> Pixels:
    """Any layout as rows, columns, channels; a batch as a grid of eight images a row.

    dataformats: a permutation of "HW", "HWC" or "NCHW", in either case, one letter for each dimension of `pixels`.
    Channels: 1 to 4; in a batch 1 or 3. Raises AssertionError where torch does (a letter twice, another number of
    dimensions, channels of a batch), ValueError for other letters or channels and for an image without pixels,
    TypeError for what is no real number.
    """
    pixels = _ordered(pixels, dataformats)
    if pixels.ndim == 4:
        if pixels.shape[3] not in (1, 3):
            raise AssertionError(
                f"images in a grid have 1 or 3 channels, got {pixels.shape[3]} in {pixels.shape} (NHWC)"
            )
        columns = min(len(pixels), GRID_COLUMNS)
        return grid(pixels, -(-len(pixels) // columns), columns)
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def to_nhwc(pixels: Pixels, dataformats: str) -> Pixels:
    """A batch in any layout as images, rows, columns, channels (1 to 4). Raises as to_hwc."""
    if pixels.ndim != 4 or len(dataformats) != 4:
        raise ValueError(
            f"a batch of images has 4 dimensions, got shape {pixels.shape} and dataformats {dataformats!r}"
        )
    return _ordered(pixels, dataformats)


def _ordered(pixels: Pixels, dataformats: str) -> Pixels:
    """Transposed to HW, HWC or NHWC, and checked."""
    if len(set(dataformats)) != len(dataformats):
        raise AssertionError(f"dataformats has a dimension twice: {dataformats!r}")
    if len(dataformats) != pixels.ndim:
        raise AssertionError(f"dataformats {dataformats!r} does not fit an image of shape {pixels.shape}")
    letters = dataformats.upper()
    order = {2: "HW", 3: "HWC", 4: "NHWC"}.get(len(letters), "")
    if sorted(letters) != sorted(order):
        raise ValueError(f"dataformats must be a permutation of HW, HWC or NCHW, got {dataformats!r}")
    if pixels.dtype.kind not in "biuf":
        raise TypeError(f"pixels must be real numbers, got an array of {pixels.dtype}")
    if pixels.size == 0:
        raise ValueError(f"an image needs at least one pixel, got one of shape {pixels.shape}")
    pixels = pixels.transpose([letters.index(letter) for letter in order])
    if pixels.ndim > 2 and pixels.shape[-1] not in (1, 2, 3, 4):
        raise ValueError(f"an image has 1 to 4 channels, got {pixels.shape[-1]} in shape {pixels.shape} ({order})")
    return pixels


def grid(batch: Pixels, rows: int, columns: int) -> Pixels:
    """Images (NHWC) side by side, row by row, in one image (HWC); what is left of it is black."""
    n, height, width, channels = batch.shape
    canvas = np.zeros((rows * columns, height, width, channels), batch.dtype)
    canvas[:n] = batch
    tiled = canvas.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return tiled.reshape(rows * height, columns * width, channels)


def snapshot(pixels: Pixels, source: Pixels) -> npt.NDArray[np.uint8]:
    """`pixels` as uint8, in memory of their own, which whoever has `source` cannot change any more."""
    scaled = to_uint8(pixels)
    return scaled.copy(order="K") if np.may_share_memory(scaled, source) else scaled


def to_uint8(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Whatever is not uint8 runs from 0 to 1, as torch has it: times 255, cut off at both ends, rounded down.

    pixels: HWC, or several such. NaN becomes 0. uint8 is returned as it is, everything else in memory of its own.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.str[1:] not in convert.KERNEL_DTYPES or not pixels.dtype.isnative:
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32)
    scaled = np.empty(pixels.shape, np.uint8)
    for out, image in zip(scaled, pixels, strict=True) if pixels.ndim == 4 else [(scaled, pixels)]:
        _core.scale_pixels(out, image, image.dtype.str[1:])
    return scaled


# --- what else is an image ---


def is_pil(image: Any) -> bool:
    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)  # another thread may be importing it
    return kind is not None and isinstance(image, kind)


def from_pil(image: Any) -> tuple[Pixels, str]:
    """The pixels of a Pillow image, and their dataformats."""
    if image.mode.startswith("I;16"):
        return np.asarray(image) / np.float32(65535), "HW"
    if image.mode == "La":  # which Pillow converts to nothing else
        image = image.convert("LA")
    if image.mode not in ("L", "LA", "RGB", "RGBA", "I", "F"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    pixels = np.asarray(image)
    return pixels, "HWC"[: pixels.ndim]


def identify(file: bytes) -> tuple[int, int, int]:
    """(height, width, channels) of an image file. Raises ValueError for what TensorBoard cannot show."""
    from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin

    formats = (  # not through Image.open, which refuses files that are large when decoded
        (b"\x89PNG", PngImagePlugin.PngImageFile),
        (b"\xff\xd8", JpegImagePlugin.JpegImageFile),
        (b"GIF8", GifImagePlugin.GifImageFile),
        (b"BM", BmpImagePlugin.BmpImageFile),
    )
    for magic, reader in formats:
        if file.startswith(magic):
            try:
                with reader(io.BytesIO(file)) as image:
                    return image.height, image.width, len(image.getbands())
            except (OSError, SyntaxError, ValueError, struct.error, IndexError):
                break  # its header is cut off
    found = f"{len(file)} bytes that start with {file[:8]!r}"
    raise ValueError(f"an encoded image must be PNG, JPEG, GIF or BMP, which TensorBoard can show, got {found}")


def render(figure: Any, close: bool) -> Pixels:
    """A matplotlib figure, or a list of figures of one size, as uint8 pixels of shape HWC or NHWC.

    close: closes them, too. Raises ImportError if there is no matplotlib, TypeError for other objects, ValueError for
    an empty list and for different sizes.
    """
    if not isinstance(figure, list):
        return _render(figure, close)
    rendered = [_render(one, close) for one in figure]
    if len({pixels.shape for pixels in rendered}) != 1:
        raise ValueError(f"figures of one size are needed, got {[pixels.shape for pixels in rendered]} (HWC)")
    return np.stack(rendered)


def _render(figure: Any, close: bool) -> Pixels:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("add_figure needs matplotlib: pip install 'tbc[figure]'") from error

    if not isinstance(figure, Figure):
        raise TypeError(f"a matplotlib Figure is expected, got {figure!r} of type {type(figure).__name__}")
    canvas_before = figure.canvas
    canvas: Any = FigureCanvasAgg(figure)
    try:
        canvas.draw()
        pixels = np.array(canvas.buffer_rgba())[:, :, :3]
    finally:
        figure.set_canvas(canvas_before)  # a window may belong to it
    close_figure = getattr(sys.modules.get("matplotlib.pyplot"), "close", None)
    if close and close_figure is not None:
        close_figure(figure)
    return pixels


# --- PNG ---


def encode_png(pixels: npt.NDArray[np.uint8]) -> tuple[int, int, int, bytes]:
    """Pixels (HWC) into (height, width, channels, PNG file); one channel becomes three, as in torch."""
    pixels = colored(pixels)
    height, width, channels = pixels.shape
    chunks = [(b"IHDR", header(height, width, channels)), (b"IDAT", compressed(pixels)), (b"IEND", b"")]
    return height, width, channels, SIGNATURE + b"".join(chunk(name, data) for name, data in chunks)


def encode_pngs(batch: npt.NDArray[np.uint8]) -> tuple[int, int, list[bytes]]:
    """Images (NHWC) into (height, width, PNG files)."""
    return batch.shape[1], batch.shape[2], [encode_png(pixels)[3] for pixels in batch]


def colored(pixels: Pixels) -> Pixels:
    """Three channels in place of one."""
    return pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels


def header(height: int, width: int, channels: int) -> bytes:
    return struct.pack(">IIBBBBB", width, height, 8, COLOR_TYPE[channels], 0, 0, 0)


def compressed(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The zlib stream of pixels (HWC), each row after the byte of its filter."""
    height, width, channels = pixels.shape
    rows = pixels.reshape(height, width * channels)
    lines = np.empty((height, 1 + width * channels), np.uint8)
    lines[:, 0] = UP
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    return bytes(zlib.compress(lines, 1))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
