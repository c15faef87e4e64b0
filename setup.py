"""All that pyproject.toml cannot say: the extension modules, of the writer and of the reader, and a .pth file."""

import os
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

# TBC_CFLAGS adds to the compiler's and the linker's flags: -Werror, -fsanitize=address, ...
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
    """tbc.pth goes beside the package, where each Python process reads it: it obeys TBC_PATCH_TORCH. (An editable
    install has none.)"""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file("tbc/tbc.pth", os.path.join(self.build_lib, "tbc.pth"))


writer = extension("tbc._core", "tbc/_core.pyx", set(glob("csrc/*.c")) - {"csrc/scan.c", "csrc/tally.c"})
reader = extension("tbc._scan", "tbc/_scan.pyx", ["csrc/scan.c", "csrc/tally.c", "csrc/crc32c.c"])

setup(ext_modules=[writer, reader], cmdclass={"build_py": BuildWithPth})
