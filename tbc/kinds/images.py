"""Arrange images and encode them as PNG files.

A PNG is a signature, a header chunk, the pixels as one zlib stream, and an end chunk. The fast way stores each row as
its difference from the row above (the Up filter), which is one subtraction in numpy, and compresses with ISA-L at its
fast level. A large image is compressed in strips, which takes little memory and holds the GIL briefly. The small way
leaves the stream to Pillow, with the best filter for each row and zlib's best level.
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
except ImportError:  # this platform has no wheel of isal; zlib takes ten times as long
    import zlib
    from zlib import DEFLATED, crc32

    # Ignore wbits: a small window makes ISA-L faster, but zlib slower.
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
NEAR, FAR = 9, 15  # log2 of the window, the bytes in which deflate looks for matches
STRIP = 1 << 20  # bytes of pixels that are compressed at a time


# --- arrays into layouts ---


class Tiles:
    """Images of one size, not yet copied, and the grid of each frame: filled row by row, black where images run out.

    images: (frames, images in each, height, width, channels), of any real dtype and any strides.
    in_double: multiply as float64, as torch does for sprites and tensorboardX for images of float64.
    """

    # Not a dataclass, whose __init__ has no file: dynamo skips functions by their file.
    def __init__(self, images: Pixels, rows: int = 1, columns: int = 1, in_double: bool = False) -> None:
        self.images = images
        self.rows = rows
        self.columns = columns
        self.in_double = in_double

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return the shape of all frames: (frames, height, width, channels)."""
        frames, _, height, width, channels = self.images.shape
        return frames, self.rows * height, self.columns * width, channels

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape)

    def pixels(self) -> npt.NDArray[np.uint8]:
        """Copy the frames as uint8; later changes of the images do not change the copy.

        Values of other types run from 0 to 1, as in torch: they are multiplied by 255, clipped and rounded down. NaN
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
    """Arrange an image of any layout as one frame, and a batch as a grid with up to eight images a row.

    dataformats: a permutation of "HW", "HWC" or "NCHW", in either case, one letter for each dimension of `pixels`.
    Channels: 1 to 4; in a batch 1 or 3. Raises AssertionError where torch does (a letter twice, another number of
    dimensions, channels of a batch), ValueError for other letters or channels and for an image without pixels,
    TypeError for dataformats that are not a str and pixels that are not real numbers.
    """
    pixels = _ordered(pixels, dataformats, in_grid=True)
    if pixels.ndim == 4:
        columns = min(len(pixels), GRID_COLUMNS)
        return Tiles(pixels[np.newaxis], -(-len(pixels) // columns), columns)
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    return Tiles(pixels[np.newaxis, np.newaxis])


def to_nhwc(pixels: Pixels, dataformats: str) -> Tiles:
    """Arrange a batch of any layout so that each image, of 1 to 4 channels, is a frame. Raises like to_hwc."""
    if pixels.ndim != 4 or len(dataformats) != 4:
        raise ValueError(
            f"a batch of images must have 4 dimensions, got shape {pixels.shape} and dataformats {dataformats!r}"
        )
    return Tiles(_ordered(pixels, dataformats)[:, np.newaxis])


def _ordered(pixels: Pixels, dataformats: str, in_grid: bool = False) -> Pixels:
    """Check the pixels and transpose them to HW, HWC or NHWC."""
    shape = pixels.shape
    # Like torch's writer, count the letters first, even of a list: a list raises TypeError only after that.
    if isinstance(dataformats, (str, bytes, list, tuple)):
        if len(set(map(str, dataformats))) != len(dataformats):
            raise AssertionError(f"dataformats must not have a letter twice, got {dataformats!r}")
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
            f"images in a grid must have 1 or 3 channels, got {pixels.shape[3]} in an array of shape {shape} "
            f"with dataformats {dataformats!r}{_hint(shape)}"
        )
    if pixels.size == 0:
        raise ValueError(f"an image needs at least one pixel, got one of shape {shape}")
    if pixels.ndim > 2 and pixels.shape[-1] not in CHANNELS:
        channels = f"got {pixels.shape[-1]} in an array of shape {shape} with dataformats {dataformats!r}"
        raise ValueError(f"an image must have 1 to 4 channels, {channels}{_hint(shape)}")
    return pixels


def _hint(shape: tuple[int, ...]) -> str:
    """Return advice on the dataformats that fit an array of this shape, if any do."""
    fitting = [
        layout for layout in LAYOUTS.get(len(shape), ()) if "C" not in layout or shape[layout.index("C")] in CHANNELS
    ]
    return f"; pass dataformats={' or '.join(map(repr, fitting))}" if fitting else ""


# --- what else is an image ---


def is_pil(image: Any) -> bool:
    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)  # None while another thread is importing it
    return kind is not None and isinstance(image, kind)


def from_pil(image: Any) -> tuple[Pixels, str]:
    """Return the pixels of a Pillow image, and their dataformats."""
    if image.mode.startswith("I;16"):
        return np.asarray(image) / np.float32(65535), "HW"
    if image.mode == "La":  # Pillow converts this mode to "LA" only
        image = image.convert("LA")
    if image.mode not in ("L", "LA", "RGB", "RGBA", "I", "F"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    pixels = np.asarray(image)
    return pixels, "HWC"[: pixels.ndim]


def identify(file: bytes) -> tuple[int, int, int]:
    """Return (height, width, channels) of an image file. Raises ValueError for formats that TensorBoard cannot show."""
    from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin

    formats = (  # Image.open would refuse files that are very large when decoded
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
                break  # the header is incomplete or wrong
    found = f"{len(file)} bytes that start with {file[:8]!r}"
    raise ValueError(f"an encoded image must be PNG, JPEG, GIF or BMP, which TensorBoard can show, got {found}")


@dynamo.untraced
def render(figure: Any, close: bool) -> Pixels:
    """Render a matplotlib figure, or a list of figures of one size, as uint8 pixels of shape HWC or NHWC.

    close: whether to close the figures, too. Raises ImportError without matplotlib, TypeError for other objects,
    ValueError for an empty list and for different sizes.
    """
    if not isinstance(figure, list):
        return _render(figure, close)
    rendered = [_render(one, close) for one in figure]
    if len({pixels.shape for pixels in rendered}) != 1:
        raise ValueError(f"a list needs figures of one size, got {[pixels.shape for pixels in rendered]} (HWC)")
    return np.stack(rendered)


def _render(figure: Any, close: bool) -> Pixels:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("add_figure needs matplotlib: pip install 'tbc[figure]'") from error

    if not isinstance(figure, Figure):
        raise TypeError(f"figure must be a matplotlib Figure, got {figure!r} of type {type(figure).__name__}")
    canvas_before = figure.canvas
    canvas: Any = FigureCanvasAgg(figure)
    try:
        canvas.draw()
        pixels = np.array(canvas.buffer_rgba())[:, :, :3]
    finally:
        figure.set_canvas(canvas_before)  # the user's canvas may have a window
    close_figure = getattr(sys.modules.get("matplotlib.pyplot"), "close", None)
    if close and close_figure is not None:
        close_figure(figure)
    return pixels


# --- PNG ---


def compressor(small: bool) -> Compress:
    """Return a function that yields the parts of a PNG's zlib stream: `fast`, or one that makes it as small as it can.

    It takes pixels (HWC, 2 to 4 channels), and runs on the encoder's thread, which must not import: this function does.
    """
    if not small:
        return fast
    from PIL import Image, ImageFile  # noqa: F401, or Image would import it on that thread

    def smallest(pixels: npt.NDArray[np.uint8]) -> Iterator[bytes]:
        image = Image.fromarray(pixels)
        optimize, level, strategy = True, -1, -1  # optimize sets zlib's best level; -1 lets Pillow choose
        yield image.tobytes("zip", image.mode, optimize, level, strategy, b"")

    return smallest


def fast(pixels: npt.NDArray[np.uint8]) -> Iterator[bytes]:
    """Yield the zlib stream of pixels (HWC, 2 to 4 channels), with the Up filter and the fast level."""
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
    """Return rows `first` to `end` minus the rows above them, each after the byte that names its filter."""
    lines = np.empty((end - first, 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = UP
    lines[0, 1:] = rows[first] - rows[first - 1] if first else rows[0]
    np.subtract(rows[first + 1 : end], rows[first : end - 1], out=lines[1:, 1:])
    return lines


def _is_noise(rows: npt.NDArray[np.uint8]) -> bool:
    """Return whether the pixels are noise, where distant matches save nothing: a small window takes half the time.

    In flat areas, in gray, and in most of a good photograph, many filtered bytes equal the preceding byte. Count those
    of some rows.
    """
    step = 8 + rows.size // STRIP
    upper, lower = rows[3::step], rows[4::step]
    sample = lower - upper[: len(lower)]
    return bool(np.count_nonzero(sample[:, 1:] == sample[:, :-1]) < sample.size / 10)


def encode_png(pixels: npt.NDArray[np.uint8], compress: Compress = fast) -> tuple[int, int, int, _core.LargeBytes]:
    """Encode pixels (HWC) as (height, width, channels, PNG file); one channel becomes three, as in torch."""
    pixels = colored(pixels)
    height, width, channels = pixels.shape

    def chunks() -> Iterator[tuple[bytes, bytes]]:
        yield b"IHDR", header(height, width, channels)
        for part in compress(pixels):
            yield b"IDAT", part
        yield b"IEND", b""

    return height, width, channels, png(chunks())


def encode_pngs(batch: npt.NDArray[np.uint8], compress: Compress = fast) -> tuple[int, int, list[_core.LargeBytes]]:
    """Encode images (NHWC) as (height, width, PNG files)."""
    return batch.shape[1], batch.shape[2], [encode_png(pixels, compress)[3] for pixels in batch]


def colored(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Repeat a single channel three times, four times as fast as numpy does."""
    height, width, channels = pixels.shape
    if channels > 1:
        return pixels
    return Tiles(np.broadcast_to(pixels, (1, 1, height, width, 3))).pixels().reshape(height, width, 3)


def header(height: int, width: int, channels: int) -> bytes:
    return struct.pack(">IIBBBBB", width, height, 8, COLOR_TYPE[channels], 0, 0, 0)


def png(chunks: Iterable[tuple[bytes, bytes]]) -> _core.LargeBytes:
    """Return the PNG file with these chunks (name, content)."""
    file = _core.LargeBytes()
    file.add(SIGNATURE)
    for name, data in chunks:
        file.add(struct.pack(">I4s", len(data), name))
        file.add(data)
        file.add(struct.pack(">I", crc32(data, crc32(name))))
    return file
