"""Pixels into PNG files.

A PNG is a signature, a header chunk, the pixels as one zlib stream, an end chunk. Each row is stored as its difference
from the row above (the Up filter), which numpy does in one subtraction; the deflate is ISA-L's, at its fast level. A
large image is done in strips, each a chunk of the stream, so that it takes little memory and no long hold of the GIL.
Or Pillow makes the stream, with the best filter of each row and zlib's best level.
"""

from __future__ import annotations

import io
import math
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tbc import _core, convert, dynamo

try:
    from isal.isal_zlib import DEFLATED, compressobj, crc32
    from isal.isal_zlib import compress as deflate
except ImportError:  # no wheel for this platform: the same pixels, ten times slower
    import zlib
    from zlib import DEFLATED, crc32

    # A small window, which makes ISA-L faster, makes zlib slower.
    def deflate(data: Any, level: int, wbits: int) -> bytes:  # type: ignore[misc]
        return zlib.compress(data, level)

    def compressobj(level: int, method: int, wbits: int) -> Any:  # type: ignore[misc]
        return zlib.compressobj(level, method)


Pixels = npt.NDArray[Any]
Compress = Callable[[npt.NDArray[np.uint8]], Iterable[bytes]]

GRID_COLUMNS = 8
CHANNELS = (1, 2, 3, 4)
ORDERS = {2: "HW", 3: "HWC", 4: "NHWC"}  # by the number of dimensions
LAYOUTS: dict[int, tuple[str, ...]] = {2: ("HW",), 3: ("CHW", "HWC"), 4: ("NCHW", "NHWC")}
SIGNATURE = b"\x89PNG\r\n\x1a\n"
UP = 2
COLOR_TYPE = {1: 2, 2: 4, 3: 2, 4: 6}  # channels: gray as RGB, gray and alpha, RGB, RGBA
NEAR, FAR = 9, 15  # bits of the distance at which deflate looks for the same bytes again
STRIP = 1 << 20  # bytes of pixels that are compressed at a time


# --- arrays into layouts ---


class Tiles:
    """Images of one size, in any memory, and the frames they are shown in: side by side, row by row, the rest black.

    images: (frames, images in each, height, width, channels), of any type.
    in_double: multiply as float64, as torch does for sprites and tensorboardX for images of float64.
    """

    # No dataclass: its __init__ is in no file of tbc, so dynamo would not skip it.
    def __init__(self, images: Pixels, rows: int = 1, columns: int = 1, in_double: bool = False) -> None:
        self.images = images
        self.rows = rows
        self.columns = columns
        self.in_double = in_double

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the frames: how many, height, width, channels."""
        frames, _, height, width, channels = self.images.shape
        return frames, self.rows * height, self.columns * width, channels

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape)

    def pixels(self) -> npt.NDArray[np.uint8]:
        """The frames, in memory of their own, which whoever has the images cannot change any more.

        Whatever is not uint8 runs from 0 to 1, as torch has it: times 255, cut off at both ends, rounded down. NaN
        becomes 0.
        """
        images = self.images
        if images.dtype.str[1:] not in convert.KERNEL_DTYPES or not images.dtype.isnative:
            with np.errstate(over="ignore", invalid="ignore"):
                images = images.astype(np.float64 if self.in_double else np.float32)
        memory: Any = _core.LargeBytes(self.nbytes)
        frames: npt.NDArray[np.uint8] = np.frombuffer(memory, np.uint8).reshape(self.shape)
        if images.shape[1] < self.rows * self.columns:
            frames.fill(0)
        _core.tile(frames, images, images.dtype.str[1:], self.in_double)
        return frames


def to_hwc(pixels: Pixels, dataformats: str) -> Tiles:
    """Any layout as one frame; a batch as a grid of eight images a row.

    dataformats: a permutation of "HW", "HWC" or "NCHW", in either case, one letter for each dimension of `pixels`.
    Channels: 1 to 4; in a batch 1 or 3. Raises AssertionError where torch does (a letter twice, another number of
    dimensions, channels of a batch), ValueError for other letters or channels and for an image without pixels,
    TypeError for what is no real number.
    """
    pixels = _ordered(pixels, dataformats, in_grid=True)
    if pixels.ndim == 4:
        columns = min(len(pixels), GRID_COLUMNS)
        return Tiles(pixels[np.newaxis], -(-len(pixels) // columns), columns)
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    return Tiles(pixels[np.newaxis, np.newaxis])


def to_nhwc(pixels: Pixels, dataformats: str) -> Tiles:
    """A batch in any layout, each image (1 to 4 channels) a frame of its own. Raises as to_hwc."""
    if pixels.ndim != 4 or len(dataformats) != 4:
        raise ValueError(
            f"a batch of images has 4 dimensions, got shape {pixels.shape} and dataformats {dataformats!r}"
        )
    return Tiles(_ordered(pixels, dataformats)[:, np.newaxis])


def _ordered(pixels: Pixels, dataformats: str, in_grid: bool = False) -> Pixels:
    """Transposed to HW, HWC or NHWC, and checked."""
    shape = pixels.shape
    if isinstance(
        dataformats, (str, bytes, list, tuple)
    ):  # torch's writer counts the letters first, then refuses a list
        if len(set(map(str, dataformats))) != len(dataformats):
            raise AssertionError(f"dataformats has a dimension twice: {dataformats!r}")
        if len(dataformats) != pixels.ndim:
            raise AssertionError(f"dataformats {dataformats!r} does not fit an image of shape {shape}{_hint(shape)}")
    if not isinstance(dataformats, str):
        raise TypeError(f"dataformats must be a str such as 'CHW', got {dataformats!r}")
    letters = dataformats.upper()
    order = ORDERS.get(len(letters))
    if order is None or sorted(letters) != sorted(order):
        raise ValueError(f"dataformats must be a permutation of HW, HWC or NCHW, got {dataformats!r}{_hint(shape)}")
    pixels = convert.real(pixels, "pixels")
    pixels = pixels.transpose([letters.index(letter) for letter in order])
    if in_grid and pixels.ndim == 4 and pixels.shape[3] not in (1, 3):
        raise AssertionError(
            f"images in a grid have 1 or 3 channels, got {pixels.shape[3]} in an array of shape {shape} "
            f"with dataformats {dataformats!r}{_hint(shape)}"
        )
    if pixels.size == 0:
        raise ValueError(f"an image needs at least one pixel, got one of shape {shape}")
    if pixels.ndim > 2 and pixels.shape[-1] not in CHANNELS:
        channels = f"got {pixels.shape[-1]} in an array of shape {shape} with dataformats {dataformats!r}"
        raise ValueError(f"an image has 1 to 4 channels, {channels}{_hint(shape)}")
    return pixels


def _hint(shape: tuple[int, ...]) -> str:
    """The dataformats that fit an array, if they can be told from its shape."""
    fitting = [
        layout for layout in LAYOUTS.get(len(shape), ()) if "C" not in layout or shape[layout.index("C")] in CHANNELS
    ]
    return f"; pass dataformats={' or '.join(map(repr, fitting))}" if fitting else ""


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


@dynamo.untraced
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


def compressor(small: bool) -> Compress:
    """What makes the zlib stream of pixels (HWC, 2 to 4 channels) for a PNG, in parts: fast, or as small as can be.

    Imports what that needs, which it must not do itself: it runs on the encoder's thread.
    """
    if not small:
        return fast
    from PIL import Image, ImageFile  # noqa: F401, or Image would import it on that thread

    def smallest(pixels: npt.NDArray[np.uint8]) -> Iterator[bytes]:
        image = Image.fromarray(pixels)
        optimize, level, strategy = True, -1, -1  # the best of each
        yield image.tobytes("zip", image.mode, optimize, level, strategy, b"")

    return smallest


def fast(pixels: npt.NDArray[np.uint8]) -> Iterator[bytes]:
    """See compressor."""
    height, width, channels = pixels.shape
    rows = pixels.reshape(height, width * channels)
    bits = NEAR if _is_noise(rows) else FAR
    strip = STRIP // (width * channels) + 1
    if height <= strip:
        yield deflate(_filtered(rows, 0, height), 1, bits)
        return
    stream = compressobj(1, DEFLATED, bits)
    for first in range(0, height, strip):
        if data := stream.compress(_filtered(rows, first, min(first + strip, height))):
            yield data
    yield stream.flush()


def _filtered(rows: npt.NDArray[np.uint8], first: int, end: int) -> npt.NDArray[np.uint8]:
    """Rows `first` to `end`, each after the byte of its filter."""
    lines = np.empty((end - first, 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = UP
    lines[0, 1:] = rows[first] - rows[first - 1] if first else rows[0]
    np.subtract(rows[first + 1 : end], rows[first : end - 1], out=lines[1:, 1:])
    return lines


def _is_noise(rows: npt.NDArray[np.uint8]) -> bool:
    """In noise, a match far away is a coincidence that saves nothing: not to look there takes half the time.

    The differences of some rows tell noise from the rest: in plain areas, in gray, and in most of a good photograph
    many are equal to the one before.
    """
    step = 8 + rows.size // STRIP
    upper, lower = rows[3::step], rows[4::step]
    sample = lower - upper[: len(lower)]
    return bool(np.count_nonzero(sample[:, 1:] == sample[:, :-1]) < sample.size / 10)


def encode_png(pixels: npt.NDArray[np.uint8], compress: Compress = fast) -> tuple[int, int, int, _core.LargeBytes]:
    """Pixels (HWC) into (height, width, channels, PNG file); one channel becomes three, as in torch."""
    pixels = colored(pixels)
    height, width, channels = pixels.shape

    def chunks() -> Iterator[tuple[bytes, bytes]]:
        yield b"IHDR", header(height, width, channels)
        for part in compress(pixels):
            yield b"IDAT", part
        yield b"IEND", b""

    return height, width, channels, png(chunks())


def encode_pngs(batch: npt.NDArray[np.uint8], compress: Compress = fast) -> tuple[int, int, list[_core.LargeBytes]]:
    """Images (NHWC) into (height, width, PNG files)."""
    return batch.shape[1], batch.shape[2], [encode_png(pixels, compress)[3] for pixels in batch]


def colored(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Three channels in place of one, four times as fast as numpy repeats them."""
    height, width, channels = pixels.shape
    if channels > 1:
        return pixels
    return Tiles(np.broadcast_to(pixels, (1, 1, height, width, 3))).pixels().reshape(height, width, 3)


def header(height: int, width: int, channels: int) -> bytes:
    return struct.pack(">IIBBBBB", width, height, 8, COLOR_TYPE[channels], 0, 0, 0)


def png(chunks: Iterable[tuple[bytes, bytes]]) -> _core.LargeBytes:
    """A file of chunks (name, content)."""
    file = _core.LargeBytes()
    file.add(SIGNATURE)
    for name, data in chunks:
        file.add(struct.pack(">I4s", len(data), name))
        file.add(data)
        file.add(struct.pack(">I", crc32(data, crc32(name))))
    return file
