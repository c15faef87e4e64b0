"""stats: show the bytes of each kind, run and tag."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter

from tbc.reader.load import Tree
from tbc.reader.series import Total
from tbc.reader.tags import printable

from .printing import NO_TAG, print_json, readable, row_of
from .problems import Problems
from .selection import load_all, series_of


def run(options: Namespace, problems: Problems) -> None:
    """Print the bytes of each kind, of each run if there are several, and of each tag, the largest first. With --json
    print a row for each run, tag and kind."""
    runs = load_all(options.paths, options, problems, Tree.load_totals, options.kinds, purge=False)
    found = list(series_of(runs))
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
    print(f"{readable(whole):>9}  total")


def print_sizes(heading: str, found: list[tuple[str, Total]]) -> None:
    """Print a table, the largest first: bytes, share, number of values and bytes per value, summed by label.

    heading: of the column of labels. found: (label, Total).
    """
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for label, total in found:
        sizes[label] += total.size
        counts[label] += total.count
    whole = sizes.total()
    print(f"{'bytes':>9}  {'share':>6}  {'values':>11}  {'each':>9}  {heading}")
    for label, size in sizes.most_common():
        share, n = size / (whole or 1), counts[label]
        print(f"{readable(size):>9}  {share:>6.1%}  {n:>11,}  {readable(size / (n or 1)):>9}  {label}")
    print()
