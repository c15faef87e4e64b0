"""Load runs: find the files, read large ones in threads, and warn of damage and of what is left out."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from .files import by_run, bytes_in, event_files_in, find_event_files, is_directory, is_url
from .loader import PIECE, Loader, OnError, Steps, step_range, warn_of
from .records import RecordError
from .series import ByRun, Run, Scalars, Total, named_by_time, warn_of_hidden
from .tags import Patterns, kinds_of, matcher


def load_scalars(
    path: str | os.PathLike[str],
    *,
    tags: Patterns = None,
    steps: Steps = None,
    purge: bool | None = None,
    on_error: OnError | None = None,
) -> dict[str, Scalars]:
    """The scalars of an event file, or of a run: the event files of a directory, in order. By tag; old style and new.

    tags: the wanted ones: a tag or a glob (* is any text), a compiled regular expression, or several of them
    steps: (first, last), both inclusive; None for either is no limit
    purge: whether the values are left out that a later event file replaces, see below. By default they are, and a
        UserWarning says how many; with True they are without a warning, with False nothing is left out
    on_error: is told of damage, a RecordError with path and offset, and reading goes on behind it. By default a
        RuntimeWarning tells, but not of a file that ends within a record: that may still be growing.

    What is left out: a run that restarts writes a new event file, often from an earlier step on. Within one event file
    nothing is left out. A later event file of the run (in the order of names, in which TensorBoard reads them, too)
    replaces the earlier files' values of a tag from the first step on that it logs for that tag. If it begins with
    SummaryWriter's purge_step (a SessionLog of status START), it replaces those of all tags from that step on. A tag
    whose values are all left out stays, empty. (TensorBoard's servers have other rules, which also hide values within a
    file, and differ from each other: docs/reading.md has a table.)

    Both checksums of each record are checked. But a record of 64 KiB or more is skipped unread if its beginning says
    that it holds no wanted scalar. Raises OSError for what cannot be read.
    """
    path = os.fsdecode(path)
    files = [path]
    if is_directory(path):
        files = event_files_in(path)
        if not files:
            what = "no event file in this directory; load_runs reads those below it"
            raise FileNotFoundError(errno.ENOENT, what, path)
    loader = Loader(matcher(tags), {"scalar"}, steps, purge, on_error)
    for file in files:
        loader.load(file)
    run = loader.run(".")
    if purge is None:
        warn_of_hidden(path, {path: run.hidden})
    return run.scalars


def load_runs(
    logdir: str | os.PathLike[str],
    *,
    runs: Patterns = None,
    tags: Patterns = None,
    kinds: str | Iterable[str] | None = None,
    steps: Steps = None,
    purge: bool | None = None,
    workers: int | None = None,
    progress: bool | None = None,
    on_error: OnError | None = None,
) -> dict[str, Run]:
    """The runs below a directory (or URL, by fsspec), by name: each directory that has event files is one.

    runs, tags: the wanted ones, as in load_scalars
    kinds: the wanted ones of tags.KINDS ("scalar", "image", ...); all by default, which costs little, since a value
        that is not a scalar is read when it is asked for
    steps: (first, last), both inclusive; None for either is no limit
    purge: as in load_scalars: what a later event file of the run replaces is left out, and a warning says so
    workers: threads; by default one for each processor, and 16 at least for a URL
    progress: a bar on stderr, by tqdm; by default if that is installed, stderr is a terminal, and it takes seconds
    on_error: as in load_scalars, and told of the OSErrors of files and directories below logdir, which do not keep the
        rest from being loaded; may be called by several threads at once

    Runs that hold nothing that is wanted are left out. Raises OSError if logdir itself cannot be read, or has no event
    file.
    """
    root = os.fsdecode(logdir)
    wanted: Wanted = matcher(tags), kinds_of(kinds), step_range(steps), purge
    found = Tree(root, matcher(runs), on_error).load_runs(wanted, workers, progress)
    if purge is None:
        warn_of_hidden(root, {name: run.hidden for name, run in found.items()})
    return found


T = TypeVar("T")
Wanted: TypeAlias = "tuple[Callable[[str], bool], set[str], Steps, bool | None]"  # tags, kinds, steps, purge


class Tree:
    """The event files at or below a path, by run. `files` are those of the wanted runs.

    Raises OSError if the path cannot be read, or has no event file. What is wrong below it is given to on_error. By
    default it is kept until all is loaded, and the caller's thread warns of it: the threads that load do not know the
    user's line.
    """

    def __init__(self, root: str, wants_run: Callable[[str], bool], on_error: OnError | None) -> None:
        unlisted: list[OSError] = []
        found = find_event_files(root, unlisted.append)
        if not found:
            raise unlisted[0] if unlisted else FileNotFoundError(errno.ENOENT, "no event file here", root)
        self._warnings: list[RecordError | OSError] = []
        self._on_error: OnError = on_error or self._warnings.append
        for error in unlisted:
            self._on_error(error)
        self.root = root
        self.is_file: bool = found == [root]
        self.all_files: dict[str, list[str]] = by_run(found, root)
        self.files: dict[str, list[str]] = {name: of for name, of in self.all_files.items() if wants_run(name)}

    def load_runs(self, wanted: Wanted, workers: int | None = None, progress: bool | None = False) -> dict[str, Run]:
        """Load the runs; leave out those that hold nothing that is wanted."""
        loaded = self._load(Loader.run, wanted, None, workers, progress)
        files, children = self.all_files, named_by_time(self.all_files) if "hparams" in wanted[1] else {}
        return ByRun(
            (name, replace(run, _child_files=[file for child in children.get(name, ()) for file in files[child]]))
            for name, run in loaded.items()
            if run.scalars or run.values
        )

    def load_totals(self, wanted: Wanted) -> dict[str, list[Total]]:
        """Count the values under each tag of each run, without their rows: memory grows with the tags. A run of several
        files is read twice, unless purge is False."""
        loaded = self._load(lambda loader, name: loader.totals(), wanted, 0)
        return {name: totals for name, totals in loaded.items() if totals}

    def _load(
        self,
        result: Callable[[Loader, str], T],
        wanted: Wanted,
        keep: int | None,
        workers: int | None = None,
        progress: bool | None = False,
    ) -> dict[str, T]:
        """Return the result of the loader of each run. keep: as Loader has it"""
        workers = workers or max(os.cpu_count() or 1, 16 if is_url(self.root) else 1)
        with Bar(progress, self.files.values()) as bar, ThreadPoolExecutor(workers) as threads:

            def load(name: str) -> T:
                loader = Loader(*wanted, self._on_error, bar.advance, keep)
                if self.is_file:  # what is wrong with it is raised
                    loader.load(self.root)
                else:
                    loader.load_files(self.files[name])
                return result(loader, name)

            # Small ones are loaded here: most of their time goes into Python, which does one thing at a time.
            large = [name for name, of in self.files.items() if is_url(self.root) or bytes_in(of) > PIECE]
            loading = {name: threads.submit(load, name) for name in large}
            try:
                loaded = {name: load(name) for name in self.files if name not in loading}
                loaded |= {name: future.result() for name, future in loading.items()}
            except BaseException:  # Ctrl-C, too
                bar.is_over = True
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        for error in self._warnings:
            warn_of(error)
        return {name: loaded[name] for name in self.files}


class Bar:
    """How many bytes have been read of how many, if that is wanted."""

    def __init__(self, wanted: bool | None, runs: Collection[list[str]]) -> None:
        self.is_over = False  # nobody waits for what is still being loaded
        self.bar: Any = None
        if wanted is False or (wanted is None and not sys.stderr.isatty()):
            return
        try:
            from tqdm import tqdm
        except ImportError:
            if wanted:
                raise ImportError("progress=True needs tqdm: pip install 'tbc[progress]'") from None
            return
        total = sum(map(bytes_in, runs))
        delay = 0 if wanted else 2
        self.bar = tqdm(total=total, unit="B", unit_scale=True, desc=f"{len(runs)} runs", delay=delay)

    def advance(self, n: int) -> None:
        if self.is_over:
            raise RuntimeError("loading was given up")
        if self.bar is not None:
            self.bar.update(n)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()
