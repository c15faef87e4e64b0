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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, BinaryIO

from . import notices

SMALL = 1 << 22  # bytes of a file that are read from a URL by one request: the way there costs more than they do


def raise_error(error: Exception) -> None:
    """What is done about damage unless the caller wants something else."""
    raise error


def is_url(path: str) -> bool:
    return "://" in path


def exists(path: str) -> bool:
    """Return whether a path is a URL, or there is something, if only a link to nowhere."""
    return is_url(path) or os.path.lexists(path)


def distinct(paths: list[str]) -> list[str]:
    """Return each path once, however it is spelled: a, a/ and ./a are one."""
    from pathlib import PurePath

    found: dict[str, str] = {}
    for path in paths:
        found.setdefault(path.rstrip("/") if is_url(path) else str(PurePath(path)), path)
    return list(found.values())


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


def find_event_files(path: str | os.PathLike[str], on_error: Callable[[OSError], object] | None = None) -> list[str]:
    """Return `path` itself unless it is a directory, else the event files below it.

    They are in the order TensorBoard reads them, and symbolic links are followed as it follows them. A linked directory
    is a run under the name of the link, so a run that two links lead to is found twice. A linked file belongs to the
    run of the directory the link stands in. A directory that is within itself is a loop of links: it is reported and
    not followed. (RustBoard does the same at the next link; TensorBoard's Python loader goes around up to 40 times.) A
    link that leads nowhere is reported too, unless it has the name of an event file: then it is in the list, and
    reading it raises OSError.

    on_error: called with the OSError of each directory that cannot be listed and of each link that cannot be followed.
        By default the former is raised and the latter is a RuntimeWarning.

    Links at a URL are followed if fsspec's filesystem follows them. Directories that all link to each other are found
    on every way through the links, of which eight directories have 100,000.
    """
    path = os.fsdecode(path)
    links: list[OSError] = []
    if is_url(path):
        found = _below_url(path, on_error or raise_error)
    elif os.path.isdir(path):
        walked = walk(path, on_error or raise_error, on_error or links.append)
        found = [file for _, files in walked for file in files]
    else:
        found = [path]
    for error in links:
        notices.warn(str(error), RuntimeWarning)
    return sorted(found, key=os.path.split)


def walk(
    root: str, on_error: Callable[[OSError], object], on_link: Callable[[OSError], object]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each directory at and below `root`, with the event files in it. Links are followed, but not in a loop.

    on_error, on_link: called with the error of a directory that cannot be listed, and of a link to one
    """
    above: dict[tuple[int, int], str] = {}  # the directories that the next one is in, by device and inode
    pending: list[tuple[str, tuple[int, int] | None]] = [(root, None)]
    while pending:  # os.walk would recurse, before Python 3.12: a deep tree ends it
        directory, done = pending.pop()
        if done:
            del above[done]
            continue
        files: list[str] = []
        try:
            seen = os.stat(directory)
            identity = (seen.st_dev, seen.st_ino)
            if identity in above:
                raise loop_error(directory, above[identity])
            above[identity] = directory
            pending.append((directory, identity))
            for path, is_directory in entries_of(directory):
                if is_directory:
                    pending.append((path, None))
                else:
                    files.append(path)
        except OSError as error:
            name_link(error, directory)
            is_link = error.errno == errno.ELOOP or os.path.islink(directory)
            (on_link if is_link else on_error)(error)
        yield directory, files


def loop_error(directory: str, above: str) -> OSError:
    return OSError(errno.ELOOP, f"Not followed: this is {above!r} again, a loop of links", directory)


def name_link(error: OSError, path: str) -> None:
    """Add to an error of the system what the link at `path` leads to, if that is a link."""
    with suppress(OSError):
        if error.errno is not None and error.strerror == os.strerror(error.errno):
            error.strerror = f"{error.strerror} (a link to {os.readlink(path)!r})"


def event_files_in(directory: str) -> list[str]:
    """Those of one run, in the order TensorBoard reads them."""
    if is_url(directory):
        return [file for file in find_event_files(directory) if run_of(file, directory) == "."]
    return sorted(path for path, is_directory in entries_of(directory) if not is_directory)


def entries_of(directory: str) -> Iterator[tuple[str, bool]]:
    """Yield the directories and event files in it, each with whether it is a directory. Links count as their targets.

    A link that cannot be followed is yielded too: listing or reading it says why. It counts as an event file if it has
    the name of one, else as a directory.
    """
    with os.scandir(directory) as entries:
        for entry in entries:
            is_event_file = "tfevents" in entry.name
            try:
                is_directory = entry.is_dir()
                if not is_directory and not is_event_file and entry.is_symlink():
                    entry.stat()  # raises for a link to nowhere
            except OSError:
                is_directory = not is_event_file
            if is_directory or is_event_file:
                yield entry.path, is_directory


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


def by_run(
    files: Iterable[str], root: str, wants_run: Callable[[str], bool] = lambda run: True
) -> dict[str, list[str]]:
    """Return the files of each run that is wanted, in their order."""
    runs: dict[str, list[str]] = {}
    for file in files:
        name = run_of(file, root)
        if wants_run(name):
            runs.setdefault(name, []).append(file)
    return runs


def open_file(path: str, whole: bool = True) -> BinaryIO:
    """whole: all of it will be read. A FIFO would block, a device never end; that it is a directory is said by open."""
    if is_url(path):
        return _open_url(path, whole)
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        name_link(error, path)
        raise
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


def bytes_in(files: Iterable[str]) -> int:
    """Of all the files; nothing of one that is not there, which is told when it is read."""
    total = 0
    for file in files:
        with suppress(OSError):
            total += size_at(file)
    return total


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
