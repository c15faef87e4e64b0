"""Select the runs, tags and values that a command works on, and explain why there are none."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar, overload

from tbc.reader.events import Value, read_events, values_of
from tbc.reader.files import by_run, bytes_in, find_event_files, is_url, run_of
from tbc.reader.load import Tree, Wanted
from tbc.reader.loader import Loader, step_range
from tbc.reader.records import RecordError
from tbc.reader.series import Run, Scalars, Total, Values, of_runs
from tbc.reader.tags import KINDS, Patterns, is_glob, kinds_of, matcher, nearest, quoted

from . import Add
from .printing import plural
from .problems import FEW, Problems, UsageError


def add_all(add: Add) -> None:
    """Add the option --all, which keeps the values that a restart hides."""
    add("--all", action="store_true", help="include values that a later event file replaces, as after a restart")


def patterns(options: Namespace, name: str) -> Patterns:
    """Return the patterns of an option; with --regex, compiled."""
    given = getattr(options, name, None)
    if given is None or not options.regex:
        return given
    try:
        return [re.compile(pattern) for pattern in given]
    except re.error as error:
        raise UsageError(f"{error.pattern!r} is not a regular expression: {error}") from None


T = TypeVar("T", Run, list[Total])


class Runs(dict[str, T]):
    """Loaded runs, by the name that is printed.

    path: the path that each run was found at
    files: the event files of each selected run, also of runs without selected values
    """

    def __init__(self) -> None:
        super().__init__()
        self.path: dict[str, str] = {}
        self.files: dict[str, list[str]] = {}


@contextmanager
def reading(path: str, problems: Problems) -> Iterator[None]:
    """Report an error of reading a path and suppress it, so that the command continues with the next path.

    A UsageError is raised; for a local path, also errors of stdout and unexpected errors. Inside the `with`,
    problems.status is the status of this path alone.
    """
    before, problems.status = problems.status, 0
    try:
        yield
    except OSError as error:
        if error.filename is None and not is_url(path):  # writing to stdout failed
            raise
        problems.fail(error, path)
    except MemoryError:
        problems.complain(f"{path}: not enough memory")
    except UsageError:
        raise
    except (ImportError, ValueError) as error:  # a package is missing, or an argument not allowed
        problems.complain(str(error))
    except Exception as error:  # fsspec's filesystems raise other types: no credentials, no such host
        if not is_url(path):
            raise
        problems.complain(f"{path}: {error}")
    finally:
        problems.status |= before


def name_of(path: str, run: str, paths: list[str]) -> str:
    """Return the name of a run to print: the path as typed and the run; for a single path or ".", only the run."""
    if len(paths) == 1 or path in (".", "./"):
        return run
    root = path.rstrip("/") or path
    return root if run == "." else os.path.join(root, run)


def runs_wanted(path: str, options: Namespace, paths: list[str]) -> Callable[[str], bool]:
    """Return a function that returns whether --run selects a run of this path, by its name there or as printed."""
    wants = matcher(patterns(options, "runs"))
    return lambda run: wants(run) or wants(name_of(path, run, paths))


def load_all(
    paths: list[str],
    options: Namespace,
    problems: Problems,
    read: Callable[[Tree, Wanted], dict[str, T]],
    kinds: Any = None,
    purge: bool = True,
) -> Runs[T]:
    """Load the selected runs of all paths. Report damage, a selection without values, and how many values are hidden.

    read: Tree.load_runs, or Tree.load_totals where counts are enough
    """
    wanted = matcher(patterns(options, "tags")), kinds_of(kinds), options.steps, purge
    loaded = Runs[T]()
    found: set[str] = set()  # names of runs, printed and at the path
    before, problems.status = problems.status, 0
    for path in paths:
        wants_run = runs_wanted(path, options, paths)
        first: list[RecordError | OSError] = []  # up to FEW of each file
        counts: Counter[str] = Counter()

        def on_error(error: RecordError | OSError) -> None:
            counts[place_of(error)] += 1  # noqa: B023
            if counts[place_of(error)] <= FEW:  # noqa: B023
                first.append(error)  # noqa: B023

        runs: dict[str, T] = {}
        with reading(path, problems):
            tree = Tree(path, wants_run, on_error)
            for run, files in tree.files.items():
                loaded.files.setdefault(name_of(path, run, paths), files)
            runs = read(tree, wanted)
        for error in sorted(first, key=lambda error: (place_of(error), getattr(error, "offset", 0))):
            problems.report(error)
        for place, n in counts.items():
            if n > FEW:
                problems.skip(place, n - FEW)
        for run, of in sorted(runs.items()):
            name = name_of(path, run, paths)
            found |= {run, name}
            if name not in loaded:  # one path may contain another
                loaded[name] = replace(of, name=name) if isinstance(of, Run) else of
                loaded.path[name] = path
    hidden = dict.fromkeys(loaded, 0)
    for name, *_, values in series_of(loaded):
        hidden[name] += values.hidden
    note_hidden(paths, hidden, problems)
    explain(paths, options, problems, kinds, found, {tag for _, tag, _, _ in series_of(loaded)})
    problems.status |= before
    return loaded


def note_hidden(paths: list[str], hidden: dict[str, int], problems: Problems) -> None:
    """Print a note, which is never left out, if values are hidden. hidden: how many, by run"""
    n = sum(hidden.values())
    if n:
        why = f"a later event file replaces {'them' if n > 1 else 'it'}"
        where = f"{paths[0]}: " if len(paths) == 1 else ""
        problems.note(f"{where}{plural(n, 'value')} hidden, since {why}{of_runs(hidden)}; --all shows them")


def place_of(error: RecordError | OSError) -> str:
    """Return the file an error is about."""
    return error.path if isinstance(error, RecordError) else os.fsdecode(error.filename or "")


def is_chosen(options: Namespace) -> bool:
    """Return whether the options select runs, tags, kinds or steps."""
    return any(getattr(options, name, None) is not None for name in ("runs", "tags", "kinds", "steps"))


def values(options: Namespace, problems: Problems) -> Iterator[tuple[str, str, Value]]:
    """Yield (path, printed name of the run, value) of each selected value. Then explain what is missing."""
    wants_tag = matcher(patterns(options, "tags"))
    first, last = step_range(options.steps)
    found: set[str] = set()  # names of runs, printed and at the path
    tags: set[str] = set()
    done: set[str] = set()  # runs of earlier paths: one path may contain another
    for path in options.paths:
        wants_run = runs_wanted(path, options, options.paths)
        names: set[str] = set()
        plugins: defaultdict[str, dict[str, str]] = defaultdict(dict)  # of the tags of each run
        with reading(path, problems):
            files = find_event_files(path, problems.report)
            if not files:
                problems.complain(f"{path}: no event file here")
            for file in files:
                run = run_of(file, path)
                name = name_of(path, run, options.paths)
                if not wants_run(run) or name in done:
                    continue
                names.add(name)
                try:
                    for event in read_events(file, problems.report):
                        for value in values_of(event, plugins[run]):
                            is_kind = not options.kinds or value.kind in options.kinds
                            if is_kind and first <= value.step <= last and wants_tag(value.tag):
                                found |= {run, name}
                                tags.add(value.tag)
                                yield path, name, value
                except OSError as error:
                    problems.fail(error, file)
        done |= names
    explain(options.paths, options, problems, options.kinds, found, tags)


@overload
def series_of(runs: Mapping[str, Run]) -> Iterator[tuple[str, str, str, Scalars | Values]]: ...
@overload
def series_of(runs: Mapping[str, list[Total]]) -> Iterator[tuple[str, str, str, Total]]: ...
def series_of(runs: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """Yield run, tag, kind and values (or Total) of each series; in each run, the scalars come first."""
    for name, run in runs.items():
        if isinstance(run, Run):
            for tag, kind, values in run.all():
                yield name, tag, kind, values
        else:
            for total in sorted(run, key=lambda total: total.kind != "scalar"):
                yield name, total.tag, total.kind, total


# --- explanations of what is missing ---


def explain(
    paths: list[str], options: Namespace, problems: Problems, kinds: Any, found_runs: set[str], found_tags: set[str]
) -> None:
    """Report each --run pattern that matches no run, and each --tag pattern without a tag of the wanted kinds.

    If none is reported and no value is found, report why. Without patterns, an earlier error is enough.
    """
    runs = unmatched(patterns(options, "runs"), found_runs)
    tags = unmatched(patterns(options, "tags"), found_tags)
    if not runs and not tags and (found_runs or problems.status):
        return
    there = Contents(paths, options)
    wanted = kinds_of(kinds)
    texts = [f"no run {quoted(run)} here{nearest(run, there.runs)}" for run in unmatched(runs, there.runs)]
    if there.kinds:
        texts += filter(None, (why_no_tag(tag, wanted, there) for tag in tags))
    if not found_runs and not texts:
        if there.files:
            texts = why_no_values(options, wanted if kinds else set(KINDS), there)
        elif not problems.status:
            problems.complain(f"{', '.join(paths)}: no event file here")
    where = f"{paths[0]}: " if len(paths) == 1 else ""
    for text in texts:
        problems.complain(where + text)


class Contents:
    """Holds what the paths contain: all runs, by name; and of the selected runs the tags with their kinds, the number
    of files that can be read, and the size of all files in bytes."""

    def __init__(self, paths: list[str], options: Namespace) -> None:
        self.runs: dict[str, None] = {}  # by the printed name, and by the name at their path
        self.kinds: dict[str, set[str]] = {}  # by tag
        self.files: int = 0
        self.size: int = 0
        for path in paths:
            wants_run = runs_wanted(path, options, paths)
            with suppress(Exception):  # reading the path has reported the error
                files = by_run(find_event_files(path, ignore), path)
                self.runs |= dict.fromkeys(name for run in files for name in (name_of(path, run, paths), run))
                for run in filter(wants_run, files):
                    self.files += len(files[run])
                    self.size += bytes_in(files[run])
                    loader = Loader(lambda tag: False, set(KINDS), None, False, self._on_error)
                    loader.load_run(run, files[run])
                    for tag, kind in loader.series:
                        self.kinds.setdefault(tag, set()).add(kind)

    def _on_error(self, error: RecordError | OSError) -> None:
        self.files -= isinstance(error, OSError)

    def kinds_under(self, pattern: Patterns = None) -> set[str]:
        """Return the kinds of values under the tags that match."""
        wants = matcher(pattern)
        return {kind for tag, kinds in self.kinds.items() if wants(tag) for kind in kinds}


def why_no_tag(tag: str | re.Pattern[str], wanted: set[str], there: Contents) -> str:
    """Return why a --tag pattern has no value: no tag matches, or only tags of other kinds; "" for another reason."""
    kinds = there.kinds_under(tag)
    if not kinds:
        is_kind = tag in there.kinds_under()
        hint = f"; for the kind, use --kind {tag}" if is_kind else nearest(tag, filter(None, there.kinds))
        return f"no tag {quoted(tag)} here{hint}"
    if kinds & wanted:
        return ""
    return f"{quoted(tag)} has no {' or '.join(sorted(wanted))} values, only {' and '.join(sorted(kinds))}"


def why_no_values(options: Namespace, wanted: set[str], there: Contents) -> list[str]:
    """Return why the files that can be read have no selected value; [] if the reason is not known."""
    kinds = there.kinds_under()
    if kinds <= {"file_version"}:
        return [f"{plural(there.files, 'event file')}, no values{'' if there.size else ' (empty)'}"]
    if not kinds & wanted:
        return [f"no {' or '.join(sorted(wanted))} values here, only {', '.join(sorted(kinds - {'file_version'}))}"]
    if is_chosen(options):
        return [f"no selected values here{' at these steps' if options.steps else ''}"]
    return []


def ignore(error: Exception) -> None:
    pass


def unmatched(given: Patterns, names: Iterable[str]) -> list[str | re.Pattern[str]]:
    """Return the patterns that match none of these names."""
    several = [] if given is None else [given] if isinstance(given, str | re.Pattern) else list(given)
    names = set(names) if several else set()
    return [
        pattern
        for pattern in several
        if pattern not in names and (is_name(pattern) or not any(map(matcher(pattern), names)))
    ]


def is_name(pattern: str | re.Pattern[str]) -> bool:
    return isinstance(pattern, str) and not is_glob(pattern)
