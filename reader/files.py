"""Where event files are: below directories of this machine, or at URLs such as s3://bucket/runs, which fsspec opens."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Callable
from typing import Any, BinaryIO


def raise_error(error: Exception) -> None:
    """What is done about damage unless the caller wants something else."""
    raise error


def is_url(path: str) -> bool:
    return "://" in path


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec filesystem of a URL, and the path there. Raises ImportError if what it needs is not installed."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ImportError(f"{url}: a URL needs fsspec: pip install 'tbc[remote]'") from None
    filesystem, path = url_to_fs(url)
    return filesystem, path


def is_directory(path: str) -> bool:
    if not is_url(path):
        return os.path.isdir(path)
    there, path = filesystem(path)
    return bool(there.isdir(path))


def find_event_files(path: str | os.PathLike[str], on_error: Callable[[OSError], object] = raise_error) -> list[str]:
    """`path` itself unless it is a directory, else the event files below it, in the order TensorBoard reads them.

    Links to directories are not followed. A directory that cannot be listed raises OSError, or is told `on_error`.
    """
    path = os.fsdecode(path)
    if not is_directory(path):
        return [path]
    found = _below_url(path, on_error) if is_url(path) else _below(path, on_error)
    return sorted(found, key=os.path.split)


def _below(path: str, on_error: Callable[[OSError], object]) -> list[str]:
    found = []
    directories = [path]
    while directories:  # os.walk would recurse, before Python 3.12: a deep tree ends it
        try:
            with os.scandir(directories.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(entry.path)
                    elif "tfevents" in entry.name and not os.path.isdir(entry.path):
                        found.append(entry.path)
        except OSError as error:
            on_error(error)
    return found


def _below_url(url: str, on_error: Callable[[OSError], object]) -> list[str]:
    there, path = filesystem(url)
    try:
        found = there.find(path)
    except OSError as error:
        on_error(error)
        return []
    return [there.unstrip_protocol(file) for file in found if "tfevents" in posixpath.basename(file)]


def run_of(file: str, root: str) -> str:
    """What TensorBoard calls the run of a file below `root`: its directory from there, "." for the root itself."""
    if file == root:
        return "."
    if is_url(root):
        return posixpath.relpath(posixpath.dirname(file), root)
    return os.path.relpath(os.path.dirname(file), root)


def open_file(path: str) -> BinaryIO:
    """A FIFO would block, a device never end. (That it is a directory is said by open.)"""
    if is_url(path):
        there, path = filesystem(path)
        file: BinaryIO = there.open(path, "rb")
        return file
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "Not a regular file", path)
    return open(path, "rb")


def size_at(path: str) -> int:
    if is_url(path):
        there, path = filesystem(path)
        return int(there.size(path))
    return os.path.getsize(path)


def size_of(file: BinaryIO) -> int:
    """In bytes, by now: a local file may grow."""
    size: int | None = getattr(file, "size", None)  # fsspec's
    return os.fstat(file.fileno()).st_size if size is None else size
