"""Files that no writer wrote, and paths that are not files: reported at once, in bounded memory, with no traceback."""

import errno
import io
import json
import os
import socket
import struct
import sys
from pathlib import Path

import pytest
from helpers.oracle import run_script
from hypothesis import given
from hypothesis import strategies as st
from torture import fuzz
from torture.fuzz import CORPUS, check_cli, check_values
from torture.hostile import torn

from tbc import _core
from tbc.proto import Event, HParamsPluginData
from tbc.reader import CorruptRecordError, TruncatedRecordError, find_event_files, read_events, read_records
from tbc.reader.__main__ import main
from tbc.reader.describe import to_json
from tbc.reader.events import values_of
from tbc.reader.records import HEAD, LIMIT, _length, crc32c_in_python, frames_of, mask, next_head
from tbc.reader.tags import printable

DATA = Path(__file__).parent / "data"
SOUND = [DATA / "pytorch.tfevents", DATA / "tensorflow.tfevents.v2"]
FILES = sorted(CORPUS.iterdir()) + SOUND

ONE, TWO, THREE = (_core.frame(bytes([i]) * i * 10) for i in (1, 2, 3))  # records of 26, 36 and 46 bytes


def head(length):
    """Return the head of a record: its length, with the right checksum."""
    data = struct.pack("<Q", length)
    return data + struct.pack("<I", mask(crc32c_in_python(data)))


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def read_all(path):
    """Return the good records, and the errors of the others."""
    errors = []
    return list(read_records(path, errors.append)), errors


def field(number, data):
    """Return the encoding of a protobuf field that holds bytes or a message."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(number):
    head = b""
    while number > 127:
        head += bytes([number & 127 | 128])
        number >>= 7
    return head + bytes([number])


def event_of_tensor(tensor, plugin=""):
    metadata = field(9, field(1, field(1, plugin.encode()))) if plugin else b""
    return field(5, field(1, field(1, b"tag") + field(8, tensor) + metadata))


DAMAGE = {  # bytes between records 1 and 3 (from byte 26 on), and the problems reported there
    "a wrong checksum of the data": (flipped(TWO, 20), ["wrong checksum of the data"]),
    "a checksum of the data that is itself wrong": (flipped(TWO, 33), ["wrong checksum of the data"]),
    "a wrong length": (flipped(TWO, 0), ["wrong checksum of the length"]),
    "a checksum of the length that is itself wrong": (flipped(TWO, 9), ["wrong checksum of the length"]),
    "zeros": (bytes(64), ["zeros, perhaps left by a crash,"]),
    "many zeros": (bytes(5000), ["zeros, perhaps left by a crash,"]),
    "a single byte": (b"x", ["wrong checksum of the length"]),
    "noise": (bytes(range(256)) * 40, ["wrong checksum of the length"]),
    "a torn record that goes beyond the end": (head(1000) + b"torn", ["wrong length (another begins at byte 42)"]),
    "a length of 2 GiB": (head(2**31), ["impossible length of 2147483648 bytes"]),
    "a length of 2**63": (head(2**63), ["impossible length of 9223372036854775808 bytes"]),
    "a length that overflows": (head(2**64 - 1), ["impossible length of 18446744073709551615 bytes"]),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_reading_goes_on_behind_damage(tmp_path, what):
    damage, problems = DAMAGE[what]
    path = tmp_path / "file"
    path.write_bytes(ONE + damage + THREE)
    records, errors = read_all(path)
    assert records == [b"\1" * 10, b"\3" * 30]
    assert [str(error) for error in errors] == [f"{path}: {problem} in the record at byte 26" for problem in problems]
    assert all((error.path, error.offset) == (str(path), 26) for error in errors)
    reader = read_records(path)
    assert next(reader) == b"\1" * 10
    with pytest.raises(type(errors[0]), match="byte 26"):  # without on_error, the error is raised
        next(reader)


def test_damage_of_the_data_says_where_the_record_ends(tmp_path):
    (tmp_path / "file").write_bytes(ONE + flipped(TWO, 20))
    (error,) = read_all(tmp_path / "file")[1]
    assert (error.offset, error.end) == (26, 62)


def test_every_record_that_is_not_damaged_is_read(tmp_path):
    """Damage at the beginning, two damaged records in a row (one error), and damage at the end."""
    path = tmp_path / "file"
    path.write_bytes(flipped(ONE, 3) + TWO + flipped(ONE, 15) + flipped(ONE, 2) + THREE + TWO + bytes(20))
    records, errors = read_all(path)
    assert records == [b"\2" * 20, b"\3" * 30, b"\2" * 20]
    assert [error.offset for error in errors] == [0, 62, 196]


noise = st.one_of(st.binary(max_size=40), st.builds(lambda n, data: bytes(n) + data, st.integers(0, 3000), st.binary()))


@given(st.lists(st.tuples(st.booleans(), noise)))
def test_noise_between_records_hides_none(tmp_path_factory, parts):
    path = tmp_path_factory.mktemp("noise") / "file"
    path.write_bytes(b"".join(_core.frame(data) if sound else data for sound, data in parts))
    records, errors = read_all(path)
    assert records == [data for sound, data in parts if sound]
    assert bool(errors) == any(data for sound, data in parts if not sound)


@given(st.lists(st.binary(max_size=100)), st.lists(st.tuples(st.integers(0), st.integers(0, 7)), max_size=5))
def test_flipped_bits_make_no_record(tmp_path_factory, payloads, flips):
    path = tmp_path_factory.mktemp("flips") / "file"
    data = bytearray(b"".join(map(_core.frame, payloads)))
    for position, bit in flips if data else []:
        data[position % len(data)] ^= 1 << bit
    path.write_bytes(data)
    records, errors = read_all(path)
    rest = iter(payloads)
    assert all(record in rest for record in records)  # in order, too
    assert bool(errors) == (records != payloads)


@given(st.lists(st.sampled_from([bytes(1), bytes(7), bytes(30), b"\1", b"\xff\x80", head(0), head(5), head(2**20)])))
def test_the_next_head_is_where_a_plain_search_finds_it(tmp_path_factory, parts):
    data = b"".join(parts)
    path = tmp_path_factory.mktemp("heads") / "file"
    path.write_bytes(data)
    fits = [
        at
        for at in range(len(data) - HEAD.size + 1)
        if _length(data[at : at + 12]) is not None and at + 16 + _length(data[at : at + 12]) <= len(data)
    ]
    with open(path, "rb") as file:
        for offset in (0, 1, len(data) // 2):
            assert next_head(file, offset) == next((at for at in fits if at >= offset), None)


def test_heads_are_found_across_pieces(tmp_path):
    """The search begins with a piece of a kibibyte."""
    path = tmp_path / "file"
    for before in range(1010, 1030):
        path.write_bytes(b"\1" * before + ONE)
        assert read_all(path)[0] == [b"\1" * 10]


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.name)
def test_a_file_cut_at_every_byte(tmp_path, path):
    whole = path.read_bytes()
    events = list(read_events(path))
    cut = tmp_path / "events.out.tfevents"
    boundaries = {0}
    for record in read_records(path):
        boundaries.add(max(boundaries) + 16 + len(record))
    assert max(boundaries) == len(whole)
    for size in range(len(whole)):
        cut.unlink(missing_ok=True)  # a new file is faster: ext4 flushes one that is truncated and rewritten
        cut.write_bytes(whole[:size])
        errors = []
        found = list(read_events(cut, errors.append))
        assert found == events[: sum(end <= size for end in boundaries) - 1]
        assert [type(error) for error in errors] == [TruncatedRecordError] * (size not in boundaries)
        if size % 13 == 0:
            assert len(check_cli(cut)) == len(errors) + (len(found) < 2)  # "no values"


@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=8), st.booleans())
def test_bytes_changed_at_random(tmp_path_factory, source, changes, framed):
    """The changed bytes are anywhere in a file, or in the data of its records, with the checksums corrected."""
    path = tmp_path_factory.mktemp("changed") / "events.out.tfevents"
    records = read_all(source)[0] if framed else [source.read_bytes()]
    for position, byte in changes:
        i = position % len(records) if records else 0
        if records and records[i]:
            at = position // len(records) % len(records[i])
            records[i] = records[i][:at] + bytes([byte]) + records[i][at + 1 :]
    path.write_bytes(b"".join(map(_core.frame, records)) if framed else records[0])
    check_values(path)
    check_cli(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_corpus(path):
    """The corpus has what the fuzzer found, and what it starts from."""
    check_values(path)
    check_cli(path)


@pytest.mark.parametrize("search", [fuzz.values, fuzz.command_line, fuzz.columns, fuzz.kernel])
def test_a_short_search_finds_nothing(search):
    row = search(2)
    assert row.lost == 0
    assert (row.tried == 0) == row.note.startswith("skipped")


def test_the_corpus_where_protobuf_is_pure_python():
    """protobuf in pure Python raises exceptions of its own."""
    script = """
        import sys
        from google.protobuf.internal import api_implementation
        from torture.fuzz import check_cli, check_values
        for path in sys.argv[1:]:
            check_values(path)
            check_cli(path)
        print(api_implementation.Type())
    """
    environment = os.environ | {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python", "PYTHONWARNINGS": "ignore"}
    assert run_script(script, *FILES, env=environment).stdout == "python\n"


def test_the_command_line_tells_damage_and_reads_on(capsys, tmp_path):
    path = tmp_path / "events.out.tfevents"
    events = [_core.frame(Event(file_version=str(i)).SerializeToString()) for i in range(4)]
    no_event = _core.frame(field(5, field(1, field(1, b"\xff"))))  # a tag that is not UTF-8
    path.write_bytes(events[0] + flipped(events[1], 15) + events[2] + no_event + events[3] + bytes(7))
    assert main(["dump", str(path)]) == 1
    out, err = capsys.readouterr()
    assert [line.split()[-1] for line in out.splitlines()] == ["0", "2", "3"]
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error", "error", "note"]
    assert "no Event message" in err


BOMBS = {
    "nested groups": b"\x73" * 100_000 + b"\x74" * 100_000,
    "nested messages of unknown fields": field(60, field(60, b"\x73" * 5000)),
    "fields that are not known": b"\xa8\x06\x01" * 30_000,
    "an endless varint": b"\x10" + b"\xff" * 100,
    "a length beyond the message": b"\x2a\xff\xff\xff\xff\x07x",
    "a shape of 2**60": event_of_tensor(b"\x08\x01" + field(2, field(2, b"\x08" + _varint(2**60)) * 3)),
    "a shape of -1": event_of_tensor(b"\x08\x01" + field(2, field(2, b"\x08" + _varint(2**64 - 1)))),
    "a shape of many dimensions": event_of_tensor(field(2, field(2, b"\x08\x07") * 30_000)),
    "a type that lies": event_of_tensor(b"\x08\x07" + field(5, b"\1\2\3\4")),
    "a type of another field": event_of_tensor(b"\x08\x01" + field(8, b"text")),
    "a type there is not": event_of_tensor(b"\x08\x63" + field(4, b"1234")),
    "content that is not a multiple": event_of_tensor(b"\x08\x02" + field(4, b"1234567")),
    "many small numbers": event_of_tensor(b"\x08\x09" + field(10, b"\1" * 50_000)),
    "many empty strings": event_of_tensor(b"\x08\x07" + field(8, b"") * 30_000),
    "many empty values": field(5, field(1, b"") * 5_000),
    "a scalar of strings": event_of_tensor(b"\x08\x07" + field(8, b"x" * 10_000), "scalars"),
    "a histogram of a string": event_of_tensor(b"\x08\x07" + field(8, b"x"), "histograms"),
    "an image of digits": event_of_tensor(b"\x08\x07" + field(8, b"9" * 100_000) * 3, "images"),
    "a layout of groups": event_of_tensor(b"\x08\x07" + field(8, b"\x73" * 5000), "custom_scalars"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_messages_that_mean_harm(tmp_path, bomb):
    path = tmp_path / "events.out.tfevents"
    behind = Event(file_version="behind").SerializeToString()
    path.write_bytes(_core.frame(BOMBS[bomb]) + _core.frame(behind))
    assert all(isinstance(error, CorruptRecordError) for error in check_values(path))
    check_cli(path)
    assert list(read_events(path, lambda error: None))[-1].file_version == "behind"


def test_hparams_of_every_kind_and_depth():
    data = HParamsPluginData()
    hparams = data.session_start_info.hparams
    hparams["list"].list_value.values.add().number_value = 1
    hparams["dict"].struct_value.fields["key"].string_value = "text"
    hparams["null"].null_value = 0
    hparams["nothing"].SetInParent()
    metadata = {"plugin_data": {"plugin_name": "hparams", "content": data.SerializeToString()}}
    (value,) = values_of(Event(summary={"value": [{"tensor": {}, "metadata": metadata}]}))
    assert to_json(value) == {"list": [1.0], "dict": {"key": "text"}, "null": None, "nothing": None}

    deep = b""
    for _ in range(1000):  # a list of a list of ...
        deep = field(6, field(1, deep))
    metadata["plugin_data"]["content"] = field(3, field(1, field(2, deep)))
    (value,) = values_of(Event(summary={"value": [{"tensor": {}, "metadata": metadata}]}))
    assert "unreadable" in to_json(value)


EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\x08\u202e\u2028\u200b\ufeff"


def test_nothing_in_a_file_or_its_name_reaches_the_terminal(capsys, tmp_path):
    run = tmp_path / EVIL
    run.mkdir()
    hparams = HParamsPluginData(session_start_info={"hparams": {EVIL: {"string_value": EVIL}}})
    text = {"dtype": 7, "string_val": [EVIL.encode()]}
    values = [
        {"tag": EVIL, "simple_value": 1},
        {"tag": EVIL, "tensor": text, "metadata": {"plugin_data": {"plugin_name": EVIL}, "display_name": EVIL}},
        {"tag": EVIL, "audio": {"content_type": EVIL}},
        {"metadata": {"plugin_data": {"plugin_name": "hparams", "content": hparams.SerializeToString()}}},
    ]
    values += [{"tensor": text, "metadata": {"plugin_data": {"plugin_name": name}}} for name in ("text", "images")]
    events = [
        Event(summary={"value": values}),
        Event(file_version=EVIL),
        Event(session_log={"msg": EVIL}),
        Event(tagged_run_metadata={"tag": EVIL}),
    ]
    frames = b"".join(_core.frame(event.SerializeToString()) for event in events)
    (run / f"tfevents{EVIL}").write_bytes(frames + b"torn")
    (run / f"tfevents{EVIL}damaged").write_bytes(bytes(20))
    (run / f"tfevents{EVIL}no file").symlink_to(EVIL)
    assert len(check_cli(tmp_path)) == 3
    main(["dump", "--json", str(tmp_path)])
    rows = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert {row["run"] for row in rows} == {EVIL}  # JSON escapes it without loss
    assert rows[0]["tag"] == EVIL
    assert main(["dump", "x", EVIL]) == 1
    assert capsys.readouterr().err.replace("\n", "").isprintable()
    for arguments in (["diff", "x", "x", EVIL], ["dump", "x", f"--{EVIL}"], [EVIL]):  # as `dump *` may expand to
        with pytest.raises(SystemExit):
            main(arguments)
        assert capsys.readouterr().err.replace("\n", "").isprintable()


def test_a_file_name_that_is_not_utf_8(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"tfevents\xff")).write_bytes(b"\x18\0\0")
    except OSError:
        pytest.skip("names are UTF-8 here")
    note, error = check_cli(tmp_path)
    assert r"tfevents\udcff: the file ends" in note
    assert error.endswith("1 event file, no values")


@given(st.text(st.characters()))
def test_printable(text):
    assert printable(text).isprintable()
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    assert printable(text) == plain


@pytest.fixture
def paths(tmp_path):
    """Things named like event files that are not event files, and one event file."""
    os.mkfifo(tmp_path / "tfevents.fifo")
    (tmp_path / "tfevents.loop").symlink_to("tfevents.loop")
    (tmp_path / "tfevents.device").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "around").symlink_to(tmp_path)
    (tmp_path / "folder" / "tfevents.around").symlink_to(tmp_path)
    (tmp_path / "folder" / "tfevents").write_bytes(SOUND[0].read_bytes())
    return tmp_path


def test_what_is_no_file_is_told_at_once(paths):
    script = "import sys; from tbc.reader.__main__ import main; print(main(['dump', sys.argv[1]]))"
    expected = {
        "/dev/zero": "Not a regular file",
        "/dev/full": "Not a regular file",
        paths / "tfevents.fifo": "Not a regular file",
        paths / "tfevents.loop": f"{os.strerror(errno.ELOOP)} (a link to 'tfevents.loop')",
        paths / "none": os.strerror(errno.ENOENT),
        paths / "folder" / "tfevents" / "below": os.strerror(errno.ENOTDIR),
        "": os.strerror(errno.ENOENT),
    }
    for path, problem in expected.items():
        if str(path).startswith("/dev") and not os.path.exists(path):
            continue
        result = run_script(script, path, timeout=30)
        assert (result.stdout, result.stderr) == ("1\n", f"error: {path}: {problem}\n")


def test_what_is_no_file_does_not_keep_the_others_from_being_read(capsys, paths):
    assert main(["dump", str(paths)]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 + len(list(read_events(SOUND[0])))
    assert sorted(line.split(":")[1].split("/")[-1] for line in err.splitlines()) == [
        "around",
        "tfevents.around",
        "tfevents.device",
        "tfevents.fifo",
        "tfevents.loop",
    ]


def test_the_library_says_what_is_no_file(paths):
    with pytest.raises(OSError, match="Not a regular file"):
        next(read_events(paths / "tfevents.fifo"))
    with pytest.raises(IsADirectoryError):
        next(read_events(paths))
    loops = []
    found = find_event_files(paths / "folder", loops.append)
    names = ("tfevents.device", "tfevents.fifo", "tfevents.loop")
    links = [f"{link}/{name}" for link in ("around", "tfevents.around") for name in names]
    assert [os.path.relpath(file, paths / "folder") for file in found] == ["tfevents", *links]
    assert sorted(os.path.relpath(error.filename, paths / "folder") for error in loops) == [
        "around/folder",
        "tfevents.around/folder",
    ]


def test_a_socket_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("tfevents")
        with pytest.raises(OSError, match="Not a regular file"):
            next(read_events("tfevents"))


def test_what_may_not_be_read_is_told(capsys, paths):
    closed = paths / "closed"
    closed.mkdir()
    (closed / "tfevents").write_bytes(b"")
    (paths / "folder" / "tfevents").chmod(0)
    closed.chmod(0)
    if os.access(closed, os.R_OK):
        pytest.skip("root may read all")
    try:
        for path in (closed, paths / "folder", paths):
            assert main(["dump", str(path)]) == 1
            assert os.strerror(errno.EACCES) in capsys.readouterr().err
        with pytest.raises(PermissionError):
            find_event_files(paths)
    finally:
        closed.chmod(0o700)


def test_a_directory_that_cannot_be_listed_is_told(monkeypatch, paths):
    def scandir(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "scandir", scandir)
    told = []
    assert find_event_files(paths, told.append) == []
    assert [error.filename for error in told] == [str(paths)]
    with pytest.raises(PermissionError):
        find_event_files(paths)


def test_a_tree_deeper_than_the_stack(tmp_path):
    (tmp_path / "/".join("d" * 300)).mkdir(parents=True)
    (tmp_path / "/".join("d" * 300) / "tfevents").touch()
    script = """
        import sys
        from tbc.reader.__main__ import main
        sys.setrecursionlimit(200)
        print(main(["tags", sys.argv[1]]))
    """
    result = run_script(script, tmp_path)
    assert (result.stdout, result.stderr) == ("1\n", f"error: {tmp_path}: 1 event file, no values (empty)\n")


@pytest.mark.parametrize("out", ["/dev/full", None])
def test_output_that_cannot_be_written_is_told(tmp_path, out):
    if out is None:
        script = "import os, sys; os.close(1); sys.stdout = None"
    elif os.path.exists(out):
        script = f"import os, sys; os.dup2(os.open({out!r}, os.O_WRONLY), 1)"
    else:
        pytest.skip(f"there is no {out}")
    script += "; from tbc.reader.__main__ import main; sys.exit(main(['dump', sys.argv[1]]))"
    result = run_script(script, SOUND[0], check=False)
    assert (result.returncode, result.stderr) == ((1, "error: output: No space left on device\n") if out else (0, ""))


def dump_within(mebibytes, path, *arguments):
    """Run the command line in a process, with a limit of memory: so many MiB above its size after all imports."""
    script = """
        import contextlib, io, resource, sys
        from tbc.reader.__main__ import main
        with contextlib.redirect_stdout(io.StringIO()):
            main(["dump", sys.argv[2]])
        if sys.platform == "linux":  # elsewhere the limit is not kept, or the sizes are not known
            with open("/proc/self/statm") as file:
                size = int(file.read().split()[0]) * resource.getpagesize() + (int(sys.argv[1]) << 20)
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
        sys.exit(main(sys.argv[3:]))
    """
    return run_script(script, mebibytes, SOUND[0], "dump", path, *arguments, check=False)


LARGE = {  # the data of a record, the limit in MiB, and the end of the line that is printed
    "a text": (event_of_tensor(b"\x08\x07" + field(8, b"\xff" * (64 << 20)), "text"), 300, r"\xff\xff\..."),
    "a tensor": (event_of_tensor(b"\x08\x01" + field(5, bytes(64 << 20))), 300, "0, 0, 0, 0..."),
    "the bytes of a tensor": (event_of_tensor(b"\x08\x06" + field(4, bytes(64 << 20))), 300, "0, 0, 0, 0..."),
    "a scalar": (event_of_tensor(b"\x08\x01" + field(5, bytes(64 << 20)), "scalars"), 300, "0"),
    "a tag": (field(5, field(1, field(1, b"\x1b" * (4 << 20)))), 100, "null"),
    "a name": (b"\x1a" + _varint(64 << 20) + b"\x1b" * (64 << 20), 260, r"\x1b\..."),
}


@pytest.mark.parametrize("what", LARGE)
def test_the_line_of_a_large_value(tmp_path, what):
    data, mebibytes, end = LARGE[what]
    path = tmp_path / "events.out.tfevents"
    path.write_bytes(_core.frame(data))
    result = dump_within(mebibytes, path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.rstrip().endswith(end)


def test_many_records_take_the_memory_of_one(tmp_path):
    path = tmp_path / "events.out.tfevents"
    path.write_bytes(_core.frame(b"\x1a\0") * 50_000 + _core.frame(b"") * 100_000)
    result = dump_within(8, path)
    assert (result.returncode, result.stderr, result.stdout.count("\n")) == (0, "", 50_000)


@pytest.mark.parametrize("length", [131, 256])
def test_a_hole_of_a_tebibyte_takes_neither_time_nor_memory(tmp_path, length):
    """The record after the hole is found, even if its first byte is 0 and thus part of the hole."""
    path = tmp_path / "events.out.tfevents"
    behind = _core.frame(field(3, b"x" * (length - 3)))
    with open(path, "wb") as file:
        file.write(head(2**50))
        file.seek(2**40)
        file.write(behind.lstrip(b"\0"))
    result = dump_within(16, path)
    assert (result.returncode, result.stdout.count("xxx..."), result.stderr.count("\n")) == (1, 1, 1)


def test_a_length_that_the_file_has_no_room_for_takes_no_memory(tmp_path):
    path = tmp_path / "events.out.tfevents"
    path.write_bytes(head(LIMIT) + bytes(100))
    result = dump_within(16, path)
    assert (result.returncode, result.stdout) == (1, "")  # there is no value to print
    assert result.stderr.startswith(f"note: {path}: the file ends in the record at byte 0: ")


def test_heads_of_torn_records_cost_no_reads_of_the_rest():
    counts = []

    class Counting(io.BytesIO):
        def read(self, size):
            data = super().read(size)
            counts.append(len(data))
            return data

    content = b"".join(torn(2000))
    errors = []
    assert len(list(frames_of(Counting(content), "file", errors.append, 0))) == 2000
    assert len(errors) == 2000  # each record is torn, and another one follows it
    assert sum(counts) < 50 * len(content)


@pytest.mark.skipif(sys.platform != "linux", reason="memory cannot be limited")
def test_a_record_that_memory_has_no_room_for(tmp_path):
    path = tmp_path / "events.out.tfevents"
    path.write_bytes(head(LIMIT))
    os.truncate(path, LIMIT + 16)
    result = dump_within(100, path)
    assert (result.returncode, result.stderr) == (1, f"error: {path}: not enough memory\n")


def test_one_long_tag_does_not_widen_all_lines(capsys, tmp_path):
    path = tmp_path / "events.out.tfevents"
    tags = ["x" * 100_000, *map(str, range(1000))]
    path.write_bytes(_core.frame(Event(summary={"value": [{"tag": tag} for tag in tags]}).SerializeToString()))
    assert main(["tags", str(path)]) == 0
    assert len(capsys.readouterr().out) < 300_000
