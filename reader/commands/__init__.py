"""The commands of `python -m tbc.reader`, a module each. A new one is a module and a line of COMMANDS.

A module has `run(options, problems)`, which prints, and reports what is wrong to `problems`; its docstring is the
description in --help. `add_options(add)`, if it has one, adds options of its own. A module is imported when its
command is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

Add: TypeAlias = Callable[..., object]  # add_argument of a parser


class Command(NamedTuple):
    """A line of --help, and the arguments that several commands have.

    select: what values can be chosen by: "run", "tag", "kind"
    paths: how many, as argparse's nargs; None for a single one, options.path
    """

    help: str
    select: str = ""
    paths: str | int | None = "+"


COMMANDS = {
    "dump": Command("print every value, one a line", "run tag kind"),
    "tags": Command("list the tags, with kind, count and steps", "run tag kind"),
    "show": Command("draw a curve; write images and sounds into files", "run tag kind", paths=1),
    "tail": Command("print the last scalars, and those to come", "run tag"),
    "verify": Command("say where files are damaged, torn or odd"),
    "repair": Command("copy the good records of damaged files to another directory"),
    "export": Command("write the scalars as CSV, JSON lines or Parquet", "run tag"),
    "diff": Command("compare every value of two runs, or trees of runs", "run tag kind", paths=None),
    "stats": Command("say what fills the disk", "run tag kind"),
}
