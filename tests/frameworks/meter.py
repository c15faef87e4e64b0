"""Run a job, and measure what its logging costs.

    python [-m tbc] meter.py JOB PACKAGE LOG_DIR RESULT [NAME=NUMBER ...]

With `-m tbc`, tbc's writers replace torch's and tensorboardX's; there is no other difference. The measurements and the
version of PACKAGE are written to the file RESULT as JSON. The numbers are arguments of the job's train().
"""

import functools
import importlib
import json
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path


class Meter:
    """Measure how long the methods of SummaryWriters block their caller, if one thread makes all calls.

    The methods of FileWriter are not measured: jobs rarely call them, and tbc takes another path if they are replaced.

    seconds: in all, 0.3 us of each call for the meter itself. A method that another method calls does not count again.
    calls: the number of calls.
    writers: the packages of the writers.
    """

    def __init__(self):
        self.seconds, self.calls, self.writers = 0.0, 0, set()
        self.is_within = False

    def watch(self, kind):
        for name in dir(kind):
            if name in ("__init__", "flush", "close") or name.startswith("add_"):
                setattr(kind, name, self.timed(getattr(kind, name)))

    def timed(self, method):
        @functools.wraps(method)
        def call(writer, *args, **kwargs):
            if self.is_within:
                return method(writer, *args, **kwargs)
            self.is_within = True
            start = time.perf_counter()
            try:
                return method(writer, *args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start
                self.calls += 1
                self.is_within = False
                self.writers.add(package_of(type(writer)))

        return call


@functools.cache
def package_of(kind):
    packages = [base.__module__.partition(".")[0] for base in kind.__mro__]
    return "tbc" if "tbc" in packages else packages[0]


def main(job, package, log_dir, result, *arguments):
    meter = Meter()
    for name in ("torch.utils.tensorboard", "tensorboardX"):
        with suppress(ImportError):
            meter.watch(importlib.import_module(name).SummaryWriter)
    train = importlib.import_module(job).train
    numbers = {name: int(number) for name, _, number in (argument.partition("=") for argument in arguments)}
    cpu, start = time.process_time(), time.perf_counter()
    train(log_dir, **numbers)
    measured = {
        "version": version(package),
        "writers": sorted(meter.writers),
        "calls": meter.calls,
        "logging": meter.seconds,
        "training": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
    }
    Path(result).write_text(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
