"""add_audio: the stored WAV file, its scaling compared to torch's, and input that is refused."""

import io
import tempfile
import wave

import numpy as np
import pytest
from helpers.oracle import log_one, only_value, read_back, steps, tags
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import tbc
from tbc.kinds import audio

RNG = np.random.default_rng(5)
NOISE = RNG.uniform(-1, 1, 1000)
BITS = np.arange(65536, dtype=np.uint16)


def samples_of(sound):
    """Return the WAV's samples as (frames, channels); check that the event has its length, rate and channels."""
    with wave.open(io.BytesIO(sound.encoded_audio_string)) as wav:
        assert (wav.getnchannels(), wav.getnframes(), wav.getsampwidth()) == (
            sound.num_channels,
            sound.length_frames,
            2,
        )
        assert wav.getframerate() == round(sound.sample_rate)
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, sound.num_channels)


def log_audio(log_dir, sound, **options):
    audio = log_one(log_dir, tbc.SummaryWriter.add_audio, sound, **options).audio
    assert audio.content_type == "audio/wav"
    return audio


def torch_audio(sound, **options):
    summary = pytest.importorskip("torch.utils.tensorboard.summary")
    return summary.audio("sound", sound, **options).value[0].audio


@pytest.mark.parametrize("dtype", ["f8", "f4", ">f8", ">f4"])
@pytest.mark.parametrize("sample_rate", [8000, 44100])
def test_the_event_is_torchs(log_dir, dtype, sample_rate):
    ours = log_audio(log_dir, NOISE.astype(dtype), sample_rate=sample_rate)
    theirs = torch_audio(NOISE.astype(dtype), sample_rate=sample_rate)
    assert ours.SerializeToString() == theirs.SerializeToString()


@given(arrays.arrays(st.sampled_from(["f8", "f4"]), st.integers(1, 50), elements=st.floats(-1, 1, width=32)))
def test_any_float_is_torchs_sample(sound):
    pcm, beyond = audio.to_int16(sound)
    assert beyond == 0
    theirs = samples_of(torch_audio(sound.reshape(1, -1) if sound.size > 1 else np.repeat(sound, 2)))
    np.testing.assert_array_equal(pcm, theirs[: len(pcm), 0])


def test_floats_of_16_bits_are_not_rounded_on_the_way():
    torch = pytest.importorskip("torch")
    halves = BITS.view(np.float16)
    brains = tbc.convert.array(torch.from_numpy(BITS.view(np.int16)).view(torch.bfloat16))
    for values in (halves, brains):
        with np.errstate(invalid="ignore"):
            wide = np.nan_to_num(values.astype(np.float64), nan=0).clip(-1, 1)
        pcm, beyond = audio.to_int16(values)
        np.testing.assert_allclose(pcm, wide * 32767, rtol=0, atol=1)
        np.testing.assert_array_equal(pcm[::-1], audio.to_int16(values[::-1])[0])
        assert beyond == np.count_nonzero(~(np.abs(values) <= 1))


@pytest.mark.parametrize("name", ["float64", "float32", "float16", "bfloat16"])
def test_tensors(log_dir, name):
    torch = pytest.importorskip("torch")
    tensor = torch.linspace(-1, 1, 101).to(getattr(torch, name)).requires_grad_()
    pcm = samples_of(log_audio(log_dir, tensor))[:, 0]
    np.testing.assert_array_equal(pcm, (tensor.detach().double().numpy() * 32767).astype(np.int16))


def test_what_is_out_of_range_is_cut_off_and_told_once(log_dir):
    sound = np.array([0.5, 1.5, -2, np.inf, -np.inf, np.nan, 1, -1])
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.warns(UserWarning, match="'loud': 5 samples") as caught:
            writer.add_audio("loud", sound)
        assert (len(caught), caught[0].filename) == (1, __file__)
        writer.add_audio("loud", sound.astype(np.float16))
    for event in read_back(log_dir):
        pcm = samples_of(event.summary.value[0].audio)[:, 0]
        assert pcm.tolist() == [16383, 32767, -32767, 32767, -32767, 0, 32767, -32767]


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u1", "u2", "u4", ">i2", ">u4"])
def test_integers_use_the_range_of_their_type(log_dir, dtype):
    info = np.iinfo(dtype)
    middle = (info.min + info.max + 1) // 2
    sound = np.array([info.min, middle, info.max, (info.min + middle) // 2], dtype)
    low, silence, high, half = samples_of(log_audio(log_dir, sound))[:, 0].tolist()
    assert (low, silence, half) == (-32768, 0, -16384)
    assert high == {1: 32512}.get(info.bits // 8, 32767)  # 127 in int8, which becomes 127 * 256


def test_16_bits_are_stored_as_they_are(log_dir):
    np.testing.assert_array_equal(samples_of(log_audio(log_dir, BITS.view(np.int16)))[:, 0], BITS.view(np.int16))


def test_bools_are_zero_and_one(log_dir):
    assert samples_of(log_audio(log_dir, np.array([True, False])))[:, 0].tolist() == [32767, 0]


@pytest.mark.parametrize("shape", [(), (1,), (2,), (7,), (1, 7), (7, 1), (1, 1, 7), (2, 1), (1, 2)])
def test_shapes_of_one_channel(log_dir, shape):
    sound = RNG.uniform(-1, 1, shape)
    pcm = samples_of(log_audio(log_dir, sound))
    np.testing.assert_array_equal(pcm[:, 0], (sound.ravel() * 32767).astype(np.int16))
    assert pcm.shape == (sound.size, 1)


@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (5, 2), (1, 2, 5), (2, 1, 5), (5, 1, 2)])
@pytest.mark.parametrize("dtype", ["f4", "i2"])
def test_stereo(log_dir, shape, dtype):
    sound = RNG.uniform(-1, 1, shape) if dtype == "f4" else RNG.integers(-99, 99, shape, dtype)
    pcm = samples_of(log_audio(log_dir, np.asfortranarray(sound)))
    left_right = sound.squeeze()
    left_right = left_right.T if left_right.shape[0] == 2 else left_right
    np.testing.assert_array_equal(pcm, (left_right * (32767 if dtype == "f4" else 1)).astype(np.int16))
    assert pcm.shape == (sound.size // 2, 2)


@pytest.mark.parametrize("rate", [1, 8000, 44100.0, np.float32(8000), np.int64(22050), 44100.6, audio.MAX_SAMPLE_RATE])
def test_sample_rates(log_dir, rate):
    sound = log_audio(log_dir, np.zeros((2, 3)), sample_rate=rate)
    with wave.open(io.BytesIO(sound.encoded_audio_string)) as wav:
        assert (sound.sample_rate, wav.getframerate()) == (np.float32(rate), round(float(rate)))


def test_a_sample_rate_may_be_a_tensor(log_dir):
    torch = pytest.importorskip("torch")
    assert log_audio(log_dir, torch.zeros(3), sample_rate=torch.tensor(8000)).sample_rate == 8000


@given(
    tags,
    steps,
    arrays.arrays(np.int16, st.one_of(st.tuples(st.integers(1, 99)), st.tuples(st.just(2), st.integers(2, 9)))),
)
def test_any_sound_is_read_back(tag, step, sound):
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_audio(tag, sound, step, 16000, 2.5)
        event, value = only_value(log_dir)
    assert (event.step, event.wall_time, value.tag, value.audio.sample_rate) == (step, 2.5, tag, 16000)
    np.testing.assert_array_equal(samples_of(value.audio), sound.reshape(-1, 1) if sound.ndim == 1 else sound.T)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("s", np.zeros(3, np.int64)), TypeError, "int64"),
        (("s", np.zeros(3, np.uint64)), TypeError, "uint64"),
        (("s", np.zeros(3, complex)), TypeError, "complex"),
        (("s", np.array(["a"])), TypeError, "U1"),
        (("s", np.array([None])), TypeError, "object"),
        (("s", [0.0, 0.5]), NotImplementedError, "list"),
        (("s", None), NotImplementedError, "NoneType"),
        (("s", np.zeros((3, 3))), AssertionError, r"\(3, 3\)"),
        (("s", np.zeros((2, 3, 4))), AssertionError, r"\(2, 3, 4\)"),
        (("s", np.zeros(0)), ValueError, "at least one sample"),
        (("s", np.zeros((2, 0))), ValueError, "at least one sample"),
        (("s", np.zeros(3), 0, 0), ValueError, "sample_rate"),
        (("s", np.zeros(3), 0, -8000), ValueError, "sample_rate"),
        (("s", np.zeros(3), 0, 2**30), ValueError, "sample_rate"),
        (("s", np.zeros(3), 0, float("nan")), ValueError, "sample_rate"),
        (("s", np.zeros(3), 0, None), TypeError, "None"),
        (("s", np.zeros(3), 0, "8000"), TypeError, "str"),
        ((7, np.zeros(3)), TypeError, "tag"),
        (("s", np.zeros(3), 2**63), ValueError, "64-bit"),
        (("s", np.zeros(3), 0, 8000, float("inf")), ValueError, "walltime"),
    ],
)
def test_bad_input_is_told_at_once_and_writes_nothing(log_dir, arguments, error, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error, match=words):
            writer.add_audio(*arguments)
        writer.add_audio("fine", np.zeros(3))
    assert only_value(log_dir)[1].tag == "fine"
