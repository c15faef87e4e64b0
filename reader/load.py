"""Load runs: find the files, read large ones in threads, and warn of damage and of values that are left out."""

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
    """Return the scalars of an event file or a run, by tag: a dict of Scalars.

    path: an event file, or the directory of a run, whose event files are read in order of their names
    tags: the wanted ones: a tag, a glob (* matches any text), a compiled regular expression, or several of these
    steps: (first, last), both inclusive; None for either is no limit
    purge: what to do with values that a later event file replaces, see below. None leaves them out and warns how many
        (UserWarning), True leaves them out, False keeps them
    on_error: called with a RecordError (path, offset) for each damaged place; reading continues after it. By default it
        is a RuntimeWarning, except for a file that ends within a record: that may still be growing

    A run that restarts writes a new event file, often from an earlier step on. Within one event file nothing is left
    out. A later event file (in order of names, as in TensorBoard) replaces the earlier files' values of a tag from the
    first step on that it logs for that tag. A file that was written with SummaryWriter's purge_step (a SessionLog of
    status START) replaces the values of all tags from that step on. A tag whose values are all left out stays, empty.
    (TensorBoard's two servers have other rules: docs/reading.md has a table.)

    Both checksums of each record are checked, except in a record of 64 KiB or more that is skipped because its first
    bytes show that it holds no wanted scalar. Raises OSError for what cannot be read.
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
    """Return the runs below a directory (or a URL, by fsspec), by name. Each directory with event files is a run.

    runs, tags: the wanted ones, as in load_scalars
    kinds: the wanted ones of KINDS ("scalar", "image", ...). The default, all of them, costs little: a value that is
        not a scalar is read on access
    steps: (first, last), both inclusive; None for either is no limit
    purge: as in load_scalars: by default, values that a later event file of the run replaces are left out, with a
        warning
    workers: threads; by default one for each processor, and at least 16 for a URL
    progress: whether to show a bar on stderr, by tqdm. By default, after 2 seconds, if tqdm is installed and stderr is
        a terminal
    on_error: as in load_scalars, and called with the OSError of each file and directory below logdir that cannot be
        read; the rest is loaded. Several threads may call it at once

    Runs without a wanted value are left out. Raises OSError if logdir itself cannot be read, or has no event file.
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
    """The event files at or below a path, by run: all of them, and in `files` those of the wanted runs.

    Raises OSError if the path cannot be read, or has no event file. Errors below the path are passed to on_error. By
    default they are collected, and the caller's thread warns of them when all is loaded: the threads that load do not
    know the line of the user's program.
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
        """Load the runs; leave out those without a wanted value."""
        loaded = self._load(Loader.run, wanted, None, workers, progress)
        files, children = self.all_files, named_by_time(self.all_files) if "hparams" in wanted[1] else {}
        return ByRun(
            (name, replace(run, _child_files=[file for child in children.get(name, ()) for file in files[child]]))
            for name, run in loaded.items()
            if run.scalars or run.values
        )

    def load_totals(self, wanted: Wanted) -> dict[str, list[Total]]:
        """Return the Totals of each run. No rows are kept: memory is linear in the number of tags. A run of several
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
        """Load each wanted run, and return result(loader, name), by run. keep: as in Loader."""
        workers = workers or max(os.cpu_count() or 1, 16 if is_url(self.root) else 1)
        with Bar(progress, self.files.values()) as bar, ThreadPoolExecutor(workers) as threads:

            def load(name: str) -> T:
                loader = Loader(*wanted, self._on_error, bar.advance, keep)
                if self.is_file:  # here an OSError is raised
                    loader.load(self.root)
                else:
                    loader.load_files(self.files[name])
                return result(loader, name)

            # Small runs are loaded in this thread: most of their time is spent in Python, where threads do not help.
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
    """A progress bar of the bytes that were read, if it is wanted; else it does nothing."""

    def __init__(self, wanted: bool | None, runs: Collection[list[str]]) -> None:
        self.is_over = False  # set when loading is given up: then `advance` ends the threads
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
