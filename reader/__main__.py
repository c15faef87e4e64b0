"""Run the command line of the reader: `python -m tbc.reader`, or `tbc-reader`.

commands.COMMANDS lists the commands. Their PATH is an event file, a run, a directory of runs, or (except for tail) the
URL of one: s3://bucket/runs. With several paths, the printed name of a run begins with its path, unless that is ".". An
argument of show is a path if it exists or is a URL, else a tag; one that repeats the first path is a tag. With --tag
all arguments are paths. --kind without a tag selects every tag.

STATUS explains the exit status. Problems are printed to stderr, a few lines for each file, and reading continues;
verify prints what it finds to stdout.

Safe for untrusted files: control characters in tags, texts, names and errors are escaped. Memory grows with the largest
record: its decoded message takes up to 50 times the bytes of the record. show and diff also need 24 bytes for each
value that they load, export the memory of its table. tags and stats need memory for each tag, tail also for the lines
that it prints first.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from importlib import import_module
from typing import Any, NoReturn

from .commands import COMMANDS
from .commands.problems import Problems, UsageError
from .files import distinct
from .tags import KINDS, nearest, printable


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status. argparse raises SystemExit: 2 for wrong arguments, 0 after --help."""
    options = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a tag may have characters that the encoding lacks
    problems = Problems()
    try:
        if hasattr(options, "paths"):
            options.paths = distinct(options.paths)
        options.run(options, problems)
        print(end="", flush=True)
    except BrokenPipeError:  # the program that reads the output has ended, as in `| head`
        discard_output()
        return 0
    except KeyboardInterrupt:
        discard_output()
        problems.finish()
        return 130  # the status shells give a process that SIGINT ended
    except OSError as error:
        if error.filename is None:  # writing to stdout failed
            discard_output()
        problems.fail(error)
    except UsageError as error:
        problems.complain(str(error))
        return 2
    except (ImportError, ValueError) as error:  # an optional package is missing, or an argument is not supported
        problems.complain(str(error))
    except MemoryError:
        problems.complain("not enough memory")
    problems.finish()
    return problems.status


def discard_output() -> None:
    """Point stdout at /dev/null: else Python writes what it still holds at exit, which fails again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


STATUS = (
    "Exit status: 0 if nothing is wrong; 1 for damage, a difference, or something that is missing or cannot be read "
    "or written; 2 for wrong arguments."
)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))  # arguments may be file names, which a shell's * inserted


class CommandParser(Parser):
    """The parser of one command. It adds the arguments when they are needed, since that imports the command's module.

    Options may stand between the arguments, too: `tags a --json b`.
    """

    name: str = ""
    is_parsing: bool = False

    def complete(self) -> None:
        name, self.name = self.name, ""
        if name:
            add_arguments(self, name)

    def format_help(self) -> str:
        self.complete()
        return super().format_help()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.complete()
        if self.is_parsing:  # parse_known_intermixed_args calls this method again
            return super().parse_known_args(args, namespace)
        self.is_parsing = True
        return self.parse_known_intermixed_args(args, namespace)


def parser() -> argparse.ArgumentParser:
    about = "Show, check, compare, repair and export TensorBoard event files."
    several = Parser(prog="tbc-reader", description=about, epilog=STATUS)
    subparsers = several.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=CommandParser)
    for name, command in COMMANDS.items():
        subparsers.add_parser(name, help=command.help, epilog=STATUS).name = name
    return several


def add_arguments(one: argparse.ArgumentParser, name: str) -> None:
    """Add the description and the arguments of a command to its parser."""
    module = import_module(f".commands.{name}", __package__)
    _, select, paths = COMMANDS[name]
    one.description = module.run.__doc__
    one.set_defaults(run=module.run)
    about = "an event file, a run, or a directory of runs"
    one.add_argument("paths" if paths else "path", nargs=paths, metavar="PATH", help=about)
    one.add_argument("--json", action="store_true", help="print one JSON object per line")
    if "run" in select:
        one.add_argument("--run", dest="runs", action="append", metavar="RUN", help="only runs of this name or glob")
    if "tag" in select:
        one.add_argument("--tag", dest="tags", action="append", metavar="TAG", help="only tags of this name or glob")
    if select:
        one.add_argument("--regex", action="store_true", help="RUN and TAG are regular expressions, not globs")
        one.add_argument(
            "--steps",
            type=steps,
            metavar="A:B",
            help="only steps from A to B, both included; or A:, or :B; A < 0: --steps=-3:5",
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
    if hasattr(module, "add_options"):
        module.add_options(one.add_argument)


def steps(text: str) -> tuple[int | None, int | None]:
    match = re.fullmatch(r"(-?\d+)?:(-?\d+)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected A:B, such as 100:200 or 100:, got {text!r}")
    first, last = (None if end is None else int(end) for end in match.groups())
    if first is not None and last is not None and last < first:
        raise argparse.ArgumentTypeError(f"expected A:B with A no greater than B, got {text!r}")
    return first, last


def kind(text: str) -> str:
    if text not in KINDS:
        raise argparse.ArgumentTypeError(f"no kind {text!r}{nearest(text, KINDS)}")
    return text


if __name__ == "__main__":
    sys.exit(main())
