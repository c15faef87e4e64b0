"""diff: compare two trees of runs."""

from __future__ import annotations

import math
import textwrap
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

from tbc.reader.load import Tree
from tbc.reader.tags import KINDS, printable

from . import Add
from .printing import plural, print_json, title
from .problems import Problems
from .selection import add_all, load_all, patterns

if TYPE_CHECKING:
    from tbc.reader.comparing import Comparison, Difference


def add_options(add: Add) -> None:
    add("other", metavar="PATH", help="what to compare it with")
    add("--exclude-run", dest="exclude_runs", action="append", metavar="RUN", help="no runs of this name or glob")
    add("--exclude-tag", dest="exclude_tags", action="append", metavar="TAG", help="no tags of this name or glob")
    add("--exclude-kind", dest="exclude_kinds", action="append", choices=KINDS, metavar="KIND", help="not this kind")
    add_all(add)
    add("--rtol", type=tolerance, default=0.0, metavar="X", help="tolerance relative to the second value (default 0)")
    add("--atol", type=tolerance, default=0.0, metavar="X", help="absolute tolerance, added to --rtol's (default 0)")


def tolerance(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number >= 0:
        raise ArgumentTypeError(f"expected a number of 0 or more, got {text!r}")
    return number


def run(options: Namespace, problems: Problems) -> None:
    """Compare two runs, or two trees of runs: every value of every kind, tag by tag and step by step. Wall times are
    ignored. Child runs that add_hparams named by the time are paired in the order of time. Exit with 1 if anything
    differs, so diff can serve as a regression test of a training. The last line says what was compared."""
    from tbc.reader.comparing import comparison

    a, b = (
        load_all([path], options, problems, Tree.load_runs, options.kinds, purge=not options.all)
        for path in (options.path, options.other)
    )
    runs, tags = patterns(options, "exclude_runs"), patterns(options, "exclude_tags")
    done = comparison(a, b, options.rtol, options.atol, runs, tags, options.exclude_kinds)
    if not a or not b or not done.values:  # a restart may hide every value
        if not problems.status:
            where = [path for path, runs in ((options.path, a), (options.other, b)) if not runs]
            problems.complain(
                f"{', '.join(where or [options.path, options.other])}: nothing to compare{chosen(options, done)}"
            )
        return
    if done.differences:
        problems.status = 1
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
    """Return the end of the last line: what was selected, and how much was left out."""
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
    """Yield the lines to print for the differences of one run. is_whole: one side lacks the run"""
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
    """Return what differs and where; found.text says how."""
    values = plural(found.count, "value")
    side = "first" if found.b is None else "second"
    if found.what == "missing":
        return f"only in the {side}, {values}, the lowest step is {found.step}"
    if found.what == "steps":
        return f"{values} on one side only; the lowest such step, {found.step}, is in the {side}"
    if found.what == "unreadable":
        return f"{values}, the first at step {found.step}"
    if found.count == 1:
        return f"1 value differs, at step {found.step}"
    return f"{values} differ, worst at step {found.step}"
