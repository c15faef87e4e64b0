"""show: draw curves; print other values, or write them to files."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from typing import Any, TypeAlias

from tbc.reader.describe import brief, plain, shortest, to_json
from tbc.reader.events import Value, tensor_values
from tbc.reader.files import distinct, exists, is_url
from tbc.reader.kinds import Histogram, HParams, decode, text_of
from tbc.reader.load import Tree
from tbc.reader.records import RecordError
from tbc.reader.series import Scalars, Values
from tbc.reader.tags import printable
from tbc.reader.unpack import Folder

from . import Add
from .printing import plural, print_json, row_of, time_of, title
from .problems import Problems, UsageError
from .selection import add_all, load_all, series_of

MOST_CURVES = 8  # more are printed as a table
MOST_TEXTS = 100  # printed of one value
NOT_WRITTEN = "  (not written: there is no file format for this kind)"
Points: TypeAlias = "dict[str, dict[str, Any]]"  # by name: last, min, max


def add_options(add: Add) -> None:
    add("arguments", nargs="*", metavar="PATH|TAG", help="tags, globs of tags, or more paths: what exists is a path")
    add_all(add)
    add("--out", metavar="DIR", help="write values to files in DIR")


def run(options: Namespace, problems: Problems) -> None:
    """Draw the curve of each scalar, and print its minimum and maximum; of more than 8 curves, print a table. Print
    other values, or with --out write them to files: images, sounds, texts, arrays and graphs."""
    split_arguments(options)
    runs = load_all(options.paths, options, problems, Tree.load_runs, options.kinds, purge=not options.all)
    for path in options.paths:
        is_argument = path in options.arguments and path not in (options.tags or ())
        if is_argument and path not in runs.path.values() and not is_url(path):
            problems.note(f"{path!r} exists, so it is a path; for the tag, use --tag {path}", path)
    found = [each for each in series_of(runs) if each[1] or options.kinds]  # values without a tag need --kind
    if not found and not problems.status:
        kinds = " or ".join(sorted({kind for *_, kind, _ in series_of(runs)} - {"file_version"}))
        problems.complain(f"{', '.join(options.paths)}: no tag here" + (f"; for {kinds}, use --kind" if kinds else ""))
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
            show_values(runs.path[run], run, tag, kind, values, options, folder, problems)


def split_arguments(options: Namespace) -> None:
    """Set options.paths and options.tags. With --tag, all arguments are paths. Else those that exist are paths, but the
    first path named again is a tag."""
    first, rest = options.paths, options.arguments
    if options.tags is None:
        options.tags = [each for each in rest if each in first or not exists(each)] or None
        rest = [each for each in rest if each not in first and exists(each)]
        if options.tags is None and options.kinds is None:
            hint = f"; {rest[-1]!r} exists, so it is a path; for the tag, use --tag {rest[-1]}" if rest else ""
            raise UsageError(f"expected a tag: show PATH TAG, or show PATH --tag TAG{hint}")
    options.paths = distinct([*first, *rest])


def print_summary(curves: list[tuple[str, str, Scalars]], points: list[Points]) -> None:
    """Print a table with a line for each curve."""
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
    """Return the last point, and those with the min and max value. NaN is ignored in min and max."""
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
    from tbc.reader.plot import curve

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
    """Print the min and max over all runs of each tag that several runs have."""
    by_tag: dict[str, list[tuple[str, Points]]] = {}
    for (run, tag, _), its_points in zip(curves, points, strict=True):
        by_tag.setdefault(tag, []).append((run, its_points))
    for tag, several in by_tag.items():
        for name, best in (("min", min), ("max", max)):
            found = [(its_points[name], run) for run, its_points in several if name in its_points]
            if len(several) > 1 and found:
                at, run = best(found, key=lambda each: each[0]["value"])
                where = f"step {at['step']}, {time_of(at['wall_time'])}, in {printable(run)}"
                print(f"{name} {printable(tag)}: {shortest(at['value'])} at {where}")


def has_characters(text: str) -> bool:
    """Return whether the encoding of stdout has these characters."""
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
    problems: Problems,
) -> None:
    if not options.json:
        print(f"{title(run, tag)}  ({kind}, {plural(len(values), 'value')})")
    for i in range(len(values)):
        try:
            value = values.message(i)
        except (RecordError, OSError) as error:
            problems.report(error)
            continue
        files: list[str] = []
        if folder is not None:
            try:
                files = folder.write(run, value)
            except OSError as error:
                problems.fail(error, about=options.out)
                continue
            except ValueError as error:
                problems.complain(f"{title(run, tag)}: {error}", title(run, tag))
                continue
        if options.json:
            row = {"step": value.step, "wall_time": value.wall_time, "tag": tag, "kind": kind}
            more = {"files": files} if files else {}
            print_json(row_of(options, path, run, **row, value=to_json(value), **more))
            continue
        text = ", ".join(map(printable, files)) or brief(value)
        if options.out and not files:
            text += NOT_WRITTEN
        print(f"  step {value.step}  {time_of(value.wall_time)}  {text}")
        if not options.out and i == len(values) - 1:
            show_whole(value)


def show_whole(value: Value) -> None:
    """Print the content of a text, histogram or hparams value."""
    try:
        data = decode(value)
    except ValueError:
        return  # brief has printed the error
    if value.kind == "text":
        texts = tensor_values(value.content.tensor, MOST_TEXTS + 1)  # `data` may repeat one text a million times
        for text in map(text_of, texts[:MOST_TEXTS]):
            print("\n".join(f"    {printable(line)}" for line in text.splitlines()))
        if len(texts) > MOST_TEXTS:
            print("    ... and more; --out writes all")
    elif value.kind == "histogram":
        from tbc.reader.plot import bars

        size = min(shutil.get_terminal_size((80, 24)).columns, 120)
        for line in bars(*rebinned(data), size - 4, ascii=not has_characters("█▏")):
            print(f"    {line}".rstrip())
    elif isinstance(data, HParams):
        for name, hparam in sorted(data.hparams.items()):
            print(f"    {printable(name)} = {printable(plain(hparam))}")


def rebinned(histogram: Histogram, n: int = 20) -> tuple[list[str], Any]:
    """Return labels and counts of n buckets of equal width. Counts are spread evenly, as TensorBoard draws them."""
    import numpy as np

    edges = np.linspace(histogram.min, histogram.max, n + 1)
    below = np.interp(edges, histogram.edges, np.concatenate([[0], histogram.counts.cumsum()]))
    return [f"{low:.4g}" for low in edges[:-1]], np.diff(below).round()
