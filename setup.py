"""All that pyproject.toml cannot say: the one extension module."""

import os
from glob import glob

from setuptools import Extension, setup

# TBC_CFLAGS adds to the compiler's and the linker's flags: -Werror, -fsanitize=address, ...
flags = os.environ.get("TBC_CFLAGS", "").split()

core = Extension(
    "tbc._core",
    ["tbc/_core.pyx", *sorted(glob("csrc/*.c"))],
    include_dirs=["csrc"],
    depends=["tbc/_core.pxd", *sorted(glob("csrc/*.h"))],
    extra_compile_args=["-std=c11", "-O3", *flags],
    extra_link_args=flags,
)

setup(ext_modules=[core])
