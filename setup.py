"""Builds what pyproject.toml cannot declare: the extension modules of the writer and the reader, and a .pth file."""

import os
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

# TBC_CFLAGS has further flags for the compiler and the linker: -Werror, -fsanitize=address, ...
flags = os.environ.get("TBC_CFLAGS", "").split()


def extension(name, source, c_files):
    return Extension(
        name,
        [source, *sorted(c_files)],
        include_dirs=["csrc"],
        depends=[source.replace(".pyx", ".pxd"), *sorted(glob("csrc/*.h"))],
        extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", *flags],
        extra_link_args=flags,
    )


class BuildWithPth(build_py):
    """Installs tbc.pth next to the package, where each Python process runs it: it checks TBC_PATCH_TORCH. An editable
    install has no tbc.pth."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file("tbc/tbc.pth", os.path.join(self.build_lib, "tbc.pth"))


writer = extension("tbc._core", "tbc/_core.pyx", set(glob("csrc/*.c")) - {"csrc/scan.c", "csrc/tally.c"})
reader = extension("tbc._scan", "tbc/_scan.pyx", ["csrc/scan.c", "csrc/tally.c", "csrc/crc32c.c"])

setup(ext_modules=[writer, reader], cmdclass={"build_py": BuildWithPth})
