"""Where event files are: below directories of this machine, or at URLs such as s3://bucket/runs, which fsspec opens.

Credentials, endpoints and the like are what fsspec's filesystem of that protocol finds by itself: for s3://, the
environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...), ~/.aws and the machine's role; for all, files in
~/.config/fsspec, environment variables such as FSSPEC_S3_ANON=true, and fsspec.config.conf.
"""

from __future__ import annotations

import errno
import io
import os
import posixpath
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, BinaryIO

SMALL = 1 << 22  # bytes of a file that are read from a URL by one request: the way there costs more than they do


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
    if "::" in url:
        raise ValueError(f"{url}: expected a URL of one filesystem, not a chain")
    filesystem, path = url_to_fs(url)
    return filesystem, path


def is_directory(path: str) -> bool:
    if not is_url(path):
        return os.path.isdir(path)
    there, path = filesystem(path)
    there.invalidate_cache()  # what was there once
    return bool(there.isdir(path))


def find_event_files(path: str | os.PathLike[str], on_error: Callable[[OSError], object] = raise_error) -> list[str]:
    """`path` itself unless it is a directory, else the event files below it, in the order TensorBoard reads them.

    Links to directories are not followed. A directory that cannot be listed raises OSError, or is told `on_error`.
    """
    path = os.fsdecode(path)
    if is_url(path):
        found = _below_url(path, on_error)
    elif os.path.isdir(path):
        found = _below(path, on_error)
    else:
        found = [path]
    return sorted(found, key=os.path.split)


def _below(path: str, on_error: Callable[[OSError], object]) -> list[str]:
    found: list[str] = []
    directories = [path]
    while directories:  # os.walk would recurse, before Python 3.12: a deep tree ends it
        try:
            for path, is_directory in entries_of(directories.pop()):
                (directories if is_directory else found).append(path)
        except OSError as error:
            on_error(error)
    return found


def event_files_in(directory: str) -> list[str]:
    """Those of one run, in the order TensorBoard reads them."""
    if is_url(directory):
        return [file for file in find_event_files(directory) if run_of(file, directory) == "."]
    return sorted(path for path, is_directory in entries_of(directory) if not is_directory)


def entries_of(directory: str) -> Iterator[tuple[str, bool]]:
    """The directories and event files in it, each with whether it is a directory."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield entry.path, True
            elif "tfevents" in entry.name and not os.path.isdir(entry.path):
                yield entry.path, False


def _below_url(url: str, on_error: Callable[[OSError], object]) -> list[str]:
    """As find_event_files, by one listing, unless there is nothing."""
    there, path = filesystem(url)
    there.invalidate_cache()  # what was there once
    try:
        found = there.find(path)
        if found == [path] or (not found and not there.isdir(path)):
            return [url]
    except OSError as error:
        on_error(error)
        return []
    root = url.rstrip("/") if path.strip("/") else url  # spelled as given: files' URLs begin with it
    below = len(path.rstrip("/"))
    return [root + file[below:] for file in found if "tfevents" in posixpath.basename(file)]


def run_of(file: str, root: str) -> str:
    """What TensorBoard calls the run of a file below `root`: its directory from there, "." for the root itself."""
    if file == root:
        return "."
    if is_url(root):
        return posixpath.relpath(posixpath.dirname(file), root)
    return os.path.relpath(os.path.dirname(file), root)


def open_file(path: str, whole: bool = True) -> BinaryIO:
    """whole: all of it will be read. A FIFO would block, a device never end; that it is a directory is said by open."""
    if is_url(path):
        return _open_url(path, whole)
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "Not a regular file", path)
    return open(path, "rb")


def _open_url(url: str, whole: bool) -> BinaryIO:
    there, path = filesystem(url)
    with suppress(OSError):  # an empty object has no first byte; what else is wrong is said by open
        start = there.cat_file(path, start=0, end=SMALL) if whole else bytes(SMALL)
        if len(start) < SMALL:
            return io.BytesIO(start)
    there.invalidate_cache(path)  # the size it had once
    file: BinaryIO = there.open(path, "rb")
    return file


def size_at(path: str) -> int:
    if is_url(path):
        there, path = filesystem(path)
        return int(there.size(path))
    return os.path.getsize(path)


def size_of(file: BinaryIO) -> int:
    """In bytes, by now: a local file may grow."""
    if isinstance(file, io.BytesIO):
        return file.getbuffer().nbytes
    size: int | None = getattr(file, "size", None)  # fsspec's
    return os.fstat(file.fileno()).st_size if size is None else size


@contextmanager
def whole_file(path: str, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """A file of this machine to write to, open as `open` does it. It takes the place of one that is there when it is
    whole, and on the disk; after an error there is what was there before. (What is no regular file, as /dev/stdout, is
    written to as it is.)"""
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, mode, **options) as file:
            yield file
        return
    path = os.path.realpath(path)
    partial = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}")  # a name that no reader of files looks at
    try:
        with open(partial, mode.replace("w", "x"), **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename == partial:
            error.filename = path
        with suppress(OSError):
            os.unlink(partial)
        raise
