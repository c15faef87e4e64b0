"""Kill a writer a few times; `make torture` does it a thousand times, see torture/kill.py."""

import signal

import pytest
from helpers.oracle import read_back, run_script
from torture import kill


@pytest.mark.parametrize(("number", "count"), [(signal.SIGKILL, 12), (signal.SIGTERM, 4)])
def test_what_was_flushed_and_what_is_old_is_in_the_file(number, count):
    kill.at_random(count, number)


def test_sigkill_loses_nothing_older_than_a_quarter_of_a_second(log_dir):
    script = """
        import os, signal, sys, time, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        for step in range(5000):
            writer.add_scalar("x", 1.0, step)
        time.sleep(0.25)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_script(script, log_dir, check=False).returncode == -signal.SIGKILL
    assert [event.step for event in read_back(log_dir)] == list(range(5000))


def test_a_kill_right_after_flush_loses_nothing(log_dir):
    script = """
        import os, signal, sys, numpy as np, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        for step in range(5000):
            writer.add_scalar("x", 1.0, step)
        writer.add_image("image", np.zeros((3, 300, 300)), 5000)
        writer.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_script(script, log_dir, check=False).returncode == -signal.SIGKILL
    assert [event.step for event in read_back(log_dir)] == list(range(5001))
