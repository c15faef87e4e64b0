"""Run processes with the shim faults.c, and control it there."""

import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent

from tbc import _core, _scan

MEMORY, OPEN, WRITE, FSYNC, CLOSE, FSTAT, MKDIR, THREAD, UNLINK, READDIR = (1 << bit for bit in range(10))
DISK = OPEN | WRITE | FSYNC | CLOSE | MKDIR
FOR_EVER = 1 << 40
HERE = Path(__file__).parent


def build():
    """Compile the shim once; return its path, in a directory that lives as long as this process."""
    directory = Path(_directory.name)
    library = directory / "faults.so"
    if not library.exists():
        command = [os.environ.get("CC", "cc"), "-std=c11", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([*command, HERE / "faults.c", "-o", library, "-ldl", "-lpthread"], check=True)
    return library


_directory = tempfile.TemporaryDirectory()


def run(script, *arguments, timeout=120, wrapper=()):
    """Run Python code in a process with the shim, at most `timeout` seconds; return what it printed.

    In the script, `faults` is this module. wrapper: a command that starts the process.
    """
    prelude = f"import faulthandler, sys\nfaulthandler.dump_traceback_later({timeout}, exit=True)\n"
    prelude += "from torture import faults\nfaults.attach()\n"
    command = [*wrapper, sys.executable, "-c", prelude + dedent(script), *map(str, arguments)]
    environment = {**os.environ, "LD_PRELOAD": str(build())}
    path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    result = subprocess.run(
        command,
        cwd=HERE.parent,
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=timeout + 30,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    return result.stdout


def attach(extension=_core):
    """Find the shim in this process, and give it the address of the extension, that of the writer or the reader."""
    global _shim
    _shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    _shim.faults_arm.argtypes = [ctypes.c_uint, ctypes.c_long, ctypes.c_long, ctypes.c_int, ctypes.c_size_t]
    _shim.faults_dirty.restype = ctypes.c_size_t
    for name in ("seen", "hits", "strays"):
        getattr(_shim, f"faults_{name}").restype = ctypes.c_long
    maps = [
        line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(extension.__file__)
    ]
    (code,) = (words[0] for words in maps if "x" in words[1])
    _shim.faults_scope(*(ctypes.c_size_t(int(end, 16)) for end in code.split("-")))


def arm(kinds, first=1, times=FOR_EVER, error=0, part=0):
    """Let `times` calls of these kinds fail with `error`, from number `first` on; a write may write `part` bytes."""
    _shim.faults_arm(kinds, first, min(first + times - 1, FOR_EVER), error, part)


def disarm():
    _shim.faults_disarm()


def delete_behind_write(path):
    """Delete the file right after the next write, before the write returns."""
    global _doomed
    _doomed = ctypes.create_string_buffer(os.fsencode(path))
    _shim.faults_delete_behind_write(_doomed)


def seen():
    return _shim.faults_seen()


def hits():
    return _shim.faults_hits()


def strays():
    return _shim.faults_strays()


def dirty(directory):
    """Return the files and directories, from `directory` down, that would lose something in a power failure."""
    inodes = (ctypes.c_ulong * 10_000)()
    found = set(inodes[: _shim.faults_dirty(inodes, len(inodes))])
    paths = [Path(directory), *Path(directory).rglob("*")]
    return [str(path) for path in paths if path.stat().st_ino in found]


OTHERS = {  # calls that could fail for a disk or a lack of memory, but that faults.c does not replace
    *(
        "pwrite",
        "pwrite64",
        "pwritev",
        "writev",
        "sendfile",
        "copy_file_range",
        "mmap",
        "mmap64",
        "msync",
        "fopen",
        "fwrite",
    ),
    *("ftruncate", "ftruncate64", "fallocate", "posix_fallocate", "rename", "link", "creat", "mkstemp", "syncfs"),
    *("reallocarray", "aligned_alloc", "posix_memalign", "strdup", "strndup", "asprintf", "realpath", "getline"),
}


def unknown_calls():
    """Return the names in OTHERS that the extensions call; there should be none."""
    command = ["nm", "-D", "--undefined-only", _core.__file__, _scan.__file__]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    names = {line.split()[-1].partition("@")[0] for line in lines if line}
    assert {"write", "realloc"} <= names
    return OTHERS & names
