"""The directory of a run is removed while its writer is open, as a test's tearDown does."""

import os
import shutil
import threading
import time

import numpy as np
import pytest
from helpers.oracle import read_back, run_script

import tbc
from tbc import encoder_thread

pytestmark = pytest.mark.filterwarnings("ignore:the embedding")  # the embedding is logged twice

PIXELS = np.zeros((3, 8, 8))
CALLS = {
    "scalar": lambda w: w.add_scalar("x", 1, 1),
    "scalars": lambda w: w.add_scalars("x", {"a": 1}, 1),
    "text": lambda w: w.add_text("x", "text"),
    "histogram": lambda w: w.add_histogram("x", PIXELS),
    "image": lambda w: w.add_image("x", PIXELS),
    "video": lambda w: w.add_video("x", PIXELS[None, None]),
    "embedding": lambda w: w.add_embedding(PIXELS[0]),
    "hparams": lambda w: w.add_hparams({"a": 1}, {"b": 2}),
    "summary": lambda w: w.file_writer.add_summary(tbc.summary.scalar("x", 1)),
}
ENDS = {
    "kept": lambda w: time.sleep(0.3),
    "flushed": lambda w: w.flush(),
    "synced": lambda w: w.flush(sync=True),
    "closed": lambda w: w.close(),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("call", CALLS)
def test_it_stays_removed(log_dir, call, end):
    """When the directory is removed, some events wait in memory or are still encoded."""
    writer = tbc.SummaryWriter(log_dir)
    for _ in range(3):
        CALLS[call](writer)
    shutil.rmtree(log_dir)
    ENDS[end](writer)
    assert not os.path.exists(log_dir)
    assert writer.stats().dropped == writer.stats().queued == 0
    del writer
    assert not os.path.exists(log_dir)


@pytest.mark.parametrize("call", [call for call in CALLS if call != "hparams"])
def test_what_is_logged_afterwards_makes_it_again(log_dir, call):
    writer = tbc.SummaryWriter(log_dir)
    CALLS[call](writer)
    shutil.rmtree(log_dir)
    CALLS[call](writer)
    writer.close()
    assert os.path.exists(log_dir)
    if call not in ("scalars", "embedding"):
        assert read_back(log_dir)


@pytest.mark.parametrize("before", [0, 1, 2, 10])
@pytest.mark.parametrize("end", ["flush", "close"])
def test_the_first_event_afterwards_is_there(log_dir, before, end):
    for _ in range(20):
        writer = tbc.SummaryWriter(log_dir)
        for step in range(before):
            writer.add_scalar("x", 1, step)
        shutil.rmtree(log_dir)
        writer.add_scalar("x", 1, before, walltime=1234.5)
        getattr(writer, end)()
        steps = [event.step for event in read_back(log_dir)]
        assert steps == list(range(before + 1))[-len(steps) :]
        assert steps
        shutil.rmtree(log_dir)


def test_a_job_that_ends_later_does_not_bring_it_back(log_dir):
    go = threading.Event()
    encoder_thread.run(go.wait)
    writer = tbc.SummaryWriter(log_dir)
    writer.add_image("x", PIXELS)
    shutil.rmtree(log_dir)
    go.set()
    writer.close()
    assert not os.path.exists(log_dir)


def test_an_exit_does_not_bring_it_back(log_dir):
    script = """
        import shutil, sys, numpy as np, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        writer.add_scalar("x", 1, 1)
        writer.add_image("x", np.zeros((3, 500, 500)))
        writer.add_embedding(np.ones((500, 50)))
        shutil.rmtree(sys.argv[1])
        """
    run_script(script, log_dir)
    assert not os.path.exists(log_dir)


def test_rmtree_never_fails(tmp_path):
    """rmtree runs while other threads write and encode."""
    for i in range(30):
        directory = tmp_path / str(i)
        writer = tbc.SummaryWriter(directory)
        for step in range(3):
            for call in CALLS.values():
                call(writer)
            writer.add_embedding(PIXELS[0], list("abcdefgh"), np.zeros((8, 3, 5, 5)), step)
        time.sleep(0.1 * (i % 3) / 2)
        shutil.rmtree(directory)
        writer.close()
        assert not directory.exists()
