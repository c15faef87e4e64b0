"""Find, open and write files: local ones, or at URLs such as s3://bucket/runs, by fsspec.

fsspec chooses a filesystem by the scheme of a URL. The filesystem finds credentials and endpoints itself: that of s3://
looks at the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...), ~/.aws and the machine's role, and every one looks
at files in ~/.config/fsspec, environment variables such as FSSPEC_S3_ANON=true, and fsspec.config.conf.
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

from tbc import notices

SMALL = 1 << 22  # bytes; a smaller file at a URL is read by one request: a second one takes longer than the transfer


def raise_error(error: Exception) -> None:
    """Raise an error: the default for `on_error`."""
    raise error


def is_url(path: str) -> bool:
    return "://" in path


def exists(path: str) -> bool:
    """Return whether a local path exists, be it a broken link; True for every URL, without a request."""
    return is_url(path) or os.path.lexists(path)


def distinct(paths: list[str]) -> list[str]:
    """Return each path once, as it is first spelled: a, a/ and ./a are the same; URLs may differ by a last slash."""
    from pathlib import PurePath

    found: dict[str, str] = {}
    for path in paths:
        found.setdefault(path.rstrip("/") if is_url(path) else str(PurePath(path)), path)
    return list(found.values())


def filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec filesystem of a URL, and the path in it.

    Raises ImportError if a package is not installed, ValueError for a chained URL (::).
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ImportError(f"{url}: a URL needs fsspec: pip install 'tbc[remote]'") from None
    if "::" in url:
        raise ValueError(f"{url}: expected a URL of one filesystem, not a chain with ::")
    filesystem, path = url_to_fs(url)
    return filesystem, path


def is_directory(path: str) -> bool:
    if not is_url(path):
        return os.path.isdir(path)
    there, path = filesystem(path)
    there.invalidate_cache()  # fsspec caches listings
    return bool(there.isdir(path))


def find_event_files(path: str | os.PathLike[str], on_error: Callable[[OSError], object] | None = None) -> list[str]:
    """Return the event files below a directory, or [path] if `path` is not a directory.

    An event file has "tfevents" in its name. The list has the order in which TensorBoard reads the files. Symbolic
    links are followed as TensorBoard follows them, except loops. A linked directory is a run with the name of the link:
    a run that two links lead to is found twice. A linked file belongs to the run of the directory that holds the link.
    A link back to a directory above it is a loop: it is reported and not followed. (TensorBoard's Python loader follows
    it up to 40 times.) A broken link is reported, too, unless it has the name of an event file: then it is in the list,
    and reading it raises OSError. At a URL, links are followed if fsspec's filesystem follows them.

    on_error: called with the OSError of each directory that cannot be listed and of each link that cannot be followed.
        By default the error of a directory is raised, and that of a link is a RuntimeWarning.

    Local directories that link to each other are found once for each path through the links: eight directories that all
    link to each other have 100,000 paths.
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
    """Yield `root` and each directory below it, with the event files in it. Links are followed, but not in a loop.

    on_error: called with the OSError of a directory that cannot be listed. on_link: the same if the directory is a
        link, and for each broken link and each loop.
    """
    above: dict[tuple[int, int], str] = {}  # all directories above the next one, by device and inode
    pending: list[tuple[str, tuple[int, int] | None]] = [(root, None)]  # with an identity: all below it is done
    while pending:  # os.walk recurses before Python 3.12, and a deep tree exceeds Python's limit
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
    return OSError(errno.ELOOP, f"Not followed: a loop of links, back to {above!r}", directory)


def name_link(error: OSError, path: str) -> None:
    """Add the target of the link at `path` to error.strerror, if that is the system's own text and `path` is a link."""
    with suppress(OSError):
        if error.errno is not None and error.strerror == os.strerror(error.errno):
            error.strerror = f"{error.strerror} (a link to {os.readlink(path)!r})"


def event_files_in(directory: str) -> list[str]:
    """Return the event files of one run, in the order in which TensorBoard reads them."""
    if is_url(directory):
        return [file for file in find_event_files(directory) if run_of(file, directory) == "."]
    return sorted(path for path, is_directory in entries_of(directory) if not is_directory)


def entries_of(directory: str) -> Iterator[tuple[str, bool]]:
    """Yield the path of each directory and event file in `directory`, and whether it is a directory.

    A link counts as its target. A link that cannot be followed counts as an event file if it has the name of one, else
    as a directory: the caller's attempt to read or list it then raises the error.
    """
    with os.scandir(directory) as entries:
        for entry in entries:
            is_event_file = "tfevents" in entry.name
            try:
                is_directory = entry.is_dir()
                if not is_directory and not is_event_file and entry.is_symlink():
                    entry.stat()  # raises for a broken link
            except OSError:
                is_directory = not is_event_file
            if is_directory or is_event_file:
                yield entry.path, is_directory


def _below_url(url: str, on_error: Callable[[OSError], object]) -> list[str]:
    """Return the event files below a URL, unsorted; [url] if it is not a directory; [] after a call of on_error.

    One listing is enough, unless it is empty.
    """
    there, path = filesystem(url)
    there.invalidate_cache()  # fsspec caches listings
    try:
        found = there.find(path)
        if found == [path] or (not found and not there.isdir(path)):
            return [url]
    except OSError as error:
        on_error(error)
        return []
    # The caller's spelling, with which run_of compares. The URL memory:// has no path, and keeps its slashes.
    root = url.rstrip("/") if path.strip("/") else url
    below = len(path.rstrip("/"))
    return [root + file[below:] for file in found if "tfevents" in posixpath.basename(file)]


def run_of(file: str, root: str) -> str:
    """Return TensorBoard's name for the run of a file: its directory relative to `root`, "." for `root` itself."""
    if file == root:
        return "."
    if is_url(root):
        return posixpath.relpath(posixpath.dirname(file), root)
    return os.path.relpath(os.path.dirname(file), root)


def by_run(
    files: Iterable[str], root: str, wants_run: Callable[[str], bool] = lambda run: True
) -> dict[str, list[str]]:
    """Group files by run; drop the runs that are not wanted. Runs and files keep the order of `files`."""
    runs: dict[str, list[str]] = {}
    for file in files:
        name = run_of(file, root)
        if wants_run(name):
            runs.setdefault(name, []).append(file)
    return runs


def open_file(path: str, whole: bool = True) -> BinaryIO:
    """Open a regular file, or a URL, to read bytes. Raises OSError if it is missing or not a regular file.

    whole: the caller reads all of it, so a small file at a URL takes one request.
    """
    if is_url(path):
        return _open_url(path, whole)
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        name_link(error, path)
        raise
    # A FIFO would block, and a device might never end. For a directory, open() raises the usual IsADirectoryError.
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "Not a regular file", path)
    return open(path, "rb")


def _open_url(url: str, whole: bool) -> BinaryIO:
    there, path = filesystem(url)
    with suppress(OSError):  # an empty object has no first byte; open() below raises any other error again
        start = there.cat_file(path, start=0, end=SMALL) if whole else bytes(SMALL)
        if len(start) < SMALL:
            return io.BytesIO(start)
    there.invalidate_cache(path)  # the cached size may be old
    file: BinaryIO = there.open(path, "rb")
    return file


def size_at(path: str) -> int:
    if is_url(path):
        there, path = filesystem(path)
        return int(there.size(path))
    return os.path.getsize(path)


def bytes_in(files: Iterable[str]) -> int:
    """Return the sum of the sizes in bytes. A file whose size cannot be read counts 0: reading it reports the error."""
    total = 0
    for file in files:
        with suppress(OSError):
            total += size_at(file)
    return total


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file in bytes: of a local file now, of a URL when it was opened."""
    if isinstance(file, io.BytesIO):
        return file.getbuffer().nbytes
    size: int | None = getattr(file, "size", None)  # a file of fsspec has it
    return os.fstat(file.fileno()).st_size if size is None else size


@contextmanager
def whole_file(path: str, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """Open a temporary file to write; at the end of the with block sync it and rename it to `path`.

    After an error, an existing file stays. If `path` is a link, its target is replaced. A path that is not a regular
    file, such as /dev/stdout, is written directly. mode: "w" modes only.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, mode, **options) as file:
            yield file
        return
    path = os.path.realpath(path)
    partial = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}")  # a name that readers ignore
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
