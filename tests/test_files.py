"""Which event files are found, links included. TensorBoard's own code is the oracle."""

import errno
import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from helpers.oracle import run_script
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing import io_wrapper
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

import tbc
from tbc.reader import find_event_files, load_runs, load_scalars, verify
from tbc.reader.files import run_of

sys.path.append(str(Path(__file__).parent / "torture"))
import readers


@pytest.fixture
def store(tmp_path):
    """Two runs outside the tree."""
    for run in ("a", "b/deep"):
        with tbc.SummaryWriter(tmp_path / "store" / run) as writer:
            writer.add_scalar("x", 0.5, 1)
    return tmp_path / "store"


@pytest.fixture
def tree(tmp_path, store):
    (tmp_path / "tree").mkdir()
    with tbc.SummaryWriter(tmp_path / "tree" / "c") as writer:
        writer.add_scalar("x", 0.5, 1)
    return tmp_path / "tree"


def link(path, target):
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)


def runs_of(root, on_error=None):
    return {run_of(file, str(root)) for file in find_event_files(root, on_error)}


def runs_of_multiplexer(root):
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(root))
    return set(multiplexer.Runs())


def runs_of_rustboard(root, expected):
    with readers.RustBoard(root, once=True) as server:
        return set(server.view(lambda view: view.keys() >= expected))


def is_in_a_loop(root, run):
    above = [root.joinpath(*Path(run).parts[:n]).stat() for n in range(len(Path(run).parts) + 1)]
    return len({(seen.st_dev, seen.st_ino) for seen in above}) < len(above)


def links_to_runs(tree):
    """Make every kind of link that leads to runs; most have names that event files do not have."""
    (file,) = (tree.parent / "store" / "a").iterdir()
    link(tree / "once", "../store/a")
    link(tree / "twice", tree.parent / "store" / "a")
    link(tree / "all", "../store")
    link(tree / "of a link", "all")
    link(tree / "of files" / file.name, f"../../store/a/{file.name}")
    link(tree / "renamed" / "tfevents.link", file)
    link(tree / "renamed" / "other name", file)
    link(tree / "tfevents.directory", "../store/b")
    return {"c", "once", "twice", "all/a", "all/b/deep", "of a link/a", "of a link/b/deep"} | {
        "of files",
        "renamed",
        "tfevents.directory/deep",
    }


def test_links_are_followed_as_tensorboard_follows_them(tree):
    expected = links_to_runs(tree)
    assert runs_of(tree) == expected
    assert runs_of_multiplexer(tree) == expected
    assert load_runs(tree).keys() == expected
    assert {report.run for report in verify(tree)} == expected


@pytest.mark.skipif(not readers.has_rustboard, reason="no data server for this platform")
def test_links_are_followed_as_the_data_server_follows_them(tree):
    expected = links_to_runs(tree)
    link(tree / "c" / "up", "..")
    link(tree / "around", "nowhere/../../tree")
    link(tree / "nowhere", "none")
    assert runs_of(tree, lambda error: None) == expected
    assert runs_of_rustboard(tree, expected) == expected


def test_a_path_that_is_a_link(tree, store):
    link(tree.parent / "link", "tree")
    assert runs_of(tree.parent / "link") == {"c"} == runs_of_multiplexer(tree.parent / "link")
    (file,) = (store / "a").iterdir()
    link(tree.parent / "file", file)
    assert find_event_files(tree.parent / "file") == [str(tree.parent / "file")]
    assert load_scalars(tree.parent / "file")["x"].step.tolist() == [1]


@pytest.mark.parametrize("where", ["itself", "in a run", "through another", "outside", "two"])
def test_loops_are_told_and_left(tree, store, where):
    if where == "itself":
        link(tree / "loop", ".")
        told = ["loop"]
    elif where == "in a run":
        link(tree / "c" / "loop", "..")
        told = ["c/loop"]
    elif where == "through another":
        link(tree / "link", "../store")
        link(store / "b" / "loop", "../../tree/link")
        told = ["link/b/loop"]
    elif where == "outside":
        link(tree / "up", "..")
        told = ["up/tree"]
    else:
        link(tree / "1" / "loop", "../1")
        link(tree / "2", "1")
        told = ["1/loop", "2/loop"]
    errors = []
    found = runs_of(tree, errors.append)
    theirs = runs_of_multiplexer(tree)
    assert found == {run for run in theirs if not is_in_a_loop(tree, run)}
    assert {error.errno for error in errors} == {errno.ELOOP}
    assert sorted(os.path.relpath(error.filename, tree) for error in errors) == told
    with pytest.warns(RuntimeWarning, match="Not followed: a loop of links, back to .*: ") as warned:
        assert runs_of(tree) == found
    assert {warning.filename for warning in warned} == {__file__}
    if readers.has_rustboard:
        theirs = runs_of_rustboard(tree, found)  # RustBoard detects a loop only at a link, so it may go around once
        assert found == {run for run in theirs if not is_in_a_loop(tree, run)}


def test_links_to_nowhere_are_told(tree):
    link(tree / "none", "nowhere")
    link(tree / "self", "self")
    link(tree / "tfevents.none", "nowhere")
    link(tree / "a file", __file__)
    link(tree / "through a file", "a file/x")
    errors = []
    files = find_event_files(tree, errors.append)
    assert files[0] == str(tree / "tfevents.none")  # reading it raises OSError
    assert runs_of(tree, errors.append) == runs_of_multiplexer(tree) == {".", "c"}
    assert {str(error) for error in errors} == {
        f"[Errno {code}] {os.strerror(code)} (a link to {target!r}): {str(tree / name)!r}"
        for code, target, name in [
            (errno.ENOENT, "nowhere", "none"),
            (errno.ENOTDIR, "a file/x", "through a file"),
            (errno.ELOOP, "self", "self"),
        ]
    }
    told = []
    assert load_runs(tree, on_error=told.append).keys() == {"c"}
    assert {os.path.relpath(error.filename, tree) for error in told} == {
        "none",
        "self",
        "through a file",
        "tfevents.none",
    }
    for path, code in (
        (tree / "none", errno.ENOENT),
        (tree / "tfevents.none", errno.ENOENT),
        (tree / "self", errno.ELOOP),
    ):
        for load in (load_runs, load_scalars):
            with pytest.raises(OSError, match=r"\(a link to '(nowhere|self)'\)") as raised:
                load(path)
            assert raised.value.errno == code


@pytest.mark.parametrize("name", ["tfevents.other", "other"])
def test_what_is_no_file_by_any_link(tree, monkeypatch, name):
    """Pipes, sockets and devices are reported if they are named like an event file, else ignored."""
    monkeypatch.chdir(tree)  # the name of a socket must be short
    os.mkfifo("c/pipe")
    link(Path("pipe", name), "../c/pipe")
    link(Path("device", name), "/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("c/socket")
        link(Path("socket", name), "../c/socket")
        script = """
            import sys
            from tbc.reader import load_runs
            print(sorted(load_runs(".", on_error=lambda error: print(error.strerror, error.filename))))
        """
        lines = run_script(script, cwd=tree, timeout=60).stdout.splitlines()
    kinds = ["device", "pipe", "socket"] if name.startswith("tfevents") else []
    assert sorted(lines[:-1]) == [f"Not a regular file ./{kind}/{name}" for kind in kinds]
    assert lines[-1] == "['c']"


def test_a_deep_tree(tmp_path):
    os.makedirs(tmp_path.joinpath(*["d"] * 300))
    tmp_path.joinpath(*["d"] * 300, "tfevents").touch()
    link(tmp_path / "link", "d/d")
    script = """
        import sys
        from tbc.reader import find_event_files
        from tbc.reader.following import Follower
        sys.setrecursionlimit(100)
        print([file.count("/d") for file in find_event_files(".")])
        follower = Follower(".")
        print(list(follower.poll(print)), len(follower._files))
    """
    assert run_script(script, cwd=tmp_path).stdout == "[300, 298]\n[] 2\n"


NAMES = [f"{a}{b}" for a in ("", "x/", "y/z/") for b in "0123"]


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))))
def test_any_links_without_a_loop(runs, links):
    """Links lead only to later names, so there is no loop and TensorBoard's loader ends."""
    with tempfile.TemporaryDirectory() as root:
        for name in NAMES:
            os.makedirs(os.path.join(root, name))
        for run in runs:
            Path(root, run, "tfevents").touch()
        for number, (start, target) in enumerate(sorted(links)):
            if os.path.basename(start) < os.path.basename(target):
                os.symlink(os.path.join(root, target), os.path.join(root, start, f"link{number}"))
        theirs = {os.path.relpath(directory, root) for directory in io_wrapper.GetLogdirSubdirectories(root)}
        assert runs_of(root, pytest.fail) == theirs
