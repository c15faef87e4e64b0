"""Measure a training loop that logs 50 scalars and 10 histograms of parameters at each step."""

import tempfile
import time
from itertools import pairwise
from statistics import median

import calls
import torch
from timing import digits

STEP_SECONDS = 0.010
STEPS = 40  # in a turn
TAGS = [f"scalar/{i}" for i in range(50)]
WRITERS = {"nothing": None, **calls.WRITERS}
COLUMNS = {"ms a step": 12, "slowdown, %": 14, "logging, ms a step": 22, "longest stall, ms": 20}  # and their widths


class Training:
    """A perceptron with 5 layers, 10 arrays of parameters with 400,000 numbers in all, trained on random data."""

    def __init__(self):
        torch.manual_seed(0)
        sizes = [784, 256, 256, 256, 256, 10]
        layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
        self.model = torch.nn.Sequential(*(module for layer in layers for module in (layer, torch.nn.ReLU())))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)
        self.set_batch(64)
        while self.seconds() < STEP_SECONDS:
            self.set_batch(2 * self.batch)
        self.set_batch(max(1, int(self.batch * STEP_SECONDS / self.seconds())))

    def set_batch(self, batch):
        self.batch = batch
        self.inputs, self.targets = torch.randn(batch, 784), torch.randint(0, 10, (batch,))

    def seconds(self):
        return median(self.step()[1] for _ in range(10))

    def step(self):
        start = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(self.model(self.inputs), self.targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item(), time.perf_counter() - start

    def turn(self, make):
        """Run STEPS steps; return the mean seconds of a step, and the seconds that logging took in each step."""
        with tempfile.TemporaryDirectory() as log_dir:
            writer = make and make(log_dir)
            waits = []
            self.step_and_log(writer, 0)
            start = time.perf_counter()
            for step in range(1, STEPS + 1):
                waits.append(self.step_and_log(writer, step))
            seconds = time.perf_counter() - start
            if writer is not None:
                writer.close()
        return seconds / STEPS, waits

    def step_and_log(self, writer, step):
        loss, _ = self.step()
        start = time.perf_counter()
        if writer is not None:
            for tag in TAGS:
                writer.add_scalar(tag, loss, step)
            for name, parameter in self.model.named_parameters():
                writer.add_histogram(name, parameter, step)
        return time.perf_counter() - start


def measure(rounds):
    training = Training()
    turns = [{name: training.turn(make) for name, make in WRITERS.items()} for _ in range(rounds)]
    print(f"{len(TAGS)} scalars and 10 histograms (400,000 numbers in all) at each step; a batch of {training.batch}.")
    print(f"{rounds} turns of {STEPS} steps: the longest stall is that of all steps, the rest medians of the turns.\n")
    print(" " * 16 + "".join(f"{column:>{width}}" for column, width in COLUMNS.items()))
    rows = {}
    for name in WRITERS:
        waits = [wait for turn in turns for wait in turn[name][1]]
        rows[name] = {
            "ms a step": 1e3 * median(turn[name][0] for turn in turns),
            "slowdown, %": 100 * median(turn[name][0] / turn["nothing"][0] - 1 for turn in turns),
            "logging, ms a step": 1e3 * median(waits),
            "longest stall, ms": 1e3 * max(waits),
        }
        print(f"{name:<16}" + "".join(f"{digits(rows[name][column]):>{width}}" for column, width in COLUMNS.items()))
    return rows
