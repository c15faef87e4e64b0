"""Train in real frameworks with their own TensorBoard writer, and with tbc instead: `make frameworks`.

    cd tests && python frameworks/run.py [--rounds N] [--jax PYTHON] [--json FILE] [JOB ...]

A job is a script that does not import tbc: `python -m tbc` runs it with tbc's writers. It runs in new processes, in
turn with either writer. Both must log the same runs, files, tags, kinds, steps and values. A table shows what logging
costs. The exit status is 1 if a job failed or logged something else.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from same import differences, events, load

HERE = Path(__file__).parent
SECONDS = 300  # the time limit of a job
RUNNERS = {"before": [], "after": ["-m", "tbc"]}
SPEEDS = ("*runtime", "*_per_second")


@dataclass(frozen=True)
class Job:
    name: str  # of the module, without "_job"
    package: str  # of the framework
    usual: str  # the package of its own writer
    often: str  # how often it logs
    arguments: dict = field(default_factory=dict)  # of its train()
    timed: tuple = ()  # patterns of tags whose values are times or speeds: only their steps are compared
    differ: dict = field(default_factory=dict)  # tag -> why tbc logs something else on purpose


JOBS = [
    Job("lightning", "lightning", "torch", "every 50 steps"),
    Job("lightning", "lightning", "torch", "every step", {"every": 1}),
    Job("transformers", "transformers", "torch", "every 10 steps", timed=SPEEDS),
    Job("transformers", "transformers", "torch", "every step", {"every": 1}, timed=SPEEDS),
    Job("accelerate", "accelerate", "torch", "every step"),
    Job("ignite", "pytorch-ignite", "tensorboardX", "every step, weights every 100"),
    Job("ignite", "pytorch-ignite", "tensorboardX", "every step, weights every 10", {"histograms": 10}),
    Job(
        *("sb3", "stable-baselines3", "torch", "every 512 steps"),
        timed=("time/*",),
        differ={"video": "torch's writer makes none without moviepy 1, and logs an empty value"},
    ),
    Job("keras", "keras", "torch", "every step, weights every epoch"),
    Job("ray", "ray", "tensorboardX", "every epoch", timed=("ray/tune/time_*",)),
    Job("flax", "flax", "tensorboardX", "every 10 steps, weights every epoch"),
]


class JobError(Exception):
    pass


def run(job, python, runner, directory):
    """Run a job once in a new directory; return what meter.py has measured."""
    directory.mkdir()
    expected = job.usual if runner == "before" else "tbc"
    arguments = [f"{job.name}_job", job.package, "runs", "result.json"]
    arguments += [f"{name}={number}" for name, number in job.arguments.items()]
    with open(directory / "output", "w+") as output:
        try:
            process = subprocess.run(
                [python, *RUNNERS[runner], HERE / "meter.py", *arguments],
                cwd=directory,
                env={**os.environ, "OMP_NUM_THREADS": "1"},  # with more threads, sums differ from run to run
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=SECONDS,
            )
            failure = f"exit status {process.returncode}" if process.returncode else ""
        except subprocess.TimeoutExpired:
            failure = f"not done after {SECONDS} seconds"
        if failure:
            output.seek(0)
            raise JobError(f"{failure} with {expected}'s writer:\n{''.join(output.readlines()[-30:])}")
    result = json.loads((directory / "result.json").read_text())
    if result["writers"] != [expected]:
        raise JobError(f"{expected}'s writer should log, but {' and '.join(result['writers']) or 'none'} did")
    return result


def check_same(job, before, after):
    found = [what for tag, what in differences(load(before), load(after), job.timed) if tag not in job.differ]
    if events(before) != events(after):
        found.append(f"the numbers of events in the files are {events(before)} and {events(after)}")
    if found:
        raise JobError("the two writers differ:\n" + "\n".join(found))


def row(job, python, rounds):
    """Run a job; return what it has logged, and what that cost by runner, as medians of the rounds."""
    results = {runner: [] for runner in RUNNERS}
    with tempfile.TemporaryDirectory() as directory:
        for i in range(rounds):
            for runner, several in results.items():
                several.append(run(job, python, runner, Path(directory, f"{runner}{i}")))
            check_same(job, *(f"{directory}/{runner}{i}/runs" for runner in RUNNERS))
        runs = load(f"{directory}/after0/runs").values()
        logged = {
            "files": len(events(f"{directory}/after0/runs")),
            "scalars": sum(len(scalars) for run in runs for scalars in run.scalars.values()),
            "others": sum(len(values) for run in runs for tags in run.values.values() for values in tags.values()),
        }
    costs = {
        runner: {key: median(result[key] for result in several) for key in ("logging", "training", "cpu")}
        | {"share": median(result["logging"] / result["training"] for result in several)}
        for runner, several in results.items()
    }
    return {**asdict(job), "version": results["after"][0]["version"], **logged, **costs}


def table(rows):
    lines = [
        "| | logs | scalars | others | same | its writer | ms | % of the time | tbc: ms | % | times less |",
        "| --- | --- | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for found in rows:
        cells = [
            f"{found['package']} {found['version']}",
            found["often"],
            f"{found['scalars']:,}",
            f"{found['others']:,}",
        ]
        cells += ["all but " + ", ".join(found["differ"]) if found["differ"] else "yes", found["usual"]]
        for runner in RUNNERS:
            cells += [f"{1000 * found[runner]['logging']:,.0f}", f"{100 * found[runner]['share']:.2g}"]
        cells.append(f"{found['before']['logging'] / found['after']['logging']:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"{', '.join(dict.fromkeys(job.name for job in JOBS))}")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each job with each writer; medians count")
    parser.add_argument(
        "--jax", metavar="PYTHON", help="a Python that has flax and no torch; without it, flax is skipped"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows there, too")
    options = parser.parse_args()
    rows, failed = [], []
    for job in JOBS:
        python = sys.executable if job.name != "flax" else options.jax and os.path.abspath(options.jax)
        if python is None or (options.jobs and job.name not in options.jobs):
            continue
        print(f"{job.name}, {job.often} ...", flush=True)
        try:
            rows.append(row(job, python, options.rounds))
        except JobError as error:
            failed.append(job.name)
            print(error)
    print(table(rows))
    for found in rows:
        for tag, why in found["differ"].items():
            print(f"{found['package']}, {tag!r}: {why}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(f"FAILED: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
