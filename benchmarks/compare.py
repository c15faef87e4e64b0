"""What a call costs, with torch's SummaryWriter and with tbc's, in one process on the same work.

    .venv/test/bin/python benchmarks/compare.py        (after `make test` has set that environment up)

The writers take turns; each figure is the median of the rounds, in microseconds a call. "caller" is what the training
loop waits. "CPU" is the CPU time of the whole process, the writer's thread and the final flush included. "empty" is a
method with add_scalar's signature that does nothing: what no writer can go below.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # torch's histogram wakes threads that go on spinning on others' account

import statistics
import tempfile
import time

import numpy as np
from torch.utils.tensorboard import SummaryWriter as TorchWriter

import tbc

ROUNDS = 7


class Empty:
    def __init__(self, log_dir):
        pass

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None, new_style=False, double_precision=False):
        pass

    def flush(self):
        pass

    close = flush


def cases():
    """name, the call, how often torch and tbc make it in a round."""
    rng = np.random.default_rng(0)
    thousand, million = (rng.normal(size=n).astype(np.float32) for n in (10**3, 10**6))
    gradient = np.linspace(0, 1, 512, dtype=np.float32)
    photo = np.clip(gradient * gradient[:, None] + rng.normal(0, 0.03, (3, 512, 512)), 0, 1).astype(np.float32)
    labels, probabilities = rng.random(10**6) < 0.3, rng.random(10**6).astype(np.float32)
    second = np.sin(np.linspace(0, 2000, 44100)).astype(np.float32)
    points = rng.normal(size=(1, 10_000, 3)).astype(np.float32)
    vectors = rng.normal(size=(1000, 128)).astype(np.float32)
    losses = {"train": 0.5, "test": 0.6, "best": 0.4}
    yield "add_scalar", lambda writer, i: writer.add_scalar("loss/train", 0.5, i), 2000, 200_000
    yield "add_scalars, 3 keys", lambda writer, i: writer.add_scalars("loss", losses, i), 500, 50_000
    yield "add_text", lambda writer, i: writer.add_text("note", "a short note", i), 2000, 100_000
    yield "add_histogram, 1,000 float32", lambda writer, i: writer.add_histogram("h", thousand, i), 50, 5000
    yield "add_histogram, 1,000,000 float32", lambda writer, i: writer.add_histogram("h", million, i), 5, 30
    yield "add_pr_curve, 1,000,000", lambda writer, i: writer.add_pr_curve("pr", labels, probabilities, i), 5, 30
    yield "add_audio, 1 s", lambda writer, i: writer.add_audio("sound", second, i), 10, 200
    yield "add_mesh, 10,000 points", lambda writer, i: writer.add_mesh("mesh", points, global_step=i), 10, 500
    yield "add_embedding, 1,000x128", lambda writer, i: writer.add_embedding(vectors, global_step=i + 1), 2, 5
    yield "add_image, 3x512x512 float32", lambda writer, i: writer.add_image("image", photo, i), 3, 20


def measure(make, call, times):
    """Microseconds a call: the caller's, and CPU of the process."""
    with tempfile.TemporaryDirectory() as log_dir:
        writer = make(log_dir)
        call(writer, -1)
        writer.flush()
        cpu, clock = time.process_time(), time.perf_counter()
        for i in range(times):
            call(writer, i)
        clock = time.perf_counter() - clock
        writer.flush()
        cpu = time.process_time() - cpu
        writer.close()
    return clock / times * 1e6, cpu / times * 1e6


def main():
    print(f"{'microseconds a call':<34}{'torch caller':>13}{'CPU':>10}{'tbc caller':>13}{'CPU':>10}{'CPU ratio':>12}")
    for name, call, torch_times, tbc_times in cases():
        makers = [(TorchWriter, torch_times), (tbc.SummaryWriter, tbc_times)]
        if name == "add_scalar":
            makers.append((Empty, tbc_times))
        rounds = [[measure(make, call, times) for make, times in makers] for _ in range(ROUNDS)]
        (torch_, torch_cpu), (ours, our_cpu), *empty = (
            [statistics.median(figure) for figure in zip(*results, strict=True)]
            for results in zip(*rounds, strict=True)
        )
        print(
            f"{name:<34}{torch_:>13,.1f}{torch_cpu:>10,.1f}{ours:>13,.2f}{our_cpu:>10,.2f}{torch_cpu / our_cpu:>12,.0f}"
        )
        for clock, _ in empty:
            print(f"{'an empty method':<34}{'':>23}{clock:>13,.2f}")


if __name__ == "__main__":
    main()
