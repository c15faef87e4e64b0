import io
import itertools
import tempfile
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from oracle import only_value, read_back, run_script, steps, tags
from PIL import Image

import tbc
from tbc import _core, background, images

RNG = np.random.default_rng(3)


def pixels_of(image):
    """What the PNG shows; its size and channels are those the event tells."""
    pixels = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
    assert pixels.shape == (image.height, image.width, image.colorspace)
    return pixels


def log_one(log_dir, array, dataformats):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_image("image", array, 5, dataformats=dataformats)
    event, value = only_value(log_dir)
    assert (event.step, value.tag) == (5, "image")
    return value.image


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
    ours, theirs = log_one(log_dir, array, layout), torch_image(array, layout)
    np.testing.assert_array_equal(pixels_of(ours), pixels_of(theirs))


@pytest.mark.parametrize("batch", [1, 2, 7, 8, 9, 16])
def test_a_batch_is_a_grid_of_eight_a_row(log_dir, batch):
    array = RNG.random((batch, 3, 4, 6))
    ours, theirs = log_one(log_dir, array, "NCHW"), torch_image(array, "NCHW")
    assert ours.width == 6 * min(batch, 8)
    np.testing.assert_array_equal(pixels_of(ours), pixels_of(theirs))


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "u1", "i4", "i8", "?", ">f4"])
def test_every_type_shows_torchs_pixels(log_dir, dtype):
    array = (RNG.random((3, 9, 8)) * 1.5 - 0.2).astype(dtype)
    ours, theirs = log_one(log_dir, array, "CHW"), torch_image(array, "CHW")
    np.testing.assert_array_equal(pixels_of(ours), pixels_of(theirs))


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_kept(log_dir, channels):
    array = RNG.integers(0, 256, (channels, 5, 6), np.uint8)
    np.testing.assert_array_equal(pixels_of(log_one(log_dir, array, "CHW")), array.transpose(1, 2, 0))


def test_not_a_number_is_black(log_dir):
    array = np.array([[np.nan, np.inf], [-np.inf, 0.5]])
    assert pixels_of(log_one(log_dir, array, "HW"))[:, :, 0].tolist() == [[0, 255], [0, 127]]


def test_tensors(log_dir):
    torch = pytest.importorskip("torch")
    tensor = torch.rand(3, 6, 5, dtype=torch.bfloat16, requires_grad=True)
    want = (tensor.detach().float().numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
    np.testing.assert_array_equal(pixels_of(log_one(log_dir, tensor, "CHW")), want)


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
    """The encoding happens later; the caller may overwrite the array meanwhile."""
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
    monkeypatch.setattr(images, "zlib", zlib)
    height, width, channels, png = images.encode_png(pixels)
    assert (height, width, channels) == pixels.shape
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), pixels)


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
    """The third image waits for room until the first is encoded, which waits for us."""
    gate, encode = threading.Event(), images.encode_png
    monkeypatch.setattr(images, "encode_png", lambda pixels: gate.wait() and encode(pixels))
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
            writer.add_scalar("small", 1, 3)  # fits still
            gate.set()
            third.join(10)
    finally:
        _core.set_queue_limit(64 << 20)
    assert sorted(event.step for event in read_back(log_dir)) == [0, 1, 2, 3]


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

    monkeypatch.setattr(background, "_thread", None)
    monkeypatch.setattr(threading.Thread, "start", fail)
    with tbc.SummaryWriter(log_dir) as writer:
        for step in range(3):
            writer.add_image("image", np.zeros((3, 2, 2)), step)
    assert [event.step for event in read_back(log_dir)] == [0, 1, 2]


def test_an_error_of_the_encoder_is_raised_by_the_next_call(log_dir, monkeypatch):
    def fail(pixels):
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
