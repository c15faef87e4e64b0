"""The layers of the code: which file may include or import which, and what each import may load."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each list is bottom-up: a file uses files in the lines above its own, and a module also those of its own folder.
CSRC = [
    {"status", "bits", "file"},
    {"buffer", "values", "crc32c", "starts"},
    {"wire", "decimal", "pixels", "histogram", "bins", "pr_curve", "queue"},
    {"event", "record", "fields", "siphash"},
    {"writer", "scan", "tally"},
]
TBC = [
    {"proto"},  # the messages
    {"errors", "import_hooks", "new_run", "notices"},
    {"dynamo", "convert"},
    {"_core"},  # the seam to csrc/
    {"encoder_thread", "kinds", "graphs"},  # turn arguments into messages, a module for each kind
    {"event_file"},
    {"file_writer"},
    {"writer"},
    {"summary"},
    {"compat"},
    {"patching", "testing"},
    {"__init__", "__main__"},
]
COMMANDS = ("dump", "tags", "show", "tail", "verify", "repair", "export", "diff", "stats")
READER = [  # a module imports those before it; of the rest of tbc only READER_USES and kernels
    *("files", "tags", "records", "events", "kinds", "scan", "tally"),  # the core: the oracle of the tests
    *("series", "loader", "load"),  # these load columns
    *("describe", "following", "verifying", "repairing", "pairs", "comparing", "export", "dataset", "plot", "unpack"),
    *("commands", *(f"commands.{name}" for name in ("printing", "problems", "selection", *COMMANDS))),
    *("__main__", "__init__"),
]
READER_USES = {"notices", "proto"}
READER_KERNELS = {("records", "_core"), ("verifying", "_scan"), ("loader", "_scan")}
CALLED_LATER = {"events", "series"}  # Value.decode imports kinds, and Run.hparams loader, when they are called
USE_THE_READER = {"compat", "testing"}

FOREIGN = {  # packages that a module, or those of a folder, may load when it is imported
    "proto": {"google"},
    "kinds": {"PIL", "google", "isal", "numpy"},
    "graphs": {"google", "numpy", "torch"},
    "summary": {"numpy"},
    "testing": {"pytest"},
    "reader.events": {"google"},
    "reader.kinds": {"google"},
    "reader.pairs": {"google", "numpy"},
    "reader.repairing": {"google"},
    "reader.comparing": {"numpy"},
    "reader.export": {"numpy"},
    "reader.plot": {"numpy"},
}


def level(name, house):
    (place,) = (place for place, names in enumerate(house) if name in names)  # add a new file to the list
    return place


def modules():
    """Yield each Python module: its name without "tbc.", and its syntax tree."""
    for pattern in ("tbc/**/*.py", "proto/*.py", "reader/**/*.py"):
        for path in sorted(ROOT.glob(pattern)):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[1:] if parts[0] == "tbc" else parts), ast.parse(path.read_text())


def imported(node, module):
    """Yield the names that the statements below `node` import."""
    folders = ["tbc", *module.split(".")]
    for statement in ast.walk(node):
        if isinstance(statement, ast.Import):
            yield from (name.name for name in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            relative = folders[: -statement.level] if statement.level else []
            source = ".".join([*relative, *([statement.module] if statement.module else [])])
            yield from (f"{source}.{name.name}" for name in statement.names)


def imported_of_tbc(source, module):
    return [name.split(".")[1:] for name in imported(source, module) if name.startswith("tbc.")]


def at_import(source):
    """Yield the statements that run when a module is imported."""
    for statement in source.body:
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef) and "TYPE_CHECKING" not in ast.dump(statement):
            yield statement


def test_includes_run_one_way():
    for path in sorted((ROOT / "csrc").iterdir()):
        text = path.read_text()
        for name in set(re.findall(r'#include "(\w+)\.h"', text)) - {path.stem}:
            assert level(name, CSRC) < level(path.stem, CSRC), f"{path.name} includes {name}.h"
        assert "Python.h" not in text


def test_every_file_of_csrc_opens_with_what_it_is():
    for path in sorted((ROOT / "csrc").iterdir()):
        assert path.read_text().startswith("/* "), path.name


def test_imports_run_one_way():
    for module, source in modules():
        room = module.partition(".")[0]
        for other, *_ in imported_of_tbc(source, module):
            if room == "reader":
                allowed = other in {"reader", *READER_USES} or (module.partition(".")[2], other) in READER_KERNELS
            elif other == "reader":
                allowed = room in USE_THE_READER
            else:
                allowed = other == room in ("kinds", "graphs", "compat") or level(other, TBC) < level(room, TBC)
            assert allowed, f"tbc.{module} imports tbc.{other}"


def test_imports_of_the_reader_run_one_way():
    for module, source in modules():
        room, _, name = module.partition(".")
        name = name.removesuffix(".__init__")
        if room == "reader" and name not in CALLED_LATER:
            for other, *below in imported_of_tbc(source, module):
                if other == "reader":
                    found = [place for place, known in enumerate(READER) if known in (below[0], ".".join(below[:2]))]
                    assert max(found, default=len(READER)) < READER.index(name), f"{module} imports {below}"


def test_one_module_warns():
    for module, source in modules():
        if module != "notices":
            assert "warnings.warn(" not in ast.unparse(source), module


def test_what_is_heavy_is_imported_by_what_needs_it():
    for module, source in modules():
        allowed = FOREIGN.get(module, FOREIGN.get(module.partition(".")[0], set()))
        for statement in at_import(source):
            roots = {name.partition(".")[0] for name in imported(statement, module)}
            assert roots - {"tbc", "__future__"} - set(sys.stdlib_module_names) <= allowed, module


@pytest.mark.parametrize("name", ["_core", "_scan"])
def test_the_seam_declares_headers_and_nothing_else(name):
    for line in (ROOT / "tbc" / f"{name}.pxd").read_text().splitlines():
        assert not re.match(r"(cdef (?!extern)|cpdef|def |import)", line), line
    source = (ROOT / "tbc" / f"{name}.pyx").read_text()
    assert "cdef extern" not in source
    assert "numpy" not in re.sub(r'""".*?"""', "", source, flags=re.S)
    for names in re.findall(r"from tbc import (.*)", source):
        assert all(level(other, TBC) < level("_core", TBC) for other in names.split(", "))
