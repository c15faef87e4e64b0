"""Decide the kind of a value, and match tags, runs and kinds with what the caller wants."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from fnmatch import translate
from itertools import islice
from typing import TypeAlias

PLUGIN_KINDS = {  # the kind of a value that is a tensor or empty, by its plugin
    "scalars": "scalar",
    "histograms": "histogram",
    "images": "image",
    "audio": "audio",
    "text": "text",
    "pr_curves": "pr_curve",
    "mesh": "mesh",
    "custom_scalars": "custom_scalars",
    "hparams": "hparams",
    "graph_run_metadata": "run_metadata",  # of tf.summary.trace_export
    "graph_run_metadata_graph": "run_metadata",
    "graph_keras_model": "keras_model",
}
VALUE_KINDS = {"simple_value": "scalar", "histo": "histogram", "image": "image", "audio": "audio"}
EVENT_KINDS = {  # the kind of an event that has no summary, by its field
    "file_version": "file_version",
    "graph_def": "graph",
    "session_log": "session_log",
    "tagged_run_metadata": "run_metadata",
    "meta_graph_def": "meta_graph",
}
SESSION_START = 1  # SessionLog.START
KINDS = sorted({*PLUGIN_KINDS.values(), *EVENT_KINDS.values(), "tensor", "empty"})

MOST_NAMES = 1000  # names that `nearest` passes to get_close_matches, which is slow
LONG_NAME = 100  # characters of a name that messages show

Patterns: TypeAlias = "str | re.Pattern[str] | Iterable[str | re.Pattern[str]] | None"


def kind_of(what: str | None, plugin: str) -> str:
    """Return the kind of a value. what: the field of Summary.Value or Event that is set; None if there is none."""
    if what in VALUE_KINDS:
        return VALUE_KINDS[what]
    if what in EVENT_KINDS:
        return EVENT_KINDS[what]
    return PLUGIN_KINDS.get(plugin) or ("tensor" if what == "tensor" else "empty")


def kinds_of(kinds: str | Iterable[str] | None) -> set[str]:
    """Return the wanted kinds as a set; None wants all. Raises ValueError for an unknown kind."""
    wanted = set(KINDS) if kinds is None else {kinds} if isinstance(kinds, str) else set(kinds)
    for kind in wanted - set(KINDS):
        raise ValueError(f"a kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return wanted


def plugin_of(tag: str, plugin: str, plugins: dict[str, str]) -> str:
    """Return the plugin of a value: `plugin` from its metadata, else the plugin of the tag's first value.

    `plugins` holds the plugin of the first value of each tag; this function adds it. A writer may omit the metadata of
    later values: summary.proto allows this, and TensorFlow 1 did so.
    """
    first = plugins.setdefault(tag, plugin)
    return plugin or first


def is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def matcher(patterns: Patterns | Callable[[str], bool]) -> Callable[[str], bool]:
    """Return a function that returns whether a name is wanted.

    patterns: a str is a name or a glob, in which * matches any text, slashes included. A compiled regular expression
        matches anywhere in the name. Of several patterns, any may match. None wants all. A function is returned as is
    """
    if patterns is None:
        return lambda name: True
    if callable(patterns):
        return patterns
    if not isinstance(patterns, str | re.Pattern | Iterable):
        raise TypeError(f"expected a name, a glob or a compiled regular expression, or several, got {patterns!r}")
    several = [patterns] if isinstance(patterns, str | re.Pattern) else list(patterns)
    names, finders = set(), []
    for pattern in several:
        if isinstance(pattern, str):
            names.add(pattern)
            if is_glob(pattern):  # a plain name needs only the set: thousands cost no more than one
                finders.append(re.compile(translate(pattern)).match)
        elif isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
            finders.append(pattern.search)
        else:
            raise TypeError(f"a pattern must be a str or a compiled regular expression of str, got {pattern!r}")
    return lambda name: name in names or any(find(name) for find in finders)


def nearest(pattern: str | re.Pattern[str], names: Iterable[str]) -> str:
    """Return the end of an error message: three names that are like `pattern` or contain it, else the first three."""
    names = list(names)
    part = pattern.strip("*")[:LONG_NAME] if isinstance(pattern, str) else pattern.pattern[:LONG_NAME]
    close = get_close_matches(part, [name for name in names[:MOST_NAMES] if len(name) <= LONG_NAME], 3)
    containing = (name for name in names if part and part.casefold() in name.casefold())
    found = list(dict.fromkeys([*close, *islice(containing, 3)]))[:3]
    if found:
        return f"; nearest: {', '.join(map(quoted, found))}"
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return f", but {', '.join(map(quoted, names[:3]))}{more}" if names else ""


def quoted(name: str | re.Pattern[str], longest: int = LONG_NAME) -> str:
    """Return a name or a pattern in quotes; cut it after `longest` characters."""
    text = name if isinstance(name, str) else name.pattern
    return repr(text) if len(text) <= longest else f"{text[:longest]!r}..."


def printable(text: str) -> str:
    """Escape unprintable characters, so that a tag or text cannot move the cursor, ring the bell or hide itself."""
    return text if text.isprintable() else text.translate(_ESCAPES)


class _Escapes(dict[int, str]):
    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = character if character.isprintable() else ascii(character)[1:-1]
        return self[code]


_ESCAPES = _Escapes()
