"""Compile the C core for other processors and systems, run its tests where an emulator can, and print a table:
`make cross`.

    python tests/release/cross.py

Clang comes with the package ziglang, which has the headers and libraries of each target. gcc for aarch64 and QEMU are
Debian's gcc-aarch64-linux-gnu and qemu-user; if they are missing, their rows say so. It fails if something does not
compile, or a test fails. It also fails if a file compiles for Windows that docs/porting.md lists as not compiling, as
a reminder to update that page.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from glob import glob
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CLANG = [sys.executable, "-m", "ziglang", "cc", "-target"]
GCC = "aarch64-linux-gnu-gcc"
QEMU = "qemu-aarch64"
FLAGS = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Icsrc"]
UBSAN = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
ALL, NO_PRODUCT, NO_CRC = "portable chain fused", "portable chain", "portable"
NOT_ON_WINDOWS = {"csrc/file.c", "csrc/writer.c"}


def call(*command, check=True):
    return subprocess.run(command, cwd=ROOT, check=check, capture_output=True, text=True)


def compile_tests(program, *compiler):
    call(*compiler, *FLAGS, "tests/csrc_test.c", *glob("csrc/*.c", root_dir=ROOT), "-o", program, "-lm", "-lpthread")


def run_tests(program, emulator, paths):
    """Run the tests; return their last line. paths: the paths of crc32c.c that must have run."""
    output = call(*emulator, program).stdout
    assert f"crc32c: {paths}\n" in output, f"expected the paths {paths}, got {output}"
    return output.splitlines()[-1]


def missing(*programs):
    return ", ".join(program for program in programs if shutil.which(program) is None)


def for_qemu():
    """Return flags for a slow machine, and without forks before QEMU 8, which crashes on threads in a forked child."""
    major = int(re.search(r"version (\d+)", call(QEMU, "--version").stdout)[1])
    return ["-DHANG=3600", f"-DFORKS={int(major >= 8)}"]


def aarch64_by_gcc(without, paths, program):
    """Test under UBSan, on a processor that reports (by tests/release/hwcap.c) that it lacks the `without` bits."""
    if missing(GCC, QEMU):
        return f"NOT DONE: {missing(GCC, QEMU)} not installed"
    hwcap = ["-Wl,--wrap=getauxval", f"-DWITHOUT={without}", "tests/release/hwcap.c"]
    compile_tests(program, GCC, "-static", *for_qemu(), *UBSAN, *hwcap)
    return run_tests(program, [QEMU, "-cpu", "max"], paths)


def aarch64_by_clang(program):
    if missing(QEMU):
        compile_tests(program, *CLANG, "aarch64-linux-musl")
        return f"compiles; NOT RUN: {QEMU} not installed"
    compile_tests(program, *CLANG, "aarch64-linux-musl", *for_qemu())
    return run_tests(program, [QEMU, "-cpu", "cortex-a53"], ALL)


def x86_64_by_clang(target, program):
    compile_tests(program, *CLANG, target)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return "compiles"
    return run_tests(program, [], ALL)


def macos(target, program):
    """Link the C tests, which shows that the system has all functions they use. Only compile the extensions, since the
    headers of Python are those of this machine."""
    compile_tests(program, *CLANG, target)
    for name in ("_core", "_scan"):
        call(sys.executable, "-m", "cython", "-3", f"tbc/{name}.pyx", "-o", f"{program}{name}.c")
        include = f"-I{sysconfig.get_path('include')}"
        call(*CLANG, target, "-std=c11", "-Icsrc", include, "-c", f"{program}{name}.c", "-o", f"{program}{name}.o")
    return "compiles and links"


def windows(program):
    def compiles(file):
        command = [*CLANG, "x86_64-windows-gnu", *FLAGS, "-c", file, "-o", f"{program}.o"]
        return call(*command, check=False).returncode == 0

    files = sorted(glob("csrc/*.c", root_dir=ROOT))
    failed = {file for file in files if not compiles(file)}
    assert failed == NOT_ON_WINDOWS, f"{failed} do not compile, but docs/porting.md says {NOT_ON_WINDOWS}"
    return f"{len(files) - len(failed)} files of {len(files)} compile; not {' and '.join(sorted(failed))}"


TARGETS = [  # target, compiler, and function(path of the program to make) -> result
    ("aarch64-linux-gnu", "gcc, UBSan", lambda program: aarch64_by_gcc("0", ALL, program)),
    ("without PMULL", "gcc, UBSan", lambda program: aarch64_by_gcc("HWCAP_PMULL", NO_PRODUCT, program)),
    ("without CRC32", "gcc, UBSan", lambda program: aarch64_by_gcc("HWCAP_CRC32", NO_CRC, program)),
    ("aarch64-linux-musl", "clang", aarch64_by_clang),
    ("x86_64-linux-gnu.2.17", "clang", lambda program: x86_64_by_clang("x86_64-linux-gnu.2.17", program)),
    ("x86_64-linux-musl", "clang", lambda program: x86_64_by_clang("x86_64-linux-musl", program)),
    ("aarch64-macos", "clang", lambda program: macos("aarch64-macos", program)),
    ("x86_64-macos", "clang", lambda program: macos("x86_64-macos", program)),
    ("x86_64-windows-gnu", "clang", windows),
]


def main():
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for target, compiler, result_of in TARGETS:
            try:
                result = result_of(os.path.join(directory, "csrc_test"))
            except subprocess.CalledProcessError as error:
                sys.exit(f"FAILED: {target}\n{error}\n{error.stdout}{error.stderr}")
            print(f"{target}: {result}", flush=True)
            rows.append(f"| {target} | {compiler} | {result} |")
    print("\n".join(["| target | compiler | |", "| --- | --- | --- |", *rows]))


if __name__ == "__main__":
    main()
