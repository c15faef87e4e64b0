"""Test a lack of memory: in every call, each allocation of the extension fails, once or with all that follow.

Python's own allocations do not fail: they raise MemoryError by themselves.
"""

import faulthandler
import itertools
import os
import sys
import warnings

import numpy as np
from helpers.eventfiles import loaded
from torture import faults
from torture.case import HANG, elsewhere

import tbc
from tbc import _scan
from tbc.reader import find_event_files, read_events

RAMP = np.linspace(0, 1, 500)
CURVE = [np.ones(5)] * 6
CALLS = {
    "add_scalar": lambda w, step: w.add_scalar("x", 1.0, step),
    "add_scalar, new style": lambda w, step: w.add_scalar("x", 1.0, step, new_style=True, display_name="X" * 5000),
    "add_scalars": lambda w, step: w.add_scalars("x", {"key": 1.0}, step),
    "add_scalars, one run": lambda w, step: w.add_scalars("x", {"a": 1.0, "b": 2.0}, step, separate_runs=False),
    "add_metrics": lambda w, step: w.add_metrics({"a": 1.0, "b": 2.0}, step),
    "add_text": lambda w, step: w.add_text("x", "long " * 10_000, step),
    "add_tensor": lambda w, step: w.add_tensor("x", RAMP, step),
    "add_tensor, large": lambda w, step: (w.add_scalar("y", 1.0, step), w.add_tensor("x", np.zeros(50_000), step)),
    "add_histogram": lambda w, step: w.add_histogram("x", RAMP, step),
    "add_histogram, auto": lambda w, step: w.add_histogram("x", RAMP, step, bins="auto"),
    "add_histogram_raw": lambda w, step: w.add_histogram_raw("x", 0, 1, 2, 1, 1, [0.5, 1], [1, 1], step),
    "add_image": lambda w, step: w.add_image("x", np.zeros((3, 50, 50)), step),
    "add_images": lambda w, step: w.add_images("x", np.zeros((3, 3, 9, 9)), step),
    "add_images, apart": lambda w, step: w.add_images("x", np.zeros((3, 3, 9, 9)), step, grid=False),
    "add_image_with_boxes": lambda w, step: w.add_image_with_boxes("x", np.zeros((3, 9, 9)), np.ones((1, 4)), step),
    "add_video": lambda w, step: w.add_video("x", np.zeros((1, 4, 3, 9, 9)), step),
    "add_video, apng": lambda w, step: w.add_video("x", np.zeros((1, 4, 3, 9, 9)), step, format="apng"),
    "add_audio": lambda w, step: w.add_audio("x", RAMP, step),
    "add_pr_curve": lambda w, step: w.add_pr_curve("x", RAMP > 0.3, RAMP, step),
    "add_pr_curve_raw": lambda w, step: w.add_pr_curve_raw("x", *CURVE, step),
    "add_mesh": lambda w, step: w.add_mesh("x", np.zeros((1, 9, 3)), global_step=step),
    "add_custom_scalars": lambda w, step: w.add_custom_scalars({"a": {"b": ["Multiline", ["c"]]}}),
    "add_hparams": lambda w, step: w.add_hparams({"lr": 0.1}, {"x": 1.0}, run_name=f"step{step}", global_step=step),
    "add_hparams, same run": lambda w, step: w.add_hparams({"lr": 0.1}, {"x": 1.0}, run_name=".", global_step=step),
    "add_embedding": lambda w, step: w.add_embedding(np.zeros((9, 5)), list("abcdefghi"), tag="x", global_step=step),
    "close and add_scalar": lambda w, step: (w.close(), w.add_scalar("x", 1.0, step)),
    "SummaryWriter": lambda w, step: tbc.SummaryWriter(f"{w.log_dir}/{step}").close(),
}
SEVERAL = "add_hparams", "add_embedding", "add_tensor, large", "close", "SummaryWriter"  # make several events or files
WHOLE = {name for name in CALLS if not name.startswith(SEVERAL)}


def nth_malloc(count):
    """Let the N-th allocation fail, N = 1, 2, 3, ..., once or with all that follow, in `count` of the CALLS.

    The call must succeed or raise MemoryError, or the flush after it must, if another thread encodes. A call that
    raised must have logged nothing, unless it makes several events. The writer must work afterwards.
    """
    return elsewhere("memory", "_nth_malloc", count, "the N-th malloc fails, in every call")


def _nth_malloc(root, count):
    warnings.simplefilter("ignore")  # embeddings that are written twice cause warnings
    tried, events = 0, 0
    for name, call in itertools.islice(CALLS.items(), count):
        log_dir = os.path.join(root, name)
        with tbc.SummaryWriter(log_dir) as writer:
            call(writer, 0)  # imports, which would also allocate
            writer.flush()
            for times in (1, faults.FOR_EVER):
                for n in itertools.count(1):
                    faulthandler.dump_traceback_later(HANG, exit=True)
                    print(name, n, times, flush=True)
                    tried += 1
                    before = count_events(log_dir)
                    hits, raised = _fail_nth_malloc(writer, call, tried, n, times)
                    logged = count_events(log_dir) - before - 1  # without the scalar that is logged after the call
                    if name in WHOLE:
                        assert logged == (0 if raised else 1), f"{name}, {n}: {logged} events, raised: {raised!r}"
                    events += logged + 1
                    if not hits:
                        assert raised is None, f"{name}, {n}: {raised!r} without a fault"
                        break
    return tried, events


def loading(count):
    """Load a file with `count` tags of each kind while allocations fail: that raises MemoryError, or loads all."""
    return elsewhere("memory", "_loading", count, "the N-th malloc fails, in load_runs")


def _loading(root, count):
    with tbc.SummaryWriter(root) as writer:
        for step in range(40):
            writer.add_metrics({f"metric {i}": step for i in range(count)}, step)
            for i in range(count):
                writer.add_scalar(f"scalar {i}", step, step, new_style=bool(i % 2))
                writer.add_text(f"text {i}", "text", step)
    (path,) = find_event_files(root)
    expected = loaded(path, True)
    faults.attach(_scan)
    tried = 0
    for times in (1, faults.FOR_EVER):
        for n in itertools.count(1):
            faulthandler.dump_traceback_later(HANG, exit=True)
            tried += 1
            faults.arm(faults.MEMORY, n, times)
            try:
                assert loaded(path, True) == expected
            except MemoryError:
                assert faults.hits()
            hits = faults.hits()
            faults.disarm()
            if not hits:
                break
    assert tried > 4 * count
    assert loaded(path, True) == expected
    return tried, 0


def _fail_nth_malloc(writer, call, step, n, times):
    """Make a call while the N-th allocation fails; return how many failed, and the MemoryError, if any."""
    raised = None
    faults.arm(faults.MEMORY, n, times)
    for function in (lambda: call(writer, step), writer.flush):
        try:
            function()
        except MemoryError as error:
            raised = raised or error
        except OSError:  # the flush may report that the thread has no memory for a file
            if times == 1:
                raise
    hits = faults.hits()
    faults.disarm()
    try:
        writer.flush()
    except MemoryError as error:  # the encoder's thread may fail only after the flush above
        raised = raised or error
    writer.add_scalar("after", 1.0, step)
    writer.flush()
    return hits, raised


def count_events(log_dir):
    return sum(bool(event.summary.value) for path in find_event_files(log_dir) for event in read_events(path))


if __name__ == "__main__":
    print(nth_malloc(int(sys.argv[1]) if len(sys.argv) > 1 else len(CALLS)))
