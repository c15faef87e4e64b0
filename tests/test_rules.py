"""Includes and imports run one way, and what is heavy is loaded late."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

INCLUDES = {  # what each pair of files may include of csrc
    "status": set(),
    "buffer": {"status"},
    "bits": set(),
    "wire": {"bits", "buffer", "status"},
    "event": {"wire", "buffer", "status"},
    "crc32c": {"status"},
    "values": {"bits"},
    "decimal": {"bits", "values"},
    "pixels": {"values"},
    "histogram": {"bits", "values"},
    "bins": {"bits", "status", "values"},
    "pr_curve": {"values"},
    "record": {"buffer", "crc32c", "status", "wire"},
    "queue": {"buffer", "status"},
    "file": set(),
    "siphash": {"wire"},
    "fields": {"wire"},
    "starts": {"status"},
    "scan": {"crc32c", "fields", "record", "siphash", "starts", "wire"},
    "tally": {"crc32c", "fields", "record", "siphash", "starts", "status", "wire"},
    "writer": {"buffer", "file", "queue", "record", "status"},
}

IMPORTS = {  # what each module may import of tbc
    "tbc": {"tbc.file_writer", "tbc.patching", "tbc.runs", "tbc.writer"},
    "tbc.__main__": {"tbc.patching"},
    "tbc.runs": set(),
    "tbc.import_hooks": set(),
    "tbc.dynamo": {"tbc.import_hooks"},
    "tbc.patching": {"tbc.compat.tensorboardx", "tbc.file_writer", "tbc.import_hooks", "tbc.summary", "tbc.writer"},
    "tbc.messages": set(),
    "tbc.convert": {"tbc.messages"},
    "tbc.background": {"tbc._core"},
    "tbc.images": {"tbc._core", "tbc.convert", "tbc.dynamo"},
    "tbc.boxes": {"tbc.convert", "tbc.dynamo", "tbc.images"},
    "tbc.video": {"tbc._core", "tbc.convert", "tbc.images"},
    "tbc.audio": {"tbc.convert"},
    "tbc.histograms": {"tbc._core", "tbc.convert"},
    "tbc.pr_curves": {"tbc._core", "tbc.convert"},
    "tbc.meshes": {"tbc.convert", "tbc.proto"},
    "tbc.layouts": {"tbc.proto"},
    "tbc.hparams": {"tbc.convert", "tbc.proto"},
    "tbc.graphs": {"tbc.proto"},
    "tbc.onnx_graphs": {"tbc.graphs", "tbc.proto"},
    "tbc.traced_graphs": {"tbc.graphs"},
    "tbc.recorded_graphs": {"tbc.graphs"},
    "tbc.torch_graphs": {"tbc.dynamo", "tbc.recorded_graphs", "tbc.traced_graphs"},
    "tbc.embeddings": {"tbc._core", "tbc.convert", "tbc.images", "tbc.proto"},
    "tbc.file_writer": {"tbc._core", "tbc.background", "tbc.dynamo", "tbc.proto", "tbc.runs"},
    "tbc.writer": {"tbc._core", "tbc.convert", "tbc.file_writer", "tbc.messages"}
    | {
        f"tbc.{kind}"
        for kind in ("audio", "boxes", "embeddings", "histograms", "hparams", "images", "layouts", "meshes")
    }
    | {"tbc.pr_curves", "tbc.video", "tbc.graphs", "tbc.onnx_graphs", "tbc.torch_graphs"},
    "tbc.summary": {"tbc._core", "tbc.boxes", "tbc.dynamo", "tbc.hparams", "tbc.layouts", "tbc.meshes", "tbc.pr_curves"}
    | {"tbc.proto", "tbc.writer"},
    "tbc.compat": set(),
    "tbc.compat.inbox": set(),
    "tbc.compat.tensorboardx": {"tbc._core", "tbc.compat.inbox", "tbc.convert", "tbc.dynamo", "tbc.file_writer"}
    | {"tbc.hparams", "tbc.reader.load", "tbc.summary", "tbc.writer"},
    "tbc.proto": set(),
    "tbc.testing": {"tbc.proto", "tbc.reader.check", "tbc.reader.load", "tbc.reader.records", "tbc.reader.tags"},
}

READER = [  # each of its modules imports of it only what stands before
    *("files", "tags", "records", "events", "kinds", "describe", "scan", "tally", "load", "live", "check", "rescue"),
    *("pairs", "diff", "export", "dataset", "plot", "unpack", "commands", "__main__", "__init__"),
]
for place, name in enumerate(READER):
    module = f"tbc.reader.{name}".removesuffix(".__init__")
    IMPORTS[module] = {"tbc.proto", "tbc.reader", *(f"tbc.reader.{before}" for before in READER[:place])}
IMPORTS["tbc.reader.records"] |= {"tbc._core"}  # its CRC, and the kernel:
IMPORTS["tbc.reader.events"] |= {"tbc.reader.kinds"}  # in Value.decode, when it is called
IMPORTS["tbc.reader.check"] |= {"tbc._scan"}
IMPORTS["tbc.reader.load"] |= {"tbc._scan"}  # nothing else that is compiled, nor of the writer

FOREIGN = {  # other people's packages a module may import when it is imported, outside of functions
    "tbc.audio": {"numpy"},
    "tbc.boxes": {"PIL", "numpy"},
    "tbc.embeddings": {"google", "numpy"},
    "tbc.graphs": {"google"},
    "tbc.histograms": {"numpy"},
    "tbc.images": {"isal", "numpy"},
    "tbc.meshes": {"numpy"},
    "tbc.pr_curves": {"numpy"},
    "tbc.traced_graphs": {"torch"},
    "tbc.recorded_graphs": {"torch"},
    "tbc.torch_graphs": {"numpy", "torch"},
    "tbc.summary": {"numpy"},
    "tbc.video": {"PIL", "numpy"},
    "tbc.proto": {"google"},
    "tbc.reader.events": {"google"},
    "tbc.reader.export": {"numpy"},
    "tbc.reader.plot": {"numpy"},
    "tbc.reader.kinds": {"google"},
    "tbc.reader.diff": {"numpy"},
    "tbc.reader.pairs": {"google", "numpy"},
    "tbc.reader.rescue": {"google"},
    "tbc.testing": {"pytest"},
}


def modules():
    packages = {"tbc": "tbc", "tbc/compat": "tbc.compat", "proto": "tbc.proto", "reader": "tbc.reader"}
    for folder, package in packages.items():
        for path in sorted((ROOT / folder).glob("*.py")):
            yield (package if path.stem == "__init__" else f"{package}.{path.stem}"), path


def imported(node, module, is_package):
    """The modules that the statements below `node` import."""
    package = module if is_package else module.rpartition(".")[0]
    for statement in ast.walk(node):
        if isinstance(statement, ast.Import):
            yield from (name.name for name in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            source = (package + "." if statement.level else "") + (statement.module or "")
            for name in statement.names:
                inner = f"{source.rstrip('.')}.{name.name}"
                yield inner if inner in IMPORTS or inner in ("tbc._core", "tbc._scan") else source


def top_level(tree):
    for statement in tree.body:
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef) and "TYPE_CHECKING" not in ast.dump(statement):
            yield statement


def test_includes_run_one_way():
    for path in sorted((ROOT / "csrc").iterdir()):
        included = set(re.findall(r'#include "(\w+)\.h"', path.read_text()))
        assert included - {path.stem} <= INCLUDES[path.stem], path.name
        assert "Python.h" not in path.read_text()


def test_every_file_of_csrc_opens_with_what_it_is():
    for path in sorted((ROOT / "csrc").iterdir()):
        assert path.read_text().startswith("/* "), path.name


def test_imports_run_one_way():
    found = dict(modules())
    assert found.keys() == IMPORTS.keys()
    for module, path in found.items():
        names = set(imported(ast.parse(path.read_text()), module, path.stem == "__init__"))
        assert {name for name in names if name.partition(".")[0] == "tbc"} <= IMPORTS[module] | {"tbc"}, module


def test_what_is_heavy_is_imported_by_what_needs_it():
    for module, path in modules():
        for statement in top_level(ast.parse(path.read_text())):
            roots = {name.partition(".")[0] for name in imported(statement, module, path.stem == "__init__")}
            assert roots - {"tbc", "__future__"} - set(sys.stdlib_module_names) <= FOREIGN.get(module, set()), module


@pytest.mark.parametrize("name", ["_core", "_scan"])
def test_the_seam_declares_headers_and_nothing_else(name):
    for line in (ROOT / "tbc" / f"{name}.pxd").read_text().splitlines():
        assert not re.match(r"(cdef (?!extern)|cpdef|def |import)", line), line
    source = (ROOT / "tbc" / f"{name}.pyx").read_text()
    assert "cdef extern" not in source
    assert "numpy" not in re.sub(r'""".*?"""', "", source, flags=re.S)
