"""The commands of `python -m tbc.reader`: each prints, and reports to a Report what is wrong."""

from __future__ import annotations

import errno
import json
import os
import re
import select
import shutil
import sys
import textwrap
import time
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import datetime
from itertools import groupby
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload
from unicodedata import combining, east_asian_width

from .describe import brief, plain, printable, shortest, strict, to_json
from .events import Value, read_events, tensor_values, values_of
from .files import by_run, bytes_in, find_event_files, is_directory, is_url, run_of
from .kinds import Histogram, HParams, decode, text_of
from .load import load_runs, load_totals
from .loader import Loader, step_range
from .records import RecordError, TruncatedRecordError
from .series import Run, Scalars, Total, Values, of_runs
from .tags import KINDS, Patterns, is_glob, kinds_of, matcher, nearest, spelled
from .unpack import Folder

if TYPE_CHECKING:
    from .comparing import Comparison, Difference
    from .repairing import Repaired
    from .verifying import Finding
    from .verifying import Report as CheckReport

INTERVAL = 0.25  # seconds between two looks at what is followed
LAG = 8 << 20  # bytes not read yet, from which on tail notes that it lags
LAG_INTERVAL = 1.0  # seconds between two looks at that
MOST_CURVES = 8  # that are drawn
MOST_COLUMNS = 32  # that a tag is padded to: a long one does not widen all lines
FEW = 3  # lines about one file that is damaged
SCREEN = 20  # and about all of them
MOST_TEXTS = 100  # of one value that are printed
MOST_INFOS = 10  # lines of mere information of a kind that verify prints
NO_TAG = "-"  # is printed for an empty one, as of graphs
FORMATS = ("csv", "jsonl", "parquet")
NOT_WRITTEN = "  (not written: no format of files for that)"


Points: TypeAlias = "dict[str, dict[str, Any]]"  # by what they are: last, min, max


class UsageError(ValueError):
    """Wrong arguments: exit status 2."""


class Report:
    """What is wrong, and the exit status that follows from it.

    Its lines are few, whatever a file holds: those that name what they are `about` (a file, a tag) end after FEW for
    one and SCREEN for all, and finish() prints how many were left out. Notes have half a SCREEN of their own, so that
    they leave out no error.
    """

    def __init__(self) -> None:
        self.status: int = 0
        self.said: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()  # by level
        self.unsaid: Counter[str] = Counter()  # problems
        self.unsaid_notes: int = 0
        self.damaged: set[str] = set()

    def complain(self, problem: str, about: str | None = None) -> None:
        self.status = 1
        self._print("error", problem, about)

    def note(self, text: str, about: str | None = None) -> None:
        self._print("note", text, about)

    def fail(self, error: OSError, path: str = "output", about: str | None = None) -> None:
        """path: where it was, if it does not say so itself."""
        where = path if error.filename is None else os.fsdecode(error.filename)
        missing = os.strerror(errno.ENOENT) if isinstance(error, FileNotFoundError) else None  # fsspec's are terse
        self.complain(f"{where}: {error.strerror or missing or error}", about or where)

    def tell(self, error: RecordError | OSError) -> None:
        """Report damage: an `on_error`."""
        if isinstance(error, OSError):
            self.fail(error)
            return
        self.damaged.add(error.path)
        if isinstance(error, TruncatedRecordError):
            self.note(f"{error}: it is still being written, or its writer was killed", error.path)
        else:
            self.complain(str(error), error.path)

    def is_named(self, about: str) -> bool:
        """Return whether there was a problem of this file."""
        return about in self.said or about in self.unsaid

    def skip(self, about: str, n: int) -> None:
        """Count n problems of a file that nobody prints."""
        self.unsaid[about] += n

    def finish(self) -> None:
        """Print how many lines were left out."""
        rest = dict(self.unsaid)
        for about, n in self.unsaid.most_common(FEW):
            see = f"; see tbc-reader verify {about}" if about in self.damaged else ""
            self.note(f"{about}: {plural(n, 'more problem')}{see}")
            del rest[about]
        if rest:
            self.note(f"{plural(sum(rest.values()), 'more problem')} of {len(rest):,} others")
        if self.unsaid_notes:
            self.note(f"{plural(self.unsaid_notes, 'more note')}")

    def _print(self, level: str, text: str, about: str | None) -> None:
        if about is not None:
            if self.said[about] >= FEW or self.lines[level] >= (SCREEN if level == "error" else SCREEN // 2):
                if level == "error" or about in self.damaged:
                    self.unsaid[about] += 1
                else:
                    self.unsaid_notes += 1
                return
            self.said[about] += 1
            self.lines[level] += 1
        print(f"{level}: {printable(text)}", file=sys.stderr)


# --- what is looked at ---


def patterns(options: Namespace, name: str) -> Patterns:
    given = getattr(options, name, None)
    if given is None or not options.regex:
        return given
    try:
        return [re.compile(pattern) for pattern in given]
    except re.error as error:
        raise UsageError(f"{error.pattern!r} is no regular expression: {error}") from None


T = TypeVar("T", Run, list[Total])


class Runs(dict[str, T]):
    """Loaded runs by the name that is printed, and the path that each belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.path: dict[str, str] = {}


@contextmanager
def reading(path: str, report: Report) -> Iterator[None]:
    """Report what keeps a path from being read, so that the other paths are read all the same.

    Within it, report.status is that of this path.
    """
    before, report.status = report.status, 0
    try:
        yield
    except OSError as error:
        if error.filename is None and not is_url(path):  # of the output
            raise
        report.fail(error, path)
    except MemoryError:
        report.complain(f"{path}: not enough memory")
    except UsageError:
        raise
    except (ImportError, ValueError) as error:  # a package that is not installed; a destination that will not do
        report.complain(str(error))
    except Exception as error:  # fsspec's filesystems have errors of their own: no credentials, no such host
        if not is_url(path):
            raise
        report.complain(f"{path}: {error}")
    finally:
        report.status |= before


def named(path: str, run: str, paths: list[str]) -> str:
    """The name of a run among those of several paths: its path, as typed, and the run. Of one path, the run alone."""
    if len(paths) == 1 or path in (".", "./"):
        return run
    root = path.rstrip("/") or path
    return root if run == "." else os.path.join(root, run)


def runs_wanted(path: str, options: Namespace, paths: list[str]) -> Callable[[str], bool]:
    """Whether a run of this path is wanted: by its name there, or by the one that is printed."""
    wants = matcher(patterns(options, "runs"))
    return lambda run: wants(run) or wants(named(path, run, paths))


def load(path: str, options: Namespace, report: Report, kinds: Any = None, purge: bool = True) -> Runs[Run]:
    """load_all of one path."""
    return load_all([path], options, report, load_runs, kinds, purge)


def load_all(
    paths: list[str],
    options: Namespace,
    report: Report,
    read: Callable[..., dict[str, T]],
    kinds: Any = None,
    purge: bool = True,
) -> Runs[T]:
    """Load the chosen runs of all paths, by the name that is printed: with load_runs, or load_totals where counts are
    enough. Report damage, that there are none, and how many values are hidden."""
    wants_tag = patterns(options, "tags")
    loaded = Runs[T]()
    found: set[str] = set()  # runs, by both names
    before, report.status = report.status, 0
    for path in paths:
        wants_run = runs_wanted(path, options, paths)
        first: list[RecordError | OSError] = []
        counts: Counter[str] = Counter()

        def on_error(error: RecordError | OSError) -> None:
            counts[place_of(error)] += 1  # noqa: B023
            if counts[place_of(error)] <= FEW:  # noqa: B023
                first.append(error)  # noqa: B023

        runs: dict[str, T] = {}
        with reading(path, report):
            chosen: Any = {"runs": wants_run, "tags": wants_tag, "steps": options.steps}
            runs = read(path, kinds=kinds, purge=purge, on_error=on_error, **chosen)
        for error in sorted(first, key=lambda error: (place_of(error), getattr(error, "offset", 0))):
            report.tell(error)
        for place, n in counts.items():
            if n > FEW:
                report.skip(place, n - FEW)
        for run, of in sorted(runs.items()):
            name = named(path, run, paths)
            found |= {run, name}
            if name not in loaded:  # paths may lie in one another
                loaded[name] = replace(of, name=name) if isinstance(of, Run) else of
                loaded.path[name] = path
    hidden = dict.fromkeys(loaded, 0)
    for name, *_, values in series(loaded):
        hidden[name] += values.hidden
    note_hidden(paths, hidden, report)
    explain(paths, options, report, kinds, found, {tag for _, tag, _, _ in series(loaded)})
    report.status |= before
    return loaded


def note_hidden(paths: list[str], hidden: dict[str, int], report: Report) -> None:
    """Say in one line, which is never left out, how many values are hidden. hidden: by run"""
    n = sum(hidden.values())
    if n:
        why = f"a later event file replaces {'them' if n > 1 else 'it'}"
        where = f"{paths[0]}: " if len(paths) == 1 else ""
        report.note(f"{where}{plural(n, 'value')} hidden, since {why}{of_runs(hidden)}; --all shows them")


def place_of(error: RecordError | OSError) -> str:
    """The file an error is about."""
    return error.path if isinstance(error, RecordError) else os.fsdecode(error.filename or "")


def is_chosen(options: Namespace) -> bool:
    """Whether it was said what is wanted."""
    return any(getattr(options, name, None) is not None for name in ("runs", "tags", "kinds", "steps"))


def values(options: Namespace, report: Report) -> Iterator[tuple[str, str, Value]]:
    """Yield each value that is chosen, with its path and its run. Report what there is none of."""
    wants_tag = matcher(patterns(options, "tags"))
    first, last = step_range(options.steps)
    found: set[str] = set()  # runs, by both names
    tags: set[str] = set()
    done: set[str] = set()  # runs of paths before this one: paths may lie in one another
    for path in options.paths:
        wants_run = runs_wanted(path, options, options.paths)
        names: set[str] = set()
        plugins: defaultdict[str, dict[str, str]] = defaultdict(dict)  # of the tags of each run
        with reading(path, report):
            files = find_event_files(path, report.tell)
            if not files:
                report.complain(f"{path}: no event file here")
            for file in files:
                run = run_of(file, path)
                name = named(path, run, options.paths)
                if not wants_run(run) or name in done:
                    continue
                names.add(name)
                try:
                    for event in read_events(file, report.tell):
                        for value in values_of(event, plugins[run]):
                            is_kind = not options.kinds or value.kind in options.kinds
                            if is_kind and first <= value.step <= last and wants_tag(value.tag):
                                found |= {run, name}
                                tags.add(value.tag)
                                yield path, name, value
                except OSError as error:
                    report.fail(error, file)
        done |= names
    explain(options.paths, options, report, options.kinds, found, tags)


# --- what is not there ---


def explain(
    paths: list[str], options: Namespace, report: Report, kinds: Any, found_runs: set[str], found_tags: set[str]
) -> None:
    """Report each run and tag that was asked for and has no value, and if there is no value at all, why."""
    runs = unmatched(patterns(options, "runs"), found_runs)
    tags = unmatched(patterns(options, "tags"), found_tags)
    if (found_runs or report.status) and not tags and not runs:
        return
    there = Names(paths, options)
    where = f"{paths[0]}: " if len(paths) == 1 else ""
    wanted = kinds_of(kinds)
    before, report.status = report.status, 0
    for run in unmatched(runs, there.runs):
        report.complain(f"{where}no run {spelled(run)} here{nearest(run, there.runs)}")
    for tag in tags if there.kinds else []:
        wants = matcher(tag)
        its_kinds = {kind for name, several in there.kinds.items() if wants(name) for kind in several}
        if not its_kinds:
            is_kind = any(tag in several for several in there.kinds.values())
            hint = f"; --kind {tag} asks for the kind" if is_kind else nearest(tag, filter(None, there.kinds))
            report.complain(f"{where}no tag {spelled(tag)} here{hint}")
        elif not its_kinds & wanted:
            words = f"no {' or '.join(sorted(wanted))}, but {' and '.join(sorted(its_kinds))}"
            report.complain(f"{where}{spelled(tag)} is {words}")
    all_kinds = {kind for several in there.kinds.values() for kind in several}
    if not found_runs and not report.status and there.files:
        if all_kinds <= {"file_version"}:
            report.complain(f"{where}{there.files_in_words()}")
        elif kinds and not all_kinds & wanted:
            others = ", ".join(sorted(all_kinds - {"file_version"}))
            report.complain(f"{where}no {' or '.join(sorted(wanted))} here, but {others}")
        elif is_chosen(options):
            report.complain(f"{where}no such values here{', at these steps' if options.steps else ''}")
    elif not found_runs and not report.status and not before:
        report.complain(f"{', '.join(paths)}: no event file here")
    report.status |= before


class Names:
    """What is at paths: the runs, and of those that are wanted the tags with their kinds, and how many files can be
    read."""

    def __init__(self, paths: list[str], options: Namespace) -> None:
        self.runs: dict[str, None] = {}  # by the names that are printed, and those at their paths
        self.kinds: dict[str, set[str]] = {}  # by tag
        self.files: int = 0
        self.size: int = 0
        for path in paths:
            wants_run = runs_wanted(path, options, paths)
            with suppress(Exception):  # which were reported before
                files = by_run(find_event_files(path, ignore), path)
                self.runs |= dict.fromkeys(name for run in files for name in (named(path, run, paths), run))
                for run in filter(wants_run, files):
                    self.files += len(files[run])
                    self.size += bytes_in(files[run])
                    loader = Loader(lambda tag: False, set(KINDS), None, False, self._on_error)
                    loader.load_run(run, files[run])
                    for tag, kind in loader.series:
                        self.kinds.setdefault(tag, set()).add(kind)

    def _on_error(self, error: RecordError | OSError) -> None:
        self.files -= isinstance(error, OSError)

    def files_in_words(self) -> str:
        return f"{plural(self.files, 'event file')}, no values{'' if self.size else ' (empty)'}"


def ignore(error: Exception) -> None:
    pass


def unmatched(given: Patterns, names: Iterable[str]) -> list[str | re.Pattern[str]]:
    """The patterns that match none of these names."""
    several = [] if given is None else [given] if isinstance(given, str | re.Pattern) else list(given)
    names = set(names) if several else set()
    return [
        pattern
        for pattern in several
        if pattern not in names and (is_name(pattern) or not any(map(matcher(pattern), names)))
    ]


def is_name(pattern: str | re.Pattern[str]) -> bool:
    return isinstance(pattern, str) and not is_glob(pattern)


# --- how it is printed ---


class Heading:
    """Print a run's name above its first line. The run that was asked for needs no name."""

    def __init__(self) -> None:
        self.run: str = "."

    def print(self, run: str) -> None:
        if run != self.run:
            print(f"{printable(run)}:")
            self.run = run


def print_json(data: Any) -> None:
    print(json.dumps(strict(data)))


def row_of(options: Namespace, path: str, run: str, **more: Any) -> dict[str, Any]:
    """A row of JSON: with several paths, it has the path, too."""
    return {"run": run} | ({"path": path} if len(options.paths) > 1 else {}) | more


def time_of(wall_time: float) -> str:
    try:
        return datetime.fromtimestamp(wall_time).isoformat(" ", "milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{wall_time:<23g}"


def readable(n: float) -> str:
    """Bytes, in three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 999.5:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:,.3g} TB"


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes: letters of East Asia take two, and combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def padded(text: str, width: int) -> str:
    return text + " " * max(width - columns_of(text), 0)


def plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


# --- the commands ---


def dump(options: Namespace, report: Report) -> None:
    """Prints every value: its step, time, tag, kind, and what it is."""
    heading = Heading()
    for path, run, value in values(options, report):
        if options.json:
            data = {"step": value.step, "wall_time": value.wall_time, "tag": value.tag, "kind": value.kind}
            print_json(row_of(options, path, run, **data, value=to_json(value)))
        else:
            heading.print(run)
            tag, time = printable(value.tag), time_of(value.wall_time)
            print(f"{value.step:>8}  {time}  {padded(tag, 18)}  {value.kind:<9}  {brief(value)}")


def tags(options: Namespace, report: Report) -> None:
    """Lists the tags of each run: the kind, how many values, the first and the last step."""
    runs = load_all(options.paths, options, report, load_totals, options.kinds, purge=not options.all)
    rows = [
        (run, tag, kind, total)
        for run, tag, kind, total in series(runs)
        if kind != "file_version" or options.kinds or options.json
    ]
    width = min(max((columns_of(printable(tag)) for _, tag, _, _ in rows), default=0), MOST_COLUMNS)
    heading = Heading()
    for run, tag, kind, total in rows:
        n, first, last = total.count, total.first_step, total.last_step
        if options.json:
            row = {"tag": tag, "kind": kind, "count": n, "first_step": first, "last_step": last}
            print_json(row_of(options, runs.path[run], run, **row, hidden=total.hidden))
        else:
            heading.print(run)
            steps = "all hidden" if first is None else f"step {first}" if first == last else f"steps {first} to {last}"
            print(f"{padded(printable(tag or NO_TAG), width)}  {kind:<14}  {n:>8}  {steps}")
    if not is_chosen(options) and (rows or not report.status):  # else load_all has said it
        report_runs_without_values({run for run, _, kind, _ in rows if kind != "file_version"}, options, report)


def report_runs_without_values(runs: set[str], options: Namespace, report: Report) -> None:
    """runs: those that have some."""
    for path in options.paths:
        with suppress(Exception):
            for run, files in by_run(find_event_files(path, ignore), path).items():
                name = named(path, run, options.paths)
                files = [file for file in files if not (report.status and report.is_named(file))]
                if name not in runs and files:
                    empty = "" if bytes_in(files) else " (empty)"
                    where = path if name == "." else os.path.join(path, run) if len(options.paths) == 1 else name
                    say = report.note if runs else report.complain
                    say(f"{where}: {plural(len(files), 'event file')}, no values{empty}", where)


@overload
def series(runs: Mapping[str, Run]) -> Iterator[tuple[str, str, str, Scalars | Values]]: ...
@overload
def series(runs: Mapping[str, list[Total]]) -> Iterator[tuple[str, str, str, Total]]: ...
def series(runs: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """Iterate over run, tag, kind and values; of each run the scalars first."""
    for name, run in runs.items():
        if isinstance(run, Run):
            for tag, kind, values in run.all():
                yield name, tag, kind, values
        else:
            for total in sorted(run, key=lambda total: total.kind != "scalar"):
                yield name, total.tag, total.kind, total


def show(options: Namespace, report: Report) -> None:
    """Draws the curve of a scalar, and says where it was least and greatest: of many, a line for each. Prints any other
    value, or with --out writes images, sounds, texts, arrays and graphs into files."""
    split_arguments(options)
    runs = load_all(options.paths, options, report, load_runs, options.kinds, purge=not options.all)
    for path in options.paths:
        is_argument = path in options.arguments and path not in (options.tags or ())
        if is_argument and path not in runs.path.values() and not is_url(path):
            report.note(f"{path} was taken for a path; --tag {path} asks for the tag", path)
    found = [each for each in series(runs) if each[1] or options.kinds]  # what has no tag only if asked for
    if not found and not report.status:
        kinds = " or ".join(sorted({kind for *_, kind, _ in series(runs)} - {"file_version"}))
        report.complain(f"{', '.join(options.paths)}: no tag here" + (f"; --kind asks for {kinds}" if kinds else ""))
    folder = Folder(options.out) if options.out else None
    curves = [(run, tag, values) for run, tag, _, values in found if isinstance(values, Scalars)]
    points = [extremes(scalars) for _, _, scalars in curves]
    if options.json:
        for (run, tag, scalars), its_points in zip(curves, points, strict=True):
            print_curve_as_json(runs.path[run], run, tag, scalars, its_points, options)
    elif len(curves) > MOST_CURVES:
        print_summary(curves, points)
    else:
        for curve, its_points in zip(curves, points, strict=True):
            show_scalars(*curve, its_points)
    if not options.json:
        show_best(curves, points)
    for run, tag, kind, values in found:
        if isinstance(values, Values):
            show_values(runs.path[run], run, tag, kind, values, options, folder, report)


def split_arguments(options: Namespace) -> None:
    """Tell paths from tags among the arguments of show: with --tag all are paths, else those that exist, and are not
    the first path once more."""
    first, rest = options.paths, options.arguments
    if options.tags is None:
        options.tags = [each for each in rest if each in first or not is_path(each)] or None
        rest = [each for each in rest if each not in first and is_path(each)]
        if options.tags is None and options.kinds is None:
            hint = f"; {rest[-1]!r} is a path, and --tag {rest[-1]} asks for the tag" if rest else ""
            raise UsageError(f"expected a tag: show PATH TAG, or show PATH --tag TAG{hint}")
    options.paths = distinct([*first, *rest])


def is_path(argument: str) -> bool:
    return is_url(argument) or os.path.lexists(argument)


def distinct(paths: list[str]) -> list[str]:
    """Each path once, however it is spelled: a, a/ and ./a are one."""
    found: dict[str, str] = {}
    for path in paths:
        found.setdefault(path.rstrip("/") if is_url(path) else str(PurePath(path)), path)
    return list(found.values())


def print_summary(curves: list[tuple[str, str, Scalars]], points: list[Points]) -> None:
    """Print a line for each of many curves."""
    rows: list[tuple[str, ...]] = [("points", "last", "min", "at step", "max", "at step", "tag")]
    for (run, tag, scalars), its_points in zip(curves, points, strict=True):
        last = shortest(its_points["last"]["value"]) if its_points else ""
        cells = ["nan", ""] * 2 if its_points else [""] * 4
        if "min" in its_points:
            cells = [cell for name in ("min", "max") for cell in cells_of(its_points[name])]
        rows.append((str(len(scalars)), last, *cells, title(run, tag)))
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    for *cells, name in rows:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)), name, sep="  ")
    print()


def cells_of(point: dict[str, Any]) -> tuple[str, str]:
    return shortest(point["value"]), str(point["step"])


def extremes(scalars: Scalars) -> Points:
    """The last point, and those with the least and the greatest value; NaN is neither."""
    import numpy as np

    points: Points = {"last": point(scalars, len(scalars) - 1)} if len(scalars) else {}
    if not np.isnan(scalars.value).all():
        points["min"] = point(scalars, int(np.nanargmin(scalars.value)))
        points["max"] = point(scalars, int(np.nanargmax(scalars.value)))
    return points


def print_curve_as_json(path: str, run: str, tag: str, scalars: Scalars, points: Points, options: Namespace) -> None:
    first, last = (int(scalars.step.min()), int(scalars.step.max())) if len(scalars) else (None, None)
    row = {"tag": tag, "kind": "scalar", "count": len(scalars), "first_step": first, "last_step": last}
    print_json(row_of(options, path, run, **row, hidden=scalars.hidden, **points))


def show_scalars(run: str, tag: str, scalars: Scalars, points: Points) -> None:
    from .plot import curve

    print(f"{title(run, tag)}  ({plural(len(scalars), 'point')})")
    size = shutil.get_terminal_size((80, 24))
    for line in curve(scalars.step, scalars.value, min(size.columns, 120), ascii=not has_characters("⣿┤")):
        print(line.rstrip())
    rows = [(name, *cells_of(at), time_of(at["wall_time"])) for name, at in points.items()]
    width = max((len(value) for _, value, _, _ in rows), default=0)
    for name, value, step, wall_time in rows:
        print(f"  {name:<4}  {value:<{max(width, 12)}}  step {step:<10}  {wall_time}")
    print()


def point(scalars: Scalars, index: int) -> dict[str, Any]:
    columns = (scalars.step[index], scalars.wall_time[index], scalars.value[index])
    return dict(zip(("step", "wall_time", "value"), (column.item() for column in columns), strict=True))


def show_best(curves: list[tuple[str, str, Scalars]], points: list[Points]) -> None:
    """Print the least and the greatest value of each tag that several runs have."""
    by_tag: dict[str, list[tuple[str, Points]]] = {}
    for (run, tag, _), its_points in zip(curves, points, strict=True):
        by_tag.setdefault(tag, []).append((run, its_points))
    for tag, several in by_tag.items():
        for word, name, best in (("least", "min", min), ("greatest", "max", max)):
            found = [(its_points[name], run) for run, its_points in several if name in its_points]
            if len(several) > 1 and found:
                at, run = best(found, key=lambda each: each[0]["value"])
                where = f"step {at['step']}, {time_of(at['wall_time'])}, of {printable(run)}"
                print(f"{word} {printable(tag)}: {shortest(at['value'])} at {where}")


def title(run: str, tag: str) -> str:
    tag = tag or NO_TAG
    return printable(tag if run == "." else f"{run}: {tag}")


def has_characters(text: str) -> bool:
    """Whether the terminal can show them."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def show_values(
    path: str,
    run: str,
    tag: str,
    kind: str,
    values: Values,
    options: Namespace,
    folder: Folder | None,
    report: Report,
) -> None:
    if not options.json:
        print(f"{title(run, tag)}  ({kind}, {plural(len(values), 'value')})")
    for i in range(len(values)):
        try:
            value = values.message(i)
        except (RecordError, OSError) as error:
            report.tell(error)
            continue
        files: list[str] = []
        if folder is not None:
            try:
                files = folder.write(run, value)
            except OSError as error:
                report.fail(error, about=options.out)
                continue
            except ValueError as error:
                report.complain(f"{title(run, tag)}: {error}", title(run, tag))
                continue
        if options.json:
            row = {"step": value.step, "wall_time": value.wall_time, "tag": tag, "kind": kind}
            more = {"files": files} if files else {}
            print_json(row_of(options, path, run, **row, value=to_json(value), **more))
            continue
        said = ", ".join(map(printable, files)) or brief(value)
        if options.out and not files:
            said += NOT_WRITTEN
        print(f"  step {value.step}  {time_of(value.wall_time)}  {said}")
        if not options.out and i == len(values) - 1:
            show_whole(value)


def show_whole(value: Value) -> None:
    """The last value of a tag, as far as a terminal can show it."""
    try:
        data = decode(value)
    except ValueError:
        return  # its line has said so
    if value.kind == "text":
        texts = tensor_values(value.content.tensor, MOST_TEXTS + 1)  # not data, which may be one text a million times
        for text in map(text_of, texts[:MOST_TEXTS]):
            print("\n".join(f"    {printable(line)}" for line in text.splitlines()))
        if len(texts) > MOST_TEXTS:
            print("    ... and more; --out writes all")
    elif value.kind == "histogram":
        from .plot import bars

        size = min(shutil.get_terminal_size((80, 24)).columns, 120)
        for line in bars(*rebinned(data), size - 4, ascii=not has_characters("█▏")):
            print(f"    {line}".rstrip())
    elif isinstance(data, HParams):
        for name, hparam in sorted(data.hparams.items()):
            print(f"    {printable(name)} = {printable(plain(hparam))}")


def rebinned(histogram: Histogram, n: int = 20) -> tuple[list[str], Any]:
    """Labels and counts of n buckets of the same width, over which the counts are spread, as TensorBoard draws it."""
    import numpy as np

    edges = np.linspace(histogram.min, histogram.max, n + 1)
    below = np.interp(edges, histogram.edges, np.concatenate([[0], histogram.counts.cumsum()]))
    return [f"{low:.4g}" for low in edges[:-1]], np.diff(below).round()


def tail(options: Namespace, report: Report) -> None:
    """Prints the last scalars; with -f, goes on with those that are logged, in new files and runs, too. A note on
    stderr says when more is logged than it can print."""
    from .following import Follower

    wants_tag = matcher(patterns(options, "tags"))
    first, last = step_range(options.steps)
    heading = Heading()

    def print_line(path: str, run: str, tag: str, step: int, wall_time: float, value: Any, text: str) -> None:
        run = named(path, run, options.paths)
        if options.json:
            data = {"step": step, "wall_time": wall_time, "tag": tag, "kind": "scalar", "value": value}
            print_json(row_of(options, path, run, **data))
        else:
            heading.print(run)
            print(f"{step:>8}  {time_of(wall_time)}  {padded(printable(tag), 24)}  {text}")

    followers: list[tuple[str, Follower]] = []
    runs: dict[str, Run] = {}
    rows: list[tuple[str, str, str, int, float, float]] = []
    found: set[str] = set()  # runs, by both names
    found_tags: set[str] = set()
    hidden: dict[str, int] = {}
    owners: dict[str, str] = {}  # by the name of a run, its path: paths may lie in one another

    def is_wanted(path: str) -> Callable[[str], bool]:
        wants = runs_wanted(path, options, options.paths)
        return lambda run: wants(run) and owners.setdefault(named(path, run, options.paths), path) == path

    for path in options.paths:
        with reading(path, report):
            follower = Follower(path, is_wanted(path), wants_tag, purge=not options.all)
            runs = follower.load({"scalar"}, report.tell, options.steps, keep=options.lines)
            if not runs and not report.status and not options.follow and not is_chosen(options):
                report.complain(f"{path}: no event file here")
            if report.status and not runs and not os.path.isdir(path):
                continue
            hidden |= {named(path, name, options.paths): run.hidden for name, run in runs.items()}
            followers.append((path, follower))
            for name, of in runs.items():
                found |= {name, named(path, name, options.paths)} if of.scalars else set()
                found_tags |= of.scalars.keys()
            rows += [
                (path, run.name, tag, *row)
                for run in runs.values()
                for tag, scalars in run.scalars.items()
                for row in rows_of(scalars)
            ]
    note_hidden(options.paths, hidden, report)
    rows.sort(key=lambda row: row[4])
    for row in rows[max(len(rows) - options.lines, 0) :]:
        print_line(*row, shortest(row[-1]))
    if followers and options.lines and not options.follow:
        explain(options.paths, options, report, "scalar", found, found_tags)
    del runs, rows
    lag = Lag()

    def unread() -> int:
        return sum(follower.unread() for _, follower in followers)

    while options.follow and followers and not is_output_closed():
        print(end="", flush=True)
        time.sleep(INTERVAL)
        for path, follower in followers:
            for run, value in follower.poll(report.tell):
                if value.kind == "scalar" and first <= value.step <= last:
                    print_line(path, run, value.tag, value.step, value.wall_time, to_json(value), brief(value))
                lag.note(unread, report)
        lag.note(unread, report)


class Lag:
    """Notes, once an episode, that more is logged than `tail` prints."""

    def __init__(self) -> None:
        self._is_there = False
        self._due = 0.0

    def note(self, unread: Callable[[], int], report: Report) -> None:
        """unread: how many bytes there are to read; asked once in LAG_INTERVAL"""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LAG_INTERVAL
        n = unread()
        was_there, self._is_there = self._is_there, n > (LAG / 2 if self._is_there else LAG)
        if self._is_there and not was_there:
            report.note(f"{readable(n)} are not read yet: more is logged than tail can print")


def is_output_closed() -> bool:
    """Whether nobody reads any more, as after `| head`; to print says that too late, or never."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError, AttributeError):  # it is no file
        return False
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def rows_of(scalars: Scalars) -> Iterator[tuple[int, float, float]]:
    columns = (scalars.step, scalars.wall_time, scalars.value)
    return zip(*(column.tolist() for column in columns), strict=True)


def verify(options: Namespace, report: Report) -> None:
    """Reads every record, and says where files are damaged or torn, where TensorBoard shows something else than was
    logged, and what else is odd: of each file a line for each kind of finding, and how many more there are. For CI:
    exits with 1 if there is an error."""
    from .verifying import reports_of

    files = records = size = 0
    counts: Counter[str] = Counter()
    infos: Counter[str] = Counter()  # by kind, those that are printed

    def reports() -> Iterator[CheckReport]:
        for path in options.paths:
            with reading(path, report):
                yield from reports_of(path, options.live, options.ignore)

    for found in reports():
        is_file = not any(finding.kind in ("missing", "unreadable") for finding in found.findings)
        files, records, size = files + is_file, records + found.records, size + found.bytes
        counts.update(finding.severity for finding in found.findings)
        for name, n in found.omitted.items():
            counts[name.split()[0]] += n
        if options.json:
            print_json(asdict(found))
        else:
            print_findings(found, infos)
    if counts["error"] or (options.strict and counts["warning"]):
        report.status = 1
    if not options.json:
        told = ", ".join(plural(counts[severity], severity) for severity in ("error", "warning") if counts[severity])
        result = (told or "all intact") + (f", {plural(counts['info'], 'info')}" if counts["info"] else "")
        print(f"{plural(files, 'file')}, {plural(records, 'record')}, {readable(size)}: {result}")


def print_findings(found: CheckReport, infos: Counter[str]) -> None:
    """Print the first finding of each kind and file, and how many there are beside it. infos: by kind, how many lines
    of mere information have been printed."""
    several: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in found.findings:
        several.setdefault((finding.path, finding.severity, finding.kind), []).append(finding)
    left = dict(found.omitted)
    for (path, severity, kind), findings in several.items():
        more = len(findings) - 1 + left.pop(f"{severity} {kind}", 0)
        if severity == "info":
            infos[kind] += 1
            if infos[kind] > MOST_INFOS:
                if infos[kind] == MOST_INFOS + 1:
                    print(f"info: more files have findings of the kind {kind}; --json lists them")
                continue
        print(f"{severity}: {printable(f'{path}: {findings[0].message}')}")
        if more:
            print(f"{severity}: {printable(path)}: and {more:,} more of the kind {kind}; --json lists them")


def repair(options: Namespace, report: Report) -> None:
    """Copies every good record of the event files to another directory, each into a file of the same name, and says
    what was lost. Nothing is overwritten, and the originals stay as they are."""
    from .repairing import repair_each

    for path in options.paths:
        with reading(path, report):
            n = 0
            for n, done in enumerate(repair_each(path, copies_of(path, options), report.fail), 1):  # noqa: B007
                print_repaired(done, options.json)
            if not n and not report.status:
                report.complain(f"{path}: no event file here")


def copies_of(path: str, options: Namespace) -> str:
    """Where the copies of a path go: of one path into DIR, of several into a directory each, named as by cp."""
    if len(options.paths) == 1 or not is_directory(path):
        return str(options.destination)
    name = path.rstrip("/") if is_url(path) else os.path.abspath(path)
    return os.path.join(options.destination, os.path.basename(name))


def print_repaired(done: Repaired, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
        return
    lost = sum(damage.length for damage in done.lost)
    print(
        printable(f"{done.copy}: {plural(done.records, 'record')}, {readable(done.bytes)}") + f"; lost {readable(lost)}"
    )
    for damage in done.lost:
        print(f"  lost {plural(damage.length, 'byte')}: {printable(damage.message)}")
    if done.version_added:
        print("  a first record, of the version, was added")


def export(options: Namespace, report: Report) -> None:
    """Writes the scalars: a row for each value, or with --wide for each step."""
    from .export import write_csv, write_jsonl, write_parquet

    form = export_format(options)
    runs = load_all(options.paths, options, report, load_runs, "scalar", purge=not options.all)
    if not runs:
        return
    if form == "parquet":
        write_parquet(runs, options.output, wide=options.wide)
        return
    to = sys.stdout if options.output in (None, "-") else options.output
    if form == "csv":
        write_csv(runs, to, wide=options.wide)
    else:
        write_jsonl(runs, to)


def export_format(options: Namespace) -> str:
    """What was asked for, if it can be had."""
    output = "" if options.output in (None, "-") else options.output
    suffix = os.path.splitext(output)[1].removeprefix(".").lower()
    asked = "jsonl" if options.json else options.format
    form = asked or (suffix if output else "csv")
    if form not in FORMATS:
        raise UsageError(f"{output}: the name ends in none of {', '.join(FORMATS)}: say --format")
    if asked and suffix in FORMATS and suffix != asked:
        raise UsageError(f"{output}: the name says {suffix}, but {asked} was asked for")
    if form == "parquet" and not output:
        raise UsageError("Parquet needs a file: -o FILE")
    if form != "parquet" and is_url(output):
        raise UsageError(f"{output}: only Parquet is written to a URL")
    if form == "jsonl" and options.wide:
        raise UsageError("--wide is for CSV and Parquet")
    return form


def diff(options: Namespace, report: Report) -> None:
    """Compares two runs, or trees of runs: every value of every kind, tag by tag and step by step. Wall times do not
    count. Child runs that add_hparams named by the time are matched in the order of time. Exits with 1 if anything
    differs: a regression test of a training. The last line says what was compared."""
    from .comparing import comparison

    a = load(options.path, options, report, options.kinds, purge=not options.all)
    b = load(options.other, options, report, options.kinds, purge=not options.all)
    runs, tags = patterns(options, "exclude_runs"), patterns(options, "exclude_tags")
    done = comparison(a, b, options.rtol, options.atol, runs, tags, options.exclude_kinds)
    if not a or not b or not done.values:  # all may be hidden
        if not report.status:
            where = [path for path, runs in ((options.path, a), (options.other, b)) if not runs]
            report.complain(
                f"{', '.join(where or [options.path, options.other])}: nothing to compare{chosen(options, done)}"
            )
        return
    if done.differences:
        report.status = 1
    if options.json:
        for found in done.differences:
            print_json(asdict(found))
        return
    for run, several in groupby(done.differences, key=lambda found: found.run):
        for line in lines_of(list(several), is_whole=run not in a or run not in b):
            print(line)
    kinds = sorted(done.tags.items(), key=lambda each: (each[0] != "scalar", each[0]))
    compared = f"{plural(done.runs, 'run')}, {plural(done.tags.total(), 'tag')}"
    compared += f" ({', '.join(f'{n:,} {kind}' for kind, n in kinds)}), {plural(done.values, 'value')}"
    n = len({(found.run, found.tag, found.kind) for found in done.differences})
    result = f"{plural(n, 'tag')} differ{'s' * (n == 1)}" if n else "no difference"
    print(f"{compared}: {result}{chosen(options, done)}")


def chosen(options: Namespace, done: Comparison) -> str:
    """What was chosen and what was left out, for the last line."""
    only = [
        f"--{name} {pattern!r}"
        for name, given in (("run", options.runs), ("tag", options.tags), ("kind", options.kinds))
        for pattern in given or ()
    ]
    if options.steps:
        first, last = ("" if end is None else end for end in options.steps)
        only.append(f"--steps {first}:{last}")
    counts = [(done.excluded_runs, "run"), (done.excluded_tags, "tag")]
    left_out = ", ".join(plural(n, noun) for n, noun in counts if n) or "nothing"
    is_excluding = options.exclude_runs or options.exclude_tags or options.exclude_kinds
    return (f"; only {' '.join(only)}" if only else "") + (f"; left out: {left_out}" if is_excluding else "")


def lines_of(differences: list[Difference], is_whole: bool) -> Iterator[str]:
    """The differences of one run, each on a line, or on more if it is long. is_whole: one side lacks the run."""
    first = differences[0]
    if is_whole and first.run_b is None:
        side = "first" if first.b is None else "second"
        tags, values = plural(len(differences), "tag"), plural(sum(found.count for found in differences), "value")
        yield f"run {printable(first.run)}: only in the {side}, {tags}, {values}"
        return
    for found in differences:
        run = found.run if found.run_b is None else f"{found.run} and {found.run_b}"
        tag = found.tag if found.kind == "scalar" else f"{found.tag} ({found.kind})" if found.tag else found.kind
        head, text = f"{title(run, tag)}: {words_of(found)}", printable(found.text)
        if len(head) + 2 + len(text) <= 80:
            yield f"{head}: {text}"
        else:
            yield f"{head}:"
            yield from textwrap.wrap(text, 80, initial_indent="    ", subsequent_indent="    ")


def words_of(found: Difference) -> str:
    """What differs and where; found.text says how."""
    values = plural(found.count, "value")
    side = "first" if found.b is None else "second"
    if found.what == "missing":
        return f"only in the {side}, {values}, the first at step {found.step}"
    if found.what == "steps":
        return f"{values} on one side only, the first in the {side} at step {found.step}"
    if found.what == "unreadable":
        return f"{values}, the first at step {found.step}"
    if found.count == 1:
        return f"1 value differs, at step {found.step}"
    return f"{values} differ, most at step {found.step}"


def stats(options: Namespace, report: Report) -> None:
    """Says what fills the disk: bytes by kind, by run and by tag, the largest first."""
    runs = load_all(options.paths, options, report, load_totals, options.kinds, purge=False)
    found = list(series(runs))
    if options.json:
        for run, tag, kind, total in sorted(found, key=lambda each: -each[3].size):
            row = {"tag": tag, "kind": kind, "count": total.count, "bytes": total.size}
            print_json(row_of(options, runs.path[run], run, **row))
        return
    if not found:
        return
    print_sizes("kind", [(kind, total) for _, _, kind, total in found])
    if len(runs) > 1:
        print_sizes("run", [(printable(run), total) for run, _, _, total in found])
    print_sizes("tag", [(f"{kind:<14}  {printable(tag or NO_TAG)}", total) for _, tag, kind, total in found])
    whole = sum(total.size for *_, total in found)
    print(f"{readable(whole):>9}  in all")


def print_sizes(name: str, found: list[tuple[str, Total]]) -> None:
    """A line for each name, of the values under it."""
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for each, total in found:
        sizes[each] += total.size
        counts[each] += total.count
    whole = sizes.total()
    print(f"{'bytes':>9}  {'share':>6}  {'values':>11}  {'each':>9}  {name}")
    for each, size in sizes.most_common():
        share, n = size / (whole or 1), counts[each]
        print(f"{readable(size):>9}  {share:>6.1%}  {n:>11,}  {readable(size / (n or 1)):>9}  {each}")
    print()
