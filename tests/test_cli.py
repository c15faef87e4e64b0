import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tbc
from tbc import _core
from tbc.proto import Event
from tbc.reader import find_event_files
from tbc.reader.__main__ import main
from tbc.reader.describe import printable

DATA = Path(__file__).parent / "data"


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
    row = {"run": ".", "tag": "loss", "kind": "scalar", "count": 2, "first_step": 1, "last_step": 2}
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
    """Every kind they have, printed right."""
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


def test_a_pipe_that_closes_early_is_no_error(runs):
    command = f"{sys.executable} -m tbc.reader dump {runs} | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, cwd=runs)
    assert (result.returncode, result.stderr) == (0, "")


def test_it_works_where_the_extension_is_not_built(tmp_path, runs):
    """A copy of the package without compiled code gives the same lines."""
    shutil.copytree(Path(tbc.__file__).parent, tmp_path / "tbc", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    command = [sys.executable, "-m", "tbc.reader", "dump", str(runs)]
    with_extension = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=runs, check=True)
    without = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True)
    assert without.stdout == with_extension.stdout != ""
    script = "import tbc.reader.records as r; print(r.crc32c is r.crc32c_in_python, r.__file__)"
    check = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert check.stdout.split() == ["True", str(tmp_path / "tbc/reader/records.py")]
