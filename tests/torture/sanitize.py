"""Run the whole Python suite with an extension built with AddressSanitizer and UndefinedBehaviorSanitizer. Run the
driver of the C core under valgrind, which also finds uses of uninitialized values.

`make csrc-test` runs the driver under these sanitizers, LeakSanitizer and ThreadSanitizer.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from glob import glob
from pathlib import Path

from torture.row import Row

ROOT = Path(__file__).parent.parent.parent
CC = os.environ.get("CC", "cc")
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1"

NOT_HERE = {  # part of a test's name -> why it cannot run with the sanitizers
    "10_000_files": "ASan keeps freed memory in quarantine, so it needs too much",
    "test_disk": "its shim is preloaded instead of ASan, and would fail ASan's own allocations",
    "test_memory": "the same",
    "hole_of_a_tebibyte": "sets RLIMIT_AS, but ASan maps more; so do the next three",
    "no_room_for": "",
    "memory_of_one": "",
    "line_of_a_large_value": "",
}


def driver(count):
    """Run tests/csrc_test.c `count` times."""
    what = "the C driver, under valgrind"
    if shutil.which("valgrind") is None:
        return Row(what, 0, 0, 0, "skipped: valgrind is not installed")
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory, "csrc_test")
        sources = ["tests/csrc_test.c", *glob("csrc/*.c", root_dir=ROOT)]
        build = [CC, "-std=c11", "-g", "-O1", "-DHANG=3600", "-Icsrc", *sources, "-o", program, "-lm", "-lpthread"]
        subprocess.run(build, cwd=ROOT, check=True)
        for _ in range(count):
            options = ["-q", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"]
            result = subprocess.run(["valgrind", *options, program], capture_output=True, text=True)
            assert result.returncode == 0, result.stderr
    return Row(what, count, 0, 0)


def suite(count):
    """Run the Python tests. count: the maximum number of files."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory, "copy")  # else setuptools would mix this build with others in the sources
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "_core.c"))
        build = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", directory, copy]
        subprocess.run(build, env={**os.environ, "TBC_CFLAGS": FLAGS}, check=True)
        (extension,) = Path(directory, "tbc").glob("_core.*.so")
        assert b"__asan_init" in extension.read_bytes()
        log = Path(directory, "log")  # a file, since pytest captures what is printed, and an abort would lose it
        environment = {
            "PYTHONPATH": directory,
            "LD_PRELOAD": " ".join(map(library, ("libasan.so", "libstdc++.so.6"))),  # torch throws
            "PYTHONMALLOC": "malloc",
            # Python itself leaks much. The libraries of torture/ are preloaded before the sanitizer's.
            "ASAN_OPTIONS": f"detect_leaks=0:verify_asan_link_order=0:log_path={log}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={log}",
        }
        tests = sorted(glob(f"{copy}/tests/test_*.py"))[:count]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
        command += ["-k", " and ".join(f"not {name}" for name in NOT_HERE)]
        options = {"cwd": copy / "tests", "env": {**os.environ, **environment}}
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, **options)
        reports = "".join(Path(path).read_text() for path in glob(f"{log}*"))
    assert (result.returncode, reports) == (0, ""), result.stdout[-5000:] + reports[:5000]
    passed = int(re.search(r"(\d+) passed", result.stdout)[1])
    return Row("the tests, under ASan and UBSan", passed, 0, 0)


def library(name):
    return subprocess.run([CC, f"-print-file-name={name}"], check=True, capture_output=True, text=True).stdout.strip()
