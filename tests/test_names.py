"""Names of files where clock, host and process number are the same; see torture/names.py."""

import os
import subprocess
import sys

import pytest
from torture import names
from torture.scan import steps

import tbc

preloads = pytest.mark.skipif(not names.can_preload, reason="LD_PRELOAD and this shim are Linux's")


@preloads
@pytest.mark.parametrize("blind", [False, True])
def test_processes_of_one_number_host_and_second_do_not_collide(blind):
    names.in_one_second(50, blind)


@pytest.mark.skipif(not names.can_unshare, reason="needs root on Linux, for containers")
def test_containers_do_not_collide():
    names.in_containers(50)


@preloads
def test_the_clock_may_be_set_to_and_fro():
    names.as_the_clock_is_set(200)


@pytest.mark.parametrize(
    "there",
    [
        "events.out.tfevents.9000000000.host.1.0",  # the clock was wrong by two centuries
        "events.out.tfevents.9000000000.host",  # a name of torch and TensorFlow 1
        "events.out.tfevents.9000000000.host.1.0.v2",  # a name of TensorFlow 2
        "events.out.tfevents.9000000000",
    ],
)
def test_a_new_file_sorts_behind_those_of_others(tmp_path, there):
    (tmp_path / there).write_bytes(b"")
    script = "import sys, tbc; tbc.SummaryWriter(sys.argv[1]).add_scalar('x', 1.0)"
    for count in (2, 3):
        subprocess.run([sys.executable, "-c", script, tmp_path], cwd=os.path.dirname(__file__), check=True, timeout=60)
        paths = sorted(tmp_path.iterdir())
        assert len(paths) == count
        assert paths[0].name == there
        assert all(steps(path) == {"x": [0]} for path in paths[1:])


def test_a_new_file_sorts_behind_one_that_was_deleted(log_dir):
    """A reader that has read the deleted file looks only for names that sort after it."""
    with tbc.SummaryWriter(log_dir) as writer:
        for step in range(12):  # so that the numbers in the names reach 10
            path = writer.file_writer._event_file.path
            os.remove(path)
            writer.add_scalar("x", 1.0, step)
            writer.flush()
            assert writer.file_writer._event_file.path > path


@pytest.mark.parametrize(
    "there",
    [
        "events.out.tfevents.9999999999.host.1.0",  # no name with ten digits sorts after it
        "events.out.tfevents.99999999999999999999.host",  # nor after this one
        "events.out.tfevents.-1.host",
        "events.out.tfevents.soon",
        "events.out.tfevents.",
        "notes",
    ],
)
def test_names_that_say_nothing_are_no_hindrance(tmp_path, there):
    (tmp_path / there).write_bytes(b"")
    script = "import sys, tbc; tbc.SummaryWriter(sys.argv[1]).add_scalar('x', 1.0)"
    subprocess.run([sys.executable, "-c", script, tmp_path], cwd=os.path.dirname(__file__), check=True, timeout=60)
    (made,) = (path for path in tmp_path.iterdir() if path.name != there)
    assert len(made.name.split(".")[3]) == 10
    assert steps(made) == {"x": [0]}
