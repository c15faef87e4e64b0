"""Copy the good records of damaged event files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from tbc.proto import Event

from .files import find_event_files, is_directory, is_url, raise_error, run_of, walk, whole_file
from .records import frame
from .verifying import Damage, Damages, good_records


@dataclass(frozen=True)
class Repaired:
    """A file and its copy.

    records, bytes: how many records were copied, and their size
    version_added: whether a file_version record, which is not counted, was added because the first record is not one
    lost: the damaged places that were not copied
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
) -> list[Repaired]:
    """Copy the good records of each event file at or below `source` to a file of the same name.

    source: a file or directory, also at a URL. Links are followed as find_event_files does; the copies are files
    destination: a local directory; made if it does not exist. The copies have the same paths below it as the files have
        below `source`. Each appears when it is whole
    on_error: called with each OSError; the next file follows. By default it is raised

    A copy whose first record is not a file_version gets one, because TensorBoard takes a file without it for one of an
    early TensorFlow.

    Raises ValueError, before anything is copied, if TensorBoard would find the copies together with the originals, also
    through a link. No file is overwritten: an existing one is a FileExistsError.
    """
    return list(repair_each(source, destination, on_error))


def repair_each(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    on_error: Callable[[OSError], object] = raise_error,
) -> Iterator[Repaired]:
    """Do as `repair` does, and yield each Repaired when its copy is whole. The call itself checks the arguments."""
    root, destination = os.fsdecode(source), os.fsdecode(destination)
    if is_url(destination):
        raise ValueError(f"{destination}: expected a local directory")
    if not is_url(root):
        os.stat(root)  # raises if it does not exist
    if os.path.exists(destination) and not os.path.isdir(destination):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), destination)
    if is_url(root):
        return _copies(find_event_files(root, on_error), root, destination, on_error)
    walked = list(walk(root, on_error, on_error)) if is_directory(root) else [(os.path.dirname(root), [root])]
    files = sorted((file for _, several in walked for file in several), key=os.path.split)
    homes = {os.path.realpath(directory) for directory, _ in walked}
    homes |= {os.path.dirname(os.path.realpath(file)) for file in files}
    above = {directory for home in homes for directory in _with_parents(home)}
    for directory in [destination, *{os.path.dirname(_place(file, root, destination)): None for file in files}]:
        place = os.path.realpath(directory)
        if place in above or not homes.isdisjoint(_with_parents(place)):
            raise ValueError(
                f"{directory}: expected a directory that is neither in nor above one with event files of {root}: "
                "TensorBoard would read the copies together with the originals"
            )
    return _copies(files, root, destination, on_error)


def _with_parents(path: str) -> Iterator[str]:
    yield path
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent


def _place(file: str, root: str, destination: str) -> str:
    """Return the path of the copy of a file. Raises ValueError if it would be outside of `destination`."""
    run = run_of(file, root)
    if run.split("/")[0] == os.pardir:  # a key of a bucket may contain ".."
        raise ValueError(f"{file}: expected a file below {root}")
    return os.path.normpath(os.path.join(destination, run, os.path.basename(file)))


def _copies(files: list[str], root: str, destination: str, on_error: Callable[[OSError], object]) -> Iterator[Repaired]:
    for file in files:
        copy = _place(file, root, destination)
        try:
            yield _copy(file, copy)
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
    """Do as whole_file does, but raise FileExistsError if the file exists."""
    with open(path, "xb"):  # an empty file reserves the name
        pass
    try:
        with whole_file(path) as file:
            yield file
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(path)
        raise
