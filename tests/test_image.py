"""add_image, add_images and add_image_with_boxes: pixels that come back as torch stores them."""

import importlib.util
import io
import itertools
import os
import shutil
import sys
import tempfile
import threading
import time
import zlib

import numpy as np
import pytest
from helpers.oracle import log_one, only_value, read_back, run_script, steps, tags
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib.figure import Figure
from PIL import Image

import tbc
from tbc import _core, encoder_thread
from tbc.event_file import EventFile
from tbc.kinds import images

RNG = np.random.default_rng(3)


def pixels_of(image):
    """Return the pixels of the PNG; check that the event has its size and channels."""
    pixels = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
    assert pixels.shape == (image.height, image.width, image.colorspace)
    return pixels


def log_image(log_dir, array, dataformats):
    return log_one(log_dir, tbc.SummaryWriter.add_image, array, dataformats=dataformats).image


def torch_image(array, dataformats):
    summary = pytest.importorskip("torch.utils.tensorboard.summary")
    return summary.image("image", array, dataformats=dataformats).value[0].image


LAYOUTS = [
    *itertools.chain.from_iterable(map("".join, itertools.permutations(letters)) for letters in ("HW", "HWC")),
    *["NCHW", "NHWC", "CNHW", "WHCN", "nchw", "hWc"],
]
SIDES = {"N": 11, "H": 5, "W": 7}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_shows_torchs_pixels(log_dir, layout, channels):
    array = RNG.integers(0, 256, [SIDES.get(letter, channels) for letter in layout.upper()], np.uint8)
    ours, theirs = log_image(log_dir, array, layout), torch_image(array, layout)
    np.testing.assert_array_equal(pixels_of(ours), pixels_of(theirs))


@pytest.mark.parametrize("batch", [1, 2, 7, 8, 9, 16])
def test_a_batch_is_a_grid_of_eight_a_row(log_dir, batch):
    array = RNG.random((batch, 3, 4, 6))
    ours, theirs = log_image(log_dir, array, "NCHW"), torch_image(array, "NCHW")
    assert ours.width == 6 * min(batch, 8)
    np.testing.assert_array_equal(pixels_of(ours), pixels_of(theirs))


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "u1", "i4", "i8", "?", ">f4"])
def test_every_type_shows_torchs_pixels(log_dir, dtype):
    array = (RNG.random((3, 9, 8)) * 1.5 - 0.2).astype(dtype)
    ours, theirs = log_image(log_dir, array, "CHW"), torch_image(array, "CHW")
    np.testing.assert_array_equal(pixels_of(ours), pixels_of(theirs))


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_kept(log_dir, channels):
    array = RNG.integers(0, 256, (channels, 5, 6), np.uint8)
    np.testing.assert_array_equal(pixels_of(log_image(log_dir, array, "CHW")), array.transpose(1, 2, 0))


def test_not_a_number_is_black(log_dir):
    array = np.array([[np.nan, np.inf], [-np.inf, 0.5]])
    assert pixels_of(log_image(log_dir, array, "HW"))[:, :, 0].tolist() == [[0, 255], [0, 127]]


@given(
    arrays.arrays(
        st.sampled_from(["f4", "f8", "f2", "u1", "?"]),
        st.tuples(st.integers(1, 11), st.integers(1, 5), st.integers(1, 40), st.sampled_from([1, 3])),
    ),
    st.permutations(range(4)),
    st.tuples(*[st.sampled_from([1, -1, 2, -3])] * 4),
)
def test_pixels_are_numpys_in_any_memory(batch, order, steps):
    array = batch.transpose(order).copy().transpose(np.argsort(order))[tuple(slice(None, None, step) for step in steps)]
    if array.shape[3] == 2:
        array = array[..., :1]
    with np.errstate(all="ignore"):
        scaled = np.clip(array.astype(np.float32) * np.float32(255), 0, 255)
    pixels = array if array.dtype == np.uint8 else np.nan_to_num(scaled, nan=0).astype(np.uint8)
    tiles = images.to_nhwc(array, "NHWC")
    np.testing.assert_array_equal(tiles.pixels(), pixels)
    tiles.in_double = True
    with np.errstate(all="ignore"):
        scaled = np.clip(array.astype(np.float64) * 255, 0, 255)
    in_double = array if array.dtype == np.uint8 else np.nan_to_num(scaled, nan=0).astype(np.uint8)
    np.testing.assert_array_equal(tiles.pixels(), in_double)
    n, height, width, channels = pixels.shape
    grid = images.to_hwc(array, "NHWC").pixels()[0]
    assert grid.shape == (-(-n // 8) * height, min(n, 8) * width, channels)
    for i in range(-(-n // 8) * min(n, 8)):
        y, x = i // 8 * height, i % 8 * width
        np.testing.assert_array_equal(grid[y : y + height, x : x + width], pixels[i] if i < n else 0)


@pytest.mark.parametrize(
    ("out", "array", "dtype"),
    [
        ((1, 4, 6, 3), (1, 1, 4, 6, 3), "f8"),
        ((1, 4, 6, 3), (1, 2, 4, 6, 3), "f4"),
        ((1, 4, 7, 3), (1, 1, 4, 6, 3), "f4"),
        ((2, 4, 6, 3), (1, 1, 4, 6, 3), "f4"),
        ((1, 4, 6, 4), (1, 1, 4, 6, 3), "f4"),
        ((1, 4, 6, 5), (1, 1, 4, 6, 5), "f4"),
        ((1, 4, 6, 3), (1, 1, 0, 6, 3), "f4"),
        ((1, 4, 6, 3), (1, 4, 6, 3), "f4"),
    ],
)
def test_the_kernel_refuses_what_does_not_fit(out, array, dtype):
    with pytest.raises(ValueError, match=r"five dimensions|tile|fit|f8 must have"):
        _core.tile(np.empty(out, np.uint8), np.zeros(array, np.float32), dtype)


def test_tensors(log_dir):
    torch = pytest.importorskip("torch")
    tensor = torch.rand(3, 6, 5, dtype=torch.bfloat16, requires_grad=True)
    want = (tensor.detach().float().numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
    np.testing.assert_array_equal(pixels_of(log_image(log_dir, tensor, "CHW")), want)


@given(
    tags,
    steps,
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4]))),
)
def test_any_image_is_read_back(tag, step, array):
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_image(tag, array, step, walltime=1.5, dataformats="HWC")
        event, value = only_value(log_dir)
    assert (event.step, event.wall_time, value.tag) == (step, 1.5, tag)
    np.testing.assert_array_equal(
        pixels_of(value.image), np.broadcast_to(array, (*array.shape[:2], max(3, array.shape[2])))
    )


def test_the_pixels_are_those_of_the_call(log_dir):
    """The image is encoded later; the caller may overwrite the array after the call."""
    array = np.zeros((64, 64), np.uint8)
    with tbc.SummaryWriter(log_dir) as writer:
        for shade in range(20):
            array[:] = shade
            writer.add_image("image", array, shade, dataformats="HW")
    events = read_back(log_dir)
    assert [event.step for event in events] == list(range(20))
    assert [pixels_of(event.summary.value[0].image).max() for event in events] == list(range(20))


def test_the_stream_is_zlibs_without_isal(monkeypatch):
    pixels = RNG.integers(0, 256, (30, 20, 3), np.uint8)
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    spec = importlib.util.spec_from_file_location("without_isal", images.__file__)
    without = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, without)
    spec.loader.exec_module(without)
    assert without.crc32 is zlib.crc32
    height, width, channels, png = without.encode_png(pixels)
    assert (height, width, channels) == pixels.shape
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), pixels)


@pytest.mark.parametrize("compress", [images.compressor(small=False), images.compressor(small=True)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 300), (5, 1), (70, 90), (300, 200)])
def test_every_stream_has_every_pixel(compress, channels, height, width):
    noise = RNG.integers(0, 256, (height, width, channels), np.uint8)
    plain = np.full((height, width, channels), 7, np.uint8)
    for pixels in (noise, plain, np.concatenate([plain, noise, plain]), noise // 64 * 64):
        *_, file = images.encode_png(pixels, compress)
        shown = np.asarray(Image.open(io.BytesIO(file)))
        np.testing.assert_array_equal(shown, images.colored(pixels))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(2500, 700), (1200, 1100), (3, 1 << 19)])
def test_large_images_are_compressed_in_strips(log_dir, channels, height, width):
    noise = RNG.integers(0, 256, (height, width, channels), np.uint8)
    plain = np.full_like(noise, 7)
    for pixels in (noise, plain, noise // 64 * 64):
        image = log_image(log_dir, pixels, "HWC")
        np.testing.assert_array_equal(pixels_of(image), images.colored(pixels))
        shutil.rmtree(log_dir)
    strips = list(images.fast(images.colored(noise)))
    assert len(strips) > 1
    assert max(map(len, strips)) < 2 * images.STRIP + 6 * width
    assert zlib.decompress(b"".join(strips))[1:9] == images.colored(noise).tobytes()[:8]


def test_an_image_of_a_mebibyte_is_one_chunk():
    """Such an image is not cut into strips, so its file is the same as in versions without strips."""
    pixels = RNG.integers(0, 32, (512, 512, 3), np.uint8)
    assert len(list(images.fast(pixels))) == 1


def test_bytes_do_not_grow_while_they_are_used():
    file = images.png([])
    assert bytes(file) == images.SIGNATURE
    assert len(file) == 8
    with pytest.raises(BufferError, match="once they are used"):
        file.add(b"more")


def window(pixels):
    """Return deflate's window in bytes, which the first byte of a zlib stream has."""
    return 256 << (next(images.fast(pixels))[0] >> 4)


def test_far_matches_are_looked_for_except_in_noise():
    noise = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    assert window(noise) == 512
    for pixels in (noise[:, :, :1].repeat(3, axis=2), np.zeros_like(noise), noise // 128, noise[:3]):
        assert window(pixels) == 32768


# --- image_compression ---


def log_all(log_dir, **options):
    """Call every method that makes PNG files; return each file with the pixels it must show."""
    photo = np.clip(np.linspace(0, 255, 60) + RNG.normal(0, 3, (3, 40, 60)), 0, 255).astype(np.uint8)
    figure = Figure(figsize=(3, 2))
    figure.subplots().plot([1, 3, 2])
    with tbc.SummaryWriter(log_dir, **options) as writer:
        writer.add_image("image", photo)
        writer.add_images("grid", photo[np.newaxis])
        writer.add_images("apart", photo[np.newaxis], grid=False)
        writer.add_image_with_boxes("boxes", photo, BOXES)
        writer.add_figure("figure", figure)
        writer.add_video("video", photo[np.newaxis, np.newaxis], format="apng")
    values = [event.summary.value[0] for event in read_back(log_dir)]
    return {value.tag: value.image.encoded_image_string or value.tensor.string_val[2] for value in values}


def test_small_images_are_smaller_and_the_same(log_dir):
    RNG.bit_generator.state, state = RNG.bit_generator.state, RNG.bit_generator.state
    fast = log_all(log_dir, image_compression="fast")
    RNG.bit_generator.state = state
    small = log_all(log_dir + "2", image_compression="small")
    assert fast.keys() == small.keys() == {"image", "grid", "apart", "boxes", "figure", "video"}
    for tag, file in fast.items():
        assert len(small[tag]) < len(file), tag
        shown = [np.asarray(Image.open(io.BytesIO(png))) for png in (file, small[tag])]
        np.testing.assert_array_equal(*shown)


def test_fast_is_the_default(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        assert writer.image_compression == "fast"


@pytest.mark.parametrize("compression", ["best", "", None, 9, True])
@pytest.mark.parametrize("enabled", [True, False])
def test_other_compressions_are_told_at_once(log_dir, compression, enabled):
    with pytest.raises(ValueError, match=f"fast or small, got {compression!r}"):
        tbc.SummaryWriter(log_dir, image_compression=compression, enabled=enabled)
    assert not os.path.exists(log_dir)


def test_nothing_is_imported_on_the_encoders_thread(log_dir):
    run_script(
        """
        import sys, numpy as np, tbc
        from tbc import encoder_thread
        run, imported = encoder_thread.run, set()
        def watched(work, reservation):
            def job():
                before = set(sys.modules)
                work()
                imported.update(set(sys.modules) - before)
            run(job, reservation)
        encoder_thread.run = watched
        for compression in ("fast", "small"):
            with tbc.SummaryWriter(sys.argv[1], image_compression=compression) as writer:
                writer.add_image("image", np.zeros((3, 8, 8)))
        assert not imported, imported
        """,
        log_dir,
    )


@pytest.mark.parametrize(
    ("shape", "layout", "error", "words"),
    [
        ((3, 4, 5), "CHX", ValueError, "'CHX'"),
        ((3, 4, 5), "ABC", ValueError, "'ABC'"),
        ((3, 4, 5, 6), "NCHX", ValueError, "'NCHX'"),
        ((4,), "W", ValueError, "'W'"),
        ((3, 4, 5), "CHH", AssertionError, "twice"),
        ((3, 4), "CHW", AssertionError, r"\(3, 4\)"),
        ((2, 3, 4, 5), "CHW", AssertionError, "does not fit"),
        ((5, 4, 5), "CHW", ValueError, "got 5"),
        ((2, 4, 5, 5), "NCHW", AssertionError, "got 4"),
        ((3, 0, 5), "CHW", ValueError, "pixel"),
        ((0, 3, 4, 5), "NCHW", ValueError, "pixel"),
    ],
)
def test_bad_shapes_are_told_at_once(log_dir, shape, layout, error, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error, match=words):
            writer.add_image("image", np.zeros(shape), dataformats=layout)
        writer.add_image("fine", np.zeros((3, 1, 1)))
    assert only_value(log_dir)[1].tag == "fine"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("image", [[1.0]]), NotImplementedError),
        ((7, np.zeros((3, 1, 1))), TypeError),
        (("\ud800", np.zeros((3, 1, 1))), UnicodeEncodeError),
        (("image", np.zeros((3, 1, 1)), 2**63), ValueError),
        (("image", np.zeros((3, 1, 1)), 0, float("nan")), ValueError),
        (("image", np.array([[["a"]]])), TypeError),
        (("image", np.zeros((3, 1, 1), complex)), TypeError),
    ],
)
def test_bad_arguments_are_told_at_once(log_dir, arguments, error):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error):
            writer.add_image(*arguments)
        writer.add_scalar("fine", 1)
    assert only_value(log_dir)[1].tag == "fine"


def test_waiting_pixels_are_bounded(log_dir, monkeypatch):
    """The third image waits for room until the first is encoded, and that waits for this test."""
    gate, encode = threading.Event(), images.encode_png
    monkeypatch.setattr(images, "encode_png", lambda *arguments: gate.wait() and encode(*arguments))
    _core.set_queue_limit(2 * 100 * 100 + 5000)
    try:
        with tbc.SummaryWriter(log_dir) as writer:

            def log(step):
                writer.add_image("image", np.zeros((100, 100), np.uint8), step, dataformats="HW")

            log(0)
            log(1)
            third = threading.Thread(target=log, args=(2,))
            third.start()
            third.join(0.2)
            assert third.is_alive()
            writer.add_scalar("small", 1, 3)  # still fits
            gate.set()
            third.join(10)
    finally:
        _core.set_queue_limit(64 << 20)
    assert sorted(event.step for event in read_back(log_dir)) == [0, 1, 2, 3]


def test_nothing_is_copied_before_there_is_room(log_dir, monkeypatch):
    reserve, tile, order = EventFile.reserve, _core.tile, []
    monkeypatch.setattr(EventFile, "reserve", lambda *_: order.append("reserve") or reserve(*_))
    monkeypatch.setattr(_core, "tile", lambda *_: order.append("tile") or tile(*_))
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_image("image", np.zeros((3, 4, 5)))
        writer.add_images("grid", np.zeros((9, 3, 4, 5)))
        writer.add_images("apart", np.zeros((9, 3, 4, 5)), grid=False)
        writer.add_video("video", np.zeros((3, 2, 3, 4, 5)))
    assert order == 4 * ["reserve", "tile"]


def test_flush_in_a_signal_handler_waits_for_images_without_a_deadlock(log_dir):
    run_script(
        """
        import signal, sys, numpy as np, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        busy = []
        def flush(*_):
            if not busy:
                busy.append(1)
                writer.flush()
                busy.clear()
        signal.signal(signal.SIGALRM, flush)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.0023)
        image = np.zeros((3, 8, 8))
        for step in range(2000):
            writer.add_image("image", image, step)
        signal.setitimer(signal.ITIMER_REAL, 0)
        """,
        log_dir,
    )
    assert [event.step for event in read_back(log_dir)] == list(range(2000))


def test_images_are_encoded_in_place_where_no_thread_can_start(log_dir, monkeypatch):
    def fail(self):
        raise RuntimeError("can't start new thread")

    encoder_thread.before_fork()  # this ends the thread
    monkeypatch.setattr(threading.Thread, "start", fail)
    with tbc.SummaryWriter(log_dir) as writer:
        for step in range(3):
            writer.add_image("image", np.zeros((3, 2, 2)), step)
    assert [event.step for event in read_back(log_dir)] == [0, 1, 2]


def test_flush_does_not_look_for_images_where_there_are_none(log_dir, monkeypatch):
    """To wait for images takes a millisecond per file; accelerate and others flush after every step."""
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_image("image", np.zeros((3, 2, 2)))
        writer.flush()
        monkeypatch.setattr(encoder_thread, "_last", None)
        for step in range(9):
            writer.add_scalar("x", 1.0, step)
            writer.flush()


def test_flush_goes_on_as_soon_as_images_are_encoded(log_dir, monkeypatch):
    monkeypatch.setattr(encoder_thread, "POLL_SECONDS", 60)
    start = time.monotonic()
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_image("image", np.zeros((3, 2, 2)))
        writer.flush()
    assert time.monotonic() - start < 30


def test_an_error_of_the_encoder_is_raised_by_the_next_call(log_dir, monkeypatch):
    def fail(*_):
        raise MemoryError("no room to encode")

    with tbc.SummaryWriter(log_dir) as writer:
        monkeypatch.setattr(images, "encode_png", fail)
        writer.add_image("image", np.zeros((3, 2, 2)))
        with pytest.raises(MemoryError, match="no room"):
            writer.flush()
        writer.flush()
        writer.add_image("image", np.zeros((3, 2, 2)))
        with pytest.raises(MemoryError, match="no room"):
            writer.close()
    assert writer.file_writer is None


# --- Pillow's images ---


def a_picture(mode):
    """Return a Pillow image with all kinds of colors."""
    if mode == "1":
        return Image.fromarray(RNG.random((6, 9)) < 0.5)
    picture = Image.frombytes(mode, (9, 6), RNG.bytes(6 * 9 * Image.getmodebands(mode)))
    if mode.startswith("P"):
        picture.putpalette(RNG.bytes(3 * 256))
    return picture


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pillow_images_are_their_pixels(log_dir, mode):
    picture = a_picture(mode)
    pixels = np.asarray(picture).reshape(6, 9, -1)
    want = np.broadcast_to(pixels, (6, 9, max(3, pixels.shape[2]))) if mode != "LA" else pixels
    np.testing.assert_array_equal(pixels_of(log_image(log_dir, picture, "ignored")), want)


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"])
def test_opaque_pillow_images_become_rgb(log_dir, mode):
    picture = a_picture(mode)
    np.testing.assert_array_equal(pixels_of(log_image(log_dir, picture, "CHW")), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize(("mode", "becomes"), [("PA", "RGBA"), ("RGBa", "RGBA"), ("La", "LA")])
def test_pillow_images_keep_their_transparency(log_dir, mode, becomes):
    picture = a_picture(mode)
    np.testing.assert_array_equal(pixels_of(log_image(log_dir, picture, "CHW")), np.asarray(picture.convert(becomes)))


def test_a_transparent_palette(log_dir):
    picture = a_picture("P")
    picture.info["transparency"] = picture.getpixel((0, 0))
    pixels = pixels_of(log_image(log_dir, picture, "CHW"))
    assert pixels[0, 0, 3] == 0
    np.testing.assert_array_equal(pixels, np.asarray(picture.convert("RGBA")))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I;16N"])
def test_16_bits_of_pillow_are_scaled_down(log_dir, mode):
    gray = RNG.integers(0, 65536, (6, 9)).astype({"I;16B": ">u2", "I;16N": "=u2"}.get(mode, "<u2"))
    picture = Image.frombytes(mode, (9, 6), gray.tobytes())
    want = (gray.astype(np.float32) / np.float32(65535) * 255).astype(np.uint8)
    np.testing.assert_array_equal(pixels_of(log_image(log_dir, picture, "CHW"))[:, :, 0], want)


def test_floats_of_pillow_are_from_0_to_1(log_dir):
    gray = RNG.random((6, 9), np.float32)
    pixels = pixels_of(log_image(log_dir, Image.fromarray(gray), "CHW"))
    np.testing.assert_array_equal(pixels[:, :, 1], (gray * 255).astype(np.uint8))


def test_integers_of_pillow_are_as_other_integers(log_dir):
    gray = Image.fromarray(np.array([[0, 1, 300]], np.int32))
    with pytest.warns(UserWarning, match="int32"):
        image = log_image(log_dir, gray, "CHW")
    assert pixels_of(image)[0, :, 0].tolist() == [0, 255, 255]


def test_the_pillow_image_is_that_of_the_call(log_dir):
    picture = Image.new("RGB", (64, 64))
    with tbc.SummaryWriter(log_dir) as writer:
        for shade in range(10):
            picture.paste((shade, 0, 0), (0, 0, 64, 64))
            writer.add_image("image", picture, shade)
    assert [pixels_of(event.summary.value[0].image).max() for event in read_back(log_dir)] == list(range(10))


# --- files ---


def file_of(kind, size=(9, 6), mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (*size[::-1], 3), np.uint8)).convert(mode).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize(
    ("file", "channels"),
    [
        (file_of("PNG"), 3),
        (file_of("PNG", mode="RGBA"), 4),
        (file_of("PNG", mode="L"), 1),
        (file_of("JPEG"), 3),
        (file_of("MPO", save_all=True, append_images=[Image.new("RGB", (9, 6))]), 3),  # a JPEG with a second image
        (file_of("GIF"), 1),
        (file_of("BMP"), 3),
    ],
)
def test_files_are_stored_as_they_are(log_dir, kind, file, channels):
    image = log_image(log_dir, kind(file), "ignored")
    assert image.encoded_image_string == file
    assert (image.height, image.width, image.colorspace) == (6, 9, channels)


def test_the_file_is_that_of_the_call(log_dir):
    file = file_of("PNG")
    changing = bytearray(file)
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_image("image", changing)
        changing[:] = bytes(len(changing))
    assert only_value(log_dir)[1].image.encoded_image_string == file


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (file_of("TIFF"), "bytes that start with"),
        (file_of("PPM"), "bytes that start with"),
        (file_of("WEBP"), "bytes that start with"),
        (b"", "0 bytes"),
        (b"no image at all", "15 bytes that start with b'no image'"),
        *[(file_of("PNG")[:n], f"{n} bytes") for n in (4, 8, 16, 24, 30)],
    ],
)
def test_other_files_are_refused(log_dir, file, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(ValueError, match=words):
            writer.add_image("image", file)
        writer.add_scalar("fine", 1)
    assert only_value(log_dir)[1].tag == "fine"


# --- batches ---


@given(
    tags,
    steps,
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))),
    st.permutations("NHWC"),
)
def test_a_batch_without_a_grid_is_read_back(tag, step, batch, letters):
    array = batch.transpose(["NHWC".index(letter) for letter in letters])
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_images(tag, array, step, 1.5, "".join(letters), grid=False)
        event, value = only_value(log_dir)
    assert (event.step, event.wall_time, value.tag) == (step, 1.5, tag)
    assert (value.metadata.plugin_data.plugin_name, value.tensor.dtype) == ("images", 7)
    width, height, *files = value.tensor.string_val
    assert [dim.size for dim in value.tensor.tensor_shape.dim] == [len(batch) + 2]
    assert (int(width), int(height), len(files)) == (batch.shape[2], batch.shape[1], len(batch))
    for file, pixels in zip(files, batch, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(file)))
        np.testing.assert_array_equal(shown, pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels)


def test_a_batch_without_a_grid_is_that_of_the_call(log_dir):
    batch = np.zeros((3, 1, 32, 32), np.uint8)
    with tbc.SummaryWriter(log_dir) as writer:
        for shade in range(5):
            batch[:] = shade
            writer.add_images("images", batch, shade, grid=False)
    for event in read_back(log_dir):
        for file in event.summary.value[0].tensor.string_val[2:]:
            assert np.asarray(Image.open(io.BytesIO(file))).max() == event.step


@pytest.mark.parametrize(
    ("batch", "layout", "error"),
    [
        (np.zeros((3, 4, 5)), "CHW", ValueError),
        (np.zeros((3, 4, 5)), "NCHW", ValueError),
        (np.zeros((1, 3, 4, 5)), "CHW", ValueError),
        (np.zeros((1, 5, 4, 5)), "NCHW", ValueError),
        (np.zeros((0, 3, 4, 5)), "NCHW", ValueError),
        (np.zeros((1, 3, 4, 5)), "NCHH", AssertionError),
        (np.zeros((1, 3, 4, 5)), "NCHX", ValueError),
        (np.zeros((1, 3, 4, 5), complex), "NCHW", TypeError),
        ([np.zeros((3, 4, 5))], "NCHW", NotImplementedError),
        (Image.new("RGB", (5, 4)), "NCHW", ValueError),
    ],
)
def test_bad_batches_are_told_at_once(log_dir, batch, layout, error):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error):
            writer.add_images("images", batch, dataformats=layout, grid=False)
        writer.add_scalar("fine", 1)
    assert only_value(log_dir)[1].tag == "fine"


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u2", "u4", "u8"])
def test_integers_beyond_1_are_told_once(log_dir, dtype):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_image("mask", np.ones((3, 2, 2), dtype))
        with pytest.warns(UserWarning, match=f"pixels of {np.dtype(dtype).name}") as caught:
            writer.add_image("image", np.full((3, 2, 2), 100, dtype))
        assert (len(caught), caught[0].filename) == (1, __file__)
        writer.add_image("image", np.full((3, 2, 2), 100, dtype))
    _, second, third = read_back(log_dir)
    assert pixels_of(second.summary.value[0].image).min() == pixels_of(third.summary.value[0].image).min() == 255


# --- boxes ---


def log_boxes(log_dir, *arguments, **options):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_image_with_boxes("boxes", *arguments, **options)
    return only_value(log_dir)[1].image


def torch_boxes(array, boxes, **options):
    summary = pytest.importorskip("torch.utils.tensorboard.summary")
    return summary.image_boxes("boxes", array, boxes, **options).value[0].image


def shown(image):
    return np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))


BOXES = np.array([[2, 3, 30, 25], [10.5, 10, 55.25, 38], [-5, -5, 12, 80], [40, 30, 20, 10]])
LABELS = ["cat", "", "ein Häuschen", "x\ny"]


@pytest.mark.parametrize("layout", ["CHW", "HWC", "WHC", "HW", "NCHW", "NHWC"])
@pytest.mark.parametrize("labels", [None, LABELS])
@pytest.mark.parametrize("rescale", [1, 2, 0.5, 1.3])
def test_boxes_are_torchs(log_dir, layout, labels, rescale):
    array = RNG.random([{"N": 3, "C": 3, "H": 40, "W": 60}[letter] for letter in layout])
    options = {"rescale": rescale, "dataformats": layout, "labels": labels}
    ours, theirs = log_boxes(log_dir, array, BOXES, **options), torch_boxes(array, BOXES, **options)
    np.testing.assert_array_equal(shown(ours), shown(theirs))
    assert (ours.height, ours.width, ours.colorspace) == (theirs.height, theirs.width, theirs.colorspace)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("rescale", [1, 2])
def test_boxes_on_transparent_images_are_torchs(log_dir, channels, rescale):
    array = RNG.integers(0, 256, (channels, 40, 60), np.uint8)
    options = {"rescale": rescale, "labels": LABELS}
    ours, theirs = log_boxes(log_dir, array, BOXES, **options), torch_boxes(array, BOXES, **options)
    np.testing.assert_array_equal(shown(ours), shown(theirs))
    assert ours.colorspace == channels


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i1", "i8", "u1"])
def test_boxes_of_any_type(log_dir, dtype):
    boxes = np.array([[2, 3, 30, 5], [20, 10, 60, 40]])
    image = np.zeros((3, 40, 60))
    options = {"labels": ["a", "b"]}
    ours, theirs = log_boxes(log_dir, image, boxes.astype(dtype), **options), torch_boxes(image, boxes, **options)
    np.testing.assert_array_equal(shown(ours), shown(theirs))


def test_boxes_of_lists_and_tensors_and_none(log_dir):
    torch = pytest.importorskip("torch")
    image = np.zeros((3, 40, 60))
    want = shown(torch_boxes(image, BOXES))
    for i, boxes in enumerate([BOXES.tolist(), torch.tensor(BOXES), torch.tensor(BOXES).bfloat16()]):
        image_ = log_boxes(f"{log_dir}{i}", torch.tensor(image), boxes)
        np.testing.assert_array_equal(shown(image_), want)
    assert shown(log_boxes(log_dir, image, np.zeros((0, 4)))).max() == 0


def test_one_label_is_not_a_list_of_letters(log_dir):
    image, box = np.zeros((3, 40, 60)), BOXES[:1]
    one = log_boxes(log_dir, image, box, labels="cat")
    np.testing.assert_array_equal(shown(one), shown(log_boxes(log_dir + "2", image, box, labels=["cat"])))
    np.testing.assert_array_equal(shown(one), shown(torch_boxes(image, box, labels=["cat"])))


def test_boxes_on_a_pillow_image(log_dir):
    picture = a_picture("P")
    image = log_boxes(log_dir, picture, [[0, 0, 4, 4]])
    rgb = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(shown(image), shown(log_boxes(log_dir + "2", rgb, [[0, 0, 4, 4]], dataformats="HWC")))
    assert (shown(image) != rgb).any()


def test_boxes_and_labels_are_those_of_the_call(log_dir):
    image, boxes, labels = np.zeros((3, 40, 60)), np.array([[2.0, 3, 30, 25]]), ["cat"]
    want = shown(log_boxes(log_dir + "2", image, boxes, labels=labels))
    with tbc.SummaryWriter(log_dir) as writer:
        for step in range(5):
            writer.add_image_with_boxes("boxes", image, boxes, step, labels=labels)
            boxes += 50
            labels[0] = "dog"
            boxes -= 50
            labels[0] = "cat"
        boxes[:], labels[0] = 0, "dog"
    for event in read_back(log_dir):
        np.testing.assert_array_equal(shown(event.summary.value[0].image), want)


@pytest.mark.parametrize("boxes", [[], np.array([]), np.empty((0, 4)), np.empty((0, 5), np.float32)])
def test_nothing_detected(log_dir, boxes):
    image = RNG.integers(0, 256, (3, 20, 30), np.uint8)
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_image_with_boxes("image", image, boxes)
    np.testing.assert_array_equal(pixels_of(only_value(log_dir)[1].image), image.transpose(1, 2, 0))


def test_boxes_with_scores_are_boxes(log_dir):
    boxes = np.array([[2, 3, 20, 15, 0.9]])
    with tbc.SummaryWriter(log_dir) as writer:
        for corners in (boxes, boxes[:, :4]):
            writer.add_image_with_boxes("image", np.zeros((3, 20, 30)), corners)
    with_score, without = (pixels_of(event.summary.value[0].image) for event in read_back(log_dir))
    np.testing.assert_array_equal(with_score, without)
    assert with_score.any()


def test_files_that_are_large_when_decoded_are_stored(log_dir):
    file = bytes(images.png([(b"IHDR", images.header(20_000, 30_000, 3)), (b"IEND", b"")]))
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_image("image", file)
    image = only_value(log_dir)[1].image
    assert (image.height, image.width, image.encoded_image_string) == (20_000, 30_000, file)


@pytest.mark.parametrize(
    ("boxes", "options", "error", "words"),
    [
        (np.zeros(4), {}, ValueError, r"\(4,\)"),
        (np.zeros((2, 3)), {}, ValueError, r"\(2, 3\)"),
        ([[0, 0, np.nan, 1]], {}, ValueError, "finite"),
        ([[0, 0, np.inf, 1]], {}, ValueError, "finite"),
        ([[0, 0, 1e30, 1]], {}, ValueError, "between"),
        ([[0, 0, -(2**63), 1]], {}, ValueError, "between"),
        (np.zeros((1, 4), complex), {}, ValueError, "complex"),
        (np.array([["a"] * 4]), {}, ValueError, "U1"),
        (None, {}, NotImplementedError, "NoneType"),
        (BOXES, {"labels": ["a", "b"]}, ValueError, "4 boxes, but 2 labels"),
        (BOXES, {"labels": "abcd"}, ValueError, "4 boxes, but 1 labels"),
        (BOXES, {"labels": []}, ValueError, "4 boxes, but 0 labels"),
        (BOXES, {"labels": 7}, TypeError, "int"),
        (BOXES, {"rescale": 0}, ValueError, "rescaled by 0"),
        (BOXES, {"rescale": -1}, ValueError, "rescaled by -1"),
        (BOXES, {"rescale": 0.01}, ValueError, "rescaled by 0.01"),
        (BOXES, {"rescale": float("nan")}, ValueError, "rescaled by nan"),
        (BOXES, {"rescale": float("inf")}, ValueError, "rescaled by inf"),
        (BOXES, {"rescale": "2"}, TypeError, "str"),
        (BOXES, {"rescale": 1e5}, ValueError, "rescaled by"),
        (BOXES, {"dataformats": "HW"}, AssertionError, "does not fit"),
        (BOXES, {"global_step": 2**63}, ValueError, "64-bit"),
    ],
)
def test_bad_boxes_are_told_at_once(log_dir, boxes, options, error, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error, match=words):
            writer.add_image_with_boxes("boxes", np.zeros((3, 40, 60)), boxes, **options)
        writer.add_scalar("fine", 1)
    assert only_value(log_dir)[1].tag == "fine"
