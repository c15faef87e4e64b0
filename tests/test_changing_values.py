"""Arrays that another thread changes while they are logged, as in shared memory. The logged values may be any mixture,
but nothing raises or warns. tests/csrc_changing.c does the same to the kernels, under sanitizers."""

import re
import threading
from contextlib import contextmanager

import numpy as np
import pytest

import tbc
from tbc.kinds import histograms
from tbc.reader import read_events

N = 3 * 64 * 64


@contextmanager
def changing(values, *numbers):
    """Set all values to one number after the other, in a thread, until the `with` ends."""
    stopped = False

    def change():
        while not stopped:
            for number in numbers:
                values.fill(number)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stopped = True
        thread.join()


@contextmanager
def only_errors(pattern):
    """Suppress a ValueError whose message matches."""
    try:
        yield
    except ValueError as error:
        if not re.search(pattern, str(error)):
            raise


KINDS = {
    "histogram": lambda writer, x, step: writer.add_histogram("x", x, step),
    "PR curve": lambda writer, x, step: writer.add_pr_curve("x", x, x, step, weights=x),
    "image": lambda writer, x, step: writer.add_image("x", x.reshape(3, 64, 64), step),
    "video": lambda writer, x, step: writer.add_video("x", x.reshape(1, 1, 3, 64, 64), step),
    "audio": lambda writer, x, step: writer.add_audio("x", x, step),
    "tensor": lambda writer, x, step: writer.add_tensor("x", x, step),
    "embedding": lambda writer, x, step: writer.add_embedding(x.reshape(-1, 1024), global_step=step, tag="x"),
    "mesh": lambda writer, x, step: writer.add_mesh("x", x.reshape(1, -1, 3), global_step=step),
}


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("error", "ignore:.*(PR curve|histogram|audio) 'x':UserWarning")
def test_every_kind_is_logged(log_dir, kind, dtype):
    values = np.zeros(N, dtype)
    with changing(values, 0.5, np.nan, np.inf, -np.inf, 255, -1), tbc.SummaryWriter(log_dir) as writer:
        for step in range(30):
            KINDS[kind](writer, values, step)
        path = writer.file_writer._event_file.path
    errors = []
    for _ in read_events(path, errors.append):
        pass
    assert errors == []


@pytest.mark.parametrize("bins", ["sqrt", "auto"])
def test_rules_for_bins_see_finite_values(bins):
    values = np.full(20_000, 0.5)
    with changing(values, 0.5, np.nan):
        for _ in range(100):
            with only_errors("lies within the bins"):  # all values are NaN when they are counted
                histograms.count(values, bins, None)


def test_edges_may_change_after_numpy_has_looked_at_them():
    edges = np.linspace(0, 1, 5000)
    with changing(edges, 0.5, np.nan, -1):
        for _ in range(300):
            with only_errors("monotonically|NaN among their edges|lies within"):  # raised for the copy that is checked
                histograms.count(np.linspace(0, 1, 1000), edges, None)
