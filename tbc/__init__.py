"""tbc logs a training run to TensorBoard event files.

A *run* is a directory that holds an *event file*. Logging appends *records* to that file. Each record holds one
*event*: a *wall_time*, a *step* of the training, and a *summary* of a number, an image, ... under a *tag*. TensorBoard
draws a chart for each tag, with a curve for each run and the steps on the horizontal axis.

    import tbc

    writer = tbc.SummaryWriter("runs/first")
    writer.add_scalar("loss", 0.25, global_step=1)

`tbc.SummaryWriter` has the methods of torch.utils.tensorboard.SummaryWriter. `tbc.FileWriter` writes protobuf messages,
and `tbc.summary` makes them. `tbc.patch_torch()` replaces torch's writers by tbc's, so that frameworks use them.
`tbc.reader` reads event files, and `python -m tbc.reader` prints what they hold. `tbc.testing` helps to test programs
that log.

`import tbc` is cheap: numpy, protobuf and other packages are imported when they are first needed.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # not typing's: importing typing costs more than importing tbc
if TYPE_CHECKING:
    from typing import Any

    from tbc.event_file import Stats
    from tbc.file_writer import FileWriter
    from tbc.new_run import on_new_run
    from tbc.patching import patch_tensorboardx, patch_torch
    from tbc.writer import SummaryWriter

__version__ = "0.1.0"
__all__ = [
    "FileWriter",
    "Stats",
    "SummaryWriter",
    "__version__",
    "on_new_run",
    "patch_tensorboardx",
    "patch_torch",
]

_MODULES = {
    "FileWriter": "tbc.file_writer",
    "Stats": "tbc.event_file",
    "SummaryWriter": "tbc.writer",
    "on_new_run": "tbc.new_run",
    "patch_tensorboardx": "tbc.patching",
    "patch_torch": "tbc.patching",
}
_SUBMODULES = ("compat", "reader", "summary", "testing")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"tbc.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module 'tbc' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
