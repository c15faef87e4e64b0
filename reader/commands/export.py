"""export: write the scalars as a table."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from tbc.reader.files import is_url
from tbc.reader.load import Tree

from . import Add
from .problems import Problems, UsageError
from .selection import load_all

FORMATS = ("csv", "jsonl", "parquet")


def add_options(add: Add) -> None:
    add("-o", "--output", metavar="FILE", help="by default, standard output")
    add("--format", choices=FORMATS, help="by default, what the name of FILE ends in, or csv")
    add("--wide", action="store_true", help="a column for each tag, a row for each step")
    add("--all", action="store_true", help="also values that a later event file replaces (a restart)")


def run(options: Namespace, problems: Problems) -> None:
    """Writes the scalars: a row for each value, or with --wide for each step."""
    from tbc.reader.export import write_csv, write_jsonl, write_parquet

    form = export_format(options)
    runs = load_all(options.paths, options, problems, Tree.load_runs, "scalar", purge=not options.all)
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
