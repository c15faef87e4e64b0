"""verify: find damage, and values that TensorBoard does not show."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from tbc.reader.tags import printable
from tbc.reader.verifying import FINDING_KINDS, Finding, Report, finding_kinds, reports_of

from . import Add
from .printing import plural, print_json, readable
from .problems import Problems
from .selection import reading

MOST_INFOS = 10  # lines of severity info that verify prints of one kind


def add_options(add: Add) -> None:
    add("--live", action="store_true", help="runs are still written: the last file of each may be truncated")
    add("--strict", action="store_true", help="exit with 1 for warnings too")
    add(
        "--ignore",
        type=finding_kind,
        action="append",
        default=[],
        metavar="KIND",
        help=f"leave out findings of this kind: {', '.join(FINDING_KINDS)}",
    )


def finding_kind(text: str) -> str:
    try:
        finding_kinds(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return text


def run(options: Namespace, problems: Problems) -> None:
    """Read every record, and report where files are damaged or truncated, where TensorBoard does not show what was
    logged, and what else is odd. Print the first finding of each kind in each file, and how many more there are. Exit
    with 1 if there is an error, for use in CI."""
    files = records = size = 0
    counts: Counter[str] = Counter()
    infos: Counter[str] = Counter()  # by kind, how many lines

    def reports() -> Iterator[Report]:
        for path in options.paths:
            with reading(path, problems):
                yield from reports_of(path, options.live, options.ignore)

    for found in reports():
        is_file = not any(finding.kind in ("missing", "unreadable") for finding in found.findings)
        files, records, size = files + is_file, records + found.records, size + found.bytes
        counts.update(finding.severity for finding in found.findings)
        for name, n in found.omitted.items():
            counts[name.split()[0]] += n
        if options.json:
            print_json(asdict(found))
        else:
            print_findings(found, infos)
    if counts["error"] or (options.strict and counts["warning"]):
        problems.status = 1
    if not options.json:
        wrong = ", ".join(plural(counts[severity], severity) for severity in ("error", "warning") if counts[severity])
        result = (wrong or "all intact") + (f", {plural(counts['info'], 'info')}" if counts["info"] else "")
        print(f"{plural(files, 'file')}, {plural(records, 'record')}, {readable(size)}: {result}")


def print_findings(found: Report, infos: Counter[str]) -> None:
    """Print the first finding of each kind and file, and how many more there are.

    infos: by kind, how many lines of severity info there were; updated here
    """
    several: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in found.findings:
        several.setdefault((finding.path, finding.severity, finding.kind), []).append(finding)
    left = dict(found.omitted)
    for (path, severity, kind), findings in several.items():
        more = len(findings) - 1 + left.pop(f"{severity} {kind}", 0)
        if severity == "info":
            infos[kind] += 1
            if infos[kind] > MOST_INFOS:
                if infos[kind] == MOST_INFOS + 1:
                    print(f"info: more files have findings of the kind {kind}; --json lists them")
                continue
        print(f"{severity}: {printable(f'{path}: {findings[0].message}')}")
        if more:
            print(f"{severity}: {printable(path)}: and {more:,} more of the kind {kind}; --json lists them")
