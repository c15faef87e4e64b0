"""Run the code blocks of a page, README.md or one of docs/*.md, in the current directory:

    python tests/helpers/pages.py docs/guide.md

The Python blocks of a page are one program, which begins with the page's prologue in `PROLOGUES`, if it has one. A
block that begins with `# name.py` is one or more files: they are written, and tests among them are run. Each command of
a console block is run, except those of `NOT_RUN`. It must succeed, and print what the page shows, if that shows output:
`...` stands for any lines. A comment before a block, `<!-- needs lightning -->`, names the packages it needs.
"""

import math
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(
    r"^(?:<!-- needs (?P<needs>[^>]+) -->\n)?```(?P<language>\S*)[^\n`]*\n(?P<code>.*?)^```$", re.M | re.S
)
NOT_RUN = {  # the first word of a command -> why it is not run
    "accelerate": "may not be installed, and starts programs like python",
    "make": "builds, measures and tests for minutes",
    "pip": "would change what is installed",
    "tensorboard": "is a server",
    "torchrun": "starts programs like python",
}
FOR_EVER = " -f "


class Block(NamedTuple):
    page: str
    line: int  # of its first line
    language: str
    code: str
    needs: list[str]  # packages

    def can_run(self):
        return all(find_spec(package) for package in self.needs)


def blocks(page):
    text = (ROOT / page).read_text()
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        needs = re.findall(r"[\w.]+", match["needs"] or "")
        yield Block(page, line, match["language"], match["code"], needs)


def run(block, names):
    """Run a block. names: the variables of the program so far."""
    if block.language == "console":
        run_commands(block)
    elif re.match(r"# \w+\.py\n", block.code):
        write_files(block)
    else:
        exec(compiled(block), names)


def compiled(block):
    """Compile a block so that tracebacks show the line numbers of the page."""
    return compile("\n" * (block.line - 1) + block.code, ROOT / block.page, "exec")


def write_files(block):
    _, *files = re.split(r"^# (\w+\.py)\n", block.code, flags=re.M)
    for name, code in zip(files[::2], files[1::2], strict=True):
        Path(name).write_text(code)
    tests = [name for name in files[::2] if name.startswith("test_")]
    if tests:
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests], check=True)


def program_of(command):
    """Return the first word of a command after the variables it sets."""
    return next(word for word in shlex.split(command, comments=True) if "=" not in word)


def run_commands(block):
    for prompted in re.split(r"^\$ ", block.code, flags=re.M)[1:]:
        command, _, shown = prompted.partition("\n")
        if program_of(command) in NOT_RUN:
            continue
        status, output = run_command(command)
        place = f"{block.page}:{block.line}: {command}\n{output}"
        assert status == (130 if FOR_EVER in command else 0), place
        pattern = ".*".join(map(re.escape, shown.strip("\n").split("...")))
        assert not shown.strip() or re.fullmatch(pattern, output.strip("\n"), re.S), place


def run_command(command):
    """Run a command; return its exit status and output. Stop a command that follows files with Ctrl-C."""
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    environment = os.environ | {"PATH": path, "TZ": "UTC", "COLUMNS": "80", "LINES": "24"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(["bash", "-c", command], env=environment, text=True, **pipes) as process:
        try:
            output, _ = process.communicate(timeout=5 if FOR_EVER in command else 120)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=30)
    return process.returncode, output


TRAIN = """
from torch.utils.tensorboard import SummaryWriter

with SummaryWriter("runs/train") as writer:
    writer.add_scalar("loss", 0.5, 1)
"""
TRAINING = """
import tbc

def train(log_dir, epochs):
    with tbc.SummaryWriter(log_dir) as writer:
        for epoch in range(epochs):
            writer.add_metrics({"loss/train": 1 / (1 + epoch), "loss/val": 1 / (1 + epoch)}, epoch)
"""


def runs_of_readme():
    """Write the runs that README reads; return the variables that its lists of calls use without defining them."""
    import io

    import numpy as np
    from PIL import Image

    import tbc

    rng = random.Random(0)
    for lr in (0.1, 0.01):
        with tbc.SummaryWriter(f"runs/lr={lr}") as writer:
            for step in range(0, 1000, 20):
                loss = 0.2 + math.exp(-step * lr / 10) + rng.gauss(0, 0.03)
                writer.add_scalar("loss/val", loss, step, walltime=1.75e9 + step)
    for run in ("a", "b"):
        with tbc.SummaryWriter(f"runs/{run}") as writer:
            for step in range(500, 1500):
                writer.add_scalar("loss", 1 / step, step)
    warnings.filterwarnings("ignore", ".* left out because a later event file")  # blocks log into the same runs again
    Path("train.py").write_text(TRAIN)
    Path("training.py").write_text(TRAINING)
    jpeg = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(jpeg, "JPEG")
    return {
        "step": 100,
        "jpeg_bytes": jpeg.getvalue(),
        "images": np.zeros((4, 3, 16, 16)),
        "frames": np.zeros((1, 8, 3, 16, 16)),
        "stereo": np.zeros((2, 8000), np.int16),
        "vectors": np.eye(9),
        "config": {"lr": 0.1, "betas": [0.9, 0.999], "layers": {"hidden": 64}, "amsgrad": False},
        "metrics": {"accuracy": 0.97},
        "log_dir": "runs/settings",
        "rank": 0,
    }


PROLOGUES = {"README.md": runs_of_readme}  # for pages whose blocks use files or names that they do not make


def main(page):
    names = {"__name__": "__main__", **PROLOGUES.get(page, dict)()}
    for block in blocks(page):
        if block.language in ("python", "console") and block.can_run():
            run(block, names)


if __name__ == "__main__":
    main(sys.argv[1])
