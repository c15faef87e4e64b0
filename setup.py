"""All that pyproject.toml cannot say: the extension modules, of the writer and of the reader."""

import os
from glob import glob

from setuptools import Extension, setup

# TBC_CFLAGS adds to the compiler's and the linker's flags: -Werror, -fsanitize=address, ...
flags = os.environ.get("TBC_CFLAGS", "").split()


def extension(name, source, c_files):
    return Extension(
        name,
        [source, *sorted(c_files)],
        include_dirs=["csrc"],
        depends=[source.replace(".pyx", ".pxd"), *sorted(glob("csrc/*.h"))],
        extra_compile_args=["-std=c11", "-O3", *flags],
        extra_link_args=flags,
    )


writer = extension("tbc._core", "tbc/_core.pyx", set(glob("csrc/*.c")) - {"csrc/scan.c"})
reader = extension("tbc._scan", "tbc/_scan.pyx", ["csrc/scan.c", "csrc/crc32c.c"])

setup(ext_modules=[writer, reader])
