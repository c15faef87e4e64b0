"""The commands of `python -m tbc.reader`: each prints, and tells its Report what is wrong."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import select
import shutil
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .describe import brief, printable, shortest, strict, to_json
from .events import Value, read_values
from .files import find_event_files, is_url, run_of
from .kinds import Audio, Histogram, HParams, Image, Mesh, decode
from .load import Run, Scalars, Values, load_runs, step_range
from .records import RecordError, TruncatedRecordError
from .tags import Patterns, matcher

if TYPE_CHECKING:
    from .diff import Difference

INTERVAL = 0.25  # seconds between two looks at what is followed
MOST_CURVES = 8  # that are drawn
FORMATS = ("csv", "jsonl", "parquet")
NOT_WRITTEN = "  (not written: no format of files for that)"


class Report:
    """What is wrong, and the exit status that follows from it."""

    def __init__(self) -> None:
        self.status: int = 0

    def complain(self, problem: str) -> None:
        print(f"error: {printable(problem)}", file=sys.stderr)
        self.status = 1

    def fail(self, error: OSError, path: str = "output") -> None:
        """path: where it was, if it does not say so itself."""
        where = path if error.filename is None else os.fsdecode(error.filename)
        missing = os.strerror(errno.ENOENT) if isinstance(error, FileNotFoundError) else None  # fsspec's are terse
        self.complain(f"{where}: {error.strerror or missing or error}")

    def note(self, text: str) -> None:
        print(f"note: {printable(text)}", file=sys.stderr)

    def tell(self, error: RecordError | OSError) -> None:
        """As on_error."""
        if isinstance(error, TruncatedRecordError):
            self.note(f"{error}: it is still being written, or its writer was killed")
        elif isinstance(error, RecordError):
            self.complain(str(error))
        else:
            self.fail(error)


# --- what is looked at ---


def patterns(options: Namespace, name: str) -> Patterns:
    given = getattr(options, name, None)
    if given is None or not options.regex:
        return given
    try:
        return [re.compile(pattern) for pattern in given]
    except re.error as error:
        raise ValueError(f"{error.pattern!r} is no regular expression: {error}") from None


def load(path: str, options: Namespace, report: Report, kinds: Any = None, purge: bool = True) -> dict[str, Run]:
    """The runs at a path, as they are chosen. That there are none is told, and that a purge hides something."""
    errors: list[RecordError | OSError] = []
    chosen = {"runs": patterns(options, "runs"), "tags": patterns(options, "tags"), "steps": options.steps}
    runs = load_runs(path, kinds=kinds, purge=purge, on_error=errors.append, **chosen)
    for error in sorted(errors, key=lambda error: (str(getattr(error, "path", "")), getattr(error, "offset", 0))):
        report.tell(error)
    if not runs and not report.status and (kinds or is_chosen(options)):
        report.complain(f"{path}: no such {'scalars' if kinds == 'scalar' else 'values'} here")
    hidden = sum(values.hidden for *_, values in series(runs))
    if hidden:
        report.note(f"{path}: {plural(hidden, 'value')} hidden by later ones, of no greater step; --all shows them")
    return dict(sorted(runs.items()))


def is_chosen(options: Namespace) -> bool:
    """Whether it was said what is wanted."""
    return any(getattr(options, name, None) is not None for name in ("runs", "tags", "kinds", "steps"))


def values(options: Namespace, report: Report) -> Iterator[tuple[str, Value]]:
    """Each value that is chosen, with its run. That there are none is told."""
    wants_run, wants_tag = matcher(patterns(options, "runs")), matcher(patterns(options, "tags"))
    first, last = step_range(options.steps)
    files = find_event_files(options.path, report.tell)
    if not files:
        report.complain(f"{options.path}: no event file here")
    found = False
    for file in files:
        run = run_of(file, options.path)
        if not wants_run(run):
            continue
        try:
            for value in read_values(file, report.tell):
                is_kind = not options.kinds or value.kind in options.kinds
                if is_kind and first <= value.step <= last and wants_tag(value.tag):
                    found = True
                    yield run, value
        except OSError as error:
            report.fail(error, file)
    if not found and not report.status and is_chosen(options):
        report.complain(f"{options.path}: no such values here")


# --- how it is printed ---


class Heading:
    """Names a run above its first line; the run that was asked for itself needs no name."""

    def __init__(self) -> None:
        self.run: str = "."

    def print(self, run: str) -> None:
        if run != self.run:
            print(f"{printable(run)}:")
            self.run = run


def print_json(data: Any) -> None:
    print(json.dumps(strict(data)))


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


def plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


# --- the commands ---


def dump(options: Namespace, report: Report) -> None:
    """Prints every value: its step, time, tag, kind, and what it is."""
    heading = Heading()
    for run, value in values(options, report):
        if options.json:
            data = {"run": run, "step": value.step, "wall_time": value.wall_time, "tag": value.tag, "kind": value.kind}
            print_json(data | {"value": to_json(value)})
        else:
            heading.print(run)
            tag, time = printable(value.tag), time_of(value.wall_time)
            print(f"{value.step:>8}  {time}  {tag:<24}  {value.kind:<14}  {brief(value)}")


def tags(options: Namespace, report: Report) -> None:
    """Lists the tags of each run: the kind, how many values, the first and the last step."""
    found = [
        entry
        for entry in series(load(options.path, options, report, options.kinds, purge=False))
        if options.json or entry[1]
    ]
    width = min(max((len(printable(tag)) for _, tag, _, _ in found), default=0), 80)  # a long tag does not widen all
    heading = Heading()
    for run, tag, kind, values in found:
        first, last, n = int(values.step.min()), int(values.step.max()), len(values)
        if options.json:
            row = {"run": run, "tag": tag, "kind": kind, "count": n, "first_step": first, "last_step": last}
            print(json.dumps(row))
        else:
            heading.print(run)
            steps = f"step {first}" if first == last else f"steps {first} to {last}"
            print(f"{printable(tag):<{width}}  {kind:<14}  {n:>8}  {steps}")


def series(runs: dict[str, Run]) -> Iterator[tuple[str, str, str, Scalars | Values]]:
    """Run, tag, kind and values; of each run the scalars first."""
    for run in runs.values():
        for tag, scalars in run.scalars.items():
            yield run.name, tag, "scalar", scalars
        for kind, several in run.values.items():
            for tag, values in several.items():
                yield run.name, tag, kind, values


def show(options: Namespace, report: Report) -> None:
    """Draws the curve of a scalar, and says where it was least and greatest: of many, a line for each. Prints any other
    value, or with --out writes images, sounds, texts, arrays and graphs into files."""
    runs = load(options.path, options, report, options.kinds, purge=not options.all)
    found = [each for each in series(runs) if each[1] or options.kinds]  # what has no tag only if asked for
    for pattern in options.tags if runs else []:
        wants = matcher(re.compile(pattern) if options.regex else pattern)
        if not any(wants(tag) for _, tag, _, _ in found):
            report.complain(f"no tag {pattern!r} here")
    curves = [(run, tag, values) for run, tag, _, values in found if isinstance(values, Scalars)]
    if len(curves) > MOST_CURVES and not options.json:
        print_summary(curves)
    else:
        for run, tag, scalars in curves:
            show_scalars(run, tag, scalars, options.json)
    for tag in dict.fromkeys(tag for _, tag, _ in curves) if not options.json else ():
        show_best(tag, [(run, scalars) for run, its_tag, scalars in curves if its_tag == tag])
    for run, tag, kind, values in found:
        if isinstance(values, Values):
            show_values(run, tag, kind, values, options, report)


def print_summary(curves: list[tuple[str, str, Scalars]]) -> None:
    """A line for each of many curves."""
    print(f"{'points':>9}  {'last':>11}  {'min':>11}  {'at step':>9}  {'max':>11}  {'at step':>9}  tag")
    for run, tag, scalars in curves:
        points = extremes(scalars)
        cells = [f"{points['last']['value']:>11.6g}"]
        for name in ("min", "max"):
            at = points.get(name)
            cells.append(f"{at['value']:>11.6g}  {at['step']:>9}" if at else f"{'nan':>11}  {'':>9}")
        print(f"{len(scalars):>9}  {'  '.join(cells)}  {title(run, tag)}")
    print()


def extremes(scalars: Scalars) -> dict[str, dict[str, Any]]:
    """The last point, and those with the least and the greatest value; NaN is neither."""
    import numpy as np

    points = {"last": point(scalars, len(scalars) - 1)}
    if not np.isnan(scalars.value).all():
        points["min"] = point(scalars, int(np.nanargmin(scalars.value)))
        points["max"] = point(scalars, int(np.nanargmax(scalars.value)))
    return points


def show_scalars(run: str, tag: str, scalars: Scalars, as_json: bool) -> None:
    points = extremes(scalars)
    if as_json:
        first, last = int(scalars.step.min()), int(scalars.step.max())
        row = {"run": run, "tag": tag, "kind": "scalar", "count": len(scalars), "first_step": first, "last_step": last}
        print_json(row | points)
        return
    from .plot import curve

    print(f"{title(run, tag)}  ({plural(len(scalars), 'point')})")
    size = shutil.get_terminal_size((80, 24))
    for line in curve(scalars.step, scalars.value, min(size.columns, 120), ascii=not has_characters("⣿┤")):
        print(line.rstrip())
    for name, at in points.items():
        print(f"  {name:<4}  {at['value']:<12.6g}  step {at['step']:<10}  {time_of(at['wall_time'])}")
    print()


def point(scalars: Scalars, index: int) -> dict[str, Any]:
    columns = (scalars.step[index], scalars.wall_time[index], scalars.value[index])
    return dict(zip(("step", "wall_time", "value"), (column.item() for column in columns), strict=True))


def show_best(tag: str, curves: list[tuple[str, Scalars]]) -> None:
    """Of several runs, the least and the greatest value of a tag."""
    if len(curves) < 2:
        return
    for word, name, best in (("least", "min", min), ("greatest", "max", max)):
        points = [(extremes(scalars)[name], run) for run, scalars in curves if name in extremes(scalars)]
        if points:
            at, run = best(points, key=lambda each: each[0]["value"])
            where = f"step {at['step']}, {time_of(at['wall_time'])}, of {printable(run)}"
            print(f"{word} {printable(tag)}: {at['value']:.6g} at {where}")


def title(run: str, tag: str) -> str:
    return printable(tag if run == "." else f"{run}: {tag}")


def has_characters(text: str) -> bool:
    """Whether the terminal can show them."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def show_values(run: str, tag: str, kind: str, values: Values, options: Namespace, report: Report) -> None:
    if not options.json:
        print(f"{title(run, tag)}  ({kind}, {plural(len(values), 'value')})")
    for i in range(len(values)):
        try:
            value = values.message(i)
        except RecordError as error:
            report.tell(error)
            continue
        files = []
        if options.out:
            try:
                files = write_files(options.out, run, value)
            except FileExistsError as error:
                report.fail(error)
                continue
            except ValueError as error:
                report.complain(f"{title(run, tag)}: {error}")
                continue
        if options.json:
            row = {"run": run, "step": value.step, "wall_time": value.wall_time, "tag": tag, "kind": kind}
            print_json(row | {"value": to_json(value)} | ({"files": files} if files else {}))
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
        for text in [data] if isinstance(data, str) else data.flat:
            print("\n".join(f"    {printable(line)}" for line in text.splitlines()))
    elif value.kind == "histogram":
        from .plot import bars

        size = min(shutil.get_terminal_size((80, 24)).columns, 120)
        for line in bars(*rebinned(data), size - 4, ascii=not has_characters("█▏")):
            print(f"    {line}".rstrip())
    elif isinstance(data, HParams):
        for name, hparam in sorted(data.hparams.items()):
            print(f"    {printable(name)} = {printable(str(hparam))}")


def rebinned(histogram: Histogram, n: int = 20) -> tuple[list[str], Any]:
    """Labels and counts of n buckets of the same width, over which the counts are spread, as TensorBoard draws it."""
    import numpy as np

    edges = np.linspace(histogram.min, histogram.max, n + 1)
    below = np.interp(edges, histogram.edges, np.concatenate([[0], histogram.counts.cumsum()]))
    return [f"{low:.4g}" for low in edges[:-1]], np.diff(below).round()


def write_files(directory: str, run: str, value: Value) -> list[str]:
    """What a value holds, in files of its own below a directory; their names. None for what no file format is usual."""
    data = decode(value)
    contents: list[tuple[str, bytes]] = []
    if isinstance(data, Image):
        contents = [((data.format or "bin").lower(), file) for file in data.files]
    elif isinstance(data, Audio):
        contents = [("wav", file) for file in data.files]
    elif value.kind == "text":
        contents = [("txt", text.encode()) for text in ([data] if isinstance(data, str) else data.flat)]
    elif value.kind in ("tensor", "mesh"):
        contents = [("npy", npy_of(data.data if isinstance(data, Mesh) else data))]
    elif isinstance(data, bytes):  # a graph
        contents = [("pb", data)]
    names = []
    for i, (suffix, content) in enumerate(contents):
        nth = f"-{i}" if len(contents) > 1 else ""
        tag = quote(value.tag or value.kind, safe=" ")[:150]  # a name of a file cannot hold any tag
        name = os.path.normpath(os.path.join(directory, run, f"{tag}-{value.step}{nth}.{suffix}"))
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "xb") as file:
            file.write(content)
        names.append(name)
    return names


def npy_of(array: Any) -> bytes:
    import numpy as np

    file = io.BytesIO()
    np.save(file, array.astype(bytes) if array.dtype == object else array, allow_pickle=False)
    return file.getvalue()


def tail(options: Namespace, report: Report) -> None:
    """Prints the last scalars; with -f, goes on with those that are logged, in new files and runs, too."""
    from .live import Follower

    wants_run, wants_tag = matcher(patterns(options, "runs")), matcher(patterns(options, "tags"))
    first, last = step_range(options.steps)
    heading = Heading()

    def print_line(run: str, tag: str, step: int, wall_time: float, value: Any, text: str) -> None:
        if options.json:
            data = {"run": run, "step": step, "wall_time": wall_time, "tag": tag, "kind": "scalar"}
            print_json(data | {"value": value})
        else:
            heading.print(run)
            print(f"{step:>8}  {time_of(wall_time)}  {printable(tag):<24}  {text}")

    follower = Follower(options.path)
    runs = follower.load({"scalar"}, report.tell)
    if not runs and not report.status and not options.follow:
        report.complain(f"{options.path}: no event file here")
    if report.status and not runs:
        return
    rows = [
        (run.name, tag, *row)
        for run in runs.values()
        for tag, scalars in run.scalars.items()
        if wants_tag(tag) and wants_run(run.name)
        for row in last_rows(scalars, options.lines, first, last)
    ]
    rows.sort(key=lambda row: row[3])
    for row in rows[max(len(rows) - options.lines, 0) :]:
        print_line(*row, shortest(row[-1]))
    if not rows and options.lines and not report.status and not options.follow:
        report.complain(f"{options.path}: no such scalars here")
    while options.follow and not is_output_closed():
        print(end="", flush=True)
        time.sleep(INTERVAL)
        for run_name, value in follower.poll(report.tell):
            is_scalar = value.kind == "scalar" and first <= value.step <= last
            if is_scalar and wants_tag(value.tag) and wants_run(run_name):
                print_line(run_name, value.tag, value.step, value.wall_time, to_json(value), brief(value))


def is_output_closed() -> bool:
    """Whether nobody reads any more, as after `| head`; to print says that too late, or never."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError, AttributeError):  # it is no file
        return False
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def last_rows(scalars: Scalars, n: int, first: int, last: int) -> Iterator[tuple[int, float, float]]:
    wanted = ((first <= scalars.step) & (scalars.step <= last)).nonzero()[0]
    wanted = wanted[max(len(wanted) - n, 0) :]
    columns = (scalars.step, scalars.wall_time, scalars.value)
    return zip(*(column[wanted].tolist() for column in columns), strict=True)


def verify(options: Namespace, report: Report) -> None:
    """Reads every record, and says where files are damaged or torn, where TensorBoard would show something else than
    was logged, and what else is odd. For CI: exits with 1 if there is an error."""
    from .check import verify

    files = records = size = 0
    counts = {"error": 0, "warning": 0}
    for found in verify(options.path, live=options.live):
        is_file = not any(finding.what in ("missing", "unreadable") for finding in found.findings)
        files, records, size = files + is_file, records + found.records, size + found.bytes
        if options.json:
            print_json(asdict(found))
        for finding in found.findings:
            counts[finding.severity] += 1
            if not options.json:
                print(f"{finding.severity}: {printable(f'{finding.path}: {finding.message}')}")
    if counts["error"] or (options.strict and counts["warning"]):
        report.status = 1
    if not options.json:
        result = ", ".join(plural(n, severity) for severity, n in counts.items() if n) or "all intact"
        print(f"{plural(files, 'file')}, {plural(records, 'record')}, {readable(size)}: {result}")


def repair(options: Namespace, report: Report) -> None:
    """Copies every good record of the event files to another directory, each into a file of the same name, and says
    what was lost. Nothing is overwritten, and the originals stay as they are."""
    from .rescue import repair

    n = 0
    for n, done in enumerate(repair(options.path, options.destination, report.fail), 1):  # noqa: B007
        if options.json:
            print_json(asdict(done))
            continue
        lost = sum(damage.length for damage in done.lost)
        print(
            printable(f"{done.copy}: {plural(done.records, 'record')}, {readable(done.bytes)}")
            + f"; lost {readable(lost)}"
        )
        for damage in done.lost:
            print(f"  lost {plural(damage.length, 'byte')}: {printable(damage.message)}")
        if done.version_added:
            print("  a first record, of the version, was added")
    if not n and not report.status:
        report.complain(f"{options.path}: no event file here")


def export(options: Namespace, report: Report) -> None:
    """Writes the scalars: a row for each value, or with --wide for each step, as TensorBoard shows them."""
    from .export import write_csv, write_jsonl, write_parquet

    form = export_format(options)
    runs = load(options.path, options, report, "scalar", purge=not options.all)
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
        raise ValueError(f"{output}: the name ends in none of {', '.join(FORMATS)}: say --format")
    if asked and suffix in FORMATS and suffix != asked:
        raise ValueError(f"{output}: the name says {suffix}, but {asked} was asked for")
    if form == "parquet" and not output:
        raise ValueError("Parquet needs a file: -o FILE")
    if form != "parquet" and is_url(output):
        raise ValueError(f"{output}: only Parquet is written to a URL")
    if form == "jsonl" and options.wide:
        raise ValueError("--wide is for CSV and Parquet")
    return form


def diff(options: Namespace, report: Report) -> None:
    """Compares the scalars of two runs, or trees of runs, tag by tag and step by step; wall times do not count. Exits
    with 1 if they differ: a regression test of a training."""
    from .diff import compare

    a = load(options.path, options, report, "scalar", purge=options.shown)
    b = load(options.other, options, report, "scalar", purge=options.shown)
    if not a or not b:
        return
    differences = list(compare(a, b, rtol=options.rtol, atol=options.atol))
    if differences:
        report.status = 1
    for found in differences:
        if options.json:
            print_json(asdict(found))
        else:
            print(f"{title(found.run, found.tag)}: {words_of(found)}")
    if not options.json:
        tags = {(run.name, tag) for runs in (a, b) for run in runs.values() for tag in run.scalars}
        n = len({(found.run, found.tag) for found in differences})
        print(f"{n} of {plural(len(tags), 'tag')} differ" if n else f"{plural(len(tags), 'tag')}, no difference")


def words_of(found: Difference) -> str:
    verb = "differs" if found.count == 1 else "differ"
    if found.what == "missing":
        return f"only in the {'first' if found.b is None else 'second'}, {plural(found.count, 'value')}"
    if found.a is None or found.b is None:
        side, value = ("first", found.a) if found.b is None else ("second", found.b)
        first = f"{shortest(value or 0.0)} in the {side}, at step {found.step}"
        return f"{plural(found.count, 'value')} on one side only, the first is {first}"
    pair = f"{shortest(found.a)} and {shortest(found.b)}, by {abs(found.a - found.b):.3g}"
    return f"{plural(found.count, 'value')} {verb}, most at step {found.step}: {pair}"


def stats(options: Namespace, report: Report) -> None:
    """Says what fills the disk: bytes by kind, by run and by tag, the largest first."""
    runs = load(options.path, options, report, options.kinds, purge=False)
    found = list(series(runs))
    if options.json:
        for run, tag, kind, values in sorted(found, key=lambda each: -each[3].size):
            print(json.dumps({"run": run, "tag": tag, "kind": kind, "count": len(values), "bytes": values.size}))
        return
    if not found:
        return
    print_sizes("kind", [(kind, values) for _, _, kind, values in found])
    if len(runs) > 1:
        print_sizes("run", [(printable(run), values) for run, _, _, values in found])
    print_sizes("tag", [(f"{kind:<14}  {printable(tag)}", values) for _, tag, kind, values in found])
    whole = sum(values.size for *_, values in found)
    print(f"{readable(whole):>9}  in all")


def print_sizes(name: str, found: list[tuple[str, Scalars | Values]]) -> None:
    """A line for each name, of the values under it."""
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for each, values in found:
        sizes[each] += values.size
        counts[each] += len(values)
    print(f"{'bytes':>9}  {'share':>6}  {'values':>11}  {'each':>9}  {name}")
    for each, size in sizes.most_common():
        share, n = size / sizes.total(), counts[each]
        print(f"{readable(size):>9}  {share:>6.1%}  {n:>11,}  {readable(size / n):>9}  {each}")
    print()
