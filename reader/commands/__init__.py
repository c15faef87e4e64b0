"""The commands of `python -m tbc.reader`, one module each. To add a command, add a module and a line in COMMANDS.

A module has `run(options, problems)`, which prints the result and reports to `problems` what is wrong; its docstring is
the description in --help. An optional `add_options(add)` adds the command's own options. A module is imported when its
command is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

Add: TypeAlias = Callable[..., object]  # add_argument of a parser


class Command(NamedTuple):
    """The line of a command in --help, and which of the shared arguments it takes.

    select: what values can be selected by: "run", "tag", "kind"
    paths: argparse's nargs of PATH; None for a single one, which is options.path
    """

    help: str
    select: str = ""
    paths: str | int | None = "+"


COMMANDS = {
    "dump": Command("print every value, one per line", "run tag kind"),
    "tags": Command("list the tags, with kind, count and steps", "run tag kind"),
    "show": Command("draw curves; print other values, or write them to files", "run tag kind", paths=1),
    "tail": Command("print the last scalars; with -f, new ones as they are logged", "run tag"),
    "verify": Command("find damage, and values that TensorBoard does not show"),
    "repair": Command("copy the good records of damaged files to another directory"),
    "export": Command("write the scalars as CSV, JSON lines or Parquet", "run tag"),
    "diff": Command("compare every value of two runs, or trees of runs", "run tag kind", paths=None),
    "stats": Command("show the bytes of each kind, run and tag", "run tag kind"),
}
