"""python -m tbc.reader: what is in event files.

  dump FILE_OR_DIR   prints every value, one a line
  tags FILE_OR_DIR   lists the tags, with kind, count and steps

Damage is told on stderr, and reading goes on behind it. Exit status: 0; 1 when there is no event file, or one is
damaged or cannot be read; 2 for wrong arguments.

The files need not be anyone's friend: control characters of tags, texts, names and errors are escaped, and memory goes
with the largest record, of which protobuf can make some 50 times its size. `tags` keeps a row for each distinct tag.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import NoReturn

from .describe import brief, printable, strict, to_json
from .events import Value, read_values
from .files import find_event_files, run_of
from .records import RecordError, TruncatedRecordError


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="python -m tbc.reader", description="Prints what is in event files.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    dump = commands.add_parser("dump", help="print every value, one a line")
    tags = commands.add_parser("tags", help="list the tags, with kind, count and steps")
    for command in (dump, tags):
        command.add_argument("path", metavar="FILE_OR_DIR", help="an event file, or a directory of runs")
        command.add_argument("--json", action="store_true", help="one JSON object a line")
        command.add_argument("--tag", help="only this tag")
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a tag that the terminal's encoding lacks
    try:
        report = Report(options.path, options.tag)
        (dump_values if options.command == "dump" else list_tags)(report, options.json)
        print(end="", flush=True)
    except BrokenPipeError:  # `| head` has seen enough
        discard_output()
        return 0
    except OSError as error:  # of the output
        discard_output()
        report.complain(f"output: {error.strerror}")
    except MemoryError:
        report.complain(f"{options.path}: not enough memory")
    return report.status


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))  # it names arguments, which a shell's * may have taken from a directory


def discard_output() -> None:
    """What Python still holds and would write at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Report:
    """The values below a path, and whether it was all sound."""

    def __init__(self, path: str, tag: str | None) -> None:
        self.path = path
        self.tag = tag
        self.status = 0

    def values(self) -> Iterator[tuple[str, Value]]:
        """Each value with its run: the directory of its file, as seen from the path."""
        files = find_event_files(self.path, lambda error: self.complain(f"{error.filename}: {error.strerror}"))
        if not files:
            self.complain(f"{self.path}: no event file here")
        for file in files:
            run = run_of(file, self.path)
            try:
                for value in read_values(file, self._damage):
                    if self.tag is None or value.tag == self.tag:
                        yield run, value
            except OSError as error:
                self.complain(f"{file}: {error.strerror}")

    def _damage(self, error: RecordError) -> None:
        if isinstance(error, TruncatedRecordError):
            note = f"{error}: it is still being written, or its writer was killed"
            print(f"note: {printable(note)}", file=sys.stderr)
        else:
            self.complain(str(error))

    def complain(self, problem: str) -> None:
        print(f"error: {printable(problem)}", file=sys.stderr)
        self.status = 1


def dump_values(report: Report, as_json: bool) -> None:
    heading = Heading()
    for run, value in report.values():
        if as_json:
            data = {"run": run, "step": value.step, "wall_time": value.wall_time, "tag": value.tag, "kind": value.kind}
            print(json.dumps(strict(data | {"value": to_json(value)})))
        else:
            heading.print(run)
            tag, time = printable(value.tag), _time(value.wall_time)
            print(f"{value.step:>8}  {time}  {tag:<24}  {value.kind:<14}  {brief(value)}")


def list_tags(report: Report, as_json: bool) -> None:
    found: dict[tuple[str, str, str], list[int]] = {}  # (run, tag, kind) -> count, first step, last step
    for run, value in report.values():
        entry = found.setdefault((run, value.tag, value.kind), [0, value.step, value.step])
        entry[:] = entry[0] + 1, min(entry[1], value.step), max(entry[2], value.step)
    width = min(max((len(printable(tag)) for _, tag, _ in found), default=0), 80)  # one long tag does not widen all
    heading = Heading()
    for (run, tag, kind), (n, first, last) in found.items():
        if as_json:
            row = {"run": run, "tag": tag, "kind": kind, "count": n, "first_step": first, "last_step": last}
            print(json.dumps(row))
        elif tag:
            heading.print(run)
            steps = f"step {first}" if first == last else f"steps {first} to {last}"
            print(f"{printable(tag):<{width}}  {kind:<14}  {n:>8}  {steps}")


class Heading:
    """Names a run above its first line; the run that was asked for itself needs no name."""

    def __init__(self) -> None:
        self.run = "."

    def print(self, run: str) -> None:
        if run != self.run:
            print(f"{printable(run)}:")
            self.run = run


def _time(wall_time: float) -> str:
    try:
        return datetime.fromtimestamp(wall_time).isoformat(" ", "milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{wall_time:<23g}"


if __name__ == "__main__":
    sys.exit(main())
