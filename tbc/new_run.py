"""Who is told that a run begins.

wandb (sync_tensorboard=True), for one, uploads the files of every directory that tensorboard's EventFileWriter is made
for: it puts a subclass in the place of that class, which takes note of log_dir and goes on to the class itself. tbc
makes no EventFileWriter; it calls such a subclass with another class in between, which makes no file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

_MODULE = "tensorboard.summary.writer.event_file_writer"
_callbacks: list[Callable[[str], object]] = []


def on_new_run(callback: Callable[[str], object]) -> Callable[[], None]:
    """Has callback(log_dir) called whenever a new tbc.FileWriter is about to make its first file.

    A SummaryWriter makes one for its log_dir, and one for each directory of add_scalars and add_hparams; log_dir is as
    it was given there. What callback raises becomes a RuntimeWarning.

    Returns a function that ends this. Raises TypeError for what cannot be called.
    """
    if not callable(callback):
        raise TypeError(f"callback must be a function of log_dir, got {callback!r}")
    _callbacks.append(callback)

    def remove() -> None:
        if callback in _callbacks:
            _callbacks.remove(callback)

    return remove


def announce(log_dir: str) -> Iterator[str]:
    """Tells everybody; yields what went wrong."""
    for callback in [*_callbacks, _tell_subclass]:
        try:
            callback(log_dir)
        except Exception as error:
            yield f"{log_dir!r} was announced to {callback!r}, which raised {error!r}"


def _tell_subclass(log_dir: str) -> None:
    found: Any = getattr(sys.modules.get(_MODULE), "EventFileWriter", None)
    if not isinstance(found, type) or found.__module__ == _MODULE:
        return
    base: Any = next((base for base in found.__mro__ if base.__module__ == _MODULE), object)

    class NoFile(base):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            pass

    type(found.__name__, (found, NoFile), {})(log_dir)
