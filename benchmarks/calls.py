"""Measure every add_* method of tbc, torch's writer and tensorboardX's."""

import resource
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import NamedTuple

import numpy as np
import tensorboardX
import torch
from matplotlib.figure import Figure
from timing import Cost, Subject, digits, medians
from torch.utils.tensorboard import SummaryWriter as TorchWriter

import tbc

WRITERS = {"torch": TorchWriter, "tensorboardX": tensorboardX.SummaryWriter, "tbc": tbc.SummaryWriter}
EMPTY_GOAL = 2.5  # the maximum of add_scalar's time over that of an empty method, as their callers wait
NOTE = """\
Medians of {rounds} rounds. caller: time your loop is blocked. CPU: of the process, all threads and the final flush
included. p99 of few calls is the maximum. Goals: the minimum ratio to torch, unless another is named. tensorboardX
uses the crc32c package for its checksums.
"""


class Case(NamedTuple):
    name: str
    statement: str
    goals: dict[str, float] | None = None  # a peer -> the minimum ratio of CPU; "caller" -> the maximum microseconds
    peers: tuple[str, ...] = ("torch", "tensorboardX")


CASES = [
    Case("add_scalar", "writer.add_scalar('loss/train', 0.5, i)", {"torch": 300}),
    Case("add_scalar, 0-d tensor", "writer.add_scalar('loss/train', loss, i)", {"torch": 100}),
    Case("add_scalars, 3 keys", "writer.add_scalars('loss', losses, i)", {"torch": 150}),
    Case("add_metrics, 3 keys", "writer.add_metrics(losses, i)", peers=()),
    Case("add_text", "writer.add_text('note', 'a short note', i)", {"torch": 100}),
    Case("add_tensor, 1,000 float32", "writer.add_tensor('tensor', tensor, i)", peers=("torch",)),
    Case("add_histogram, 1,000 float32", "writer.add_histogram('weights', thousand, i)", {"torch": 400}),
    Case("add_histogram, 1M float32", "writer.add_histogram('weights', million, i)", {"torch": 11}),
    # tensorboardX calls numpy() on the tensor, which raises for bfloat16.
    Case("add_histogram, 1M bfloat16", "writer.add_histogram('weights', million_bfloat16, i)", peers=("torch",)),
    Case("add_histogram, 1M, bins='auto'", "writer.add_histogram('weights', million, i, bins='auto')", {"torch": 2}),
    Case("add_histogram, 1M, bins=100", "writer.add_histogram('weights', million, i, bins=100)"),
    Case("add_histogram_raw, 100 buckets", "writer.add_histogram_raw('raw', -3, 3, 1000, 0, 1000, limits, counts, i)"),
    Case("add_image, 3x512x512 float32", "writer.add_image('photo', photo, i)", {"torch": 40, "caller": 1000}),
    Case("add_image, 512x512x3 uint8", "writer.add_image('photo', photo_uint8, i, dataformats='HWC')"),
    Case("add_images, 16x3x64x64", "writer.add_images('batch', batch, i)", {"torch": 20}),
    Case("add_image_with_boxes, 3x512x512", "writer.add_image_with_boxes('boxes', photo, boxes, i)"),
    Case("add_figure", "writer.add_figure('figure', figure, i, close=False)"),
    # torch needs an older moviepy than tensorboardX, and with a newer one writes a value without content.
    Case("add_video, 16x3x64x64", "writer.add_video('clip', clip, i)", {"tensorboardX": 10}, peers=("tensorboardX",)),
    Case("add_audio, 1 s", "writer.add_audio('sound', second, i)", {"torch": 100}),
    Case("add_pr_curve, 1M", "writer.add_pr_curve('pr', labels, probabilities, i)", {"torch": 11}),
    Case("add_pr_curve_raw", "writer.add_pr_curve_raw('pr', *curve, i)"),
    Case("add_mesh, 10,000 points", "writer.add_mesh('mesh', points, global_step=i)", {"torch": 100}),
    Case("add_embedding, 1,000x128", "writer.add_embedding(vectors, global_step=i + 1)", {"torch": 20}),
    Case("add_embedding, binary", "writer.add_embedding(vectors, global_step=i + 1, binary=True)", peers=()),
    Case("add_graph, 36 layers", "writer.add_graph(network, batch_of_4)"),
    Case("add_hparams", "writer.add_hparams(config, results)", {"torch": 10}),
    Case("add_custom_scalars", "writer.add_custom_scalars(layout)"),
]


def data():
    """Return the values that the statements log, by name."""
    rng = np.random.default_rng(0)
    thousand, million = (rng.normal(size=n).astype(np.float32) for n in (10**3, 10**6))
    picture = photo(rng)
    small = picture.reshape(3, 8, 64, 8, 64).transpose(1, 3, 0, 2, 4).reshape(64, 3, 64, 64)[::4].copy()
    corners = rng.uniform(0, 256, (5, 2))
    figure = Figure(figsize=(4, 3))
    figure.add_subplot().plot(np.cumsum(thousand))
    counts, edges = np.histogram(thousand, 100)
    return {
        "loss": torch.tensor(0.5),
        "losses": {"train": 0.5, "test": 0.6, "best": 0.4},
        "thousand": thousand,
        "tensor": torch.from_numpy(thousand),
        "million": million,
        "million_bfloat16": torch.from_numpy(million).bfloat16(),
        "limits": edges[1:].tolist(),
        "counts": counts.tolist(),
        "photo": picture,
        "photo_uint8": (picture.transpose(1, 2, 0) * 255).astype(np.uint8),
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
        "network": torch.nn.Sequential(*(block() for _ in range(12))),
        "batch_of_4": torch.zeros(4, 64),
        "config": {"learning rate": 0.1, "batch size": 32, "optimizer": "sgd"},
        "results": {"accuracy": 0.9, "loss": 0.1},
        "layout": {"losses": {"both": ["Multiline", ["loss/train", "loss/test"]]}},
    }


def block():
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.LayerNorm(64), torch.nn.ReLU())


def photo(rng):
    """Return an image of 3x512x512, a gradient with noise, which compresses like a photograph."""
    gradient = np.linspace(0, 1, 512, dtype=np.float32)
    return np.clip(gradient * gradient[:, None] + rng.normal(0, 0.03, (3, 512, 512)), 0, 1).astype(np.float32)


class EmptyWriter:
    """The lower bound for any writer: an add_scalar with the same signature that does nothing."""

    def __init__(self, log_dir):
        pass

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None, new_style=False, double_precision=False):
        pass

    def flush(self):
        pass

    close = flush


def measure(rounds):
    """Print each row as soon as it is measured; return all rows."""
    print(NOTE.format(rounds=rounds))
    print(f"{'':32}{'torch':>10}{'':20}{'tensorboardX':>14}{'tbc':>10}{'':20}{'CPU ratio to':>18}")
    columns = [f"{name:>10}" for name in ("caller", "p99", "CPU")]
    print(f"{'microseconds a call':32}", *columns, f"{'CPU':>14}", *columns, f"{'torch':>8}{'tb.X':>10}  goal", sep="")
    names = data()
    rows = [measure_case(case, names, rounds) for case in CASES]
    rows += [measure_import(min(rounds, 5)), measure_empty(rounds)]
    short = [row["name"] for row in rows if not all(row["goals"].values())]
    print(f"{len(short)} fall short of a goal: {'; '.join(short)}" if short else "All goals are met.")
    return rows


def measure_case(case, names, rounds):
    subjects = {name: Subject(WRITERS[name], case.statement, names) for name in (*case.peers, "tbc")}
    turns = [{name: subject.measure() for name, subject in subjects.items()} for _ in range(rounds)]
    return report(case.name, case.goals or {}, turns)


def measure_import(rounds):
    """Measure each import in a fresh interpreter, less the time of one that imports nothing."""
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
    """Return the wall and CPU seconds of an interpreter that runs `code`, outside the clone, which has no built tbc."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=tempfile.gettempdir(), check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_empty(rounds):
    """Measure add_scalar in a bare loop, since reading the clock around each call takes as long as the call."""
    tbc_, empty = (Subject(make, CASES[0].statement, {}) for make in (tbc.SummaryWriter, EmptyWriter))
    turns = [(tbc_.measure().loop, empty.measure().loop) for _ in range(rounds)]
    ours, bare = (median(figures) for figures in zip(*turns, strict=True))
    ratio = median(a / b for a, b in turns)
    goals = {f"<= {EMPTY_GOAL}": ratio <= EMPTY_GOAL}
    print(f"\nadd_scalar in a bare loop takes {ours:.3f} us, an empty method of its signature {bare:.3f}.", end=" ")
    print(f"Ratio {ratio:.2f}, {outcomes(goals)}.")
    return {"name": "add_scalar over an empty method", "tbc": ours, "empty": bare, "ratio": ratio, "goals": goals}


def report(name, goals, turns):
    """Print and return a row: the medians of the costs of all rounds, and of the ratios within each round."""
    costs = {writer: medians(turn[writer] for turn in turns) for writer in turns[0]}
    ratios = {
        writer: median(turn[writer].cpu / turn["tbc"].cpu for turn in turns) for writer in costs if writer != "tbc"
    }
    goals_met = {}
    for what, goal in goals.items():
        if what == "caller":
            goals_met[f"caller <= {goal:,}"] = costs["tbc"].median <= goal
        else:
            goals_met[f"{'' if what == 'torch' else what + ' '}>= {goal}"] = ratios[what] >= goal
    torch_, x, ours = (costs.get(writer, (None,) * 4) for writer in WRITERS)
    figures = [*torch_[:3], x[2], *ours[:3], ratios.get("torch"), ratios.get("tensorboardX")]
    widths = (10, 10, 10, 14, 10, 10, 10, 8, 10)
    cells = "".join(f"{digits(figure):>{width}}" for figure, width in zip(figures, widths, strict=True))
    print(f"{name:32}{cells}  {outcomes(goals_met)}".rstrip(), flush=True)
    costs = {writer: cost._asdict() for writer, cost in costs.items()}
    return {"name": name, **costs, "ratios": ratios, "goals": goals_met}


def outcomes(goals):
    return "; ".join(f"{goal} {'met' if met else 'short'}" for goal, met in goals.items())
