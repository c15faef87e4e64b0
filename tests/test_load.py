"""The kernel loads the same columns as the reader in pure Python, whatever a file holds."""

import math
import pickle
import re
import struct
from unittest import mock

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from helpers import eventfiles
from helpers.eventfiles import VERSION, frames, histogram, loaded, scalar
from helpers.oracle import run_script
from hypothesis import given, settings
from hypothesis import strategies as st
from torture.fuzz import check_load

import tbc
from tbc.proto import Event
from tbc.reader import KINDS, TruncatedRecordError, loader, scan
from tbc.reader.load import load_runs, load_scalars
from tbc.reader.records import frame
from tbc.reader.tags import EVENT_KINDS
from tbc.testing import event_files, events

ENDS = st.none() | st.integers(-5, 25)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("load") / "events.out.tfevents.1"


@given(event_files(), st.booleans(), st.tuples(ENDS, ENDS), st.booleans())
def test_any_file_by_both_paths(path, content, purge, steps, small_is_big):
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        if small_is_big:  # so that small values are skipped unread, as large ones are
            patch.setattr(loader, "BIG", 30)
            patch.setattr(loader, "PEEK", 24)
        check_both(path, purge, steps)


def check_both(path, *options):
    fast, errors = loaded(path, True, *options)
    slow, expected = loaded(path, False, *options)
    assert fast == slow
    assert list(fast) == list(slow)
    assert list(map(repr, errors)) == list(map(repr, expected))


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
    check_both(path)


@st.composite
def odd_messages(draw):
    """Draw events that no writer writes: fields are repeated, in any order, merged, unknown, of other types."""
    parts = draw(st.lists(events(), min_size=1, max_size=3).map(lambda some: [e.SerializeToString() for e in some]))
    parts += draw(st.lists(st.sampled_from(ODD_FIELDS), max_size=2))
    return b"".join(draw(st.permutations(parts)))


ODD_FIELDS = [
    b"\x10\x80\x00",  # step, in more bytes than needed
    b"\x10" + b"\xff" * 9 + b"\x01",  # step -1
    b"\x10" + b"\xff" * 10,  # not a varint
    b"\x09",  # a wall time that is cut
    b"\x08\x05",  # a wall time that is a varint
    b"\x98\x06\x01",  # field 99
    b"\x32\x02\x10\x01",  # log_message, which tbc.proto does not have
    b"\x63\x64",  # a group
    b"\x00",
    b"\x2a\x07\x0a\x05\x0a\x01x\x12\x00",  # a simple_value that is bytes
    b"\x2a\x0a\x0a\x08\x0a\x01\xff\x15\x00\x00\x80\x3f",  # a tag that is not UTF-8
    b"\x2a\x0d\x0a\x0b\x0a\x01a\x0a\x01b\x15\x00\x00\x80\x3f",  # two tags
    b"\x2a\x0a\x0a\x08\x15\x00\x00\x80\x3f\x0a\x01c",  # a tag after the value
    b"\x2a\x00",
    b"\x2a\x02\x0a\x00",
]


def varint(number):
    more = number >> 7
    return bytes([number & 127 | 128]) + varint(more) if more else bytes([number])


def of_varint(number, *values):
    return st.sampled_from(values).map(lambda value: bytes([number << 3]) + varint(value))


def of_bytes(number, content):
    return content.map(lambda data: bytes([number << 3 | 2]) + varint(len(data)) + data)


def of_float(number):
    return st.floats(width=32).map(lambda value: bytes([number << 3 | 5]) + struct.pack("<f", value))


def of_double(number):
    return st.floats().map(lambda value: bytes([number << 3 | 1]) + struct.pack("<d", value))


def packed(code):
    return st.lists(st.floats(width=32), max_size=3).map(lambda values: struct.pack(f"<{len(values)}{code}", *values))


def message(*fields):
    """Draw some of the fields, in any order, with repetition."""
    return st.lists(st.one_of(*fields), max_size=4).map(b"".join)


SOME = st.sampled_from([b"", b"a", b"b", b"abcdefghi"])
TENSOR = message(
    of_varint(1, 1), of_varint(1, 2), of_varint(1, 3, 7, 19), of_bytes(4, SOME), of_bytes(4, packed("f")),
    of_bytes(4, packed("d")), of_float(5), of_bytes(5, packed("f")), of_double(6), of_bytes(6, packed("d")),
    of_bytes(2, SOME.map(lambda data: b"")), of_varint(3, 0, 1), of_varint(7, 1), of_bytes(8, SOME),
)  # fmt: skip
PLUGIN_NAMES = st.sampled_from([b"scalars", b"scalars", b"images", b"text", b""])
PLUGIN = st.lists(of_bytes(1, PLUGIN_NAMES) | of_bytes(2, SOME), max_size=2).map(b"".join)
METADATA = st.lists(of_bytes(1, PLUGIN) | of_bytes(1, PLUGIN) | of_varint(4, 1), max_size=2).map(b"".join)
VALUE = message(
    of_bytes(1, SOME), of_bytes(1, SOME), of_float(2), of_bytes(8, TENSOR), of_bytes(8, TENSOR), of_bytes(9, METADATA),
    of_bytes(9, METADATA), of_bytes(4, st.just(b"")), of_bytes(5, st.just(b"")), of_bytes(7, SOME), of_varint(8, 1),
    of_varint(10, 1), of_bytes(2, SOME),
)  # fmt: skip
SUMMARY = message(of_bytes(1, VALUE), of_bytes(1, VALUE), of_varint(1, 1), of_bytes(2, SOME))
LOG = message(of_varint(1, 0, 1, 2, 2**32 + 1), of_varint(1, 1), of_bytes(2, SOME))
EVENT = message(
    *[of_bytes(5, SUMMARY)] * 4, of_double(1), of_varint(2, 0, 1, 5, 2**63, 2**64 - 1), of_bytes(7, LOG),
    of_bytes(3, SOME), of_bytes(4, SOME), of_bytes(8, message(of_bytes(1, SOME), of_bytes(2, SOME))), of_varint(5, 1),
    of_bytes(6, SOME),
)  # fmt: skip


def is_event(data):
    try:
        return Event.FromString(data) is not None
    except DecodeError:
        return False


def check_messages(path, messages, purge, small_is_big):
    path.write_bytes(b"".join(map(frame, messages)))
    with pytest.MonkeyPatch.context() as patch:
        if small_is_big:
            patch.setattr(loader, "BIG", 24)
            patch.setattr(loader, "PEEK", 20)
        fast, errors = loaded(path, True, purge)
        slow, expected = loaded(path, False, purge)
    assert {key: columns[:3] for key, columns in fast.items()} == {key: columns[:3] for key, columns in slow.items()}
    assert errors == expected == []  # sizes differ a little: protobuf's are of what it would write


@settings(max_examples=300)
@given(st.lists(EVENT.filter(is_event), max_size=4), st.booleans())
def test_fields_in_any_order_by_both_paths(path, messages, purge):
    check_messages(path, messages, purge, small_is_big=False)


def field(number, data):
    return bytes([number << 3 | 2]) + varint(len(data)) + data


@st.composite
def values_of_a_plugin(draw, in_order):
    """Draw an event with one value. in_order: it has tag, metadata and tensor once each, in this order"""
    metadata = field(1, field(1, draw(PLUGIN_NAMES)) + draw(st.just(b"") | PLUGIN))
    parts = [field(1, draw(st.sampled_from([b"a", b"b"]))), field(9, metadata), field(8, draw(TENSOR))]
    if in_order:
        parts = parts[:1] + draw(st.permutations(parts[1:]))  # some writers put the metadata after the tensor
    else:
        parts = draw(st.permutations(parts + draw(st.lists(st.sampled_from(parts) | of_float(2), max_size=1))))
    value = b"".join(parts)
    behind = draw(st.just(b"") | of_bytes(1, VALUE) | of_varint(1, 1))
    return draw(of_varint(2, 0, 1, 5)) + field(5, field(1, value) + behind) + draw(st.just(b"") | of_bytes(10, SOME))


@settings(max_examples=1000)
@given(st.booleans(), st.booleans(), st.data())
def test_tensors_of_any_form_by_both_paths(path, purge, small_is_big, data):
    events = values_of_a_plugin(in_order=small_is_big).filter(is_event)
    check_messages(path, data.draw(st.lists(events, min_size=1, max_size=5)), purge, small_is_big)


def test_what_holds_no_number_is_nan(path):
    metadata = {"plugin_data": {"plugin_name": "scalars"}}
    tensors = [{"dtype": 7, "string_val": [b"text"]}, {"dtype": 1}]
    tensors += [{"dtype": dtype, "tensor_content": b"abcdefg"[: 4 * dtype - 1]} for dtype in (1, 2)]
    values = [{"tag": "x", "tensor": tensor, "metadata": metadata} for tensor in tensors]
    path.write_bytes(b"".join(frame(Event(summary={"value": [value]}).SerializeToString()) for value in values))
    check_both(path)
    assert np.isnan(load_scalars(path)["x"].value).tolist() == [True] * 4


def test_the_status_of_a_session_is_an_enum_of_32_bits(path):
    events = [Event(step=step, summary={"value": [{"tag": "x", "simple_value": 1.0}]}) for step in (1, 2, 3)]
    messages = [event.SerializeToString() for event in events]
    path.write_bytes(b"".join(map(frame, messages)))
    restart = path.parent / "events.out.tfevents.2"
    restart.write_bytes(frame(b"\x10\x02" + field(7, b"\x08" + varint(2**32 + 1))))
    check_both(path, True)
    check_both(restart, True)
    assert load_scalars(path.parent, purge=True)["x"].step.tolist() == [1]
    restart.unlink()


@given(st.lists(odd_messages(), max_size=8), event_files(max_events=3), st.booleans())
def test_odd_messages_by_both_paths(path, messages, content, purge):
    path.write_bytes(content + b"".join(map(frame, messages)) + content)
    check_both(path, purge)


def test_what_a_file_holds(tmp_path):
    """The expected values are written by hand."""
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


def test_a_scalar_that_is_large(path):
    """The scalar is a tensor of many elements, of which the first counts; or its tag is large."""
    metadata = {"plugin_data": {"plugin_name": "scalars"}}
    tensor = {"dtype": 1, "float_val": [0.5] * 50_000}
    values = [{"tag": "many", "tensor": tensor, "metadata": metadata}, {"tag": "x" * 100_000, "simple_value": 2.0}]
    events = [Event(step=1, summary={"value": [value]}) for value in values]
    path.write_bytes(b"".join(frame(event.SerializeToString()) for event in events))
    check_both(path)
    assert [scalars.value.tolist() for scalars in load_scalars(path).values()] == [[0.5], [2.0]]


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


def test_a_large_record_that_is_torn_is_not_read(path, monkeypatch):
    event = Event(step=1, summary={"value": [{"tag": "big", "tensor": {"string_val": [bytes(20 << 20)]}}]})
    path.write_bytes(frame(event.SerializeToString())[:-1])
    read = count_bytes(monkeypatch)
    errors = []
    assert load_runs(path, on_error=errors.append) == {}
    assert [type(error) for error in errors] == [TruncatedRecordError]
    assert read() < 2 << 20


def count_bytes(monkeypatch):
    """Return a function that says how many bytes windows have read since."""
    counts = [0]

    class Counting(loader.Window):
        def fill(self):
            held = self.end - self.start
            result = super().fill()
            counts[0] += self.end - held
            return result

    monkeypatch.setattr(loader, "Window", Counting)
    return lambda: counts[0]


# --- selections, and errors ---


@pytest.fixture
def tree(tmp_path):
    for name, last in (("", 3), ("a", 5), ("a/b", 7)):
        with tbc.SummaryWriter(tmp_path / "runs" / name) as writer:
            for step in range(last):
                writer.add_scalar("loss/train", step, step)
                writer.add_scalar("loss[0]", -step, step)
            writer.add_text("note", f"of {name}", 9)
            writer.add_hparams({"lr": last}, {}, run_name=".")
    return tmp_path / "runs"


def test_runs_have_tensorboards_names(tree):
    runs = load_runs(tree)
    assert list(runs) == [".", "a", "a/b"]
    assert {name: len(run.scalars["loss/train"]) for name, run in runs.items()} == {".": 3, "a": 5, "a/b": 7}
    assert runs["a"].hparams == {"lr": 5}
    assert runs["a"].values["text"]["note/text_summary"][:] == ["of a"]
    assert repr(runs["a"].scalars["loss/train"]) == "Scalars(5 values, steps 0 to 4)"
    assert (
        repr(runs["a"].values["text"]) == "{'note/text_summary': Values('note/text_summary', 'text', 1 value, step 9)}"
    )
    assert repr(runs["a"]) == "Run('a', 2 scalar, 1 file_version, 1 text, 3 hparams)"


@pytest.mark.parametrize(
    ("chosen", "tags"),
    [
        ({"tags": "loss/train"}, {"loss/train"}),
        ({"tags": "loss*"}, {"loss/train", "loss[0]"}),
        ({"tags": "loss[0]"}, {"loss[0]"}),
        ({"tags": "train"}, set()),  # the end of a tag
        ({"tags": "*train"}, {"loss/train"}),
        ({"tags": re.compile("train|note")}, {"loss/train", "note/text_summary"}),
        ({"tags": ["n*", "loss/train"]}, {"loss/train", "note/text_summary"}),
        ({"tags": []}, set()),
        ({"kinds": "scalar"}, {"loss/train", "loss[0]"}),
        ({"kinds": ["text"]}, {"note/text_summary"}),
        ({"steps": (9, None)}, {"note/text_summary"}),
        ({"steps": (None, 2**70)}, None),
        ({"steps": (2**70, None)}, set()),
        ({"steps": (6, 5)}, set()),
        ({"steps": (np.int64(2), 2)}, {"loss/train", "loss[0]"}),
    ],
)
def test_what_is_chosen(tree, chosen, tags):
    found = {
        tag
        for run in load_runs(tree, **chosen).values()
        for several in (run.scalars, *run.values.values())
        for tag in several
    }
    assert found - {"", "_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"} == (
        {"loss/train", "loss[0]", "note/text_summary"} if tags is None else tags
    )


def test_which_runs_and_steps_are_chosen(tree):
    assert list(load_runs(tree, runs="a*")) == ["a", "a/b"]
    assert list(load_runs(tree, runs=re.compile("^a$"))) == ["a"]
    assert load_scalars(tree / "a", steps=(1, 3), tags="loss/train")["loss/train"].step.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kinds": "scalars"}, ValueError, "a kind must be one of .*, got 'scalars'"),
        ({"tags": 5}, TypeError, "expected a name, a glob or a compiled regular expression, or several, got 5"),
        (
            {"tags": [b"loss"]},
            TypeError,
            "a pattern must be a str or a compiled regular expression of str, got b'loss'",
        ),
        ({"steps": 5}, TypeError, r"steps must be \(first, last\), each an integer or None, got 5"),
        ({"steps": (1, 2.5)}, TypeError, r"each an integer or None, got \(1, 2.5\)"),
    ],
)
def test_wrong_arguments(tree, arguments, error, message):
    with pytest.raises(error, match=message):
        load_runs(tree, **arguments)


def test_where_there_is_nothing(tree, tmp_path):
    for load_it in (load_runs, load_scalars):
        with pytest.raises(FileNotFoundError):
            load_it(tmp_path / "none")
    (tree / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no event file here"):
        load_runs(tree / "empty")
    assert load_runs(tree, tags="none") == load_runs(tree, runs="none") == {}
    with pytest.raises(FileNotFoundError, match="no event file in this directory; load_runs reads those below it"):
        load_scalars(tree / "empty")


def test_a_torn_tail_is_no_damage_but_the_rest_is_told(tree):
    (path,) = (tree / "a").glob("*tfevents*")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    load_runs(tree)
    damaged = bytearray(whole)
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.warns(RuntimeWarning, match="wrong checksum of the data in the record at byte"):
        load_scalars(tree / "a")
    errors = []
    load_runs(tree, on_error=errors.append)
    assert [error.path for error in errors] == [str(path)]


def test_one_file_that_cannot_be_read(tree, monkeypatch):
    def deny(path):
        if path.startswith(str(tree / "a" / "events")):
            raise PermissionError(13, "Permission denied", path)
        return open_file(path)

    open_file = loader.open_file
    monkeypatch.setattr(loader, "open_file", deny)
    with pytest.warns(RuntimeWarning, match="Permission denied"):
        assert list(load_runs(tree)) == [".", "a/b"]
    (path,) = (tree / "a").glob("*tfevents*")
    with pytest.raises(PermissionError):
        load_runs(path)
    with pytest.raises(PermissionError):
        load_scalars(tree / "a")


def test_several_values_of_a_tag_in_one_event(path):
    texts = [{"dtype": 7, "string_val": [text]} for text in (b"first", b"second", b"third")]
    metadata = {"plugin_data": {"plugin_name": "text"}}
    values = [
        {"tag": "t", "tensor": texts[0], "metadata": metadata},
        *({"tag": "t", "tensor": text} for text in texts[1:]),
    ]
    path.write_bytes(frame(Event(step=1, summary={"value": values}).SerializeToString()))
    for purge in (False, None):
        assert load_runs(path, purge=purge)["."].values["text"]["t"][:] == ["first", "second", "third"]


def test_a_value_that_is_not_there_any_more(tree):
    (path,) = (tree / "a").glob("*tfevents*")
    texts = load_runs(tree)["a"].values["text"]["note/text_summary"]
    with pytest.raises(IndexError):
        texts[1]
    path.write_bytes(frame(Event(step=1).SerializeToString()) * 1000)
    with pytest.raises(ValueError, match=r"(another|in the) record"):
        texts[0]


def test_a_run_of_several_files(path):
    for number in range(3):
        events = [
            Event(step=10 * number + i, summary={"value": [{"tag": "x", "simple_value": number}]}) for i in range(3)
        ]
        events.append(Event(step=number, graph_def=bytes([number])))
        name = path.with_name(f"events.out.tfevents.{number}")
        name.write_bytes(b"".join(frame(event.SerializeToString()) for event in events))
    run = load_runs(path.parent)["."]
    assert run.scalars["x"].step.tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert run.values["graph"][""][:] == [b"\0", b"\1", b"\2"]


def test_a_bar_shows_how_far_it_is(tree, capsys):
    pytest.importorskip("tqdm")
    load_runs(tree, progress=True)
    assert "3 runs: 100%" in capsys.readouterr().err
    load_runs(tree)
    assert capsys.readouterr().err == ""


def test_ctrl_c_ends_a_load(tmp_path):
    """The threads of load_runs read a file that takes long."""
    script = """
        import os, signal, sys, threading, time
        from tbc.reader import load_runs, loader
        loader.Window.fill = lambda self: time.sleep(0.01) or self.advance(0) or True  # a file without end
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            load_runs(sys.argv[1])
        except KeyboardInterrupt:
            print("interrupted")
    """
    for number in range(50):
        eventfiles.write(tmp_path / f"run{number}" / "tfevents", VERSION, scalar(1))
    result = run_script(script, tmp_path, timeout=30)
    assert (result.stdout, result.stderr) == ("interrupted\n", "")


# --- pieces, and files between them ---

CUTS = st.lists(st.integers(0, 3000), max_size=10).map(sorted)
ANY_BYTES = st.lists(st.binary(max_size=60) | st.binary(max_size=60).map(frame)).map(b"".join)


def scanned(content, cuts, start_steps, large=1 << 16):
    """Return the keys and columns that the kernel makes of `content`, where it stopped, and where each piece ended.

    A piece ends at each of `cuts`. With a step in start_steps, the next piece is a new file that begins with a session.
    Records that the kernel leaves to Python are skipped. Events without a summary are lasting series.
    """
    kernel = pytest.importorskip("tbc._scan")
    whole = kernel.Scan(-3, 20, True)
    keys = []

    def resolve(tag, what, plugin):
        keys.append((tag.decode(), what, plugin))
        return whole.add_series(what == "simple_value", what in EVENT_KINDS)

    at, places = 0, []
    for end, step in zip([*cuts, len(content)], [100, *start_steps], strict=True):
        if step is not None:
            whole.next_file()
            whole.start_session(step)
        stop = kernel.ODD
        while at < end <= len(content) and stop in (kernel.ODD, kernel.LARGE):
            stop, at = whole.records(resolve, content, at, end, at, large)
            if stop in (kernel.ODD, kernel.LARGE):
                at += 16 + int.from_bytes(content[at : at + 8], "little")
        places.append(min(at, len(content)))
    columns = []
    for i in range(len(keys)):
        *arrays, size, hidden, _ = whole.columns(i)
        columns.append((*(list(map(repr, np.asarray(array).tolist())) for array in arrays), size, hidden))
    return keys, columns, at, places


@given(event_files() | ANY_BYTES, CUTS, st.data())
def test_pieces_have_the_columns_of_the_whole(content, cuts, data):
    """The pieces are cut between records. With large=40, the kernel knows some records by their head alone."""
    cuts = [cut for cut in cuts if cut <= len(content)]
    steps = data.draw(st.lists(st.none() | st.integers(-5, 25), min_size=len(cuts), max_size=len(cuts)))
    large = data.draw(st.sampled_from([40, 1 << 16]))
    *found, places = scanned(content, cuts, steps, large)
    assert scanned(content, places[:-1], steps, large)[:3] == tuple(found)


def test_a_file_cut_at_every_byte_has_the_columns_of_the_whole():
    odd = scalar(3, "odd").SerializeToString() * 2
    graph = Event(step=7, graph_def=b"graph")
    events = [VERSION, scalar(1), histogram(1, "h"), scalar(2), eventfiles.start(1), odd, graph, scalar(1)]
    content = b"".join(frames(*events, scalar(4, "other"), eventfiles.start(2), scalar(9)))
    whole = scanned(content, [], [])[:3]
    assert whole[2] == len(content)
    for cut in range(len(content) + 1):
        assert scanned(content, [cut], [None])[:3] == whole
    assert scanned(content, range(len(content)), [None] * len(content))[:3] == whole


@given(event_files() | ANY_BYTES, st.booleans(), st.integers(1, 50))
def test_a_window_of_any_size(path, content, purge, piece):
    path.write_bytes(content)
    expected, errors = loaded(path, True, purge)
    with mock.patch.multiple(loader, PIECE=piece, LEAP=piece):
        found, again = loaded(path, True, purge)
    assert found == expected
    assert list(map(repr, again)) == list(map(repr, errors))


@given(ANY_BYTES)
def test_any_bytes_by_both_paths(path, content):
    path.write_bytes(content)
    check_load(path)


STEP = st.integers(-6, 25)
CALLS = st.lists(  # calls of a Scan: add a row to a series, start a session, or begin the next file
    st.tuples(st.integers(0, 4), STEP) | st.tuples(st.just("start"), STEP) | st.tuples(st.just("file"), STEP),
    max_size=60,
)


def modelled(calls, hides):
    """Return {series: (steps that are left, how many are hidden)} by the rule in scan.h. Series 0 and 3 are lasting."""
    rows, firsts, starts, file = {}, {}, [], 0
    for what, step in calls:
        if what == "file":
            file += 1
        elif what == "start":
            starts.append((file, step))
        else:
            rows.setdefault(what, []).append((file, step))
            firsts.setdefault(what, {}).setdefault(file, step)
    left = {}
    for series, of in rows.items():
        cuts = [*firsts[series].items(), *starts] if hides and series not in (0, 3) else []
        wanted = [(file, step) for file, step in of if -3 <= step <= 20]
        kept = [step for file, step in wanted if not any(file < later and step >= cut for later, cut in cuts)]
        left[series] = kept, len(wanted) - len(kept)
    return left


def give(kept, calls):
    kept.next_file()
    for what, step in calls:
        if what == "file":
            kept.next_file()
        elif what == "start":
            kept.start_session(step)
        else:
            kept.add_row(what, step, 1.0, step, 1)


@given(CALLS, st.booleans())
def test_a_scan_hides_what_a_plain_model_hides(calls, hides):
    for of in filter(None, (loader._scan, scan)):
        kept = of.Scan(-3, 20, hides)
        for series in range(5):
            kept.add_series(True, series in (0, 3))
        give(kept, calls)
        for series, (rows, hidden) in modelled(calls, hides).items():
            step, _, cell, size, was_hidden, _ = kept.columns(series)
            assert (np.asarray(step).tolist(), was_hidden, size) == (rows, hidden, len(rows) + hidden)
            assert np.asarray(cell).tolist() == rows


@given(CALLS | CALLS.map(lambda calls: 3 * calls), st.booleans(), st.integers(0, 30))
def test_a_scan_that_keeps_some_rows_knows_of_the_others(calls, hides, keep):
    """A Scan that keeps some rows reads the files twice, and counts as one that keeps all rows."""
    for of in filter(None, (loader._scan, scan)):
        kept = of.Scan(-3, 20, hides, keep)
        for series in range(5):
            kept.add_series(True, series in (0, 3))
        give(kept, calls)
        kept.again()
        give(kept, calls)
        for series, (rows, hidden) in modelled(calls, hides).items():
            step, _, _, size, was_hidden, (folded, low, high) = kept.columns(series)
            others = rows[: max(len(rows) - keep, 0)]
            assert np.asarray(step).tolist() == rows[len(others) :]
            assert (was_hidden, size, folded) == (hidden, len(rows) + hidden, len(others))
            assert not others or (low, high) == (min(others), max(others))


@given(st.lists(st.tuples(event_files(max_events=5), event_files(max_events=3)), min_size=1, max_size=3))
def test_a_run_that_grows_between_its_two_readings(tmp_path_factory, contents):
    directory = tmp_path_factory.mktemp("grows")
    paths = [directory / f"events.out.tfevents.{i}" for i in range(len(contents))]

    class Growing(loader.Loader):
        def cuts(self, files):
            super().cuts(files)
            for path, (first, then) in zip(paths, contents, strict=True):
                path.write_bytes(first + then)

    found = []
    for kernel in (loader._scan, None):
        for path, (first, _) in zip(paths, contents, strict=True):
            path.write_bytes(first)
        with mock.patch.object(loader, "_scan", kernel):
            growing = Growing(lambda tag: True, set(KINDS), None, True, lambda error: None, keep=0)
            growing.load_files(list(map(str, paths)))
            found.append(growing.totals())
    assert found[0] == found[1]
    everything = load_runs(directory, purge=False, on_error=lambda error: None).get(".")
    logged = sum(len(values) for *_, values in everything.all()) if everything else 0
    assert sum(total.count + total.hidden for total in found[0]) == logged


# --- files made to take long; `hostile.growth` of `make torture` measures how long ---


def test_a_file_of_many_tags_and_starts_is_loaded():
    """Both would take minutes if each tag or start were compared to all the others."""
    pytest.importorskip("tbc._scan")
    script = """
        from torture.hostile import colliding_tags, scalar
        from tbc import _core, _scan

        tags = [tag.encode() for tag in colliding_tags(80_000)]
        content = b"".join(_core.frame(scalar(tag.decode()).SerializeToString()) for tag in tags)
        scan = _scan.Scan(0, 9, True)
        scan.next_file()
        stop, used = scan.records(lambda *key: scan.add_series(True, False), content, 0, len(content), 0, 1 << 20)
        assert (stop, used) == (_scan.MORE, len(content))
        for step in range(300_000):
            scan.next_file()
            scan.start_session(step % 2)
        assert sum(scan.columns(i)[4] for i in range(len(set(tags)))) == len(tags)
    """
    run_script(script, timeout=60)


def test_the_kernel_refuses_what_is_not_there():
    scan = pytest.importorskip("tbc._scan").Scan(0, 9, False)
    for call in (lambda: scan.add_row(0, 1, 1.0, 1.0, 1), lambda: scan.columns(0), lambda: scan.columns(-1)):
        with pytest.raises(IndexError, match="there are 0 series"):
            call()
    for start, end in ((-1, 2), (3, 2), (0, 5)):
        with pytest.raises(ValueError, match="must be within its 4 bytes"):
            scan.records(lambda *key: 5, b"1234", start, end, 0, 1)


def test_a_key_error_names_the_nearest(tmp_path):
    with tbc.SummaryWriter(tmp_path / "first") as writer:
        writer.add_scalar("loss/train", 1, 1)
        writer.add_image("photo", np.zeros((3, 2, 2)), 1)
    runs = load_runs(tmp_path)
    for get, message in (
        (lambda: runs["frist"], "no run 'frist'; nearest: 'first'"),
        (lambda: runs["first"].scalars["loss/tran"], "no tag 'loss/tran'; nearest: 'loss/train'"),
        (lambda: runs["first"].values["images"], "no kind 'images'; nearest: 'image'"),
        (lambda: runs["first"].values["image"]["x"], "no tag 'x', but 'photo'"),
        (lambda: load_scalars(tmp_path / "first")["Loss"], "no tag 'Loss'; nearest: 'loss/train'"),
        (lambda: load_runs(tmp_path, tags="nosuch")["first"], "no run 'first'"),
        (lambda: runs[3], "no run 3"),
    ):
        with pytest.raises(KeyError) as caught:
            get()
        assert caught.value.args == (message,)
    again = pickle.loads(pickle.dumps(runs))
    assert type(again) is type(runs)
    assert (runs.get("x"), "x" in runs, list(runs)) == (None, False, ["first"])
