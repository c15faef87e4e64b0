"""Helpers that print: JSON, numbers, names and columns."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from datetime import datetime
from typing import Any
from unicodedata import combining, east_asian_width

from tbc.reader.tags import printable

NO_TAG = "-"  # printed for an empty tag: graphs have one


class Heading:
    """Print the name of each run above its first line, unless PATH itself is the run."""

    def __init__(self) -> None:
        self.run: str = "."

    def print(self, run: str) -> None:
        if run != self.run:
            print(f"{printable(run)}:")
            self.run = run


def print_json(data: Any) -> None:
    print(json.dumps(strict(data)))


def strict(data: Any) -> Any:
    """Return the data with NaN and infinities as strings, as in protobuf's JSON: strict JSON has no such numbers."""
    if isinstance(data, float) and not math.isfinite(data):
        return "NaN" if math.isnan(data) else "Infinity" if data > 0 else "-Infinity"
    if isinstance(data, list):
        return [strict(element) for element in data]
    if isinstance(data, dict):
        return {key: strict(element) for key, element in data.items()}
    return data


def row_of(options: Namespace, path: str, run: str, **more: Any) -> dict[str, Any]:
    """Return a row of JSON; it has the path if there are several."""
    return {"run": run} | ({"path": path} if len(options.paths) > 1 else {}) | more


def time_of(wall_time: float) -> str:
    try:
        return datetime.fromtimestamp(wall_time).isoformat(" ", "milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{wall_time:<23g}"


def readable(n: float) -> str:
    """Return a number of bytes in three digits, with its unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 999.5:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:,.3g} TB"


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def padded(text: str, width: int) -> str:
    return text + " " * max(width - columns_of(text), 0)


def plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


def title(run: str, tag: str) -> str:
    tag = tag or NO_TAG
    return printable(tag if run == "." else f"{run}: {tag}")
