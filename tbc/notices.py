"""Warnings at the user's line, and the errors of steps that are all taken, whatever one of them raises."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line outside of tbc."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "tbc":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_once(topic: str, warned: set[str], message: str, category: type[Warning] = UserWarning) -> None:
    """Warn unless the topic is in `warned`, and add it there."""
    if topic not in warned:
        warned.add(topic)
        warn(message, category)


def call_all(functions: Iterable[Callable[[], None]]) -> None:
    """Call every function, even if one raises; then raise the first exception."""
    errors: list[BaseException] = []
    for function in functions:
        try:
            function()
        except Exception as error:
            errors.append(error)
    raise_first(errors)


def raise_first(errors: list[BaseException]) -> None:
    """Raise the first exception, if there is one, and empty the list.

    The exception must not be in a list that its own traceback holds: that cycle would keep all that the frames hold,
    such as the pixels of an image, until the garbage collector runs.
    """
    first = errors[0] if errors else None
    errors.clear()
    try:
        if first is not None:
            raise first
    finally:
        del first
