"""dump: print every value."""

from __future__ import annotations

from argparse import Namespace

from tbc.reader.describe import brief, to_json
from tbc.reader.tags import printable

from .printing import Heading, padded, print_json, row_of, time_of
from .problems import Problems
from .selection import values


def run(options: Namespace, problems: Problems) -> None:
    """Print every value: its step, wall time, tag, kind and content, one per line."""
    heading = Heading()
    for path, run, value in values(options, problems):
        if options.json:
            data = {"step": value.step, "wall_time": value.wall_time, "tag": value.tag, "kind": value.kind}
            print_json(row_of(options, path, run, **data, value=to_json(value)))
        else:
            heading.print(run)
            tag, time = printable(value.tag), time_of(value.wall_time)
            print(f"{value.step:>8}  {time}  {padded(tag, 18)}  {value.kind:<9}  {brief(value)}")
