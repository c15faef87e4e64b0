"""Every add_* of tbc, beside torch's writer and tensorboardX's."""

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import tensorboardX
import torch
from matplotlib.figure import Figure
from timing import Cost, Subject, digits, medians
from torch.utils.tensorboard import SummaryWriter as TorchWriter

import tbc

WRITERS = {"torch": TorchWriter, "tensorboardX": tensorboardX.SummaryWriter, "tbc": tbc.SummaryWriter}
SAME = "what tbc has"
EMPTY_GOAL = 2.5  # add_scalar / an empty method, what their callers wait


@dataclass
class Case:
    """A statement, for each writer; None where a writer has no such method."""

    name: str
    tbc: str
    goals: dict[str, float] = field(
        default_factory=dict
    )  # "torch", "tensorboardX": least ratio of CPU; "caller": most microseconds
    torch: str | None = SAME
    tensorboardX: str | None = SAME

    def statement(self, writer):
        statement = getattr(self, writer)
        return self.tbc if statement == SAME else statement


CASES = [
    Case("add_scalar", "writer.add_scalar('loss/train', 0.5, i)", {"torch": 300}),
    Case("add_scalar, 0-d tensor", "writer.add_scalar('loss/train', loss, i)", {"torch": 100}),
    Case("add_scalars, 3 keys", "writer.add_scalars('loss', losses, i)", {"torch": 150}),
    Case("add_metrics, 3 keys", "writer.add_metrics(losses, i)", torch=None, tensorboardX=None),
    Case("add_text", "writer.add_text('note', 'a short note', i)", {"torch": 100}),
    Case(
        "add_tensor, 1,000 float32",
        "writer.add_tensor('tensor', thousand_tensor, i)",
        tensorboardX=None,  # has none
    ),
    Case("add_histogram, 1,000 float32", "writer.add_histogram('weights', thousand, i)", {"torch": 400}),
    Case("add_histogram, 1M float32", "writer.add_histogram('weights', million, i)", {"torch": 11}),
    Case(
        "add_histogram, 1M bfloat16",
        "writer.add_histogram('weights', million_bfloat16, i)",
        tensorboardX=None,  # numpy() of a bfloat16 tensor raises
    ),
    Case("add_histogram, 1M, bins='auto'", "writer.add_histogram('weights', million, i, bins='auto')", {"torch": 2}),
    Case("add_histogram, 1M, bins=100", "writer.add_histogram('weights', million, i, bins=100)"),
    Case(
        "add_histogram_raw, 100 buckets",
        "writer.add_histogram_raw('raw', -3.0, 3.0, 100, 0.0, 100.0, limits, counts, i)",
    ),
    Case("add_image, 3x512x512 float32", "writer.add_image('photo', photo, i)", {"torch": 40, "caller": 1000}),
    Case("add_image, 512x512x3 uint8", "writer.add_image('photo', photo_uint8, i, dataformats='HWC')"),
    Case("add_images, 16x3x64x64", "writer.add_images('batch', batch, i)", {"torch": 20}),
    Case("add_image_with_boxes, 3x512x512", "writer.add_image_with_boxes('boxes', photo, boxes, i)"),
    Case("add_figure", "writer.add_figure('figure', figure, i, close=False)"),
    Case("add_video, 16x3x64x64", "writer.add_video('clip', clip, i)", {"tensorboardX": 10}),
    Case("add_audio, 1 s", "writer.add_audio('sound', second, i)", {"torch": 100}),
    Case("add_pr_curve, 1M", "writer.add_pr_curve('pr', labels, probabilities, i)", {"torch": 11}),
    Case("add_pr_curve_raw", "writer.add_pr_curve_raw('pr', *curve, i)"),
    Case("add_mesh, 10,000 points", "writer.add_mesh('mesh', points, global_step=i)", {"torch": 100}),
    Case("add_embedding, 1,000x128", "writer.add_embedding(vectors, global_step=i + 1)", {"torch": 20}),
    Case(
        "add_embedding, binary",
        "writer.add_embedding(vectors, global_step=i + 1, binary=True)",
        torch=None,
        tensorboardX=None,
    ),
    Case("add_hparams", "writer.add_hparams(config, results)", {"torch": 10}),
    Case("add_custom_scalars", "writer.add_custom_scalars(layout)"),
]


def data():
    """What the statements log, by name."""
    rng = np.random.default_rng(0)
    thousand, million = (rng.normal(size=n).astype(np.float32) for n in (10**3, 10**6))
    gradient = np.linspace(0, 1, 512, dtype=np.float32)
    photo = np.clip(gradient * gradient[:, None] + rng.normal(0, 0.03, (3, 512, 512)), 0, 1).astype(np.float32)
    small = photo.reshape(3, 8, 64, 8, 64).transpose(1, 3, 0, 2, 4).reshape(64, 3, 64, 64)[::4].copy()
    corners = rng.uniform(0, 256, (5, 2))
    figure = Figure(figsize=(4, 3))
    figure.add_subplot().plot(np.cumsum(thousand))
    counts, edges = np.histogram(thousand, 100)
    return {
        "loss": torch.tensor(0.5),
        "losses": {"train": 0.5, "test": 0.6, "best": 0.4},
        "thousand": thousand,
        "thousand_tensor": torch.from_numpy(thousand),
        "million": million,
        "million_bfloat16": torch.from_numpy(million).bfloat16(),
        "limits": edges[1:].tolist(),
        "counts": counts.tolist(),
        "photo": photo,
        "photo_uint8": (photo.transpose(1, 2, 0) * 255).astype(np.uint8),
        "batch": small,
        "boxes": np.hstack([corners, corners + rng.uniform(50, 250, (5, 2))]),
        "figure": figure,
        "clip": small[None],
        "second": np.sin(np.linspace(0, 2000, 44100)).astype(np.float32),
        "labels": rng.random(10**6) < 0.3,
        "probabilities": rng.random(10**6).astype(np.float32),
        "curve": rng.random((6, 127)),
        "points": rng.normal(size=(1, 10_000, 3)).astype(np.float32),
        "vectors": rng.normal(size=(1000, 128)).astype(np.float32),
        "config": {"learning rate": 0.1, "batch size": 32, "optimizer": "sgd"},
        "results": {"accuracy": 0.9, "loss": 0.1},
        "layout": {"losses": {"both": ["Multiline", ["loss/train", "loss/test"]]}},
    }


class EmptyWriter:
    """What no writer can be cheaper than: add_scalar's signature, and nothing behind it."""

    def __init__(self, log_dir):
        pass

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None, new_style=False, double_precision=False):
        pass

    def flush(self):
        pass

    close = flush


HEADER = (
    f"{'':<32}{'torch':>10}{'':>20}{'tensorboardX':>14}{'tbc':>10}{'':>20}{'CPU ratio to':>18}\n"
    f"{'microseconds a call':<32}{'caller':>10}{'p99':>10}{'CPU':>10}{'CPU':>14}{'caller':>10}{'p99':>10}{'CPU':>10}"
    f"{'torch':>8}{'tb.X':>10}  goal for torch"
)


def measure(rounds):
    """Prints each row as soon as it is measured; returns them all."""
    print(
        "The median of",
        rounds,
        "rounds each. Of few calls a round, p99 is the longest. CPU: of the process, all threads",
    )
    print("and the final flush included. (tensorboardX has the crc32c package for its checksums here.)\n")
    print(HEADER)
    names = data()
    rows = [measure_case(case, names, rounds) for case in CASES]
    rows += [measure_import(min(rounds, 5)), measure_empty(rounds)]
    short = [row["name"] for row in rows if any(not met for met in row["goals"].values())]
    print(f"{len(short)} fall short of a goal: {'; '.join(short)}" if short else "All goals are met.")
    return rows


def measure_case(case, names, rounds):
    statements = {writer: case.statement(writer) for writer in WRITERS}
    subjects = {writer: Subject(WRITERS[writer], text, names) for writer, text in statements.items() if text}
    turns = [{writer: subject.measure() for writer, subject in subjects.items()} for _ in range(rounds)]
    return report(case.name, case.goals, turns)


def measure_import(rounds):
    """In a fresh interpreter each; what it takes above one that imports nothing."""
    modules = {"torch": "torch.utils.tensorboard", "tensorboardX": "tensorboardX", "tbc": "tbc"}
    turns = []
    for _ in range(rounds):
        bare_wall, bare_cpu = interpreter("pass")
        turns.append({})
        for writer, module in modules.items():
            wall, cpu = interpreter(f"import {module}")
            wall, cpu = (1e6 * max(1e-6, above) for above in (wall - bare_wall, cpu - bare_cpu))
            turns[-1][writer] = Cost(wall, wall, cpu, wall)
    return report("import", {"caller": 20_000}, turns)


def interpreter(code):
    """Seconds of wall and CPU of an interpreter that runs `code`, away from the sources."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=tempfile.gettempdir(), check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_empty(rounds):
    """add_scalar in a bare loop: a clock around each call would take as long as the call."""
    kinds = {"tbc": WRITERS["tbc"], "empty": EmptyWriter}
    subjects = {name: Subject(make, CASES[0].tbc, {}) for name, make in kinds.items()}
    turns = [{name: subject.measure() for name, subject in subjects.items()} for _ in range(rounds)]
    tbc_loop, empty_loop = (median(turn[name].loop for turn in turns) for name in ("tbc", "empty"))
    ratio = median(turn["tbc"].loop / turn["empty"].loop for turn in turns)
    goals = {f"<= {EMPTY_GOAL}": ratio <= EMPTY_GOAL}
    print(
        f"\nadd_scalar in a bare loop {tbc_loop:.3f} us, an empty method of its signature {empty_loop:.3f}: "
        f"{ratio:.2f} times as long; goal {told(goals)}"
    )
    return {
        "name": "add_scalar over an empty method",
        "tbc": tbc_loop,
        "empty": empty_loop,
        "ratio": ratio,
        "goals": goals,
    }


def report(name, goals, turns):
    """Prints a row: the medians of the rounds, and of the ratios of each round."""
    costs = {writer: medians(turn[writer] for turn in turns) for writer in turns[0]}
    ratios = {writer: median(turn[writer].cpu / turn["tbc"].cpu for turn in turns) for writer in turns[0]}
    answers = {}
    for what, goal in goals.items():
        if what == "caller":
            answers[f"caller <= {goal:,}"] = costs["tbc"].median <= goal
        else:
            answers[f"{'' if what == 'torch' else what + ' '}>= {goal}"] = ratios[what] >= goal
    peer, other, ours = (costs.get(writer) for writer in WRITERS)
    cells = [*three(peer), f"{digits(other and other.cpu):>14}", *three(ours)]
    cells += [f"{digits(ratios.get('torch')):>8}", f"{digits(ratios.get('tensorboardX')):>10}"]
    print(f"{name:<32}{''.join(cells)}  {told(answers)}", flush=True)
    return {
        "name": name,
        **{writer: cost._asdict() for writer, cost in costs.items()},
        "ratios": {writer: ratio for writer, ratio in ratios.items() if writer != "tbc"},
        "goals": answers,
    }


def three(cost):
    return [f"{digits(figure):>10}" for figure in (cost or (None,) * 4)[:3]]


def told(goals):
    return "; ".join(f"{goal} {'met' if met else 'short'}" for goal, met in goals.items())
