"""Check what the reader does with any file, and let libFuzzer search for a file with which a check fails.

    cd tests && python -m torture.fuzz [SECONDS]

needs atheris (`pip install 'tbc[torture]'`), and writes an input that fails to tests/. It starts from data/corpus:
small files, among them one for each bug found so far, which test_hostile.py replays.
"""

import importlib.util
import io
import json
import math
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path

if __name__ == "__main__" and len(sys.argv) > 2:  # the process that libFuzzer runs in
    import atheris

    instrumented = atheris.instrument_imports(include=["tbc.reader"])
else:
    instrumented = nullcontext()
with instrumented:
    from tbc.reader.__main__ import main
    from tbc.reader.commands.printing import strict
    from tbc.reader.describe import SHORT, brief, to_json
    from tbc.reader.events import DTYPES, read_events, values_of
    from tbc.reader.tags import PLUGIN_KINDS

import test_any_memory
from google.protobuf.message import DecodeError
from helpers.eventfiles import loaded
from hypothesis import HealthCheck, settings
from torture.row import Row

from tbc import _core
from tbc.proto import Event

TESTS = Path(__file__).parent.parent
CORPUS = TESTS / "data" / "corpus"
CSRC = TESTS.parent / "csrc"
RAW = 8  # tells fuzz_scan.c to scan the bytes as they are; smaller numbers are other ways
NEEDED = ("scan", "crc32c", "record", "buffer")  # the files of csrc that fuzz_scan.c needs
COMMANDS = (
    ["verify"],
    ["show", "*"],
    ["show", "*", "--json"],
    ["stats"],
    ["dump"],
    ["dump", "--json"],
    ["tags"],
    ["tags", "--json"],
)


def check_values(path):
    """Check the library: no exception, strict JSON, one printable line a value. Return the errors it reported."""
    errors = []
    for event in read_events(path, errors.append):
        for value in values_of(event):
            json.dumps(strict(to_json(value)), allow_nan=False)
            line = brief(value)
            assert line.isprintable(), line
            assert len(line) <= SHORT, line
    return errors


def check_cli(path, commands=COMMANDS):
    """Check the commands: no exception, no control characters, the right exit status. Return the last one's stderr."""
    for command in commands:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main([command[0], str(path), *command[1:]])
        lines = out.getvalue().split("\n")
        errors = err.getvalue().split("\n")
        assert all(line.isprintable() for line in lines + errors), (lines, errors)
        told = lines if command[0] == "verify" else errors
        assert status == any(line.startswith("error: ") for line in told), (status, told)
        assert {line.partition(":")[0] for line in errors} <= {"error", "note", ""}, errors
        if "--json" in command:
            for line in lines[:-1]:
                json.loads(line, parse_constant=_no_json)
    return errors[:-1]


def check_load(path):
    """Check that the kernel loads the same as the reader in pure Python.

    The kernel skips fields it does not need, so malformed protobuf there can pass.
    """
    slow, expected = loaded(path, False)
    fast, errors = loaded(path, True)
    if not any("no Event" in str(error) for error in expected):
        assert fast == slow
        assert list(map(str, errors)) == list(map(str, expected))


def _no_json(constant):
    raise AssertionError(constant)


def values(seconds):
    return _fuzz("values", "the reader, as a library, on files that libFuzzer makes", seconds)


def command_line(seconds):
    return _fuzz("cli", "python -m tbc.reader on files that libFuzzer makes", seconds)


def columns(seconds):
    return _fuzz("load", "the kernel of load_scalars and load_runs on files that libFuzzer makes", seconds)


def kernel(seconds):
    what = "the kernel of load_scalars, under sanitizers, on pieces of records and of raw bytes that libFuzzer makes"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "fuzz_scan"
        sources = [TESTS / "torture" / "fuzz_scan.c", *(CSRC / f"{name}.c" for name in NEEDED)]
        command = ["clang", "-std=c11", "-g", "-O1", "-fsanitize=fuzzer,address,undefined", f"-I{CSRC}", *sources]
        try:
            subprocess.run([*command, "-lm", "-lpthread", "-o", program], check=True, capture_output=True, timeout=120)
        except (FileNotFoundError, subprocess.CalledProcessError):
            return Row(what, 0, 0, 0, "skipped: there is no clang with libFuzzer")
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for path in CORPUS.iterdir():
            content = path.read_bytes()
            (corpus / path.name).write_bytes(bytes([RAW, 50, 1]) + content)
            records = b"".join(bytes([min(len(data) // 2, 255)]) + data for data in _records(content))
            for how in range(RAW):
                (corpus / f"{path.name}.{how}").write_bytes(bytes([how, 50, 1]) + records)
        return _search([program], what, seconds, corpus)


def memory(count):
    """Run each test of test_any_memory.py with `count` examples."""
    tests = [test for name, test in vars(test_any_memory).items() if name.startswith("test_")]
    for test in tests:
        settings(max_examples=count, database=None, suppress_health_check=list(HealthCheck))(test)()
    return Row("the kernels on arrays of any type in any memory, beside numpy", count * len(tests), 0, 0)


def _fuzz(check, what, seconds):
    if importlib.util.find_spec("atheris") is None:
        return Row(what, 0, 0, 0, "skipped: atheris is not installed")
    with tempfile.TemporaryDirectory() as folder:
        corpus = shutil.copytree(CORPUS, Path(folder) / "corpus")
        return _search([sys.executable, "-m", "torture.fuzz", check], what, seconds, corpus)


def _search(command, what, seconds, corpus):
    limits = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20"]
    at_most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # a child's peak begins at its parent's
    limits += ["-malloc_limit_mb=1024", f"-rss_limit_mb={at_most + 4096}"]
    command = [*command, *limits, "-print_final_stats=1", str(corpus)]
    result = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=seconds + 120)
    assert result.returncode == 0, result.stdout + result.stderr  # the seed and the input are in there
    tried = int(re.search(r"number_of_executed_units: (\d+)", result.stderr)[1])
    return Row(what, tried, 0, 0, f"{len(list(corpus.iterdir()))} ways through the code")


def mutate(data, size, seed):
    """Mutate a file like libFuzzer, but mostly within a record, and correct its checksums: else all would fail there.

    Half of these mutations change a field of the message, as lengths must also agree within messages.
    """
    choose = random.Random(seed)
    records = list(_records(data))
    if not records or choose.random() < 0.2:
        return atheris.Mutate(data, size)
    i = choose.randrange(len(records))
    try:
        event = Event.FromString(records[i])
    except DecodeError:
        event = None
    if event is None or choose.random() < 0.5:
        records[i] = atheris.Mutate(records[i], len(records[i]) + 64)
    else:
        _change(event, choose)
        records[i] = event.SerializeToString()
    return b"".join(map(_core.frame, records))[:size]


def _change(message, choose):
    """Change one field of a message, or of a message within it."""
    there = [field for field, _ in message.ListFields()]
    field = choose.choice(there if there and choose.random() < 0.8 else message.DESCRIPTOR.fields)
    old = getattr(message, field.name)
    if hasattr(old, "extend"):
        if field.message_type is not None:
            _change(choose.choice(old) if old and choose.random() < 0.8 else old.add(), choose)
        elif old and choose.random() < 0.5:
            old.pop()
        else:
            old.append(_value(field, choose, b""))
    elif field.message_type is not None:
        _change(old, choose)
    else:
        setattr(message, field.name, _value(field, choose, old))


def _value(field, choose, old):
    if field.type == field.TYPE_BYTES:
        return atheris.Mutate(old, len(old) + 64)
    if field.type == field.TYPE_STRING:
        return choose.choice(["", "\x1b", *PLUGIN_KINDS])
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return choose.choice([0.0, -0.5, 1e300, math.nan, math.inf])
    return choose.choice([False, True] if field.type == field.TYPE_BOOL else [0, 99, *DTYPES])


def _records(data):
    """Yield the data of each record, whether its checksums are right or not."""
    while len(data) >= 16:
        end = 12 + int.from_bytes(data[:8], "little")
        yield data[12:end]
        data = data[end + 4 :]


if __name__ == "__main__":
    if len(sys.argv) > 2:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events.out.tfevents"
            check = sys.argv.pop(1)

            def one(data):
                path.unlink(missing_ok=True)  # else ext4 flushes the file, since it is truncated and written again
                path.write_bytes(data)
                if check == "values":
                    check_values(path)
                elif check == "load":
                    check_load(path)
                else:
                    check_cli(path, [COMMANDS[len(data) % len(COMMANDS)]])  # all commands take eight times as long

            atheris.Setup(sys.argv, one, custom_mutator=mutate)
            atheris.Fuzz()  # does not return
    for row in (values, command_line, columns, kernel):
        print(row(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
