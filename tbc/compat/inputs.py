"""Convert tags and lists as tensorboardX does."""

from __future__ import annotations

import functools
import re
from typing import Any

from tbc import convert


@functools.lru_cache(maxsize=4096)
def clean(tag: Any) -> Any:
    """Return a tag as tensorboardX writes it. Raise TypeError for other types than str and None."""
    if tag is not None and not isinstance(tag, str):
        raise TypeError(f"a tag must be a str, got {tag!r} of type {type(tag).__name__}")
    return tag if tag is None else re.sub(r"[^-/\w\.]", "_", tag).lstrip("/")


def array(values: Any) -> Any:
    """Return a list as an array, and other values unchanged: tensorboardX accepts lists."""
    return convert.array_or_list(values) if isinstance(values, list) else values
