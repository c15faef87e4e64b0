"""Walk at random through the life of a writer, and compare its files with a list of what it accepted.

hypothesis chooses the steps. It finds the shortest walk that fails, and prints it as Python code.
"""

import errno
import faulthandler
import os
import shutil
import signal
import sys
import tempfile
import warnings

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from torture import faults
from torture.case import HANG, Case, elsewhere

from tbc.reader import find_event_files

KINDS = [faults.WRITE, faults.OPEN, faults.OPEN | faults.WRITE, faults.DISK, faults.FSTAT, faults.FSYNC, faults.CLOSE]
ERRORS = [errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EIO, errno.ESTALE, errno.EROFS]


class Life(RuleBasedStateMachine):
    """The life of one SummaryWriter, its runs, and child processes that inherit it."""

    walks = steps = 0

    @initialize()
    def open(self):
        faulthandler.dump_traceback_later(HANG, exit=True)
        Life.walks += 1
        self.root = tempfile.mkdtemp()
        self.case = Case(os.path.join(self.root, "run"))
        self.case.open()
        self.step = self.children = 0
        self.armed = False

    def next_step(self):
        self.step += 1
        Life.steps += 1
        return self.step

    @rule(n=st.integers(1, 20))
    def scalars(self, n):
        for _ in range(n):
            self.case.scalar(self.next_step())

    @rule()
    def text(self):
        self.case.text(self.next_step())

    @rule()
    def large(self):
        self.case.large(self.next_step())

    @rule()
    def image(self):
        self.case.image(self.next_step())

    @rule(key=st.sampled_from("ab"))
    def curve(self, key):
        self.case.curve(key, self.next_step())

    @rule(sync=st.booleans())
    def flush(self, sync):
        done = self.case.flush(sync=sync)
        assert done or self.armed, "a flush fails on a disk that does not"

    @rule()
    def close(self):
        done = self.case.close()
        assert done or self.armed, "a close fails on a disk that does not"

    @rule(
        kinds=st.sampled_from(KINDS),
        error=st.sampled_from(ERRORS),
        nth=st.integers(1, 5),
        times=st.sampled_from([1, 2, faults.FOR_EVER]),
        part=st.integers(0, 70),
    )
    def break_disk(self, kinds, error, nth, times, part):
        self.armed = True
        self.case.may_raise |= {error}  # the writer may still report the error before
        faults.arm(kinds, nth, times, error, part)

    @precondition(lambda self: self.armed)
    @rule()
    def heal_disk(self):
        faults.disarm()
        assert self.case.flush() or self.case.flush(), "flush() fails after the fault is over"
        self.armed = False
        self.case.may_raise = frozenset()

    @rule(n=st.integers(0, 3), close=st.booleans())
    def fork(self, n, close):
        """Fork a child, which logs on a healthy disk, and must write nothing that the parent has queued."""
        tag, steps = f"child {self.children}", [self.next_step() for _ in range(n)]
        self.children += 1
        pid = os.fork()
        if pid == 0:
            self.be_a_child(tag, steps, close)
        status = os.waitpid(pid, 0)[1]
        assert status == 0, f"the child ended with {status}"
        if steps:
            self.case.accepted.setdefault(".", {})[tag] = [(step, step / 8) for step in steps]

    def be_a_child(self, tag, steps, close):
        try:
            signal.alarm(HANG)  # ends a child that hangs; faulthandler does not work after a fork
            faults.disarm()
            for step in steps:
                self.case.writer.add_scalar(tag, step / 8, step)
            (self.case.writer.close if close else self.case.writer.flush)()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)

    @precondition(lambda self: not self.armed)
    @rule(whole=st.booleans())
    def remove(self, whole):
        """Remove the files, or the directory with all runs; what they held is lost, too."""
        assert self.case.flush()
        paths = find_event_files(self.case.log_dir) if os.path.exists(self.case.log_dir) else []
        for path in paths:
            os.remove(path)
        if whole:
            shutil.rmtree(self.case.log_dir, ignore_errors=True)
        self.case.accepted.clear()

    @invariant()
    def nothing_is_dropped(self):
        if hasattr(self, "case"):
            stats = self.case.writer.stats()
            assert stats.dropped == 0, stats

    def teardown(self):
        if hasattr(self, "case"):
            self.case.heal()
            shutil.rmtree(self.root)


def random_walks(count):
    return elsewhere("model", "_random_walks", count, "random walks: add, flush, close, fork, break, heal, remove")


def _random_walks(root, count):
    tempfile.tempdir = root
    warnings.simplefilter("ignore")  # Python warns of a fork with a thread, which faulthandler starts
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=count,
            stateful_step_count=30,
            deadline=None,
            database=None,
            derandomize=count < 1000,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return Life.walks, Life.steps


if __name__ == "__main__":
    print(random_walks(int(sys.argv[1])))
