"""Test one writer under faults, with a list of what it accepted, and readers that follow its files."""

import errno
import faulthandler
import json
import os
import shutil
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from torture import faults
from torture.row import Row

import tbc
from tbc.reader import TruncatedRecordError, find_event_files, read_events

OF_THE_PROGRAM = {errno.EMFILE, errno.EACCES, errno.ENOENT, errno.EEXIST}
HANG = 60  # seconds until a case counts as hanging; it takes less than 1


@dataclass
class Case:
    """A writer, what it accepted, and which errors it may raise.

    may_raise: the errno values that flush(), close() and the constructor may raise while the fault lasts.
    short_of_memory: whether any call may raise MemoryError.
    may_leave_files: whether useless files may stay, since they cannot be removed.
    removed: whether files were removed, so that a reader that follows may have seen more than is left.
    """

    log_dir: str
    watchers: object = None  # readers.Readers
    may_raise: frozenset = frozenset()
    short_of_memory: bool = False
    may_leave_files: bool = False
    removed: bool = False
    accepted: dict = field(default_factory=dict)  # run -> tag -> [(step, value)]; value is None if it is not a scalar
    later: list = field(default_factory=list)  # functions to call when the writer is closed
    writer: tbc.SummaryWriter = None

    # --- calls, and what they may do ---

    def open(self, **options):
        """Open the writer; while the constructor cannot make a file, it must raise and leave no file."""
        while self.writer is None:
            hits = faults.hits()
            try:
                self.writer = tbc.SummaryWriter(self.log_dir, **options)
            except (OSError, MemoryError) as error:
                self.judge(error)
                self.check_nothing_was_made(faults.hits() - hits)
            if faults.hits() > 3:  # the fault lasts; end it
                faults.disarm()

    def add(self, call, tag, step, value=None, run="."):
        """Make a call that logs. It may raise MemoryError, but no error of the disk, which may be over later.

        It may raise errors of the program, such as too many open files or no permission.
        """
        try:
            call()
        except MemoryError:
            assert self.short_of_memory, "a MemoryError"
        except OSError as error:
            self.judge(error)
            if error.errno not in OF_THE_PROGRAM:
                raise
        else:
            self.accepted.setdefault(run, {}).setdefault(tag, []).append((step, value))

    def scalar(self, step, tag="loss"):
        self.add(lambda: self.writer.add_scalar(tag, step / 8, step), tag, step, step / 8)

    def curve(self, key, step):
        """Log with add_scalars, which has a separate file for each key."""
        numbers = {key: step / 8}
        self.add(lambda: self.writer.add_scalars("curve", numbers, step), "curve", step, step / 8, f"curve_{key}")

    def histogram(self, step):
        self.add(lambda: self.writer.add_histogram("weights", np.arange(50.0), step), "weights", step)

    def text(self, step, text="long " * 400):
        self.add(lambda: self.writer.add_text("note", text, step), "note/text_summary", step)

    def large(self, step):
        """Log an event so large that it is encoded outside the lock."""
        self.text(step, "long " * 60_000)

    def image(self, step):
        """Log an image. Another thread encodes it, so a lack of memory shows in the flush."""

        def call():
            self.writer.add_image("image", np.zeros((3, 8, 8), np.uint8), step)
            with suppress(OSError):
                self.writer.flush()

        self.add(call, "image", step)

    def flush(self, **options):
        """Flush; return whether that succeeded. If it did, check that all accepted values can be read."""
        return self.succeeds(lambda: self.writer.flush(**options)) and self.check("after a flush")

    def close(self):
        return self.succeeds(self.writer.close) and self.check("after a close")

    def succeeds(self, call):
        try:
            call()
        except (OSError, MemoryError) as error:
            self.judge(error)
            return False
        return True

    def heal(self):
        """End the fault. One attempt, begun during the fault, may still fail; the next must succeed."""
        faults.disarm()
        assert self.flush() or self.flush(), "flush() fails after the fault is over"
        stats = self.writer.stats()
        assert (stats.queued, stats.dropped, stats.error) == (0, 0, None), stats
        assert self.close(), "close() fails after the fault is over"

    # --- what must hold ---

    def judge(self, error):
        """Assert that the fault explains an exception."""
        if isinstance(error, MemoryError):
            assert self.short_of_memory, "a MemoryError"
            return
        assert error.errno in self.may_raise, f"{error!r}"
        assert str(error.filename).startswith(self.log_dir), f"{error!r} of {error.filename!r}"

    def check_nothing_was_made(self, hits):
        if self.may_leave_files:
            return
        left = find_event_files(self.log_dir) if os.path.exists(self.log_dir) else []
        assert not left, f"a constructor that raised left {left}"
        assert hits, "a constructor raised without a fault"

    def check(self, when):
        found = read_back(self.log_dir)
        assert found == self.accepted, f"{when}, the files hold {differences(found, self.accepted)}"
        return True

    def matches(self, live):
        """Return whether a reader that follows has what it should."""
        if not self.removed:
            return live == self.accepted
        tags = [
            (points, live.get(run, {}).get(tag, []))
            for run, tags in self.accepted.items()
            for tag, points in tags.items()
        ]
        return all(found[-len(points) :] == points and found == sorted(set(found)) for points, found in tags)

    def look(self):
        """Have the readers that follow read what is there now; wait until RustBoard has the same as the other."""
        if self.watchers is not None:
            self.watchers.live(os.path.basename(self.log_dir), (lambda view: True) if self.removed else None)


def read_back(log_dir):
    """Read a directory and all below it with tbc.reader; return run -> tag -> [(step, value)]."""
    found = {}
    for path in sorted(find_event_files(log_dir)) if os.path.exists(log_dir) else []:
        tags = found.setdefault(os.path.relpath(os.path.dirname(path), log_dir), {})
        try:
            for event in read_events(path):
                for value in event.summary.value:
                    number = value.simple_value if value.WhichOneof("value") == "simple_value" else None
                    tags.setdefault(value.tag, []).append((event.step, number))
        except TruncatedRecordError:
            pass  # a file that the writer has given up, or that has no room now
    return {run: tags for run, tags in found.items() if tags}


def differences(found, expected):
    """Describe the first difference in few words."""
    for run in sorted(found.keys() | expected.keys()):
        tags, wanted = found.get(run, {}), expected.get(run, {})
        for tag in sorted(tags.keys() | wanted.keys()):
            if tags.get(tag) != wanted.get(tag):
                return f"{tag!r} of {run!r}: {tags.get(tag)}, not {wanted.get(tag)}"
    return "nothing else"


# --- many cases ---


def try_all(root, cases, attempt):
    """Call attempt(case, *arguments) with a new Case for each of `cases`; return (cases tried, events accepted).

    TensorBoard's readers follow each case, and later read it afresh. Failures are raised together at the end.
    """
    from torture import readers

    live, done = os.path.join(root, "live"), os.path.join(root, "done")
    os.makedirs(live, exist_ok=True)
    labels = {f"case-{number:05}": arguments for number, arguments in enumerate(cases)}
    failures, events = {}, 0
    for some in _chunks(labels):
        accepted = {}
        os.makedirs(done)
        with readers.Readers(live) as watchers:
            for name in some:
                print(name, labels[name], flush=True)  # so that the output of a hang names its case
                faulthandler.dump_traceback_later(HANG, exit=True)
                case = Case(os.path.join(live, name), watchers)
                try:
                    attempt(case, *labels[name])
                    _check_live(case, watchers.live(name, case.matches))
                    shutil.move(case.log_dir, done)
                    accepted[name] = case.accepted
                except AssertionError as error:
                    failures[name] = str(error)
                except Exception:
                    failures[name] = traceback.format_exc()
                faults.disarm()
                watchers.forget(name)
                shutil.rmtree(case.log_dir, ignore_errors=True)
                events += sum(len(points) for tags in case.accepted.values() for points in tags.values())
        faulthandler.dump_traceback_later(HANG + len(some), exit=True)
        for view, found in readers.fresh(done, accepted).items():
            for name, wanted in accepted.items():
                if found[name] != wanted:
                    failures[name] = f"{view} has {differences(found[name], wanted)}"
        shutil.rmtree(done)
    report = "\n".join(f"{name} {labels[name]}: {failure}" for name, failure in failures.items())
    assert not failures, f"{len(failures)} of {len(cases)}:\n{report}"
    return len(cases), events


def _chunks(names, size=200):
    """Split names, since a fresh reader reads all cases whenever it is asked."""
    names = list(names)
    return [names[start : start + size] for start in range(0, len(names), size)]


def _check_live(case, views):
    for view, found in views.items():
        stuck = case.removed and view == "Python live"  # this reader may stop at a deleted file
        assert stuck or case.matches(found), f"{view} has {differences(found, case.accepted)}"


def elsewhere(module, function, count, what, **options):
    """Call a function of a module here in a process with the shim; return a Row of its result."""
    script = f"""
        import json, sys
        from torture import {module}
        print(json.dumps({module}.{function}(sys.argv[1], int(sys.argv[2]))))
    """
    with tempfile.TemporaryDirectory() as root:
        output = faults.run(script, root, count, timeout=3600, **options)
    tried, events = json.loads(output.splitlines()[-1])
    return Row(what, tried, events, 0)
