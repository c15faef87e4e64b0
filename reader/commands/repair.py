"""repair: copy the good records of damaged files."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import asdict

from tbc.reader.files import is_directory, is_url
from tbc.reader.repairing import Repaired, repair_each
from tbc.reader.tags import printable

from . import Add
from .printing import plural, print_json, readable
from .problems import Problems
from .selection import reading


def add_options(add: Add) -> None:
    add("destination", metavar="DIR", help="the directory for the copies, outside of PATH")


def run(options: Namespace, problems: Problems) -> None:
    """Copy the good records of each event file to a file of the same name in another directory, and report what was
    lost. No file is overwritten, and the originals do not change."""
    for path in options.paths:
        with reading(path, problems):
            n = 0
            for n, done in enumerate(repair_each(path, copies_of(path, options), problems.fail), 1):  # noqa: B007
                print_repaired(done, options.json)
            if not n and not problems.status:
                problems.complain(f"{path}: no event file here")


def copies_of(path: str, options: Namespace) -> str:
    """Return where the copies of a path go: DIR for one path; as with cp, a directory in DIR for each of several."""
    if len(options.paths) == 1 or not is_directory(path):
        return str(options.destination)
    name = path.rstrip("/") if is_url(path) else os.path.abspath(path)
    return os.path.join(options.destination, os.path.basename(name))


def print_repaired(done: Repaired, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
        return
    lost = sum(damage.length for damage in done.lost)
    print(
        printable(f"{done.copy}: {plural(done.records, 'record')}, {readable(done.bytes)}") + f"; lost {readable(lost)}"
    )
    for damage in done.lost:
        print(f"  lost {plural(damage.length, 'byte')}: {printable(damage.message)}")
    if done.version_added:
        print("  added a first record with the file version")
