"""The kernel's columns are those of the reader in pure Python, whatever a file holds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tbc
from tbc.reader import load
from tbc.reader.load import load_runs, load_scalars
from tbc.reader.records import frame
from tbc.testing import event_files, events

ENDS = st.none() | st.integers(-5, 25)


def run_of(path, kernel, purge=False, steps=None):
    """All that is in a file, and the errors, by the kernel or without it."""
    errors = []
    with pytest.MonkeyPatch.context() as patch:
        if not kernel:
            patch.setattr(load, "_scan", None)
        loader = load.Loader(lambda tag: True, set(load.KINDS), steps, purge, errors.append)
        loader.load(str(path))
        run = loader.run(".")
    found = {(tag, "scalar"): (s, s.value) for tag, s in run.scalars.items()}
    found |= {(tag, kind): (v, v._offset) for kind, tags in run.values.items() for tag, v in tags.items()}
    columns = {
        key: (s.step.tolist(), s.wall_time.tolist(), list(map(repr, cells.tolist())), s.size)
        for key, (s, cells) in found.items()
    }
    return columns, [(type(error), error.offset) for error in errors]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("load") / "events.out.tfevents.1"


@given(event_files(), st.booleans(), st.tuples(ENDS, ENDS))
def test_any_file_by_both_paths(path, content, purge, steps):
    path.write_bytes(content)
    assert run_of(path, True, purge, steps) == run_of(path, False, purge, steps)


@given(event_files(), st.data())
def test_damaged_files_by_both_paths(path, content, data):
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        what = data.draw(st.sampled_from(["flip", "cut", "zeros", "insert"]))
        if what == "flip":
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif what == "cut":
            del content[at : at + data.draw(st.integers(1, 30))]
        else:
            content[at : at + 20 * (what == "zeros")] = bytes(20)
        if not content:
            break
    path.write_bytes(content)
    assert run_of(path, True) == run_of(path, False)


@st.composite
def odd_messages(draw):
    """Events as no writer writes them: fields again and again, in any order, merged, unknown, of other types."""
    parts = draw(st.lists(events(), min_size=1, max_size=3).map(lambda some: [e.SerializeToString() for e in some]))
    parts += draw(st.lists(st.sampled_from(ODD_FIELDS), max_size=2))
    return b"".join(draw(st.permutations(parts)))


ODD_FIELDS = [
    b"\x10\x80\x00",  # step, in more bytes than needed
    b"\x10" + b"\xff" * 9 + b"\x01",  # step -1
    b"\x10" + b"\xff" * 10,  # no varint
    b"\x09",  # a wall time that ends
    b"\x08\x05",  # a wall time that is a varint
    b"\x98\x06\x01",  # field 99
    b"\x32\x02\x10\x01",  # log_message, which tbc.proto has not
    b"\x63\x64",  # a group
    b"\x00",
    b"\x2a\x07\x0a\x05\x0a\x01x\x12\x00",  # simple_value that is bytes
    b"\x2a\x0a\x0a\x08\x0a\x01\xff\x15\x00\x00\x80\x3f",  # a tag that is not UTF-8
    b"\x2a\x0d\x0a\x0b\x0a\x01a\x0a\x01b\x15\x00\x00\x80\x3f",  # two tags
    b"\x2a\x0a\x0a\x08\x15\x00\x00\x80\x3f\x0a\x01c",  # a tag behind the value
    b"\x2a\x00",
    b"\x2a\x02\x0a\x00",
]


@given(st.lists(odd_messages(), max_size=8), event_files(max_events=3), st.booleans())
def test_odd_messages_by_both_paths(path, messages, content, purge):
    path.write_bytes(content + b"".join(map(frame, messages)) + content)
    assert run_of(path, True, purge) == run_of(path, False, purge)


def test_what_a_file_holds(tmp_path):
    """By hand, against what was logged."""
    with tbc.SummaryWriter(tmp_path) as writer:
        for step in range(100):
            writer.add_scalar("loss", 1 / (1 + step), step, walltime=1e9 + step)
        writer.add_scalar("precise", math.pi, 7, new_style=True, double_precision=True)
        writer.add_histogram("weights", np.arange(10.0), 3)
    scalars = load_scalars(tmp_path)
    assert list(scalars) == ["loss", "precise"]
    loss = scalars["loss"]
    assert (loss.step.dtype, loss.wall_time.dtype, loss.value.dtype) == (np.int64, np.float64, np.float64)
    assert loss.step.tolist() == list(range(100))
    assert loss.wall_time.tolist() == [1e9 + step for step in range(100)]
    assert loss.value.tolist() == [float(np.float32(1 / (1 + step))) for step in range(100)]
    assert scalars["precise"].value.tolist() == [math.pi]
    (path,) = tmp_path.iterdir()
    run = load_runs(path)["."]
    assert sum(
        s.size for s in [*run.scalars.values(), *(v for tags in run.values.values() for v in tags.values())]
    ) == (path.stat().st_size)
    assert run.values["histogram"]["weights"][0].num == 10


def test_what_is_large_and_not_wanted_is_not_read(tmp_path, monkeypatch):
    with tbc.SummaryWriter(tmp_path) as writer:
        for step in range(20):
            writer.add_tensor("big", np.full(250_000, step, np.float32), step)
            writer.add_scalar("loss", step, step)
    (path,) = tmp_path.iterdir()
    read = count_bytes(monkeypatch)
    assert load_scalars(path)["loss"].value.tolist() == list(range(20))
    assert read() < 0.3 * path.stat().st_size
    run = load_runs(tmp_path)["."]
    assert run.values["tensor"]["big"].step.tolist() == list(range(20))
    assert run.values["tensor"]["big"][19][0] == 19


def count_bytes(monkeypatch):
    """How many bytes windows have taken in since."""
    counts = [0]

    class Counting(load.Window):
        def fill(self):
            held = self.end - self.start
            result = super().fill()
            counts[0] += self.end - held
            return result

    monkeypatch.setattr(load, "Window", Counting)
    return lambda: counts[0]
