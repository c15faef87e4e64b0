"""What `make cross` does: compiles the C core for the processors and systems that this machine is not, runs its tests
where an emulator can, and prints a table of it.

    python tests/release/cross.py

Clang comes with the package ziglang, which brings the headers and libraries of each target. gcc for aarch64 and QEMU
are Debian's gcc-aarch64-linux-gnu and qemu-user; without them their rows say so. What does not compile or fails a test
ends it with an error. So does what compiles for Windows though docs/porting.md says that it does not: it is time to
port.
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
    """paths: those of crc32c.c that must have been run. Answers what the tests' last line says."""
    output = call(*emulator, program).stdout
    assert f"crc32c: {paths}\n" in output, f"expected the paths {paths}, got {output}"
    return output.splitlines()[-1]


def missing(*programs):
    return ", ".join(program for program in programs if shutil.which(program) is None)


def for_qemu():
    """It takes its time, and QEMU 7 does not survive threads that are started in the child of a fork."""
    major = int(re.search(r"version (\d+)", call(QEMU, "--version").stdout)[1])
    return ["-DHANG=3600", f"-DFORKS={int(major >= 8)}"]


def aarch64_by_gcc(without, paths, program):
    """Under UBSan, on a processor without some instructions, as tests/release/hwcap.c has it tell."""
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
    """Links, so that nothing is used that the system does not have. The extensions are only compiled: Python's headers
    are those of this machine."""
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
    assert failed == NOT_ON_WINDOWS, f"{failed} do not compile, docs/porting.md says {NOT_ON_WINDOWS}"
    return f"{len(files) - len(failed)} files of {len(files)} compile; not {' and '.join(sorted(failed))}"


TARGETS = [  # target, compiler, and what makes a result of the path of a program
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
