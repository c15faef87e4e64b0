"""Runs a program that logs with torch's or tensorboardX's writer, and replaces that writer by tbc's.

    python -m tbc train.py --epochs 3
    python -m tbc -m package.train --epochs 3
    torchrun --nproc-per-node 2 -m tbc train.py

Processes that it starts use tbc, too: it sets TBC_PATCH_TORCH=1 and TBC_PATCH_TENSORBOARDX=1 in the environment. A
variable that is already set keeps its value; 0 leaves that package as it is. (An editable install of tbc patches only
this process.)
"""

from __future__ import annotations

import builtins
import os
import runpy
import sys
import zipfile
from types import ModuleType

from tbc.patching import patch_as_environment_says


def main() -> None:
    """Patch, then run the program. Exit with status 1 if none is named, or if its file is missing."""
    words = sys.argv[1:]
    if words in (["-h"], ["--help"]):
        print(__doc__.strip())
        return
    if not words or words == ["-m"]:
        sys.exit("usage: python -m tbc PROGRAM.py [ARGUMENT ...], or python -m tbc -m MODULE [ARGUMENT ...]")
    os.environ.setdefault("TBC_PATCH_TORCH", "1")
    os.environ.setdefault("TBC_PATCH_TENSORBOARDX", "1")
    patch_as_environment_says()
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif not os.path.exists(words[0]):
        sys.exit(f"python -m tbc: no such file or directory: {words[0]!r}")
    else:
        sys.argv = words
        if not getattr(sys.flags, "safe_path", False):
            sys.path[0] = os.path.dirname(os.path.realpath(words[0]))
        run_file(words[0])


def run_file(path: str) -> None:
    """Run a script, a directory or a zip file as __main__, as python does.

    A script's module stays in sys.modules afterwards: threads and pickling at exit need it.
    """
    if os.path.isdir(path) or zipfile.is_zipfile(path):
        runpy.run_path(path, run_name="__main__")
        return
    main = sys.modules["__main__"] = ModuleType("__main__")
    vars(main).update(__file__=path, __builtins__=builtins)
    with open(path, "rb") as file:
        program = compile(file.read(), path, "exec")
    exec(program, vars(main))


if __name__ == "__main__":
    main()
