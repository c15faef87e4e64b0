"""Ctrl-C at every line of tbc: no room stays reserved, nothing hangs, and later events are written.

For every n, a trace function raises KeyboardInterrupt at the n-th line that tbc runs, as a signal handler may. Lines
that are a bare "try:" are left out: they run nothing that a handler could interrupt.
"""

import pytest
from helpers.oracle import run_script

COMMON = """
import linecache, os, sys, threading, numpy as np, tbc
from tbc import encoder_thread
from tbc.reader import read_events

HERE = os.path.dirname(tbc.__file__) + os.sep
pixels = np.zeros((3, 16, 16))
kinds = {
    "image": lambda step: writer.add_image("x", pixels, step),
    "images": lambda step: writer.add_images("x", pixels[None], step),
    "video": lambda step: writer.add_video("x", pixels[None, None], step),
    "embedding": lambda step: writer.add_embedding(np.ones((3, 4)), global_step=step, tag="x"),
    "flush": lambda step: (writer.add_image("x", pixels, step), writer.flush()),
}

def interrupted_at(n, call):
    "The exception, with its traceback, as an interactive session keeps it; None if there are fewer lines than n."
    left = n
    def trace(frame, event, argument):
        nonlocal left
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        if event == "line" and linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() != "try:":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt as error:
        return error
    finally:
        sys.settrace(None)

def check(what):
    "Everything is as if nothing had happened."
    writer.add_image("after", pixels, 1)
    writer.flush()
    threads = [thread for thread in threading.enumerate() if thread.name == "tbc-encoder"]
    state = writer.stats().queued, len(encoder_thread._unfinished), encoder_thread.in_job(), len(threads)
    assert state == (0, 0, False, 1), (what, state)
    assert [event.step for event in read_events(writer.file_writer._event_file.path)][-1] == 1, what
"""


@pytest.mark.parametrize("kind", ["image", "images", "video", "embedding", "flush"])
@pytest.mark.parametrize("there_is_a_thread", [True, False])
def test_at_every_line(log_dir, kind, there_is_a_thread):
    script = f"""{COMMON}
call, n = kinds[{kind!r}], 0
while n == 0 or error is not None:
    n += 1
    writer = tbc.SummaryWriter(f"{{sys.argv[1]}}/{{n}}")
    call(0)
    writer.flush()
    if not {there_is_a_thread}:
        encoder_thread.before_fork()
    error = interrupted_at(n, lambda: call(1))
    check(n)
    writer.close()
assert n > 50, n
"""
    run_script(script, log_dir, timeout=120)


@pytest.mark.parametrize("started", [True, False])
def test_while_the_thread_starts(log_dir, started):
    """Thread.start() is interrupted before or after the thread exists. Later it exists, and jobs keep their order."""
    script = f"""{COMMON}
writer = tbc.SummaryWriter(sys.argv[1])
start = threading.Thread.start
def interrupted(self):
    threading.Thread.start = start
    if {started}:
        start(self)
    raise KeyboardInterrupt
for step in range(50):
    encoder_thread.before_fork()
    threading.Thread.start = interrupted
    try:
        writer.add_image("x", pixels, 2 * step)
    except KeyboardInterrupt as error:
        kept = error
    writer.add_image("x", pixels, 2 * step)
    writer.add_image("x", pixels, 2 * step + 1)
check("start")
steps = [event.step for event in read_events(writer.file_writer._event_file.path)][1:-1]
assert steps == list(range(100)), steps
"""
    run_script(script, log_dir)


def test_signals_at_any_time(log_dir):
    """Real signals come while images are logged and flushed and the process forks."""
    script = f"""{COMMON}
import random, signal, warnings
signal.signal(signal.SIGALRM, signal.default_int_handler)
warnings.simplefilter("ignore")
sys.unraisablehook = lambda _: None  # a fork reports exceptions there and does not raise them
choose = random.Random(1)
writer = tbc.SummaryWriter(sys.argv[1])
interrupts = 0
for n in range(600):
    try:
        signal.setitimer(signal.ITIMER_REAL, choose.uniform(1e-6, 1e-3))
        for kind in kinds:
            kinds[kind](0)
        if n % 10 == 0:
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
    except KeyboardInterrupt as error:
        interrupts += 1
        kept = error
    signal.setitimer(signal.ITIMER_REAL, 0)
check("signals")
assert interrupts > 100, interrupts
"""
    run_script(script, log_dir, timeout=120)
