"""python -m tbc.reader, or tbc-reader: what is in event files, whether they are intact, and what to make of them.

  dump PATH...          print every value, one a line
  tags PATH...          list the tags, with kind, count and steps
  show PATH... TAG...   draw a curve, with its least and greatest value; --out writes images, sounds, ... into files
  tail PATH...          print the last scalars; -f: and those to come
  verify PATH...        say where files are damaged, torn or odd
  repair PATH... DIR    copy every good record of damaged files to another directory
  export PATH...        write the scalars as CSV, JSON lines or Parquet
  diff PATH PATH        compare two runs, or trees of runs
  stats PATH...         say what fills the disk

PATH is an event file, a directory of runs, or (except for tail) the URL of one: s3://bucket/runs. With several paths,
each run is named by its path, and rows of JSON have the path. The arguments of show that exist are paths, and the rest
are tags, as is the first path if it is named again. With --tag all are paths, and --kind alone takes every tag.

Exit status: 0; 1 for damage, for a difference, and where something is not found, read or written; 2 for wrong
arguments. Problems are reported on stderr, a few lines for each file, and reading continues after them.

Files may be untrusted: control characters of tags, texts, names and errors are escaped. Memory grows with the largest
record, which protobuf can make 50 times larger. show, export and diff also take 24 bytes for each value that they load;
tags, stats and tail take memory for each tag only.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from . import commands
from .commands import Report, UsageError
from .describe import printable
from .tags import KINDS, nearest
from .verifying import KINDS as FINDINGS
from .verifying import kinds_of as findings_of

Add = Callable[..., argparse.Action]


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a tag that the terminal's encoding lacks
    report = Report()
    try:
        if hasattr(options, "paths"):
            options.paths = commands.distinct(options.paths)
        options.run(options, report)
        print(end="", flush=True)
    except BrokenPipeError:  # `| head` has seen enough
        discard_output()
        return 0
    except KeyboardInterrupt:
        discard_output()
        report.finish()
        return 130  # as shells have it
    except OSError as error:
        if error.filename is None:  # of the output
            discard_output()
        report.fail(error)
    except UsageError as error:
        report.complain(str(error))
        return 2
    except (ImportError, ValueError) as error:  # a package that is not installed; a destination that will not do
        report.complain(str(error))
    except MemoryError:
        report.complain("not enough memory")
    report.finish()
    return report.status


def discard_output() -> None:
    """What Python still holds and would write at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


STATUS = (
    "Exit status: 0; 1 for damage, for a difference, and where something is not found, read or written; "
    "2 for wrong arguments."
)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))  # it names arguments, which a shell's * may have taken from a directory


class Command(Parser):
    """Options may stand between the arguments, too: `tags a --json b`."""

    is_parsing: bool = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.is_parsing:  # parse_known_intermixed_args calls it
            return super().parse_known_args(args, namespace)
        self.is_parsing = True
        return self.parse_known_intermixed_args(args, namespace)


def parser() -> argparse.ArgumentParser:
    about = "What is in event files, and whether they are intact."
    several = Parser(prog="tbc-reader", description=about, epilog=STATUS)
    subparsers = several.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Command)

    def command(
        run: Callable[[argparse.Namespace, Report], None], help: str, select: str = "", paths: Any = "+"
    ) -> Add:
        """select: by what its values can be chosen. paths: how many; None for one, which is options.path."""
        name = run.__name__
        one = subparsers.add_parser(name, help=help, description=(run.__doc__ or help).strip(), epilog=STATUS)
        one.set_defaults(run=run)
        about = "an event file, a run, or a directory of runs"
        one.add_argument("paths" if paths else "path", nargs=paths, metavar="PATH", help=about)
        one.add_argument("--json", action="store_true", help="one JSON object a line")
        if "run" in select:
            one.add_argument("--run", dest="runs", action="append", metavar="RUN", help="only this run, or a glob")
        if "tag" in select:
            one.add_argument("--tag", dest="tags", action="append", metavar="TAG", help="only this tag, or a glob")
        if select:
            one.add_argument("--regex", action="store_true", help="runs and tags are regular expressions, not globs")
            one.add_argument(
                "--steps", type=steps, metavar="A:B", help="only steps from A to B, or A:, or :B (--steps=-3:5)"
            )
        if "kind" in select:
            one.add_argument(
                "--kind",
                dest="kinds",
                action="append",
                type=kind,
                metavar="KIND",
                help=f"only this kind: {', '.join(KINDS)}",
            )
        return one.add_argument

    command(commands.dump, "print every value, one a line", "run tag kind")
    add = command(commands.tags, "list the tags, with kind, count and steps", "run tag kind")
    add("--all", action="store_true", help="count also values that a later event file replaces (a restart)")

    add = command(commands.show, "draw a curve; write images and sounds into files", "run tag kind", paths=1)
    add("arguments", nargs="*", metavar="PATH|TAG", help="more paths, and tags or globs: what exists is a path")
    add("--all", action="store_true", help="also values that a later event file replaces (a restart)")
    add("--out", metavar="DIR", help="write images, sounds, texts and arrays into files there")

    add = command(commands.tail, "print the last scalars, and those to come", "run tag")
    add("-f", "--follow", action="store_true", help="go on with what is logged, until Ctrl-C")
    add("-n", "--lines", type=natural, default=10, metavar="N", help="how many of the last ones (10)")
    add("--all", action="store_true", help="also values that a later event file replaces (a restart)")

    add = command(commands.verify, "say where files are damaged, torn or odd")
    add("--live", action="store_true", help="runs are being written: the last file of each may end within a record")
    add("--strict", action="store_true", help="exit with 1 for warnings, too")
    add(
        "--ignore",
        type=finding_kind,
        action="append",
        default=[],
        metavar="KIND",
        help=f"leave findings of this kind out: {', '.join(FINDINGS)}",
    )

    add = command(commands.repair, "copy the good records of damaged files to another directory")
    add("destination", metavar="DIR", help="where the copies go, outside of what is repaired")

    add = command(commands.export, "write the scalars as CSV, JSON lines or Parquet", "run tag")
    add("-o", "--output", metavar="FILE", help="by default, standard output")
    add("--format", choices=commands.FORMATS, help="by default, what the name of FILE ends in, or csv")
    add("--wide", action="store_true", help="a column for each tag, a row for each step")
    add("--all", action="store_true", help="also values that a later event file replaces (a restart)")

    add = command(commands.diff, "compare every value of two runs, or trees of runs", "run tag kind", paths=None)
    add("other", metavar="PATH", help="what to compare with")
    add("--exclude-run", dest="exclude_runs", action="append", metavar="RUN", help="not this run, or a glob")
    add("--exclude-tag", dest="exclude_tags", action="append", metavar="TAG", help="not this tag, or a glob")
    add("--exclude-kind", dest="exclude_kinds", action="append", choices=KINDS, metavar="KIND", help="not this kind")
    add("--all", action="store_true", help="also values that a later event file replaces (a restart)")
    add("--rtol", type=tolerance, default=0.0, metavar="X", help="relative tolerance, times the second value (0)")
    add("--atol", type=tolerance, default=0.0, metavar="X", help="absolute tolerance (0)")

    command(commands.stats, "say what fills the disk", "run tag kind")
    return several


def steps(text: str) -> tuple[int | None, int | None]:
    match = re.fullmatch(r"(-?\d+)?:(-?\d+)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected A:B, such as 100:200 or 100:, got {text!r}")
    first, last = (None if end is None else int(end) for end in match.groups())
    if first is not None and last is not None and last < first:
        raise argparse.ArgumentTypeError(f"{text} ends before it begins")
    return first, last


def kind(text: str) -> str:
    if text not in KINDS:
        raise argparse.ArgumentTypeError(f"no kind {text!r}{nearest(text, KINDS)}")
    return text


def finding_kind(text: str) -> str:
    try:
        findings_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    try:
        return min(int(text), sys.maxsize)
    except ValueError:  # Python reads no more than some 4,300 digits
        return sys.maxsize


def tolerance(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"expected a number of 0 or more, got {text!r}")
    return number


if __name__ == "__main__":
    sys.exit(main())
