"""add_video: GIFs and animated PNGs, decoded by Pillow."""

import io
import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageSequence

from tbc.kinds import images, video

RNG = np.random.default_rng(11)
sides = st.integers(1, 20)
frame_counts = st.integers(1, 5)
rates = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


def decoded(file, mode):
    """Return the frames as Pillow decodes them, and the milliseconds of each."""
    with Image.open(io.BytesIO(file)) as image:
        assert image.info["loop"] == 0  # plays for ever
        shown = [(np.asarray(frame.convert(mode)), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]
    frames, durations = zip(*shown, strict=True)
    return np.stack(frames), list(durations)


def clips(channels):
    return arrays.arrays(np.uint8, st.tuples(frame_counts, sides, sides, channels))


def many_colors(side=32):
    """Return a frame with more colors than a GIF can have."""
    frame = RNG.integers(0, 256, (side, side, 3), np.uint8)
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 256
    return frame


def chunks_of(png):
    png = bytes(png)
    assert png.startswith(images.SIGNATURE)
    at, found = len(images.SIGNATURE), []
    while at < len(png):
        (size,) = struct.unpack_from(">I", png, at)
        body = png[at + 4 : at + 8 + size]
        assert struct.unpack_from(">I", png, at + 8 + size) == (zlib.crc32(body),)
        found.append((body[:4], body[4:]))
        at += 12 + size
    return found


# --- the layout ---

batches = arrays.arrays(
    st.sampled_from(["u1", "f4", "f8", "f2", "i4", "?"]),
    st.tuples(st.integers(1, 18), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    elements=st.integers(0, 1),
    fill=st.nothing(),
)


@given(batches)
def test_clips_are_tiled_as_torch_does(batch):
    utils = pytest.importorskip("torch.utils.tensorboard._utils")
    frames = video.tile(batch).pixels()
    np.testing.assert_array_equal(frames / np.float32(255), utils._prepare_video(batch))  # torch divides by 255, too


@pytest.mark.parametrize(
    ("n", "rows", "columns"),
    [(1, 1, 1), (2, 1, 2), (3, 1, 4), (4, 2, 2), (5, 2, 4), (8, 2, 4), (9, 2, 8), (16, 4, 4), (17, 4, 8)],
)
@pytest.mark.parametrize("dtype", ["u1", "f4", ">f8", "i2"])
def test_every_pixel_is_where_it_belongs(n, rows, columns, dtype):
    t, c, h, w = 2, 3, 4, 5
    pixels = RNG.integers(0, 2, (n, t, c, h, w), np.uint8) * np.uint8(255)
    tiles = video.tile(pixels if dtype == "u1" else (pixels // 255).astype(dtype))
    frames = tiles.pixels()
    assert frames.shape == tiles.shape == (t, rows * h, columns * w, c)
    assert frames.nbytes == tiles.nbytes
    for place in range(rows * columns):
        y, x = place // columns * h, place % columns * w
        shown = frames[:, y : y + h, x : x + w]
        np.testing.assert_array_equal(shown, pixels[place].transpose(0, 2, 3, 1) if place < n else 0)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 3, 4, 5), r"5 dimensions .* got 4 in shape \(2, 3, 4, 5\)"),
        ((1, 2, 3, 4, 5, 6), "got 6"),
        ((0, 2, 3, 4, 5), r"at least one frame and pixel, got one of shape \(0, 2, 3, 4, 5\)"),
        ((1, 0, 3, 4, 5), "at least one frame"),
        ((1, 2, 3, 4, 0), "at least one frame"),
        ((1, 2, 5, 4, 4), "1 or 2 or 3 or 4 channels, got 5"),
        ((1, 2, 0, 4, 4), "channels, got 0"),
    ],
)
def test_bad_shapes(shape, words):
    with pytest.raises(ValueError, match=words):
        video.tile(np.zeros(shape))


def test_channels_that_the_format_lacks():
    with pytest.raises(ValueError, match="1 or 3 channels, got 4"):
        video.tile(np.zeros((1, 2, 4, 5, 5)), video.GIF_CHANNELS)
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        video.encode_gif(np.zeros((1, 5, 5, 2), np.uint8), 4)
    with pytest.raises(ValueError, match="1 or 2 or 3 or 4 channels, got 5"):
        video.encode_apng(np.zeros((1, 5, 5, 5), np.uint8), 4)


@pytest.mark.parametrize("dtype", ["c8", "U1", "M8[s]"])
def test_what_is_no_real_number(dtype):
    with pytest.raises(TypeError, match="real numbers"):
        video.tile(np.zeros((1, 1, 1, 1, 1)).astype(dtype))


@pytest.mark.parametrize("encode", [video.encode_gif, video.encode_apng])
@pytest.mark.parametrize("fps", [0, -1, 0.0, float("nan"), float("inf"), -float("inf")])
def test_bad_rates(encode, fps):
    with pytest.raises(ValueError, match=rf"above 0, got {fps}"):
        encode(np.zeros((1, 2, 2, 3), np.uint8), fps)


# --- GIF ---


@given(clips(st.just(1)))
@example(np.arange(512, dtype=np.uint8).reshape(2, 16, 16, 1))
@example(np.zeros((3, 2, 2, 1), np.uint8))
def test_gray_is_exact(frames):
    np.testing.assert_array_equal(decoded(video.encode_gif(frames, 10), "RGB")[0], frames.repeat(3, axis=3))
    np.testing.assert_array_equal(decoded(video.encode_gif(frames.repeat(3, 3), 10), "L")[0], frames[..., 0])


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 256), st.just(3))), frame_counts, sides, sides)
def test_few_colors_are_exact(colors, t, height, width):
    frames = colors[np.arange(t * height * width).reshape(t, height, width) % len(colors)]
    np.testing.assert_array_equal(decoded(video.encode_gif(frames, 10), "RGB")[0], frames)


@pytest.mark.parametrize("channel", range(3))
def test_256_colors_are_few_and_257_are_not(channel):
    """256 colors differ in one channel, the last one in another. It comes in the last frame."""
    colors = np.zeros((257, 3), np.uint8)
    colors[:256, channel] = range(256)
    colors[256, channel - 1] = 7
    frames = colors[[[range(256)], [[*range(255), 256]]]]
    assert frames.shape == (2, 1, 256, 3)
    all_but_one = frames[:, :, [*range(255), 0]]
    all_but_one[1, 0, 255] = colors[256]
    np.testing.assert_array_equal(decoded(video.encode_gif(all_but_one, 10), "RGB")[0], all_but_one)
    shown = decoded(video.encode_gif(frames, 10), "RGB")[0]
    assert set(np.unique(shown)) <= set(range(0, 256, 51))


@given(frame_counts, sides, st.integers(0, 2**32))
def test_any_color_is_less_than_a_step_off(t, side, seed):
    frames = np.random.default_rng(seed).integers(0, 256, (t, 20 + side, 40, 3), np.uint8)
    shown = decoded(video.encode_gif(frames, 10), "RGB")[0]
    assert set(np.unique(shown)) <= set(range(0, 256, 51))
    assert np.abs(shown.astype(int) - frames).max() < 51


def test_the_colors_of_the_cube_are_exact():
    cube = np.array(np.meshgrid(*[range(0, 256, 51)] * 3), np.uint8).reshape(3, -1).T
    frame = np.concatenate([many_colors(64)] + [np.repeat(cube, 64, axis=0).reshape(-1, 64, 3)])  # at all thresholds
    frames = np.stack([frame, np.roll(frame, 1, axis=1)])
    shown = decoded(video.encode_gif(frames, 10), "RGB")[0]
    np.testing.assert_array_equal(shown[:, 64:], frames[:, 64:])


def test_the_average_of_dithered_pixels_is_the_color():
    frame = np.empty((256, 64, 3), np.uint8)
    frame[:] = np.arange(256)[:, np.newaxis, np.newaxis]
    frame = np.concatenate([frame.repeat(4, axis=0), many_colors(64)])
    shown = decoded(video.encode_gif(frame[np.newaxis], 10), "RGB")[0][0, :1024]
    means = shown.reshape(256, 4 * 64, 3).mean(axis=1)
    assert np.abs(means - np.arange(256)[:, np.newaxis]).max() < 51 / 16
    assert (shown == shown[..., :1]).all()  # gray stays gray


@pytest.mark.parametrize("t", [1, 2, 7])
@pytest.mark.parametrize("channels", [1, 3])
def test_repeated_frames_stay(t, channels):
    frames = np.full((t, 5, 6, channels), 9, np.uint8)
    shown, durations = decoded(video.encode_gif(frames, 0.01), "RGB")
    np.testing.assert_array_equal(shown, np.full((t, 5, 6, 3), 9))
    assert durations == t * [100_000]


@given(rates | st.floats(0.001, 60), st.integers(1, 40))
@example(50.0, 40)
@example(60.0, 40)
@example(30, 40)
@example(5e-324, 3)
@example(1.7e308, 3)
def test_a_gif_takes_the_time_it_should(fps, t):
    frames = np.arange(t, dtype=np.uint8).reshape(t, 1, 1, 1)
    durations = decoded(video.encode_gif(frames, fps), "L")[1]
    period = min(max(1000 / fps, 20), 655_350)
    assert len(durations) == t
    assert sum(durations) == pytest.approx(t * period, abs=5.001)
    assert max(durations) - min(durations) in (0, 10)
    assert min(durations) >= 20


def test_memory_of_any_layout():
    batch = RNG.integers(0, 256, (3, 2, 3, 12, 10), np.uint8)
    for array in (batch, np.asfortranarray(batch), batch[:, ::-1, :, ::2, ::-1]):
        frames = video.tile(array).pixels()
        np.testing.assert_array_equal(frames, video.tile(array.copy()).pixels())
        frames = frames[::-1, ::2, ::-1]
        for encode in (video.encode_gif, video.encode_apng):
            assert bytes(encode(frames, 4)) == bytes(encode(frames.copy(), 4))


def test_a_gif_is_no_larger_than_its_fields():
    wide = np.zeros((1, 1, 65535, 1), np.uint8)
    assert decoded(video.encode_gif(wide, 1), "L")[0].shape == (1, 1, 65535)
    with pytest.raises(ValueError, match="65535 pixels a side, got 65536 x 1"):
        video.encode_gif(np.zeros((1, 1, 65536, 1), np.uint8), 1)
    with pytest.raises(ValueError, match="got 1 x 65536"):
        video.encode_gif(np.zeros((1, 65536, 1, 1), np.uint8), 1)


# --- animated PNG ---


@given(clips(st.integers(1, 4)))
@example(np.zeros((1, 3, 3, 3), np.uint8))
@example(np.full((4, 3, 3, 4), 9, np.uint8))
def test_an_apng_shows_every_pixel(frames):
    mode = {1: "RGB", 2: "LA", 3: "RGB", 4: "RGBA"}[frames.shape[3]]
    png = video.encode_apng(frames, 4)
    with Image.open(io.BytesIO(png)) as image:
        assert (image.format, image.mode, image.n_frames) == ("PNG", mode, len(frames))
    shown, durations = decoded(png, mode)
    np.testing.assert_array_equal(shown, np.broadcast_to(frames, shown.shape))
    assert durations == len(frames) * [250]


def test_the_chunks_of_an_apng():
    """Viewers without animation show the first frame. Others check the sequence numbers of the chunks."""
    frames = RNG.integers(0, 256, (3, 4, 5, 3), np.uint8)
    chunks = chunks_of(video.encode_apng(frames, 29.97))
    names = [name for name, _ in chunks]
    assert names == [b"IHDR", b"acTL", b"fcTL", b"IDAT", b"fcTL", b"fdAT", b"fcTL", b"fdAT", b"IEND"]
    assert chunks[1][1] == struct.pack(">II", 3, 0)
    numbered = [struct.unpack_from(">I", data)[0] for name, data in chunks if name in (b"fcTL", b"fdAT")]
    assert numbered == [0, 1, 2, 3, 4]
    for name, data in chunks:
        if name == b"fcTL":
            assert struct.unpack(">IIIIHHBB", data[4:]) == (5, 4, 0, 0, 100, 2997, 0, 0)


def test_large_frames_are_compressed_in_strips():
    frames = RNG.integers(0, 256, (2, 1100, 1000, 3), np.uint8)
    png = video.encode_apng(frames, 4)
    np.testing.assert_array_equal(decoded(png, "RGB")[0], frames)
    chunks = chunks_of(png)
    names = [name for name, _ in chunks]
    first, second = (len(list(images.fast(frame))) for frame in frames)
    assert first > 1
    assert names[2:] == [b"fcTL", *[b"IDAT"] * first, b"fcTL", *[b"fdAT"] * second, b"IEND"]
    numbered = [struct.unpack_from(">I", data)[0] for name, data in chunks if name in (b"fcTL", b"fdAT")]
    assert numbered == list(range(len(numbered)))


def delay(fps):
    """Return the delay of each frame, in seconds."""
    png = video.encode_apng(np.zeros((2, 1, 1, 3), np.uint8), fps)
    (found,) = {struct.unpack_from(">HH", data, 20) for name, data in chunks_of(png) if name == b"fcTL"}
    assert found[1] > 0  # a denominator of 0 means 100
    return Fraction(*found)


@given(st.integers(1, 65535))
def test_a_delay_is_exact_for_whole_rates(fps):
    assert delay(fps) == Fraction(1, fps)


@pytest.mark.parametrize("fps", ["29.97", "23.976", "59.94", "0.5", "12.5", "0.1", "0.0001", "30000/1001", "1/3"])
def test_a_delay_is_exact_for_common_rates(fps):
    assert delay(float(Fraction(fps))) == 1 / Fraction(fps)


@given(rates | st.floats(1e-5, 65535))
@example(24.123456789)
@example(1e-5)
@example(65535.5)
def test_any_delay_is_close(fps):
    reachable = Fraction(min(max(fps, 1 / 65535), 65535))
    assert abs(delay(fps) * reachable - 1) < Fraction(1, 30000)
