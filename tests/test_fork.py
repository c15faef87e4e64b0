"""The child neither hangs nor writes what is its parent's: its first event goes to a file of its own. See also
torture/forks.py, whose storms are small here."""

import importlib.util

import pytest
from oracle import run_script
from torture import forks
from torture.scan import steps


@pytest.mark.parametrize("storm", [forks.while_threads_log, forks.in_threads])
def test_forks_while_threads_log(storm):
    storm(40)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_tasks_of_multiprocessing(method):
    forks.pool(6, method)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_workers_of_a_data_loader():
    forks.data_loader(40)


def test_a_fork_brings_no_warning(log_dir):
    """From Python 3.12 on, a fork warns if the process has threads: tbc's are not to be seen then."""
    run_script(
        """
        import os, sys, warnings, numpy as np, tbc
        warnings.simplefilter("error")
        writer = tbc.SummaryWriter(sys.argv[1])
        for step in range(20):
            writer.add_scalar("x", 1.0, step)
            pid = os.fork()
            if pid == 0:
                writer.add_scalar("child", 1.0, step)
                writer.close()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        """,
        log_dir,
    )


def test_a_child_of_a_child_has_a_file_of_its_own(log_dir, tmp_path):
    run_script(
        """
        import os, sys, warnings, tbc
        warnings.simplefilter("ignore")
        writer = tbc.SummaryWriter(sys.argv[1])
        for generation in range(10):
            writer.add_scalar("x", 1.0, generation)
            writer.add_scalars("runs", {"key": 1.0}, generation)
            pid = os.fork()
            if pid != 0:
                assert os.waitpid(pid, 0)[1] == 0
                break
        """,
        log_dir,
    )
    for path in (tmp_path / "run", tmp_path / "run" / "runs_key"):
        found = [steps(file) for file in path.iterdir() if file.is_file()]
        assert sorted(sum((list(tags.values()) for tags in found), [])) == [[i] for i in range(10)]
