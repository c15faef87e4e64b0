"""Warns at the line of the user's code."""

from __future__ import annotations

import sys
import warnings


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line outside of tbc.

    In tbc's threads and at exit there is no line of the user: the warning has a line of threading, or of tbc.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "tbc":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_once(topic: str, warned: set[str], message: str, category: type[Warning] = UserWarning) -> None:
    """Warn unless the topic is in `warned`, and add it there."""
    if topic not in warned:
        warned.add(topic)
        warn(message, category)
