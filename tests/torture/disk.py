"""Test disks that fail and memory that ends: what a writer accepted must be in its files, once and in order.

Each function without an underscore takes a count and returns a Row; `python -m torture.disk nth_call 100`, in tests/,
calls one. The cases run in a new process, which has the shim of faults.py.
"""

import contextlib
import errno
import fcntl
import itertools
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings

from torture import faults
from torture.case import Case, elsewhere, read_back, try_all
from torture.row import Row

from tbc import _core
from tbc.reader import find_event_files


def scenario(case):
    """Log a bit of everything: an image, which another thread encodes, a large event, a sync, a close, calls after it,
    and runs of add_scalars with their own files."""
    case.open()
    for step in range(3):
        case.scalar(step)
    case.flush()
    case.look()
    case.histogram(3)
    case.text(4)
    case.image(5)
    case.scalar(6)
    case.large(6)
    case.flush(sync=True)
    case.scalar(7)
    case.close()
    case.scalar(8)
    case.curve("a", 8)
    case.curve("b", 8)
    case.flush()
    case.look()
    case.curve("a", 9)
    case.scalar(9)
    case.close()


# --- the N-th call fails ---

SPACE = [errno.ENOSPC, errno.EDQUOT]
GONE = [errno.EIO, errno.ESTALE]
FAR = faults.FOR_EVER - 1


def injuries():
    """Yield (name, calls that fail, errno, bytes that the first write still writes before it fails)."""
    everywhere = [*SPACE, *GONE, errno.EROFS]
    for error in [*everywhere, errno.EAGAIN, errno.EFBIG, errno.EBADF]:
        for part in (0, 1, 20):  # nothing of a record, a byte, half of it
            yield "write", faults.WRITE, error, part
    yield "write", faults.WRITE, errno.EINTR, 0
    yield "short write", faults.WRITE, 0, 1
    yield "short write", faults.WRITE, 0, 13
    for error in [*everywhere, errno.EMFILE, errno.EACCES, errno.ENOENT, errno.EINTR, errno.EEXIST]:
        yield "open", faults.OPEN, error, 0
    for error in everywhere:
        yield "fsync", faults.FSYNC, error, 0
        yield "mkdir", faults.MKDIR, error, 0
        yield "write and open", faults.WRITE | faults.OPEN, error, 20
        yield "whatever writes", faults.DISK, error, 0
    for error in [*SPACE, *GONE, errno.EINTR]:
        yield "close", faults.CLOSE, error, 0
    for error in [errno.EBADF, *GONE]:
        yield "fstat", faults.FSTAT, error, 0
    yield "unlink", faults.UNLINK | faults.WRITE, errno.EIO, 0
    yield "readdir", faults.READDIR, errno.EIO, 0
    yield "pthread_create", faults.THREAD, errno.EAGAIN, 0
    yield "malloc", faults.MEMORY, errno.ENOMEM, 0


LASTING = {errno.EINTR: [1, 50], errno.EEXIST: [1, 3]}  # how many calls fail: these errors do not last


def nth_call(count):
    """Let the N-th call of a kind fail, N = 1, 2, 3, ...: once, or all from then on until the fault ends.

    count: how many of all cases to try. They are drawn at random, but always the same ones.
    """
    return elsewhere("disk", "_nth_call", count, "the N-th call fails: malloc, open, write, fsync, close, ...")


def _nth_call(root, count):
    cases, calls = [], {}
    for what, kinds, error, part in injuries():
        if kinds not in calls:
            faults.arm(kinds, FAR)
            scenario(Case(os.path.join(root, f"calls-{kinds}")))
            calls[kinds] = faults.seen()
        for n, times in itertools.product(range(1, calls[kinds] + 3), LASTING.get(error, [1, faults.FOR_EVER])):
            cases.append((what, n, errno.errorcode.get(error), f"{times} times", kinds, error, part, times))
    chosen = sorted(random.Random(0).sample(range(len(cases)), min(count, len(cases))))
    return try_all(root, [cases[number] for number in chosen], _fail_nth_call)


def _fail_nth_call(case, what, n, name, often, kinds, error, part, times):
    case.short_of_memory = kinds == faults.MEMORY
    case.may_leave_files = bool(kinds & faults.UNLINK)
    case.may_raise = frozenset([error])
    strays = faults.strays()
    faults.arm(kinds, n, times, error, part)
    scenario(case)
    case.look()
    case.heal()
    assert faults.strays() == strays, "a descriptor was used that was closed"


# --- a disk that is really full ---

PAGE = 4096
RECORD = 60  # bytes: a scalar's is a little shorter


def full_disk(count):
    """Let a small tmpfs become full at byte k of a record, for every k, and have room again later."""
    wrapper = _that_mounts()
    if wrapper is None:
        return Row("a full tmpfs", 0, 0, 0, "skipped: mounting is not allowed")
    return elsewhere("disk", "_full_disk", count, "a tmpfs is full at byte k of a record", wrapper=wrapper)


def _that_mounts():
    """Return the command that runs another so that it may mount, None if there is none. Its mounts end with it."""
    for wrapper in (["unshare", "-m"], ["unshare", "-rm"]):
        with tempfile.TemporaryDirectory() as directory, contextlib.suppress(FileNotFoundError):
            command = [*wrapper, "mount", "-t", "tmpfs", "tmpfs", directory]
            if subprocess.run(command, capture_output=True).returncode == 0:
                return wrapper
    return None


def _mount(directory):
    os.makedirs(directory)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={64 * PAGE}", "tmpfs", directory], check=True)


def _full_disk(root, count):
    live = os.path.join(root, "live")
    _mount(live)
    cases = [(k, os.path.join(live, "filler")) for k in range(RECORD)]
    return try_all(root, cases[:: max(1, RECORD // count)], _fill_disk)


def _fill_disk(case, k, filler):
    case.may_raise = frozenset([errno.ENOSPC])
    case.open()
    path = _leave_room(case, k)
    case.look()
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(PAGE)):
            pass
    for step in range(2, 6):
        case.scalar(step)
    assert not case.flush(), "a flush succeeds on a full disk"
    assert os.path.getsize(path) % PAGE == 0, f"{os.path.getsize(path)} bytes"
    case.look()
    case.scalar(6)
    assert not case.close(), "a close succeeds on a full disk"
    os.remove(filler)
    case.heal()
    assert find_event_files(case.log_dir) == [path], "a new file was made, but the old one can be continued"


def _leave_room(case, k):
    """Fill the last page of the event file except for k bytes; return its path."""
    (path,) = find_event_files(case.log_dir)
    case.text(1, "x" * 1000)
    before = os.path.getsize(path)
    case.flush()
    frame = os.path.getsize(path) - before - 1000
    room = (-os.path.getsize(path) - k - frame) % PAGE
    case.text(2, "x" * (room if room > 200 else room + PAGE))  # above 200, all lengths in the event take two bytes
    case.flush()
    assert os.path.getsize(path) % PAGE == -k % PAGE
    return path


def size_limit(count):
    """Let RLIMIT_FSIZE end the file at byte k of a record: EFBIG, which waiting does not cure."""
    return elsewhere("disk", "_size_limit", count, "RLIMIT_FSIZE at byte k of a record")


def _size_limit(root, count):
    return try_all(root, [(k,) for k in range(RECORD)][:: max(1, RECORD // count)], _limit_size)


def _limit_size(case, k):
    case.may_raise = frozenset([errno.EFBIG])
    case.open()
    for step in range(2):
        case.scalar(step)
    case.flush()
    (path,) = find_event_files(case.log_dir)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + k, hard))
    try:
        for step in range(2, 12):
            case.scalar(step)
            case.flush()
            case.look()
        case.text(12)  # too large for any file
        assert not case.flush(), "more than fits was written"
        case.look()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    case.scalar(13)
    case.heal()


def read_only(count):
    """Make a file system read-only when the writer needs a file, and writable again later."""
    wrapper = _that_mounts()
    if wrapper is None:
        return Row("a read-only disk", 0, 0, 0, "skipped: mounting is not allowed")
    return elsewhere("disk", "_read_only", count, "the disk is read-only for a while", wrapper=wrapper)


def _read_only(root, count):
    live = os.path.join(root, "live")
    _mount(live)
    return try_all(root, [(live,)] * count, _remount)


def _remount(case, live):
    case.may_raise = frozenset([errno.EROFS])
    case.open()
    case.scalar(0)
    case.close()
    subprocess.run(["mount", "-o", "remount,ro", live], check=True)
    try:
        case.scalar(1)
        case.curve("a", 1)
        assert not case.flush(), "a flush succeeds on a read-only disk"
        case.look()
        case.scalar(2)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", live], check=True)
    case.heal()


# --- somebody takes the file away ---


def _delete(case, path):
    os.remove(path)
    case.removed = True


def _replace(case, path):
    """Replace the file by a copy, as a program does that synchronizes directories."""
    shutil.copy(path, path + "~")
    os.replace(path + "~", path)
    case.removed = True


def _empty(case, path):
    """Empty the file, as a user does who needs room."""
    os.truncate(path, 0)
    case.removed = True


def _remove_directory(case, path):
    shutil.rmtree(case.log_dir)
    case.removed = True


def _close_descriptors(case, path):
    for fd in _descriptors(path):
        os.close(fd)


def _reuse_descriptors(case, path):
    """Let another file take the descriptor, as after a program that closes all descriptors and then opens a file."""
    victim = tempfile.TemporaryFile()  # noqa: SIM115
    for fd in _descriptors(path):
        os.dup2(victim.fileno(), fd, inheritable=False)
        case.later.append(lambda fd=fd: _check_victim(victim, fd))


def _check_victim(victim, fd):
    assert os.path.samestat(os.fstat(fd), os.fstat(victim.fileno())), "a descriptor of another file was closed"
    assert os.fstat(fd).st_size == 0, "another file got events"
    os.close(fd)


def _descriptors(path):
    """Return the descriptors of this process with which the file is open for writing."""
    found = []
    for fd in map(int, os.listdir("/dev/fd")):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(fd), os.stat(path)) and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE:
                found.append(fd)
    assert found, "the writer has no file"
    return found


def _move_directory(case, path):
    """Move the directory, and back at the end. The writer goes on writing to the moved file."""
    os.rename(case.log_dir, case.log_dir + "~")
    case.later.append(lambda: os.rename(case.log_dir + "~", case.log_dir))


DEEDS = [_delete, _replace, _empty, _remove_directory, _close_descriptors, _reuse_descriptors, _move_directory]
LAST = 100  # steps


def taken_away(count):
    """Delete, replace, empty or move the file, remove its directory, close its descriptor or reuse it."""
    return elsewhere("disk", "_taken_away", count, "file, directory or descriptor taken away while it is written")


def _taken_away(root, count):
    deeds = itertools.islice(itertools.cycle(DEEDS), count)
    return try_all(root, [(deed.__name__, seed) for seed, deed in enumerate(deeds)], _take_away)


def _take_away(case, deed, seed):
    """Take the file away while it is written: only what it held at that moment may be lost."""
    chance = random.Random(seed)
    when = chance.randrange(1, LAST)
    asleep = deed == "_reuse_descriptors" or chance.random() < 0.5  # else the thread may be writing
    case.open(flush_secs=chance.choice([0, 120]))
    (path,) = find_event_files(case.log_dir)
    for step in range(LAST):
        case.scalar(step)
        time.sleep(chance.random() / 2000)
        if step == when:
            if asleep:
                case.flush()
                case.look()
            globals()[deed](case, path)
    case.writer.flush()
    case.writer.close()
    for check in case.later:
        check()
    if case.removed:
        left = read_back(case.log_dir)["."]["loss"]
        assert len(left) >= LAST - 1 - when, f"{LAST - 1 - when} steps came after it, {len(left)} are there"
        assert left == case.accepted["."]["loss"][-len(left) :], f"the files hold {left}"
        case.accepted = {".": {"loss": left}}
    case.check("at last")


# --- a queue that is full while the disk fails ---


def full_queue(count):
    """Let the disk fail and recover while four threads log more than fits: what is not in the files must be counted."""
    return elsewhere("disk", "_full_queue", count, "a full queue while the disk comes and goes")


def _full_queue(root, count):
    return try_all(root, [(seed,) for seed in range(count)], _overfill)


def _overfill(case, seed):
    chance = random.Random(seed)
    limit = chance.choice([5_000, 50_000, 200_000])
    error = chance.choice([*SPACE, *GONE])
    case.may_raise = frozenset([error])
    case.open()
    stop = threading.Event()

    def log(thread):
        step = 0
        while not stop.is_set():
            case.writer.add_scalar(f"thread {thread}", step / 8, step)
            step += 1
            if step % 20 == 0:
                time.sleep(0.002)
        logged[thread] = step

    _core.set_queue_limit(limit)
    logged = {}
    threads = [threading.Thread(target=log, args=(i,)) for i in range(4)]
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for thread in threads:
                thread.start()
            for _ in range(5):
                faults.arm(faults.WRITE, chance.randrange(1, 20), error=error, part=chance.randrange(60))
                for _ in range(20):
                    time.sleep(0.002)
                    queued = case.writer.stats().queued
                    assert queued < limit + 100, f"{queued} bytes are queued, the limit is {limit}"
                faults.disarm()
                time.sleep(0.02)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        _core.set_queue_limit(64 << 20)
    assert case.succeeds(case.writer.flush) or case.succeeds(case.writer.flush), "flush() fails after the fault is over"
    dropped = case.writer.stats().dropped
    case.writer.close()
    found = read_back(case.log_dir).get(".", {})
    for tag, points in found.items():
        assert points == sorted(set(points)), f"{tag} is out of order"
    there = sum(map(len, found.values()))
    assert there + dropped == sum(logged.values()), f"{sum(logged.values())} logged, {there} found, {dropped} dropped"
    messages = [str(warning.message) for warning in told]
    assert sum("dropped" in message for message in messages) == (dropped > 0), messages
    assert sum("dropped" not in message for message in messages) <= 1, messages  # the warning that the disk fails
    case.accepted = {".": found}


if __name__ == "__main__":
    print(globals()[sys.argv[1]](int(sys.argv[2])))
