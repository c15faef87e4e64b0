"""Damaged event files copied, as far as they can be read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from tbc.proto import Event

from .check import Damage, Damages, good_records
from .files import find_event_files, is_directory, is_url, raise_error, run_of, whole_file
from .records import frame


@dataclass(frozen=True)
class Repaired:
    """A file and its copy: the records that were kept, their bytes, and what was lost.

    version_added: the first of them was no file_version; one, which is not counted, was put before it.
    """

    path: str
    copy: str
    records: int
    bytes: int
    version_added: bool
    lost: list[Damage]


def repair(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    on_error: Callable[[OSError], object] = raise_error,
) -> Iterator[Repaired]:
    """Copies the good records of each event file at or below `source`, which may be a URL, to a file of the same name.

    The copies stand below the directory `destination` as the files do below `source`, each from when it is whole. One
    whose first record is no file_version gets one: TensorBoard would take it for a file of an early TensorFlow.

    Raises ValueError at once if the copies would stand where TensorBoard finds the originals. OSError is raised, or
    told `on_error`, and the next file follows; no file is overwritten, which is FileExistsError.
    """
    root, destination = os.fsdecode(source), os.fsdecode(destination)
    if is_url(destination):
        raise ValueError(f"{destination}: expected a directory of this machine")
    if not is_url(root):
        os.stat(root)  # raises if there is nothing
    if os.path.exists(destination) and not os.path.isdir(destination):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), destination)
    if not is_url(root):
        home = os.path.realpath(root if is_directory(root) else os.path.dirname(root))
        if os.path.commonpath([home, os.path.realpath(destination)]) in (home, os.path.realpath(destination)):
            raise ValueError(
                f"{destination}: expected a directory that is neither in {home} nor above it, "
                "where TensorBoard would read the copies beside the originals"
            )
    return _copies(root, destination, on_error)


def _copies(root: str, destination: str, on_error: Callable[[OSError], object]) -> Iterator[Repaired]:
    for file in find_event_files(root, on_error):
        run = run_of(file, root)
        if run.split("/")[0] == os.pardir:  # the keys of a bucket may be anything
            raise ValueError(f"{file}: expected a file below {root}")
        try:
            yield _copy(file, os.path.normpath(os.path.join(destination, run, os.path.basename(file))))
        except OSError as error:
            error.filename = error.filename or file
            on_error(error)


def _copy(path: str, copy: str) -> Repaired:
    damages = Damages()
    records = size = 0
    version_added = False
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    with _new_file(copy) as file:
        for _, data, event in good_records(path, damages):
            if not records and event.WhichOneof("what") != "file_version":
                version = Event(wall_time=event.wall_time, file_version="brain.Event:2")
                file.write(frame(version.SerializeToString()))
                version_added = True
            records += 1
            size += file.write(frame(data))
    return Repaired(path, copy, records, size, version_added, damages.places)


@contextmanager
def _new_file(path: str) -> Iterator[IO[bytes]]:
    """As whole_file, but no file is overwritten."""
    with open(path, "xb"):  # takes the name
        pass
    try:
        with whole_file(path) as file:
            yield file
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(path)
        raise
