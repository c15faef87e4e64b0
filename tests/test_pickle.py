"""A writer that is copied or sent to another process keeps its settings and writes files of its own."""

import copy
import multiprocessing
import pickle
import subprocess
import sys

import pytest
from helpers.oracle import read_back

import tbc
from tbc.reader import find_event_files, read_events

COPIES = {
    "pickle": lambda writer: pickle.loads(pickle.dumps(writer)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


class Mine(tbc.SummaryWriter):
    """A subclass with an attribute of its own, as loggers have."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.mine = [1, 2]


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_writes_a_file_of_its_own(log_dir, how):
    writer = Mine(log_dir, purge_step=3, flush_secs=7, filename_suffix=".mine", on_disk_error="raise")
    writer.add_scalars("a", {"b": 1})
    writer.add_scalar("x", 1)
    other = COPIES[how](writer)
    assert len(find_event_files(log_dir)) == 2  # the copy has no file yet
    assert (other.file_writer, other.all_writers, other.stats().written, other.purge_step) == (None, None, 0, None)
    assert (type(other), other.mine, other.log_dir, other.flush_secs) == (Mine, [1, 2], log_dir, 7)
    assert (other.filename_suffix, other.on_disk_error, other.enabled) == (".mine", "raise", True)
    other.add_scalar("y", 2)
    other.add_histogram("h", 1.0)  # the default bins are still the default ones
    other.close()
    writer.add_scalar("x", 3)
    writer.close()
    first, second = (path for path in find_event_files(log_dir) if path.rpartition("/")[0] == log_dir)
    tags = [[value.tag for event in read_events(path) for value in event.summary.value] for path in (first, second)]
    assert tags == [["x", "x"], ["y", "h"]]


def test_a_copy_of_a_writer_that_is_not_enabled_creates_nothing(tmp_path):
    other = pickle.loads(pickle.dumps(tbc.SummaryWriter(tmp_path / "run", enabled=False)))
    other.add_scalar("x", 1)
    other.close()
    assert not (tmp_path / "run").exists()


def test_a_file_writer_says_that_it_cannot(log_dir):
    writer = tbc.FileWriter(log_dir)
    for function in COPIES.values():
        with pytest.raises(TypeError, match="FileWriter cannot be pickled or copied"):
            function(writer)
    writer.close()


@pytest.mark.parametrize("method", sorted({"spawn", "forkserver"} & set(multiprocessing.get_all_start_methods())))
def test_a_writer_goes_to_a_new_process(tmp_path, method):
    (tmp_path / "script.py").write_text("""
import multiprocessing, sys, tbc

def work(writer, rank):
    writer.add_scalar(f"rank {rank}", 1.0, rank)
    writer.close()

if __name__ == "__main__":
    writer = tbc.SummaryWriter("run")
    writer.add_scalar("parent", 1.0)
    context = multiprocessing.get_context(sys.argv[1])
    processes = [context.Process(target=work, args=(writer, rank)) for rank in range(2)]
    for process in processes: process.start()
    for process in processes: process.join()
    assert [process.exitcode for process in processes] == [0, 0]
""")
    subprocess.run([sys.executable, "script.py", method], cwd=tmp_path, check=True, timeout=60)
    paths = find_event_files(tmp_path / "run")
    tags = [[value.tag for event in read_events(path) for value in event.summary.value] for path in paths]
    assert sorted(tags) == [["parent"], ["rank 0"], ["rank 1"]]


def test_the_original_is_as_it_was(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        for step in range(3):
            writer.add_scalar("x", 1.0, step)
            pickle.dumps(writer)
    assert [event.step for event in read_back(log_dir)] == [0, 1, 2]
