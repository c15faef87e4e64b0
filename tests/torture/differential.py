"""Make random calls on torch's writer and tbc's, which must log the same, except for differences.DIFFERENCES.

    make differential                        100,000 calls
    make differential BUDGET=1000 SEED=7     1,000 calls, drawn from this seed on

hypothesis shortens a sequence whose calls log or raise something else, and it is printed as a program.
"""

import argparse
import contextlib
import faulthandler
import inspect
import io
import logging
import os
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import google_crc32c
from helpers.differences import DIFFERENCES, KNOWN_FAULTS, RAISES, SKIPPED
from helpers.same_as_torch import TorchWriter, attempt, quiet, run, same_run
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow
from torch.utils.tensorboard import FileWriter as TorchFileWriter
from torture.calls import NAMESPACE, sequences
from torture.row import Row

import tbc

BATCH = 3000  # calls of one run of hypothesis, about
HANG = 600  # seconds until a batch counts as hanging; it takes one minute
ANYTHING = Exception()
ALONE, LEFT_OUT = "on tbc's writer alone", "left out"
CLEAR = TypeError, ValueError, AssertionError, NotImplementedError, OSError, OverflowError
TORCH = os.path.join("torch", "utils", "tensorboard")


def bound(method, arguments, keywords):
    """Return the arguments by name, with defaults; an empty dict if they do not fit."""
    owner, name = (TorchFileWriter, method.partition(".")[2]) if "." in method else (TorchWriter, method)
    function = getattr(owner, name, None)
    if function is None:
        return {}
    try:
        found = inspect.signature(function).bind(None, *arguments, **keywords)
    except TypeError:
        return {}
    found.apply_defaults()
    return dict(list(found.arguments.items())[1:])


def for_torch(one, differences):
    """Return the call to make on torch's writer instead, SKIPPED or RAISES; and the differences that caused it."""
    method, named = one[0], bound(*one)
    concerned = []
    for difference in differences:
        if named and method in difference.methods.split() and _concerns(difference, named):
            concerned.append(difference)
            instead = difference.instead
            if callable(instead):
                instead = instead(SimpleNamespace(**named))
            if not isinstance(instead, dict):
                return instead, concerned
            named = named | instead
            one = method, (), named
    return one, concerned


def _concerns(difference, named):
    try:
        return bool(difference.concerns(SimpleNamespace(**named)))
    except Exception:  # odd arguments, which the difference does not concern
        return False


def play(writer_class, options, calls, root):
    """Make the calls in a new directory; return what they log, and what the constructor, calls and close() raise."""
    was = os.getcwd()
    os.chdir(root)
    try:
        with quiet():
            arguments, keywords = eval(f"call({options})", NAMESPACE)
            try:
                writer = writer_class(*arguments, **keywords)
            except Exception as error:
                return run("."), [error]
            raised = [None] + [ANYTHING if one is RAISES else attempt(writer, one) for one in calls]
            raised.append(attempt(writer, ("close", (), {})))
            return run("."), raised
    finally:
        os.chdir(was)


def same_error(ours, theirs):
    """Return whether tbc's exception may stand for torch's.

    If torch's writer itself raises, an `except` for its type must catch tbc's. If it fails within numpy, protobuf or
    the like, tbc may also raise one of CLEAR.
    """
    if ours is None or theirs is None:
        return ours is theirs
    if theirs is ANYTHING:
        return True
    if theirs.__traceback__.tb_next is None:  # the call failed: arguments that do not fit the signature
        return True
    builtin = next(kind for kind in type(theirs).__mro__ if kind.__module__ == "builtins")
    return isinstance(ours, builtin) or (not is_raised_by_torch(theirs) and isinstance(ours, CLEAR))


def is_raised_by_torch(error):
    """Return whether a `raise` statement of torch's writer raised the error."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return any(TORCH in frame.filename and (frame.line or "").startswith("raise") for frame in last)


def compare(sequence, differences, counts=None):
    """Assert that both writers log and raise the same. Count the calls by method, and the differences."""
    counts = Counter() if counts is None else counts
    ours, theirs, sources = [], [], []
    for call in sequence.calls:
        try:
            one, other = call.evaluate(), call.evaluate()
        except Exception:  # torch has no such tensor
            continue
        instead, concerned = for_torch(other, differences)
        counts.update(difference.line for difference in concerned)
        counts[LEFT_OUT] += instead is SKIPPED
        counts[ALONE] += instead is RAISES
        if instead is not SKIPPED:
            counts[call.method,] += 1
            ours.append(one)
            theirs.append(instead)
            sources.append(call)
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root, name) for name in ("ours", "theirs")]
        for folder in folders:
            folder.mkdir()
        logged, raised = play(tbc.SummaryWriter, sequence.options, ours, folders[0])
        logged_there, raised_there = play(TorchWriter, sequence.options, theirs, folders[1])
    for source, error, error_there in zip(["the constructor", *sources, "close()"], raised, raised_there, strict=False):
        assert same_error(error, error_there), f"{source} raises {error!r} and, in torch, {error_there!r}"
    same_run(logged, logged_there)


@contextlib.contextmanager
def fast():
    """Speed torch's writer up: checksums in C, files in memory, fast switches between threads, no log messages."""
    was = pywrap_tensorflow.crc32c, sys.getswitchinterval(), tempfile.tempdir, logging.root.manager.disable
    pywrap_tensorflow.crc32c = google_crc32c.value
    sys.setswitchinterval(1e-4)
    if os.access("/dev/shm", os.W_OK):
        tempfile.tempdir = "/dev/shm"
    logging.disable()
    try:
        yield
    finally:
        pywrap_tensorflow.crc32c, interval, tempfile.tempdir, level = was
        sys.setswitchinterval(interval)
        logging.disable(level)


def search(number, longest, sequence_count, differences, counts):
    """Draw sequences from a seed; return the shortest that differs and the error, or None."""
    found = []

    @seed(number)
    @settings(
        max_examples=sequence_count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(sequences(longest))
    def check(sequence):
        try:
            compare(sequence, differences, Counter() if found else counts)  # do not count the tries to shorten it
        except Exception as error:  # reading the files may raise, too
            found.append((sequence, error))
            raise AssertionError from error  # always of one type, so that hypothesis sees one failure

    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(AssertionError, Flaky):
        check()
    return without_idle_calls(*found[-1], differences) if found else None  # the last one is the shortest


def without_idle_calls(sequence, error, differences):
    """Remove each call that is not needed for the failure."""
    for place in reversed(range(len(sequence.calls))):
        shorter = replace(sequence, calls=sequence.calls[:place] + sequence.calls[place + 1 :])
        try:
            compare(shorter, differences)
        except Exception as other:
            sequence, error = shorter, other
    return sequence, error


def calls(budget, first_seed=0, stop_after=5):
    """Make at least `budget` calls; return a row for `make torture`. Raises AssertionError if there are differences."""
    counts, failures = Counter(), []
    number = first_seed
    with fast():
        while total(counts) < budget and len(failures) < stop_after:
            faulthandler.dump_traceback_later(HANG, exit=True, file=sys.__stderr__)
            failure = search(number, 30, BATCH // 15, DIFFERENCES + KNOWN_FAULTS, counts)
            if failure:
                failures.append(failure)
                report(number, *failure)
            number += 1
    faulthandler.cancel_dump_traceback_later()
    made = {name[0]: count for name, count in sorted(counts.items(), key=str) if isinstance(name, tuple)}
    by_method = ", ".join(f"{name} {count:,}" for name, count in made.items())
    known = sum(counts[line] for line in {difference.line for difference in KNOWN_FAULTS})
    note = f"seeds {first_seed} to {number - 1}; {counts[ALONE]:,} on tbc's writer alone, which must raise; "
    note += f"{counts[LEFT_OUT]:,} more were left out, {known:,} of them for known faults"
    print(f"{total(counts):,} calls ({by_method}); {note}; differences found: {len(failures)}", flush=True)
    assert not failures, f"{len(failures)} sequences of calls differ from torch's writer"
    return Row("random calls of every method, against torch's writer", total(counts), total(counts), 0, note)


def total(counts):
    return sum(count for name, count in counts.items() if isinstance(name, tuple))


def report(number, sequence, error):
    print(f"--- seed {number}: {str(error).strip() or repr(error)}\n\n{sequence.program()}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="python -m torture.differential")
    parser.add_argument("--budget", type=int, default=100_000, help="how many calls to make, at least")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; each draws about 3,000 calls")
    options = parser.parse_args()
    try:
        calls(options.budget, options.seed)
    except AssertionError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
