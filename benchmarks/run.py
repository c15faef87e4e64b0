"""Measure tbc, and compare it with other packages: `make bench`.

    run.py [--quick] [--output DIRECTORY] [PART ...]

By default, all parts are measured:

    calls     every add_* method of tbc, torch's writer and tensorboardX's
    kernels   counting, checksums, PNG and more, compared with libraries and with the speed of memory
    training  by how much logging slows a training loop
    growth    cost by tags, queue, array size, writers and threads; memory; a slow disk; waits during large values
    reading   tbc.reader, TensorBoard's readers and tbparse; a file of 10 GB, if the disk has room for it

The tables are printed. results.json and chart.png are written to DIRECTORY; if all parts are measured without --quick,
its default is the directory of this file.
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

# One thread for each library: idle threads of a library would spin after its call, and add CPU to the next
# measurement. Set this before the parts import numpy and torch.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="measure two rounds only, to see that all works")
    parser.add_argument("--output", type=Path, metavar="DIRECTORY", help="write results.json and chart.png there")
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
