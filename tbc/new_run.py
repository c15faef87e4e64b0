"""Calls the callbacks of on_new_run, and those programs that replace tensorboard's EventFileWriter.

wandb (sync_tensorboard=True), for example, uploads the files of every directory for which an EventFileWriter is made.
It replaces that class by a subclass, whose __init__ notes log_dir and calls the base class. tbc calls such a subclass,
with a class in between that makes no file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

_MODULE = "tensorboard.summary.writer.event_file_writer"
_callbacks: list[Callable[[str], object]] = []


def on_new_run(callback: Callable[[str], object]) -> Callable[[], None]:
    """Calls callback(log_dir) whenever a new tbc.FileWriter is about to make its first file.

    A SummaryWriter makes one for its log_dir, and one for each directory of add_scalars and add_hparams. log_dir is the
    path as it was given, a str. If callback raises, a RuntimeWarning reports it.

    Returns a function that stops the calls. Raises TypeError if callback cannot be called.
    """
    if not callable(callback):
        raise TypeError(f"callback must be a function that takes log_dir, got {callback!r}")
    _callbacks.append(callback)

    def remove() -> None:
        if callback in _callbacks:
            _callbacks.remove(callback)

    return remove


def announce(log_dir: str) -> Iterator[str]:
    """Call every callback; yield a message for each one that raised."""
    for callback in [*_callbacks, _call_subclass]:
        try:
            callback(log_dir)
        except Exception as error:
            yield f"the callback {callback!r} raised {error!r} for the new run {log_dir!r}"


def _call_subclass(log_dir: str) -> None:
    found: Any = getattr(sys.modules.get(_MODULE), "EventFileWriter", None)
    if not isinstance(found, type) or found.__module__ == _MODULE:
        return
    base: Any = next((base for base in found.__mro__ if base.__module__ == _MODULE), object)

    class NoFile(base):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            pass

    type(found.__name__, (found, NoFile), {})(log_dir)
