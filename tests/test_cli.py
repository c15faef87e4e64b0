"""`python -m tbc.reader`: what each command prints, its exit status, and its messages about wrong arguments."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.eventfiles import VERSION, frames, scalar, start, write
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tbc
from tbc import _core
from tbc.proto import Event, GraphDef
from tbc.reader import commands, find_event_files, read_frames, tags
from tbc.reader.__main__ import main
from tbc.reader.commands import tail
from tbc.reader.commands.problems import Problems
from tbc.reader.describe import shortest
from tbc.reader.tags import printable

DATA = Path(__file__).parent / "data"
BASE = int(time.time()) + 3600.0  # later than now, the time of the file_version: times must not go back


def at(step):
    """Return the wall time of a step of the curves."""
    return BASE + step / 64


def run(capsys, *arguments):
    status = main(list(map(str, arguments)))
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err


@pytest.fixture
def runs(tmp_path):
    with tbc.SummaryWriter(tmp_path / "runs") as writer:
        writer.add_scalar("loss", 0.1, 1, walltime=1e9)
        writer.add_scalar("loss", math.nan, 2, walltime=1e9 + 0.5)
        writer.add_scalar("precise", 0.1, 3, new_style=True, double_precision=True)
        writer.add_scalars("pair", {"a": 1, "b": 2}, 4)
        writer.add_histogram("weights", np.arange(5.0), 5)
        writer.add_image("image", np.zeros((3, 4, 6)), 6)
        writer.add_text("text", "two\nlines \x1b[31m" + "x" * 100, 7)
    return tmp_path / "runs"


def test_dump_prints_a_line_for_each_value(capsys, runs):
    status, lines, errors = run(capsys, "dump", runs)
    assert (status, errors) == (0, "")
    words = [re.split(r"  +", line.strip()) for line in lines]
    assert words[0][0] == "0"
    assert words[0][2:] == ["file_version", "brain.Event:2"]
    assert words[1] == ["1", _local_time(1e9), "loss", "scalar", "0.1"]
    assert words[2][2:] == ["loss", "scalar", "nan"]
    assert words[3][2:] == ["precise", "scalar", "0.1"]
    assert words[4][2:] == ["weights", "histogram", "5 values, 0 to 4, mean 2, std 1.414"]
    assert words[5][2:4] == ["text/text_summary", "text"]
    assert words[5][4].startswith(r"two\nlines \x1b[31mxxx")
    assert words[5][4].endswith("xxx...")
    assert words[6][2:4] == ["image", "image"]
    assert re.fullmatch(r"6x4 PNG, \d+ bytes", words[6][4])
    assert lines[7] == "pair_a:"
    assert words[9][2:] == ["pair", "scalar", "1"]
    assert lines[10] == "pair_b:"


def _local_time(seconds):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) + f".{int(seconds % 1 * 1000):03d}"


def test_dump_as_json(capsys, runs):
    status, lines, _ = run(capsys, "dump", "--json", runs)
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert status == 0
    assert {"run": ".", "step": 2, "wall_time": 1e9 + 0.5, "tag": "loss", "kind": "scalar", "value": "NaN"} in rows
    by_tag = {(row["run"], row["tag"]): row["value"] for row in rows}
    assert by_tag["pair_b", "pair"] == 2
    assert by_tag[".", "precise"] == 0.1
    assert by_tag[".", "weights"]["num"] == sum(by_tag[".", "weights"]["bucket"]) == 5
    assert by_tag[".", "image"] | {"bytes": 0} == {"width": 6, "height": 4, "images": 1, "format": "PNG", "bytes": 0}
    assert by_tag[".", "text/text_summary"].startswith("two\nlines")


def test_dump_of_one_tag(capsys, runs):
    _, lines, _ = run(capsys, "dump", "--tag", "loss", runs)
    assert [line.split()[0] for line in lines] == ["1", "2"]


def test_tags_lists_kind_count_and_steps(capsys, runs):
    status, lines, _ = run(capsys, "tags", runs)
    assert status == 0
    assert [re.split(r"  +", line) for line in lines][:2] == [
        ["loss", "scalar", "2", "steps 1 to 2"],
        ["precise", "scalar", "1", "step 3"],
    ]
    _, lines, _ = run(capsys, "tags", "--json", "--tag", "loss", runs)
    row = {"run": ".", "tag": "loss", "kind": "scalar", "count": 2, "first_step": 1, "last_step": 2, "hidden": 0}
    assert list(map(json.loads, lines)) == [row]


def test_a_file_that_is_still_written_is_no_error(capsys, runs):
    path = find_event_files(runs)[0]
    with open(path, "ab") as file:
        file.write(_core.frame(b"torn")[:-1])
    status, lines, errors = run(capsys, "dump", path)
    assert (status, len(lines)) == (0, 7)
    assert re.match(rf"note: {re.escape(path)}: the file ends in the record at byte \d+: it is still", errors)


def test_damage_is_an_error(capsys, runs):
    path = find_event_files(runs)[0]
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    status, lines, errors = run(capsys, "dump", runs)
    assert (status, len(lines)) == (1, 12)
    assert errors.startswith(f"error: {path}: wrong checksum of the data in the record at byte ")


@pytest.mark.parametrize("command", ["dump", "tags"])
def test_nothing_to_read_is_an_error(capsys, tmp_path, command):
    assert run(capsys, command, tmp_path) == (1, [], f"error: {tmp_path}: no event file here\n")
    status, lines, errors = run(capsys, command, tmp_path / "none")
    assert (status, lines) == (1, [])
    assert "No such file" in errors


def test_wrong_arguments_are_told():
    for arguments in ([], ["show"], ["dump"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2


def test_tags_cannot_write_escape_sequences(capsys, tmp_path):
    with tbc.SummaryWriter(tmp_path) as writer:
        writer.add_scalar("\x1b]0;owned\x07\u202e\n", 1)
    for command in ("dump", "tags"):
        _, lines, _ = run(capsys, command, tmp_path)
        assert all(line.isprintable() for line in lines)
        assert r"\x1b]0;owned\x07\u202e\n" in lines[-1]
    assert printable("ümlaut 损失") == "ümlaut 损失"


def test_a_graph_is_told_by_its_size(capsys, tmp_path):
    graph = GraphDef(node=[{"name": "a"}, {"name": "b", "input": ["a"]}])
    with tbc.SummaryWriter(tmp_path) as writer:
        writer.add_graph(graph)
        writer.add_graph(b"")
    status, lines, _ = run(capsys, "dump", tmp_path, "--kind", "graph", "--json")
    assert (status, json.loads(lines[0])["value"]) == (0, {"nodes": 2, "bytes": graph.ByteSize()})
    _, lines, _ = run(capsys, "dump", tmp_path, "--kind", "graph")
    assert lines[0].endswith(f"2 nodes, {graph.ByteSize()} bytes")
    assert lines[1].endswith("0 nodes, 0 bytes")


def test_odd_times_and_kinds_are_printed(capsys, tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    events = [
        Event(wall_time=math.nan, file_version="x"),
        Event(wall_time=1e300, step=-(2**63), session_log={"status": 1}),
        Event(graph_def=b"123"),
        Event(tagged_run_metadata={"tag": "step1", "run_metadata": b"1"}),
        Event(summary={"value": [{"tag": "nothing"}]}),
        Event(summary={"value": [{"tag": "t", "tensor": {"dtype": 99}}]}),
        Event(summary={"value": [{"tag": "h", "histo": {}}]}),
    ]
    for plugin in (
        "scalars",
        "images",
        "audio",
        "text",
        "pr_curves",
        "mesh",
        "histograms",
        "custom_scalars",
        "hparams",
    ):
        metadata = {"plugin_data": {"plugin_name": plugin}}
        events.append(Event(summary={"value": [{"tag": plugin, "tensor": {}, "metadata": metadata}]}))
    path.write_bytes(b"".join(_core.frame(event.SerializeToString()) for event in events))
    for arguments in (["dump"], ["dump", "--json"], ["tags"]):
        status, lines, errors = run(capsys, *arguments, path)
        assert (status, errors) == (0, "")
        assert lines


def test_contents_that_belie_their_kind_are_told_and_passed(capsys, tmp_path):
    def value(plugin, tensor=None, content=b""):
        return {
            "tag": plugin,
            "tensor": tensor or {},
            "metadata": {"plugin_data": {"plugin_name": plugin, "content": content}},
        }

    strings = {"dtype": 7, "string_val": [b"not", b"numbers", b"at all"]}
    values = [
        value("hparams", content=b"\xff"),
        value("scalars", strings),
        value("histograms", strings),
        value("images", {"dtype": 7, "string_val": [b"1" * 5000, b"1", b"PNG"]}),
        {"tag": "last", "simple_value": 1.0},
    ]
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(_core.frame(Event(summary={"value": values}).SerializeToString()))
    for arguments in (["dump"], ["dump", "--json"]):
        status, lines, errors = run(capsys, *arguments, path)
        assert (status, errors, len(lines)) == (0, "", 5)
        assert all("unreadable" in line for line in lines[:4])
        assert "last" in lines[4]


def test_a_terminal_that_lacks_the_letters_of_a_tag(tmp_path):
    with tbc.SummaryWriter(tmp_path) as writer:
        writer.add_scalar("потери", 1)
    command = [sys.executable, "-m", "tbc.reader", "tags", str(tmp_path)]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert r"\u043f\u043e" in result.stdout


@pytest.mark.parametrize("package", ["torch.utils.tensorboard", "tensorboardX"])
def test_what_other_writers_write_today(capsys, tmp_path, package):
    """The commands print every kind that these packages write."""
    writers = pytest.importorskip(package)
    rng = np.random.default_rng(0)
    with writers.SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss", 0.25, 1)
        writer.add_scalars("pair", {"a": 1, "b": 2}, 2)
        writer.add_histogram("weights", np.array([1.0, 2.0]), 3)
        writer.add_image("image", rng.random((3, 4, 6)), 4)
        writer.add_text("text", "hello", 5)
        writer.add_pr_curve("pr", rng.integers(2, size=50), rng.random(50), 6)
        writer.add_custom_scalars({"category": {"chart": ["Multiline", ["loss"]]}})
        writer.add_hparams({"lr": 0.1, "layers": 3, "name": "x"}, {"accuracy": 0.5})
        if package.startswith("torch"):
            torch = pytest.importorskip("torch")
            writer.add_audio("audio", torch.zeros(1, 4410), 7)
            writer.add_mesh("mesh", torch.zeros(1, 2, 3), global_step=8)
            writer.add_tensor("half", torch.tensor([1.5, -2.0], dtype=torch.half), 9)
            writer.add_scalar("new", 0.5, 10, new_style=True)
    status, lines, errors = run(capsys, "dump", tmp_path)
    assert (status, errors) == (0, "")
    printed = {tuple(re.split(r"  +", line.strip())[2:]) for line in lines if "  " in line}
    expected = {
        ("loss", "scalar", "0.25"),
        ("pair", "scalar", "2"),
        ("weights", "histogram", "2 values, 1 to 2, mean 1.5, std 0.5"),
        ("text/text_summary", "text", "hello"),
        ("pr", "pr_curve", "127 thresholds"),
        ("_hparams_/session_start_info", "hparams", "layers=3, lr=0.1, name=x"),
        ("_hparams_/session_end_info", "hparams", "status=success"),
        ("accuracy", "scalar", "0.5"),
    }
    if package.startswith("torch"):
        expected |= {
            ("audio", "audio", "0.10 s, 44100 Hz, 1 channel, 8,864 bytes"),
            ("mesh_VERTEX", "mesh", "float32 1x2x3: 0, 0, 0, 0, 0, 0"),
            ("half", "tensor", "float16 2: 1.5, -2"),
            ("new", "scalar", "0.5"),
        }
    assert expected <= printed
    assert any(row[:2] == ("image", "image") and row[2].startswith("6x4 PNG") for row in printed if len(row) == 3)


# --- show, tail, verify, repair, export, diff, stats ---


@pytest.fixture
def curves(tmp_path):
    """Two runs. The lowest loss is 0.125, at step 30 of b."""
    for name, best in (("a", 10), ("b", 30)):
        with tbc.SummaryWriter(tmp_path / "curves" / name) as writer:
            writer.add_hparams({"lr": 0.1, "name": name}, {}, run_name=".")
            for step in range(40):
                loss = {"a": 0.25, "b": 0.125}[name] + abs(step - best) / 64
                writer.add_scalar("loss/val", loss, step, walltime=at(step))
    return tmp_path / "curves"


def test_show_draws_curves_and_finds_the_best(capsys, curves):
    status, lines, errors = run(capsys, "show", curves, "loss/val")
    assert (status, errors) == (0, "")
    assert lines[0] == "a: loss/val  (40 points)"
    assert any("\u2800" < character < "\u2900" for line in lines for character in line)
    assert [line.split()[:4] for line in lines if line.startswith("  m")] == [
        ["min", "0.25", "step", "10"],
        ["max", "0.703125", "step", "39"],
        ["min", "0.125", "step", "30"],
        ["max", "0.59375", "step", "0"],
    ]
    assert lines[-2:] == [
        f"min loss/val: 0.125 at step 30, {_local_time(at(30))}, in b",
        f"max loss/val: 0.703125 at step 39, {_local_time(at(39))}, in a",
    ]
    status, lines, _ = run(capsys, "show", curves, "loss*", "--run", "b", "--json")
    (row,) = map(json.loads, lines)
    assert row["min"] == {"step": 30, "wall_time": at(30), "value": 0.125}
    assert (row["run"], row["tag"], row["count"], row["first_step"], row["last_step"]) == ("b", "loss/val", 40, 0, 39)


def test_show_where_the_terminal_has_no_braille(curves):
    command = [sys.executable, "-m", "tbc.reader", "show", str(curves), "loss/val"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=curves, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert "*" in result.stdout
    assert result.stdout.isascii()
    assert "\\u" not in result.stdout


def test_show_of_nothing_is_an_error(capsys, curves):
    status, lines, errors = run(capsys, "show", curves, "loss/val", "los", "--run", "a")
    assert (status, errors) == (1, f"error: {curves}: no tag 'los' here; nearest: 'loss/val'\n")
    assert lines[0] == "a: loss/val  (40 points)"
    status, _, errors = run(capsys, "show", curves, "(", "--regex")
    assert (status, errors) == (
        2,
        "error: '(' is not a regular expression: missing ), unterminated subpattern at position 0\n",
    )


def test_show_prints_any_kind(capsys, runs):
    status, lines, errors = run(capsys, "show", runs, "*")
    assert (status, errors) == (0, "")
    assert "weights  (histogram, 1 value)" in lines
    bars = [line.split() for line in lines if "\u2588" in line]
    assert bars[0][0] == "0"
    assert sum(float(count) for _, _, count in bars) == 5
    assert "    lines \\x1b[31m" + "x" * 100 in lines  # the whole text
    for arguments in (["show", runs, "*", "--json"], ["show", runs, "image"]):
        assert run(capsys, *arguments)[0] == 0


def test_show_prints_hyperparameters(capsys, curves):
    _, lines, _ = run(capsys, "show", curves, "_hparams_/session_start_info", "--run", "a")
    assert lines[-2:] == ["    lr = 0.1", "    name = a"]


def test_show_writes_files(capsys, tmp_path, runs):
    with tbc.SummaryWriter(runs / "more") as writer:
        writer.add_images("a/b", np.zeros((2, 3, 4, 6)), 1, grid=False)
        writer.add_audio("sound", np.zeros(100), 2)
        writer.add_tensor("array", np.arange(6.0).reshape(2, 3), 3)
    out = tmp_path / "out"
    status, lines, errors = run(capsys, "show", runs, "*", "--out", out)
    assert (status, errors) == (0, "")
    names = ["more/a%2Fb-1-0.png", "more/a%2Fb-1-1.png", "more/array-3.npy", "more/sound-2.wav"]
    names += ["image-6.png", "text%2Ftext_summary-7.txt"]
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == sorted(names)
    with Image.open(out / "image-6.png") as image:
        assert image.size == (6, 4)
    assert np.load(out / "more/array-3.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (out / "text%2Ftext_summary-7.txt").read_text().startswith("two\nlines")
    assert any(str(out / "image-6.png") in line for line in lines)
    status, lines, errors = run(capsys, "show", runs, "image", "weights", "--out", out)
    assert (status, errors) == (1, f"error: {out}/image-6.png: File exists\n")
    assert any(line.endswith("(not written: there is no file format for this kind)") for line in lines)


def test_tail_prints_the_last_scalars(capsys, curves):
    status, lines, errors = run(capsys, "tail", curves, "-n", "3")
    assert (status, errors) == (0, "")
    assert [line.split()[:1] + line.split()[3:] for line in lines[:2]] == [
        ["a:"],
        ["38", "loss/val", "0.6875"],
    ] or lines
    _, lines, _ = run(capsys, "tail", curves, "-n", "2", "--run", "b", "--steps", ":30", "--json")
    assert list(map(json.loads, lines)) == [
        {"run": "b", "step": step, "wall_time": at(step), "tag": "loss/val", "kind": "scalar", "value": value}
        for step, value in ((29, 0.140625), (30, 0.125))
    ]
    assert run(capsys, "tail", curves, "-n", "0") == (0, [], "")
    assert run(capsys, "tail", curves / "none")[0] == 1


def test_tail_follows_a_run_that_begins_later(tmp_path):
    command = [sys.executable, "-m", "tbc.reader", "tail", "-f", str(tmp_path / "run"), "--tag", "loss"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen(command, **options) as process:
        with tbc.SummaryWriter(tmp_path / "run") as writer:
            for step in range(3):
                writer.add_scalar("loss", step, step)
                writer.add_scalar("other", step, step)
                writer.flush()
                line = process.stdout.readline().split()
                assert (line[0], line[-2:]) == (str(step), ["loss", str(step)])
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 130


def test_tail_of_a_link(capsys, tmp_path, curves):
    (tmp_path / "latest").symlink_to(curves)
    (tmp_path / "none").symlink_to("nowhere")
    assert run(capsys, "tail", tmp_path / "latest", "--json") == run(capsys, "tail", curves, "--json")
    for arguments in ([], ["-f"]):
        error = f"error: {tmp_path}/none: No such file or directory (a link to 'nowhere')\n"
        assert run(capsys, "tail", tmp_path / "none", *arguments) == (1, [], error)


def test_tail_notes_that_it_lags(tmp_path):
    path = tmp_path / "tfevents"
    with tbc.SummaryWriter(tmp_path / "source") as writer:
        for step in range(100):
            writer.add_scalar("loss", step, step)
    (source,) = (tmp_path / "source").iterdir()
    data = source.read_bytes()
    path.write_bytes(data)
    script = """if True:
        from tbc.reader import __main__
        from tbc.reader.commands import tail
        tail.LAG, tail.LAG_INTERVAL = 1000, 0
        __main__.main(["tail", "-f", "-n1", "tfevents"])
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen([sys.executable, "-c", script], **options) as process:
        assert process.stdout.readline().startswith("      99")
        with open(path, "ab") as file:
            file.write(data)
        for _ in range(100):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert out == ""
    assert re.fullmatch(r"note: [\d.]+ kB are not read yet: more is logged than tail can print\n", errors)


def test_tail_notes_once_an_episode_that_it_lags(capsys, monkeypatch):
    lag, problems = tail.Lag(), Problems()
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for n in [0, 1, 2, 2, 0.6, 2, 0.4, 1, 2, 0]:
        now += 1
        lag.note(lambda: n * tail.LAG, problems)  # noqa: B023
        lag.note(pytest.fail, problems)  # not called again within a second
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert problems.status == 0


def damage(path, offset=-1):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_verify_says_whether_all_is_intact(capsys, curves):
    status, lines, errors = run(capsys, "verify", curves)
    assert (status, errors, len(lines)) == (0, "", 1)
    assert re.fullmatch(r"2 files, 88 records, [\d.]+ kB: all intact", lines[0])
    (path,) = (curves / "a").iterdir()
    damage(path)
    status, lines, errors = run(capsys, "verify", curves)
    assert (status, errors, len(lines)) == (1, "", 2)
    assert re.match(rf"error: {re.escape(str(path))}: wrong checksum of the data in the record at byte \d+", lines[0])
    assert lines[1].endswith(": 1 error")
    status, lines, _ = run(capsys, "verify", curves, "--json")
    reports = list(map(json.loads, lines))
    assert (status, [len(report["findings"]) for report in reports]) == (1, [1, 0])
    assert reports[0]["findings"][0]["offset"] == path.stat().st_size - reports[0]["damaged"]


def test_verify_of_a_live_or_odd_run(capsys, curves):
    (path,) = (curves / "b").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert run(capsys, "verify", curves)[0] == 1
    status, lines, _ = run(capsys, "verify", curves, "--live")
    assert (status, len(lines)) == (0, 2)
    assert lines[0].startswith("warning: ")
    assert run(capsys, "verify", curves, "--live", "--strict")[0] == 1
    assert run(capsys, "verify", curves / "none")[0] == 1


def test_verify_prints_a_line_for_each_kind_and_file(capsys, tmp_path):
    for run_name in "ab":
        with tbc.SummaryWriter(tmp_path / run_name) as writer:
            for step in (5, 4, 4):
                for i in range(200):
                    writer.add_scalar(f"loss/{i}", 0.5, step)
    status, lines, errors = run(capsys, "verify", tmp_path)
    assert (status, errors, len(lines)) == (0, "", 9)
    (path,) = (tmp_path / "a").iterdir()
    assert lines[0].startswith(f"warning: {path}: 'loss/0' goes back from step 5 to 4 (at byte ")
    assert lines[1] == f"warning: {path}: and 199 more of the kind step; --json lists them"
    assert lines[3] == f"info: {path}: and 199 more of the kind repeat; --json lists them"
    assert lines[-1].endswith(": 400 warnings, 400 infos")
    assert run(capsys, "verify", tmp_path, "--strict")[0] == 1
    status, lines, _ = run(capsys, "verify", tmp_path, "--strict", "--ignore", "step")
    assert (status, len(lines)) == (0, 5)
    assert lines[-1].endswith(": all intact, 400 infos")
    _, lines, _ = run(capsys, "verify", tmp_path, "--ignore", "step", "--ignore", "repeat", "--json")
    assert [json.loads(line)["findings"] for line in lines] == [[], []]


def test_verify_prints_information_of_a_few_files(capsys, tmp_path):
    for i in range(30):
        with tbc.SummaryWriter(tmp_path / f"run{i:02}") as writer:
            for _ in range(3):
                writer.add_scalar("loss", 0.5)
    status, lines, _ = run(capsys, "verify", tmp_path, "--strict")
    assert (status, len(lines)) == (0, 12)
    assert lines[-2] == "info: more files have findings of the kind repeat; --json lists them"
    assert lines[-1].endswith(": all intact, 30 infos")


def test_verify_of_an_unknown_kind_names_the_nearest(capsys, curves):
    with pytest.raises(SystemExit) as caught:
        main(["verify", "--ignore", "kind", str(curves)])
    assert caught.value.code == 2
    assert "unknown kind of findings 'kind': did you mean 'kinds'?" in capsys.readouterr().err


def test_repair_says_what_was_lost(capsys, tmp_path, curves):
    (path,) = (curves / "a").iterdir()
    damage(path, 110)
    status, lines, errors = run(capsys, "repair", curves, tmp_path / "copies")
    assert (status, errors) == (0, "")
    assert re.match(rf"{re.escape(str(tmp_path))}/copies/a/.*: 43 records, [\d.]+ kB; lost \d+ B", lines[0])
    assert re.match(r"  lost \d+ bytes: wrong checksum of the data in the record at byte \d+", lines[1])
    assert run(capsys, "verify", tmp_path / "copies")[0] == 0
    status, lines, errors = run(capsys, "repair", curves, tmp_path / "copies")
    assert (status, lines, errors.count("File exists")) == (1, [], 2)
    status, lines, errors = run(capsys, "repair", curves, curves / "copies")
    assert (status, lines) == (1, [])
    assert "expected a directory that is neither in" in errors
    status, lines, _ = run(capsys, "repair", path, tmp_path / "more", "--json")
    assert (status, json.loads(lines[0])["records"]) == (0, 43)


def test_export_as_csv_json_and_parquet(capsys, tmp_path, curves):
    status, lines, errors = run(capsys, "export", curves, "--steps", "29:30", "--run", "b")
    assert (status, errors) == (0, "")
    assert lines == [
        "run,tag,step,wall_time,value",
        f"b,loss/val,29,{at(29)},0.140625",
        f"b,loss/val,30,{at(30)},0.125",
    ]
    _, lines, _ = run(capsys, "export", curves, "--steps", "30:30", "--format", "jsonl")
    assert [json.loads(line)["value"] for line in lines] == [0.5625, 0.125]
    for name, arguments in (("x.csv", ()), ("x.jsonl", ()), ("y.csv", ("--wide",))):
        assert run(capsys, "export", curves, "-o", tmp_path / name, *arguments) == (0, [], "")
        assert len((tmp_path / name).read_text().splitlines()) == 80 + name.endswith("csv")
    assert (tmp_path / "y.csv").read_text().startswith("run,step,loss/val\na,0,0.40625\n")
    parquet = pytest.importorskip("pyarrow.parquet")
    assert run(capsys, "export", curves, "-o", tmp_path / "x.parquet") == (0, [], "")
    assert parquet.read_table(tmp_path / "x.parquet").num_rows == 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "parquet"], "Parquet needs a file: -o FILE"),
        (["--format", "jsonl", "--wide"], "--wide is for CSV and Parquet"),
        (["-o", "x.xlsx"], "x.xlsx: expected a name that ends in .csv, .jsonl or .parquet, or --format"),
        (["-o", "x.csv", "--json"], "x.csv: the name ends in .csv, but the options ask for jsonl"),
        (["-o", "s3://x/x.csv"], "s3://x/x.csv: only Parquet can be written to a URL"),
        (["--tag", "none"], "no tag 'none' here, but "),
        (["-o", "none/x.csv"], "/none/x.csv: No such file or directory"),
        (["-o", "none/x.parquet"], "/none/x.parquet: No such file or directory"),
    ],
)
def test_export_of_what_cannot_be(capsys, curves, arguments, message):
    status, lines, errors = run(capsys, "export", curves, *arguments)
    assert status == (1 if arguments[1].startswith("none") else 2)
    assert lines == []
    assert errors.startswith("error: ")
    assert message in errors


def test_diff_of_two_trainings(capsys, curves):
    compared = "1 run, 5 tags (1 scalar, 1 file_version, 3 hparams), 44 values"
    assert run(capsys, "diff", curves / "a", curves / "a") == (0, [f"{compared}: no difference"], "")
    status, lines, errors = run(capsys, "diff", curves / "a", curves / "b")
    assert (status, errors) == (1, "")
    assert lines == [
        "_hparams_/session_start_info (hparams): 1 value differs, at step 0:",
        "    name: 'a' and 'b'",
        "loss/val: 39 values differ, worst at step 30: 0.5625 and 0.125, by 0.438",
        f"{compared}: 2 tags differ",
    ]
    status, lines, _ = run(capsys, "diff", curves / "a", curves / "b", "--atol", "0.5", "--kind", "scalar")
    assert (status, lines) == (0, ["1 run, 1 tag (1 scalar), 40 values: no difference; only --kind 'scalar'"])
    status, lines, _ = run(capsys, "diff", curves / "a", curves / "b", "--json")
    assert status == 1
    assert list(map(json.loads, lines))[1] == {
        "run": ".",
        "tag": "loss/val",
        "kind": "scalar",
        "what": "values",
        "count": 39,
        "step": 30,
        "a": 0.5625,
        "b": 0.125,
        "text": "0.5625 and 0.125, by 0.438",
        "run_b": None,
    }
    for wrong in ("-1", "x", "nan"):
        with pytest.raises(SystemExit):
            main(["diff", str(curves), str(curves), "--rtol", wrong])


def test_diff_of_runs_that_one_side_lacks(capsys, curves):
    status, lines, errors = run(capsys, "diff", curves, curves / "a")
    assert (status, errors) == (1, "")
    assert lines == [
        "run .: only in the second, 5 tags, 44 values",
        "run a: only in the first, 5 tags, 44 values",
        "run b: only in the first, 5 tags, 44 values",
        "3 runs, 15 tags (3 scalar, 3 file_version, 9 hparams), 132 values: 15 tags differ",
    ]
    status, lines, _ = run(capsys, "diff", curves, curves / "a", "--json", "--kind", "scalar")
    assert [(row["run"], row["what"]) for row in map(json.loads, lines)] == [
        (".", "missing"),
        ("a", "missing"),
        ("b", "missing"),
    ]


def test_diff_leaves_out_what_is_excluded_and_says_so(capsys, curves):
    shutil.copytree(curves, curves.with_name("other"))
    with tbc.SummaryWriter(curves / "c") as writer:
        writer.add_scalar("loss/val", 1, 1)
    exclude = ["--exclude-run", "c", "--exclude-tag", "_hparams_*", "--exclude-kind", "file_version"]
    status, lines, errors = run(capsys, "diff", curves, curves.with_name("other"), *exclude)
    counts = "2 runs, 2 tags (2 scalar), 80 values"
    assert (status, errors) == (0, "")
    assert lines == [f"{counts}: no difference; left out: 1 run, 8 tags"]
    exclude = [
        "--exclude-run",
        "^c$",
        "--exclude-tag",
        "^_",
        "--steps",
        "3:5",
        "--regex",
        "--tag",
        "loss",
        "--tag",
        "_",
    ]
    status, lines, _ = run(capsys, "diff", curves, curves.with_name("other"), *exclude)
    chosen = "only --tag 'loss' --tag '_' --steps 3:5; left out: nothing"
    assert (status, lines) == (0, [f"2 runs, 2 tags (2 scalar), 6 values: no difference; {chosen}"])
    status, lines, errors = run(capsys, "diff", curves, curves, "--exclude-run", "*")
    assert (status, lines) == (1, [])
    assert errors == f"error: {curves}, {curves}: nothing to compare; left out: 3 runs\n"
    status, lines, errors = run(capsys, "diff", curves, curves, "--exclude-tag", "(", "--regex")
    assert (status != 0, lines, errors.startswith("error: '(' is not a regular expression")) == (True, [], True)
    with pytest.raises(SystemExit):
        main(["diff", str(curves), str(curves), "--exclude-kind", "scalars"])


def test_diff_of_nothing(capsys, tmp_path, curves):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "events.out.tfevents.1").touch()
    status, lines, errors = run(capsys, "diff", curves, tmp_path / "empty")
    assert (status, lines, errors.count("\n")) == (1, [], 1)
    assert errors.startswith(f"error: {tmp_path}/empty: ")


def test_diff_of_child_runs_names_both(capsys, tmp_path):
    for name, lr in (("a", 1), ("b", 2)):
        with tbc.SummaryWriter(tmp_path / name) as writer:
            writer.add_hparams({"lr": lr}, {})
    (child,) = (path.name for path in (tmp_path / "a").iterdir() if path.is_dir())
    (other,) = (path.name for path in (tmp_path / "b").iterdir() if path.is_dir())
    status, lines, _ = run(capsys, "diff", tmp_path / "a", tmp_path / "b")
    assert status == 1
    head = f"{child} and {other}: _hparams_/session_start_info (hparams): 1 value differs, at step 0"
    assert lines[:2] == [f"{head}:", "    lr: 1 and 2, by 1"]
    assert lines[2].endswith("1 tag differs")


def test_diff_keeps_to_the_screen(capsys, tmp_path):
    """Contents of a file neither widen a line nor reach the terminal unescaped."""
    for name in "ab":
        with tbc.SummaryWriter(tmp_path / name) as writer:
            writer.add_text("text", "\x1b[31m" + "word " * 100 + name * 500)
            writer.add_hparams({f"name {i}\x1b": name for i in range(9)}, {}, run_name=".")
            if name == "a":
                writer.add_text("more", "\x1b[31m" * 100)
    status, lines, _ = run(capsys, "diff", tmp_path / "a", tmp_path / "b")
    assert status == 1
    assert all(len(line) <= 80 for line in lines[:-1])
    assert all(line.isprintable() for line in lines)
    assert len(lines) < 20


def test_stats_add_up(capsys, runs):
    status, lines, errors = run(capsys, "stats", runs)
    assert (status, errors) == (0, "")
    assert lines[0].split() == ["bytes", "share", "values", "each", "kind"]
    whole = sum(os.path.getsize(path) for path in find_event_files(runs))
    assert lines[-1].split() == [f"{whole / 1000:.3g}", "kB", "total"]
    assert [line.split()[-1] for line in lines if line.startswith("    bytes")] == ["kind", "run", "tag"]
    status, lines, _ = run(capsys, "stats", runs, "--json")
    rows = list(map(json.loads, lines))
    assert sum(row["bytes"] for row in rows) == sum(os.path.getsize(path) for path in find_event_files(runs))
    assert [row["bytes"] for row in rows] == sorted((row["bytes"] for row in rows), reverse=True)
    assert {(row["run"], row["tag"], row["kind"]): row["count"] for row in rows}["pair_a", "pair", "scalar"] == 1


@pytest.mark.parametrize("command", ["dump", "tags", "show", "tail", "export", "diff", "stats"])
def test_what_matches_nothing_is_an_error(capsys, runs, command):
    more = {"show": ["*"], "diff": [runs]}.get(command, [])
    for wrong, words in (
        (["--run", "pair"], "no run 'pair' here; nearest: 'pair_b', 'pair_a'"),
        (["--run", "none"], "no run 'none' here, but '.', 'pair_a', 'pair_b'"),
        (["--steps", "100:"], "no selected values here at these steps"),
        (["--tag", "los"], "no tag 'los' here; nearest: 'loss'"),
        (["--tag", "ext*"], "no tag 'ext*' here; nearest: 'text/text_summary'"),
        (["--tag", "mag"], "no tag 'mag' here; nearest: 'image'"),
        (["--tag", "^z", "--regex"], "no tag '^z' here, but "),
    ):
        if command == "show" and wrong[0] == "--tag":
            more = []
        for as_json in ([], ["--json"]):
            status, lines, errors = run(capsys, command, runs, *more, *wrong, *as_json)
            assert (status, lines) == (1, [])
            assert errors.startswith(f"error: {runs}: {words}")
            assert errors.count("\n") == 1 + (command == "diff")


def test_each_tag_and_run_that_is_not_there_is_named(capsys, curves, runs):
    status, lines, errors = run(
        capsys, "tags", curves, "--tag", "loss/val", "--tag", "loss/tran", "--run", "a", "--run", "bb"
    )
    assert (status, len(lines)) == (1, 2)
    assert errors == (
        f"error: {curves}: no run 'bb' here; nearest: 'b'\n"
        f"error: {curves}: no tag 'loss/tran' here; nearest: 'loss/val'\n"
    )
    status, lines, errors = run(capsys, "export", runs, "--tag", "image")
    assert (status, errors) == (1, f"error: {runs}: 'image' has no scalar values, only image\n")
    status, lines, errors = run(capsys, "dump", runs, "--kind", "mesh", "--kind", "audio")
    assert (status, errors) == (
        1,
        f"error: {runs}: no audio or mesh values here, only scalar, histogram, text, image\n".replace(
            "scalar, histogram, text, image", "histogram, image, scalar, text"
        ),
    )
    with pytest.raises(SystemExit) as caught:
        main(["tags", str(runs), "--kind", "imag"])
    assert caught.value.code == 2
    assert "no kind 'imag'; nearest: 'image'" in capsys.readouterr().err


def test_many_and_long_names_cost_little_where_one_is_not_there(monkeypatch):
    calls = []
    monkeypatch.setattr(tags, "get_close_matches", lambda name, names, n: calls.append((name, names)) or [])
    names = [f"tag{number}" for number in range(100_000)] + ["x" * 10**6]
    assert tags.nearest("y" * 10**6, names) == ", but 'tag0', 'tag1', 'tag2' and 99,998 more"
    ((name, compared),) = calls
    assert len(name) <= 100
    assert len(compared) <= 1000
    assert len(tags.nearest("xx", names)) < 200


@pytest.mark.parametrize("content", [b"", _core.frame(Event(file_version="brain.Event:2").SerializeToString())])
def test_files_without_values_are_named(capsys, tmp_path, content):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(content)
    message = "1 event file, no values" + " (empty)" * (not content)
    for where in (path, tmp_path):
        assert run(capsys, "tags", where) == (1, [], f"error: {where}: {message}\n")
    for command in ("stats", "export", "dump", "tail"):
        status, lines, errors = run(capsys, command, path)
        if command in ("stats", "dump") and content:
            assert (status, errors) == (0, "")  # dump prints the file_version
        else:
            assert (status, errors) == (1, f"error: {path}: {message}\n")
    with tbc.SummaryWriter(tmp_path / "other") as writer:
        writer.add_scalar("loss", 1)
    status, lines, errors = run(capsys, "tags", tmp_path)
    assert (status, len(lines), errors) == (0, 2, f"note: {tmp_path}: {message}\n")
    status, lines, errors = run(capsys, "tags", path, tmp_path / "other")
    assert (status, len(lines), errors) == (0, 2, f"note: {path}: {message}\n")


def test_tags_lists_what_has_no_tag(capsys, tmp_path):
    with tbc.SummaryWriter(tmp_path, purge_step=3) as writer:
        writer.add_graph(GraphDef(node=[{"name": "a"}]))
        writer.add_scalar("loss", 1, 3)
    status, lines, errors = run(capsys, "tags", tmp_path)
    assert (status, errors) == (0, "")
    assert [line.split() for line in lines] == [
        ["loss", "scalar", "1", "step", "3"],
        ["-", "session_log", "1", "step", "3"],
        ["-", "graph", "1", "step", "0"],
    ]
    assert {json.loads(line)["tag"] for line in run(capsys, "tags", tmp_path, "--json")[1]} == {"loss", ""}


@pytest.fixture
def several(curves, monkeypatch):
    """Change to the directory of the two runs, which also has a file that is not an event file."""
    (curves / "notes.txt").write_text("no event file")
    monkeypatch.chdir(curves)
    return ["a", "b/"]


@pytest.mark.parametrize("command", ["dump", "tags", "show", "tail", "stats"])
def test_of_several_paths_a_run_is_named_by_its_path(capsys, several, command):
    more = {"show": ["loss/val"], "tail": ["-n", "80"]}.get(command, [])
    status, lines, errors = run(capsys, command, *several, *more)
    assert (status, errors) == (0, "")
    if command == "stats":
        assert {line.split()[-1] for line in lines if re.search("[^/](a|b)$", line)} == {"a", "b"}
    else:
        assert [line for line in lines if re.match(r"[ab]:", line)][:2] in (
            ["a:", "b:"],
            [f"{name}: loss/val  (40 points)" for name in "ab"],
        )
    status, lines, errors = run(capsys, command, "--json", *several, *more)
    rows = list(map(json.loads, lines))
    assert {(row["run"], row["path"]) for row in rows} == {("a", "a"), ("b", "b/")}
    alone = [row for path in several for row in map(json.loads, run(capsys, command, path, "--json", *more)[1])]
    assert {row["run"] for row in alone} == {"."}
    assert sorted(map(json.dumps, alone)) == sorted(json.dumps(row | {"run": "."}) for row in map(without_path, rows))


def without_path(row):
    return {name: cell for name, cell in row.items() if name != "path"}


def test_verify_repair_and_export_of_several_paths(capsys, tmp_path, several):
    assert run(capsys, "verify", *several)[1][-1].startswith("2 files, 88 records, ")
    status, lines, errors = run(capsys, "repair", *several, "--json", tmp_path / "copies")
    assert (status, errors) == (0, "")
    assert [Path(json.loads(line)["copy"]).parent for line in lines] == [tmp_path / "copies" / name for name in "ab"]
    status, lines, errors = run(capsys, "export", *several, "--steps", "3:3", "--format", "jsonl")
    assert [json.loads(line)["run"] for line in lines] == ["a", "b"]
    status, lines, _ = run(capsys, "export", ".", "b", "a", "--steps", "3:3", "--json")  # "." contains a and b
    assert [json.loads(line)["run"] for line in lines] == ["a", "b"]


@pytest.mark.parametrize("command", ["dump", "tags", "show", "tail", "verify", "stats", "export", "repair"])
def test_a_bad_path_among_good_ones_does_not_keep_them_from_being_read(capsys, tmp_path, several, command):
    more = {"show": ["loss/val"], "repair": [tmp_path / "copies"]}.get(command, [])
    expected = run(capsys, command, *several, "--json", *more)[1]
    shutil.rmtree(tmp_path / "copies", ignore_errors=True)
    for bad in ("none", "notes.txt") if command != "repair" else ("none",):
        arguments = {"show": ["--tag", *more, bad], "repair": [bad, *more]}.get(command, [bad])
        status, lines, errors = run(capsys, command, *several, "./a", "a", "--json", *arguments)
        assert (status, lines[: len(expected)]) == (1, expected)
        if command != "verify":  # verify reports it as a finding, on stdout
            assert lines == expected
            assert errors.startswith(f"error: {bad}: ")


def test_show_distinguishes_paths_from_tags(capsys, several, curves):
    def rows(*arguments):
        status, lines, errors = run(capsys, "show", *arguments, "--json")
        return status, [(row["run"], row["tag"]) for row in map(json.loads, lines)], errors

    both = [("a", "loss/val"), ("b", "loss/val")]
    assert (
        rows("a", "b", "loss/val") == rows("a", "b", "--tag", "loss/*") == rows("a", "loss/val", "b") == (0, both, "")
    )
    assert rows(".", "loss/val", "--run", "b") == (0, both[1:], "")
    assert rows("a", "b", "loss/val", "--run", "b") == (0, both[1:], "")  # the printed name; at its path b is "."
    status, lines, errors = rows("a", "b")
    assert (status, lines) == (2, [])
    assert errors == (
        "error: expected a tag: show PATH TAG, or show PATH --tag TAG; "
        "'b' exists, so it is a path; for the tag, use --tag b\n"
    )
    assert rows("a")[0] == 2
    status, lines, errors = rows("a", "notes.txt", "loss/val")
    assert (status, lines) == (1, both[:1])
    assert errors.startswith("error: notes.txt: ")
    (curves / "loss").mkdir()
    status, lines, errors = rows("a", "loss", "loss/val")
    assert (status, lines) == (1, both[:1])
    assert errors == (
        "error: loss: no event file here\nnote: 'loss' exists, so it is a path; for the tag, use --tag loss\n"
    )


def test_show_takes_the_path_once_more_for_a_tag(capsys, curves, monkeypatch):
    monkeypatch.chdir(curves)
    with tbc.SummaryWriter("keras") as writer:
        writer.add_text("keras/text_summary", "a model")
        writer.add_scalar("keras", 0.5, 3)
    status, lines, errors = run(capsys, "show", "keras", "keras", "--json")
    assert (status, errors) == (0, "")
    assert [json.loads(line)["tag"] for line in lines] == ["keras"]
    status, lines, errors = run(capsys, "show", "a", "a")
    assert (status, lines, errors.count("\n")) == (1, [], 1)
    assert errors.startswith("error: a: no tag 'a' here; ")


def test_show_of_a_kind_needs_no_tag(capsys, tmp_path):
    with tbc.SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", 0.5, 3)
    with tbc.FileWriter(str(tmp_path)) as writer:
        writer.add_event(Event(graph_def=GraphDef(node=[{"name": "n", "op": "Relu"}]).SerializeToString()))
    status, lines, errors = run(capsys, "show", tmp_path, "--kind", "graph")
    assert (status, errors) == (0, "")
    assert lines[0] == "-  (graph, 1 value)"
    assert re.fullmatch(r"  step 0  .*  1 nodes?, \d+ bytes", lines[1])
    status, lines, errors = run(capsys, "show", tmp_path, "graph")
    assert (status, lines) == (1, [])
    assert errors == f"error: {tmp_path}: no tag 'graph' here; for the kind, use --kind graph\n"
    status, lines, errors = run(capsys, "show", tmp_path, "los")
    assert errors == f"error: {tmp_path}: no tag 'los' here; nearest: 'loss'\n"
    status, lines, errors = run(capsys, "show", tmp_path, "x")
    assert errors == f"error: {tmp_path}: no tag 'x' here, but 'loss'\n"
    status, lines, errors = run(capsys, "stats", tmp_path, "--kind", "graph")
    assert lines[-3].endswith("  graph           -")


def test_show_of_what_has_no_tag(capsys, tmp_path):
    write(tmp_path / "tfevents", VERSION, Event(meta_graph_def=b"\x0a\x00"))
    status, lines, errors = run(capsys, "show", tmp_path, "*")
    assert (status, lines) == (1, [])
    assert errors == f"error: {tmp_path}: no tag here; for meta_graph, use --kind\n"
    write(tmp_path / "tfevents", VERSION)
    assert run(capsys, "show", tmp_path, "*") == (1, [], f"error: {tmp_path}: no tag here\n")


def test_notes_of_many_runs_fit_on_the_screen_and_leave_out_no_error(capsys, tmp_path):
    for number in range(40):
        write(tmp_path / f"empty{number}" / "tfevents", VERSION)
    for number in range(40):
        write(tmp_path / f"run{number}" / "tfevents.0", VERSION, scalar(3), scalar(4))
        write(tmp_path / f"run{number}" / "tfevents.1", VERSION, scalar(3))
    status, lines, errors = run(capsys, "tags", tmp_path)
    assert (status, len(lines)) == (0, 80)
    notes = errors.splitlines()
    assert len(notes) == 12  # the limit of 10, the line on hidden values, and the count of the rest
    assert notes[0].startswith(f"note: {tmp_path}: 80 values hidden")
    assert notes[1] == f"note: {tmp_path}/empty0: 1 event file, no values"
    assert notes[-1] == "note: 30 more notes"
    damage(tmp_path / "run9" / "tfevents.0", -10)
    status, lines, errors = run(capsys, "tags", *sorted(tmp_path.iterdir()))
    assert status == 1
    (error,) = (line for line in errors.splitlines() if line.startswith("error: "))
    assert error.startswith(f"error: {tmp_path}/run9/tfevents.0: ")
    assert len(errors.splitlines()) == 13


def test_tags_names_one_step_once(capsys, tmp_path):
    with tbc.SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", 0.5, 3)
        writer.add_scalar("loss", 0.25, 3)
    assert run(capsys, "tags", tmp_path)[1] == ["loss  scalar                 2  step 3"]


def test_options_may_stand_anywhere(capsys, several):
    expected = run(capsys, "tags", *several, "--json")
    for arguments in (["--json", *several], ["a", "--json", "b/"]):
        assert run(capsys, "tags", *arguments) == expected
    assert run(capsys, "tags", "--json", "--", *several) == expected


def test_what_is_hidden_is_told_and_can_be_shown(capsys, tmp_path):
    for name, factor in (("a", 1), ("b", 2)):
        for number, values in enumerate(([1, 2, 9], [3 / factor])):  # the second file replaces the values of step 1 on
            points = [scalar(step + number, "loss", 1e9, value * factor) for step, value in enumerate(values)]
            write(tmp_path / name / f"tfevents.{number}", VERSION, *points)
    note = "2 values hidden, since a later event file replaces them; --all shows them\n"
    for arguments in (["show", "loss"], ["tags", "--kind", "scalar"], ["export"], ["tail"]):
        command, *more = arguments
        status, lines, errors = run(capsys, command, tmp_path / "a", *more, "--json")
        assert (status, errors) == (0, f"note: {tmp_path}/a: {note}")
        assert len(lines) == 2 or json.loads(lines[0])["count"] == 2
        status, lines, errors = run(capsys, command, tmp_path / "a", *more, "--json", "--all")
        assert (status, errors) == (0, "")
        assert len(lines) == 4 or json.loads(lines[0])["count"] == 4
    status, lines, errors = run(capsys, "diff", tmp_path / "a", tmp_path / "b", "--kind", "scalar")
    assert (status, errors.count(note)) == (1, 2)
    assert "loss: 1 value differs, at step 0: 1 and 2" in lines[0]
    status, lines, errors = run(capsys, "diff", tmp_path / "a", tmp_path / "b", "--kind", "scalar", "--all")
    assert (status, errors) == (1, "")
    assert "loss: 3 values differ" in lines[0]


@pytest.fixture
def hidden(tmp_path):
    """A run whose tag "b" has only hidden values."""
    write(tmp_path / "run" / "events.1.tfevents", VERSION, scalar(5, "a"), scalar(5, "b"))
    write(tmp_path / "run" / "events.2.tfevents", VERSION, start(0), scalar(1, "a"))
    return tmp_path / "run"


@pytest.mark.parametrize("command", ["tags", "tail", "export"])
def test_what_is_hidden_is_printed_despite_much_damage(capsys, tmp_path, command):
    for i in range(30):
        damaged = bytearray(b"".join(frames(VERSION, *map(scalar, range(8)))))
        damaged[60] ^= 1
        (tmp_path / f"{i}").mkdir()
        (tmp_path / f"{i}" / "events.1.tfevents").write_bytes(damaged)
        write(tmp_path / f"{i}" / "events.2.tfevents", VERSION, scalar(3))
    for paths, where in (([tmp_path], f"{tmp_path}: "), (sorted(tmp_path.iterdir()), "")):
        _, _, errors = run(capsys, command, *paths)
        assert f"note: {where}150 values hidden, since a later event file replaces them (5 of " in errors
        assert errors.count(" hidden, ") == 1


def test_dump_knows_the_kinds_of_a_run_as_tags_does(capsys, tmp_path):
    """A writer may omit the metadata after the first value of a tag."""
    for step, plugin in ((1, "text"), (2, "")):
        event = scalar(step, "t")
        value = event.summary.value[0]
        value.tensor.dtype = 7
        value.tensor.string_val.append(b"hi")
        value.metadata.plugin_data.plugin_name = plugin
        write(tmp_path / f"events.{step}.tfevents", VERSION, event)
    _, lines, _ = run(capsys, "dump", tmp_path, "--kind", "text", "--json")
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_tail_of_any_number_of_lines(capsys, curves):
    assert run(capsys, "tail", curves, "-n", "9" * 5000) == run(capsys, "tail", curves, "-n", "1000")


def test_tail_finds_a_tag_whose_values_are_all_hidden(capsys, hidden):
    status, lines, errors = run(capsys, "tail", hidden, "--tag", "b")
    assert (status, lines) == (0, [])
    assert errors.startswith(f"note: {hidden}: 1 value hidden")
    assert errors.count("\n") == 1


def test_diff_of_values_that_are_all_hidden_compares_nothing(capsys, hidden):
    status, lines, errors = run(capsys, "diff", hidden, hidden, "--tag", "b")
    assert (status, lines) == (1, [])
    assert errors.endswith(f"error: {hidden}, {hidden}: nothing to compare; only --tag 'b'\n")


@pytest.mark.parametrize("command", ["dump", "tags", "show", "tail", "export", "stats"])
def test_a_path_that_is_not_there_is_one_error(capsys, tmp_path, command):
    status, lines, errors = run(capsys, command, tmp_path / "none", "--tag", "loss")
    assert (status, lines, errors.count("\n")) == (1, [], 1)
    assert errors.startswith(f"error: {tmp_path / 'none'}: No such file") or command == "tail"
    assert "no values" not in errors


def test_a_path_that_is_not_there_is_no_run_without_values(capsys, curves):
    status, _, errors = run(capsys, "tags", curves / "a", curves / "none", curves / "b")
    assert status == 1
    assert errors == f"error: {curves / 'none'}: No such file or directory\n"


def test_tail_prints_a_run_of_two_paths_once(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a" / "events.1.tfevents", VERSION, scalar(1, "loss"))
    for paths in (("a", "."), (".", "a")):
        assert run(capsys, "tail", *paths)[1][1:] == run(capsys, "tail", "a")[1]


def test_a_tag_without_a_name_is_not_among_the_nearest(capsys, tmp_path):
    write(tmp_path / "events.1.tfevents", VERSION, scalar(1, "loss"))
    _, _, errors = run(capsys, "tags", tmp_path, "--tag", "xyz")
    assert errors == f"error: {tmp_path}: no tag 'xyz' here, but 'loss'\n"


def test_diff_says_what_a_restart_hides(capsys, tmp_path):
    write(tmp_path / "a" / "events.1.tfevents", VERSION, scalar(1), scalar(2), scalar(3, value=7))
    write(tmp_path / "a" / "events.2.tfevents", VERSION, scalar(3))
    write(tmp_path / "b" / "events.1.tfevents", VERSION, scalar(1), scalar(2), scalar(3))
    status, lines, errors = run(capsys, "diff", tmp_path / "a", tmp_path / "b")
    assert (status, len(lines)) == (0, 1)
    assert errors.startswith(f"note: {tmp_path}/a: 1 value hidden")
    status, lines, errors = run(capsys, "diff", tmp_path / "a", tmp_path / "b", "--all")
    assert (status, errors) == (1, "")
    assert lines[0] == "loss: 1 value on one side only; the lowest such step, 3, is in the first: 0.5"


def test_many_curves_are_a_line_each(capsys, tmp_path):
    for number in range(9):
        with tbc.SummaryWriter(tmp_path / f"run{number}") as writer:
            for step in range(5):
                writer.add_scalar("loss", math.nan if number == 8 else number + abs(step - 2), step)
    status, lines, errors = run(capsys, "show", tmp_path, "loss")
    assert (status, errors) == (0, "")
    assert [line.split() for line in lines[1:10:8]] == [
        ["5", "2", "0", "2", "2", "0", "run0:", "loss"],
        ["5", "nan", "nan", "nan", "run8:", "loss"],
    ]
    assert [line.split()[:6] for line in lines[-2:]] == [
        ["min", "loss:", "0", "at", "step", "2,"],
        ["max", "loss:", "9", "at", "step", "0,"],
    ]


def test_tail_ends_when_its_reader_ends(tmp_path):
    with tbc.SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", 1, 1)
    command = f"{sys.executable} -m tbc.reader tail -f {tmp_path} | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert (result.returncode, result.stderr, result.stdout.count("loss")) == (0, "", 1)


def test_urls_that_lead_nowhere(capsys, tmp_path):
    pytest.importorskip("fsspec")
    for arguments in (["tags", "memory://none"], ["dump", "memory://none"], ["diff", tmp_path, "memory://none"]):
        status, lines, errors = run(capsys, *arguments)
        assert (status, lines) == (1, [])
        assert errors.startswith("error: ")
        assert "Traceback" not in errors
    assert run(capsys, "tail", "memory://x")[2] == "error: memory://x: only local files can be followed\n"
    for url in ("nothing://x", "zip://a::file://b.zip"):
        status, _, errors = run(capsys, "tags", url)
        assert (status, errors.startswith("error: "), errors.count("\n")) == (1, True, 1)


def test_values_are_chosen(capsys, runs):
    def tags(*arguments):
        return {json.loads(line)["tag"] for line in run(capsys, "tags", runs, "--json", *arguments)[1]}

    assert tags("--kind", "scalar") == {"loss", "precise", "pair"}
    assert tags("--tag", "l*", "--tag", "image") == {"loss", "image"}
    assert tags("--regex", "--tag", "^p") == {"precise", "pair"}
    assert tags("--run", "pair_*") == {"", "pair"}
    assert tags("--steps", "2:3") == {"loss", "precise"}
    for arguments in (["--steps", "2:3"], ["--tag", "l*", "--kind", "scalar"], ["--run", "pair_a"]):
        dumped = {json.loads(line)["tag"] for line in run(capsys, "dump", runs, "--json", *arguments)[1]}
        assert dumped == tags(*arguments)
    for wrong in (["--steps", "3"], ["--steps", "6:5"], ["--kind", "scalars"]):
        with pytest.raises(SystemExit):
            main(["tags", str(runs), *wrong])


def test_a_pipe_that_closes_early_is_no_error(runs):
    command = f"{sys.executable} -m tbc.reader dump {runs} | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, cwd=runs)
    assert (result.returncode, result.stderr) == (0, "")


def test_it_works_where_the_extension_is_not_built(tmp_path, runs):
    """A copy of the package without compiled code prints the same lines."""
    shutil.copytree(Path(tbc.__file__).parent, tmp_path / "tbc", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for arguments in (["dump"], ["tags"], ["show", "*"], ["tail"], ["verify"], ["export", "--wide"], ["stats"]):
        command = [sys.executable, "-m", "tbc.reader", arguments[0], str(runs), *arguments[1:]]
        with_extension = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=runs, check=True)
        without = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True)
        assert without.stdout == with_extension.stdout != ""
    script = """if True:
        import tbc.reader.records as r, tbc.reader.loader as loader
        print(r.crc32c is r.crc32c_in_python, loader._scan, r.__file__)
    """
    check = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert check.stdout.split() == ["True", "None", str(tmp_path / "tbc/reader/records.py")]


def opcodes_of(*arguments):
    """Return how many opcodes run in commands/: unlike time, this is the same on any machine."""
    counts = Counter()

    def count(frame, event, argument):
        if os.path.dirname(frame.f_code.co_filename) != os.path.dirname(commands.__file__):
            return None
        frame.f_trace_opcodes = True
        counts["opcodes"] += event == "opcode"
        return count

    sys.settrace(count)
    try:
        assert main(list(map(str, arguments))) == 0
    finally:
        sys.settrace(None)
    return counts["opcodes"]


@pytest.mark.parametrize("command", ["dump", "tags", "show", "tail", "export", "stats"])
@pytest.mark.parametrize("what", ["tags", "runs", "values"])
def test_work_is_linear(capsys, tmp_path, monkeypatch, command, what):
    """Twice the tags, runs or values of an event take at most twice the work."""
    totals = Counter()
    monkeypatch.setattr(Counter, "total", lambda self: totals.update(calls=1) or sum(self.values()))
    events = {}
    for number in (100, 200):
        root = tmp_path / str(number)
        for run in range(number if what == "runs" else 2):
            (root / f"run{run}").mkdir(parents=True)
            each = range(1 if what == "runs" else number)
            values = [{"tag": f"tag{i}" if what == "tags" else "tag", "simple_value": i} for i in each]
            several = [values] if what == "values" else [[value] for value in values]
            content = b"".join(
                _core.frame(Event(wall_time=1e9, step=1, summary={"value": values}).SerializeToString())
                for values in several
            )
            (root / f"run{run}" / "events.out.tfevents.1").write_bytes(content)
        events[number] = opcodes_of(command, root, *["*"] * (command == "show"))
    assert events[200] < 2.3 * events[100]
    assert totals["calls"] < 20


def test_a_number_has_one_spelling(capsys, tmp_path):
    numbers = {"2**53": 2.0**53, "-0.0": -0.0, "sevenths": 16777216 / 7, "tenth": 0.1, "single": 0.1, "large": 1e300}
    words = {"2**53": "9007199254740992", "-0.0": "-0", "sevenths": "2396745.1428571427", "tenth": "0.1"}
    words |= {"single": "0.1", "large": "1e+300"}
    with tbc.SummaryWriter(tmp_path) as writer:
        for tag, number in numbers.items():
            writer.add_scalar(tag, number, 1, new_style=True, double_precision=tag != "single")
    for command in ("dump", "tail"):
        _, lines, _ = run(capsys, command, tmp_path, *["--kind", "scalar"] * (command == "dump"))
        assert {line.split()[3]: line.split()[-1] for line in lines} == words
    _, lines, _ = run(capsys, "show", tmp_path, *numbers)
    shown = dict(zip(numbers, [line.split()[1] for line in lines if line.startswith("  last")], strict=True))
    assert shown == words
    with tbc.SummaryWriter(tmp_path) as writer:
        for number in range(9):  # more than MOST_CURVES, so show prints a table
            writer.add_scalar(f"more{number}", 1, 1)
    _, lines, _ = run(capsys, "show", tmp_path, "*")
    assert {line.split()[-1]: line.split()[1] for line in lines[1:7]} == words
    _, lines, _ = run(capsys, "export", tmp_path, "--tag", "single", "--tag", "tenth", "--json")
    assert [json.loads(line)["value"] for line in lines] == [0.1, 0.10000000149011612]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (2.0**24 + 1, "16777217"),
        (2.0**53, "9007199254740992"),
        (-(2.0**53), "-9007199254740992"),
        (1e15, "1000000000000000"),
        (1e16, "1e+16"),
        (16777216 / 7, "2396745.1428571427"),
        (float(np.float32(16777216 / 7)), "2396745.2"),
        (float(np.float32(0.1)), "0.1"),
        (0.1, "0.1"),
        (1 / 3, "0.3333333333333333"),
        (5e-324, "5e-324"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_shortest(number, text):
    assert shortest(number) == text


@given(st.floats(allow_nan=False))
def test_a_spelling_gives_the_number_back(number):
    text = shortest(number)
    single = np.float32(number) if abs(number) < 3e38 else np.float32(0)
    assert float(text) == number or (float(single) == number and np.float32(text) == single)
    assert np.copysign(1, float(text)) == np.copysign(1, number)


def test_damage_takes_a_few_lines_of_a_file(capsys, tmp_path):
    with tbc.SummaryWriter(tmp_path / "0") as writer:
        for step in range(300):
            writer.add_text("loss", "\n", step)
    (path,) = (tmp_path / "0").iterdir()
    content = bytearray(path.read_bytes())
    for offset, _ in list(read_frames(path))[1::2]:  # every other record: adjoining damage would be one error
        content[offset + 20] ^= 1
    for number in range(50):
        (tmp_path / str(number)).mkdir(exist_ok=True)
        (tmp_path / str(number) / path.name).write_bytes(content)
    for command in ("tags", "dump", "show", "export", "stats", "tail"):
        more = ["loss*"] if command == "show" else []
        status, _, errors = run(capsys, command, path, *more)
        assert status == 1
        assert len(errors.splitlines()) <= 6
        errors = run(capsys, command, tmp_path, *more)[2]
        assert len(errors.splitlines()) <= 30
    errors = run(capsys, "stats", path)[2]
    assert re.search(rf"^note: {re.escape(str(path))}: \d+ more problems?; see tbc-reader verify {path}$", errors, re.M)


def test_a_text_that_stands_for_a_million_is_shown_once(capsys, tmp_path):
    tensor = {"dtype": 7, "string_val": [b"x" * 1000], "tensor_shape": {"dim": [{"size": 1 << 20}]}}
    metadata = {"plugin_data": {"plugin_name": "text"}}
    many = {"dtype": 7, "string_val": [b"y"] * 1000, "tensor_shape": {"dim": [{"size": 1000}]}}
    values = [
        {"tag": "one", "tensor": tensor, "metadata": metadata},
        {"tag": "many", "tensor": many, "metadata": metadata},
    ]
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(_core.frame(Event(summary={"value": values}).SerializeToString()))
    assert len(run(capsys, "show", path, "one")[1]) < 10
    assert len(run(capsys, "show", path, "many")[1]) < 120


def test_help_says_the_exit_codes(capsys):
    for arguments in (["--help"], ["tags", "--help"], ["show", "--help"]):
        with pytest.raises(SystemExit):
            main(arguments)
        text = capsys.readouterr().out
        assert re.search("exit status", text, re.I)
        assert all(word in " ".join(text.split()) for word in ("2 for wrong arguments", "1 for damage"))


def test_wide_letters_stand_in_columns(capsys, tmp_path):
    with tbc.SummaryWriter(tmp_path) as writer:
        for tag in ("损失", "loss", "e\u0301", "x" * 100):
            writer.add_scalar(tag, 1)
    _, lines, _ = run(capsys, "tags", tmp_path)
    assert [
        line.index("scalar") + line.count("损") + line.count("失") - line.count("\u0301") for line in lines[:3]
    ] == [34] * 3
    assert lines[3] == "x" * 100 + "  scalar                 1  step 0"


def test_lines_of_common_scalars_fit_into_80_columns(capsys, tmp_path):
    rng = np.random.default_rng(0)
    for name in "abcdefghi":
        with tbc.SummaryWriter(tmp_path / name) as writer:
            for step in range(0, 100_000, 5000):
                writer.add_scalar("loss", rng.normal(), step)
                writer.add_scalar("loss/val", rng.normal(), step, new_style=True, double_precision=True)
    for arguments in (["tags"], ["dump", "--tag", "loss"], ["tail", "--tag", "loss"], ["show", "loss"], ["stats"]):
        status, lines, _ = run(capsys, arguments[0], tmp_path, *arguments[1:])
        assert status == 0
        assert max(len(line) for line in lines if not line.startswith(("min ", "max "))) <= 80
    _, lines, _ = run(capsys, "show", tmp_path / "a", "loss/val")
    assert max(map(len, lines)) <= 80
    assert len({line.index("step") for line in lines if re.match("  (last|min|max)", line)}) == 1
