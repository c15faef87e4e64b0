"""What a restart hides: a later event file replaces values of earlier ones, and nothing else does.

TensorBoard's two servers have other rules. The tests ask them over HTTP and compare with the table CASES, so that a
change in a new version of TensorBoard is noticed. docs/reading.md has the same table in words.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from helpers.eventfiles import VERSION, frames, scalar, start, write
from hypothesis import given
from hypothesis import strategies as st
from torture import readers

import tbc
from tbc.proto import Event
from tbc.reader import (
    KINDS,
    compare,
    find_event_files,
    follow,
    load_runs,
    load_scalars,
    loader,
    series,
    to_dataset,
    to_pandas,
)
from tbc.reader.__main__ import main
from tbc.reader.load import Tree
from tbc.reader.tags import matcher
from tbc.testing import assert_logged

PATIENCE = 120  # seconds to wait for a server to start and to read


def both(steps):
    return [(tag, step) for step in steps for tag in "ab"]


def a(steps):
    return [("a", step) for step in steps]


def start_at(step):
    return [(None, step)]


RESTARTED = [0, 1, 2, 3, 4, 105, 106, 107]
ALL = [*range(8), 105, 106, 107]
# Each case: the files of a run, each a list of (tag, step). The tag None is the start of a session (purge_step).
# Then the values of each tag that tbc, RustBoard and the Python server show. A value is 100 * file + step.
CASES = {
    "a restart": ([both(range(8)), both(range(5, 8))], *({"a": x, "b": x} for x in (RESTARTED, RESTARTED, ALL))),
    "a restart with purge_step": (
        [both(range(8)), start_at(5) + both(range(5, 8))],
        *({"a": x, "b": x} for x in (RESTARTED, RESTARTED, ALL)),
    ),
    "purge_step in each session": (
        [start_at(0) + both(range(8)), start_at(5) + both(range(5, 8))],
        *[{"a": RESTARTED, "b": RESTARTED}] * 3,
    ),
    "a tag that is not logged again": (
        [both(range(8)), a(range(5, 8))],
        *({"a": x, "b": [*range(8)]} for x in (RESTARTED, RESTARTED, ALL)),
    ),
    "a tag that is not logged again, with purge_step": (
        [both(range(8)), start_at(5) + a(range(5, 8))],
        {"a": RESTARTED, "b": [*range(5)]},
        {"a": RESTARTED, "b": [*range(8)]},
        {"a": ALL, "b": [*range(8)]},
    ),
    "a tag that is not logged again, with purge_step in each session": (
        [start_at(0) + both(range(8)), start_at(5) + a(range(5, 8))],
        {"a": RESTARTED, "b": [*range(5)]},
        {"a": RESTARTED, "b": [*range(8)]},
        {"a": RESTARTED, "b": [*range(5)]},
    ),
    "one late value": (
        [a([*range(8), 3, 8, 9])],
        {"a": [*range(8), 3, 8, 9]},
        {"a": [0, 1, 2, 3, 8, 9]},
        {"a": [*range(8), 3, 8, 9]},
    ),
    "one late value in a later file": (
        [a(range(8)), a([8, 3, 9])],
        {"a": [*range(8), 108, 103, 109]},
        {"a": [0, 1, 2, 103, 109]},
        {"a": [*range(8), 108, 103, 109]},
    ),
    "steps that fall within a file": (
        [a([5, 6, 7, 3, 4])],
        {"a": [5, 6, 7, 3, 4]},
        {"a": [3, 4]},
        {"a": [5, 6, 7, 3, 4]},
    ),
    "a start within a file": (
        [a(range(8)) + start_at(5) + a(range(6, 8))],
        {"a": [*range(8), 6, 7]},
        {"a": [*range(8)]},
        {"a": [*range(8), 6, 7]},
    ),
    "no steps": ([a([0] * 4)], {"a": [0] * 4}, {"a": [0]}, {"a": [0] * 4}),
    "no steps, and a restart": ([a([0] * 4), a([0] * 2)], {"a": [100, 100]}, {"a": [100]}, {"a": [0] * 4 + [100, 100]}),
    "two writers at once": (
        [a(range(0, 10, 2)), a(range(1, 10, 2))],
        {"a": [0, 101, 103, 105, 107, 109]},
        {"a": [0, 101, 103, 105, 107, 109]},
        {"a": [0, 2, 4, 6, 8, 101, 103, 105, 107, 109]},
    ),
    "three sessions": (
        [a(range(8)), a(range(5, 9)), a(range(3, 6))],
        {"a": [0, 1, 2, 203, 204, 205]},
        {"a": [0, 1, 2, 203, 204, 205]},
        {"a": [*range(8), 105, 106, 107, 108, 203, 204, 205]},
    ),
    "three sessions, the last of which goes on": (
        [a(range(8)), a(range(5, 9)), a(range(9, 12))],
        {"a": [0, 1, 2, 3, 4, 105, 106, 107, 108, 209, 210, 211]},
        {"a": [0, 1, 2, 3, 4, 105, 106, 107, 108, 209, 210, 211]},
        {"a": [*range(8), 105, 106, 107, 108, 209, 210, 211]},
    ),
}


def value_of(file, step):
    return 100 * file + step


def write_run(directory, files):
    """Write the files of a run. Each point is (tag, step); the tag None is the start of a session."""
    for number, points in enumerate(files):
        events = [
            start(step) if tag is None else scalar(step, tag, 1.7e9 + 100 * number + i, value_of(number, step))
            for i, (tag, step) in enumerate(points)
        ]
        write(directory / f"events.out.tfevents.{number}", VERSION, *events)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("restart")
    for name, (files, *_) in CASES.items():
        write_run(root / name, files)
    return root


def shown_by(runs):
    return {
        name: {tag: [int(value) for value in scalars.value] for tag, scalars in run.scalars.items()}
        for name, run in runs.items()
    }


@pytest.mark.parametrize("by_kernel", [True, False])
def test_what_is_loaded(tree, by_kernel):
    with mock.patch.object(loader, "_scan", loader._scan if by_kernel else None):
        assert shown_by(load_runs(tree, purge=True)) == {name: ours for name, (_, ours, *_) in CASES.items()}
        for name, (files, ours, *_) in CASES.items():
            found = load_scalars(tree / name, purge=True)
            assert shown_by({name: series.Run(name, found, {})}) == {name: ours}
            hidden = {tag: scalars.hidden for tag, scalars in found.items()}
            logged = [tag for points in files for tag, _ in points if tag]
            assert hidden == {tag: logged.count(tag) - len(ours[tag]) for tag in ours}


@pytest.mark.parametrize(("load_fast", "which"), [("true", 2), ("false", 3)])
def test_what_tensorboard_shows(tree, load_fast, which):
    """The servers differ as docs/reading.md says."""
    if load_fast == "true" and not readers.has_rustboard:
        pytest.skip("no RustBoard")
    assert served(tree, load_fast) == {name: case[which] for name, case in CASES.items()}


def served(root, load_fast):
    """Return a server's answers once it has all runs, and two answers in a row are the same."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(root), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--load_fast", load_fast, "--reload_interval", "1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        before, found = None, {}
        deadline = time.monotonic() + PATIENCE
        while len(found) < len(CASES) or found != before:
            assert time.monotonic() < deadline, f"{len(found)} of {len(CASES)} runs"
            time.sleep(1)
            before, found = found, answers(port)
        return found
    finally:
        server.terminate()
        server.wait()


def answers(port):
    try:
        tags = ask(port, "tags")
        return {
            run: {tag: [int(value) for _, _, value in ask(port, "scalars", run=run, tag=tag)] for tag in tags[run]}
            for run in tags
        }
    except OSError:  # the server does not listen yet
        return {}


def ask(port, what, **query):
    url = f"http://127.0.0.1:{port}/data/plugin/scalars/{what}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


# --- any run, by the rule in docs/reading.md ---

POINTS = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 9)), max_size=8)


def left_by_the_rule(files):
    """Return {tag: [(file, step)]}: the points that the rule leaves."""
    points = [(number, tag, step) for number, of in enumerate(files) for tag, step in of]
    left = {tag: [] for _, tag, _ in points if tag}
    for number, tag, step in points:
        firsts = [next((s for t, s in of if t == tag), None) for of in files[number + 1 :]]
        starts = [s for of in files[number + 1 :] for t, s in of if t is None]
        cuts = [cut for cut in firsts + starts if cut is not None]
        if tag and not any(step >= cut for cut in cuts):
            left[tag].append((number, step))
    return left


@given(st.lists(POINTS, min_size=1, max_size=4), st.booleans(), st.none() | st.integers(0, 9))
def test_any_run(files, by_kernel, first):
    with tempfile.TemporaryDirectory() as directory:
        write_run(Path(directory), files)
        with mock.patch.object(loader, "_scan", loader._scan if by_kernel else None):
            found = load_scalars(directory, purge=True, steps=(first, None))
            everything = load_scalars(directory, purge=False)
    left = left_by_the_rule(files)
    wanted = {tag: [value_of(*point) for point in of if point[1] >= (first or 0)] for tag, of in left.items()}
    for tag, scalars in found.items():
        assert scalars.value.tolist() == wanted.pop(tag)
    assert not any(wanted.values())  # the other tags have no wanted value
    assert {tag: len(scalars) for tag, scalars in everything.items()} == {
        tag: [t for of in files for t, _ in of].count(tag) for tag in left
    }


def test_a_graph_outlasts_a_restart(tmp_path):
    write(tmp_path / "tfevents.1", VERSION, Event(step=5, graph_def=b"graph"), start(5))
    write(tmp_path / "tfevents.2", VERSION, start(0))
    for kernel in (loader._scan, None):
        with mock.patch.object(loader, "_scan", kernel):
            values = load_runs(tmp_path)["."].values
            assert values["graph"][""][:] == [b"graph"]
            assert values["session_log"][""].step.tolist() == [5, 0]


def test_steps_are_chosen_of_what_is_not_hidden(tmp_path):
    write_run(tmp_path, [a(range(11)), a([3, 12, 4])])
    for kernel in (loader._scan, None):
        with mock.patch.object(loader, "_scan", kernel):
            for steps, expected, hidden in (((3, 3), [3], 1), ((None, 2), [0, 1, 2], 0), ((5, 11), [], 6)):
                found = load_scalars(tmp_path, steps=steps, purge=True)["a"]
                assert (found.step.tolist(), found.hidden) == (expected, hidden)
            assert load_scalars(tmp_path, steps=(5, 11), purge=False)["a"].step.tolist() == [*range(5, 11)]


# --- warnings ---


def test_one_warning_says_what_is_hidden(tmp_path):
    for name in ("x", "y", "z"):
        write_run(tmp_path / name, [a(range(8)), a(range(5, 8))])
    write_run(tmp_path / "w", [a([0, 5, 3, 9])])
    advice = "purge=False keeps them, purge=True leaves them out without a warning"
    with pytest.warns(UserWarning, match="left out") as caught:
        runs = load_runs(tmp_path)
    several = "9 values are left out because a later event file of the run replaces them"
    assert [str(warning.message) for warning in caught] == [
        f"{tmp_path}: {several} (3 of 'x', 3 of 'y', 3 of 'z'); {advice}"
    ]
    assert caught[0].filename == __file__
    assert repr(runs["x"]) == "Run('x', 1 scalar, 1 file_version, 3 hidden)"
    assert repr(runs["x"].scalars["a"]) == "Scalars(8 values, steps 0 to 7, 3 hidden)"
    assert repr(runs["w"]) == "Run('w', 1 scalar, 1 file_version)"
    with pytest.warns(UserWarning, match="left out") as caught:
        load_scalars(tmp_path / "x")
    assert [str(warning.message) for warning in caught] == [f"{tmp_path / 'x'}: {several.replace('9', '3')}; {advice}"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(to_pandas(load_runs(tmp_path, purge=True))) == 3 * 8 + 4
        assert len(to_pandas(load_runs(tmp_path, purge=False))) == 3 * 11 + 4
        load_runs(tmp_path / "w")
        load_scalars(tmp_path / "w")


def test_warnings_are_at_the_line_that_called(tmp_path):
    write_run(tmp_path / "x", [a(range(8)), a(range(5, 8))])
    with open(tmp_path / "x" / "events.out.tfevents.0", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    (tmp_path / "gone").symlink_to("nowhere")
    calls = [
        lambda: load_scalars(tmp_path / "x"),
        lambda: load_runs(tmp_path),
        lambda: compare(tmp_path, load_runs(tmp_path, purge=True)),
        lambda: [*follow(tmp_path, idle=0)],
        lambda: find_event_files(tmp_path),
        lambda: assert_logged(tmp_path / "x", "a"),
    ]
    for call in calls:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("purge", [0, np.False_])
def test_what_is_false_keeps_all_as_false_does(tmp_path, purge):
    write_run(tmp_path, [a(range(8)), a(range(5, 8))])
    assert len(load_scalars(tmp_path, purge=purge)["a"]) == 11
    assert len(load_runs(tmp_path, purge=purge)["."].scalars["a"]) == 11
    assert sum(value.kind == "scalar" for _, value in follow(tmp_path, idle=0, purge=purge)) == 11


def test_a_tag_whose_values_are_all_hidden_stays(tmp_path):
    write_run(tmp_path, [both([5, 6]), [(None, 5), ("a", 7)]])
    found = load_runs(tmp_path, purge=True)["."].scalars
    assert {tag: (scalars.step.tolist(), scalars.hidden) for tag, scalars in found.items()} == {
        "a": ([7], 2),
        "b": ([], 2),
    }
    assert repr(found["b"]) == "Scalars(0 values, 2 hidden)"
    assert load_runs(tmp_path, purge=True, steps=(8, None)) == {}
    assert list(to_pandas(load_runs(tmp_path, purge=True), wide=True).columns) == ["run", "step", "a", "b"]


def test_a_dataset_leaves_out_the_same(tmp_path):
    pytest.importorskip("dask")
    write_run(tmp_path / "runs" / "x", [a(range(8)), a(range(5, 8))])
    write_run(tmp_path / "runs" / "y", [a(range(8))])
    with pytest.warns(UserWarning, match=r"3 values are left out because .* \(3 of 'x'\); purge=False keeps them"):
        found = to_dataset(tmp_path / "runs", tmp_path / "default")
    assert found == to_dataset(tmp_path / "runs", tmp_path / "hidden", purge=True)
    assert (found.rows, found.hidden) == (16, 3)
    assert to_dataset(tmp_path / "runs", tmp_path / "all", purge=False).rows == 19


# --- hyperparameters ---


def test_hparams_of_a_run_below(tmp_path):
    with tbc.SummaryWriter(tmp_path / "x") as writer:
        writer.add_scalar("loss", 1, 1)
        for lr in (0.1, 0.2):
            writer.add_hparams({"lr": lr}, {"best": 1})
    with tbc.SummaryWriter(tmp_path / "x" / "other") as writer:
        writer.add_hparams({"lr": 0.3}, {}, run_name=".")
    with tbc.SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", 1, 1)
    runs = load_runs(tmp_path)
    assert {name: run.hparams for name, run in runs.items() if "." not in name} == {
        "x": {"lr": 0.2},
        "x/other": {"lr": 0.3},
    }
    assert runs["."].hparams == {}
    assert load_runs(tmp_path, runs="x", tags="loss")["x"].hparams == {"lr": 0.2}
    assert load_runs(tmp_path / "x")["."].hparams == {"lr": 0.2}
    assert load_runs(tmp_path / "x", kinds="scalar")["."].hparams == {}


def test_hparams_of_its_own_come_first(tmp_path):
    with tbc.SummaryWriter(tmp_path) as writer:
        writer.add_hparams({"lr": 0.1}, {})
        writer.add_hparams({"lr": 0.2}, {}, run_name=".")
    assert load_runs(tmp_path)["."].hparams == {"lr": 0.2}


# --- counts without rows ---


@given(st.lists(POINTS, min_size=1, max_size=4), st.booleans(), st.sampled_from([None, False]))
def test_totals_of_any_run(files, by_kernel, purge):
    with tempfile.TemporaryDirectory() as directory:
        write_run(Path(directory), files)
        with mock.patch.object(loader, "_scan", loader._scan if by_kernel else None), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runs, tree = load_runs(directory, purge=purge), Tree(directory, matcher(None), None)
            totals = tree.load_totals((matcher(None), set(KINDS), None, purge))
    found = {(tag, "scalar"): scalars for tag, scalars in runs["."].scalars.items()}
    found |= {(tag, kind): values for kind, tags in runs["."].values.items() for tag, values in tags.items()}
    assert {(total.tag, total.kind): total for total in totals["."]} == {
        (tag, kind): series.Total(tag, kind, len(of), *ends_of(of.step.tolist()), of.size, of.hidden)
        for (tag, kind), of in found.items()
    }


def ends_of(steps):
    return (min(steps), max(steps)) if steps else (None, None)


@given(st.lists(POINTS, min_size=1, max_size=4), st.booleans())
def test_cuts_of_any_run(files, by_kernel):
    """A value is hidden if its step is at or after the step at which its file is cut."""
    with tempfile.TemporaryDirectory() as directory:
        write_run(Path(directory), files)
        with mock.patch.object(loader, "_scan", loader._scan if by_kernel else None):
            loading = loader.Loader(lambda tag: True, {"scalar"}, None, True, None, keep=0)
            cuts = loading.cuts([os.path.join(directory, f"events.out.tfevents.{i}") for i in range(len(files))])
    for tag, left in left_by_the_rule(files).items():
        logged = [(number, step) for number, of in enumerate(files) for t, step in of if t == tag]
        assert left == [
            (number, step)
            for number, step in logged
            if step < cuts.get((os.path.join(directory, f"events.out.tfevents.{number}"), tag, "scalar"), 99)
        ]


# --- files that are followed ---


@given(st.lists(POINTS, min_size=1, max_size=4))
def test_follow_leaves_out_the_same(files):
    with tempfile.TemporaryDirectory() as directory:
        write_run(Path(directory), files)
        found = [
            (value.tag, value.step, value.decode())
            for _, value in follow(directory, idle=0, purge=True)
            if value.kind == "scalar"
        ]
        assert len([*follow(directory, idle=0, purge=False)]) == sum(len(points) + 1 for points in files)
    expected = [
        (tag, step, value_of(number, step)) for tag, of in left_by_the_rule(files).items() for number, step in of
    ]
    assert sorted(found) == sorted(expected)


def test_follow_warns_once_and_hides_nothing_that_comes_later(tmp_path):
    write_run(tmp_path / "x", [a(range(8)), a(range(5, 8))])
    write_run(tmp_path / "y", [a(range(8))])
    following = follow(tmp_path, idle=5, interval=0.01)
    values = [next(following) for _ in range(16 + 3)]
    write_run(tmp_path / "y", [a(range(8)), a(range(2, 4))])
    with pytest.warns(UserWarning, match=r"3 values are left out because .* \(3 of 'x'\)") as caught:
        later = [next(following) for _ in range(3)]
    following.close()
    assert [warning.filename for warning in caught] == [__file__]
    assert [value.step for run, value in values if value.kind == "scalar" and run == "x"] == [*range(5), 5, 6, 7]
    assert [value.step for _, value in later if value.kind == "scalar"] == [2, 3]


def test_follow_hides_nothing_that_an_earlier_file_gets_later(tmp_path):
    """Two programs may log into one directory: later values of the first program are not lost."""
    write_run(tmp_path, [a([0, 1]), a([0])])
    following = follow(tmp_path, idle=0.5, interval=0.01, purge=True)
    first = [next(following) for _ in range(2 + 1)]
    with open(tmp_path / "events.out.tfevents.0", "ab") as file:
        file.writelines(frames(scalar(2, "a"), scalar(0, "a")))
    assert [value.step for _, value in [*first, *following] if value.kind == "scalar"] == [0, 2, 0]


def test_tail_prints_the_last_of_what_is_not_hidden(tmp_path, capsys):
    write_run(tmp_path, [a(range(8)), a([3])])
    for options, steps in ((["-n", "2"], [2, 3]), (["-n", "9"], [0, 1, 2, 3]), (["-n", "3", "--all"], [6, 7, 3])):
        assert main(["tail", str(tmp_path), "--json", *options]) == 0
        output = capsys.readouterr()
        assert [json.loads(line)["step"] for line in output.out.splitlines()] == steps
        note = f"note: {tmp_path}: 5 values hidden, since a later event file replaces them; --all shows them\n"
        assert output.err == ("" if "--all" in options else note)


def test_follow_warns_if_it_is_closed_early(tmp_path):
    write_run(tmp_path, [a(range(8)), a([3, 4])])
    following = follow(tmp_path, idle=5, interval=0.01)
    while next(following)[1].step != 4:
        pass
    with pytest.warns(UserWarning, match="5 values are left out"):
        following.close()
