"""What tbc costs, beside its peers: `make bench`.

    run.py [--quick] [--output DIRECTORY] [PART ...]

Parts: calls (every add_* beside torch's writer and tensorboardX's), kernels (counting, checksums, PNG, ... beside the
libraries for that, and beside the memory), training (what a loop that logs loses), growth (cost against tags, queue,
array size, writers, threads; memory; a disk that stalls; what others wait beside large things) and reading (tbc.reader
beside TensorBoard's readers and tbparse, and on a file of 10 GB, if the disk has room for it). All by default.

It prints its tables, and writes results.json and chart.png into the directory: this one by default, if all is measured.
"""

import argparse
import importlib
import json
import os
import platform
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

PARTS = ("calls", "kernels", "training", "growth", "reading")
PACKAGES = ("tbc", "torch", "tensorboardX", "tensorboard", "tensorboard-data-server", "tbparse", "numpy", "pandas")
PACKAGES += ("pillow", "google-crc32c", "crc32c", "moviepy")

# One thread for each library: others would spin on after the call, on the account of whatever is measured next. Set
# before the parts import numpy and torch.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="two rounds: to see that it works")
    parser.add_argument("--output", type=Path, metavar="DIRECTORY")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}")

    start = time.time()
    results = {"date": f"{datetime.now():%Y-%m-%d %H:%M}", "machine": machine()}
    print(*(f"{key}: {value}" for key, value in results["machine"].items()), sep="\n")
    for part in arguments.parts or PARTS:
        print(f"\n--- {part} ---\n")
        results[part] = importlib.import_module(part).measure(2 if arguments.quick else 7)
    results["seconds"] = round(time.time() - start)
    print(f"\n{results['seconds']} s")

    complete = not arguments.parts and not arguments.quick
    directory = arguments.output or (Path(__file__).parent if complete else None)
    if directory:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        if {"calls", "training"} <= results.keys():
            importlib.import_module("chart").draw(results, directory / "chart.png")


def machine():
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
