"""Warn at the line of the program that called the reader.

A thread of the reader does not know that line: such warnings are collected, and the caller's thread raises them.
"""

from __future__ import annotations

import sys
import warnings


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the innermost line outside of tbc. Modules are recognized by name, not by path: an editable install has
    the reader in another directory than the rest of tbc."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "tbc":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
