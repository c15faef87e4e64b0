"""after_import: a callback runs after each import of a module, whatever imports it."""

import importlib
import importlib.util
import sys
import threading

import pytest

from tbc.import_hooks import after_import

NAME = "imported_by_tests"


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The source file of a module that is not imported yet."""
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    path = tmp_path / f"{NAME}.py"
    path.write_text("value = 1\n")
    yield path
    sys.modules.pop(NAME, None)
    assert sys.meta_path == finders


def test_now_later_and_after_a_reload(source):
    seen = []
    stop = after_import(NAME, lambda module: seen.append(("first", module.value)))
    assert seen == []
    assert NAME not in sys.modules
    module = importlib.import_module(NAME)
    assert type(module.__loader__).__name__ == type(module.__spec__.loader).__name__ == "SourceFileLoader"
    stop_other = after_import(NAME, lambda module: seen.append(("second", module.value)))
    assert seen == [("first", 1), ("second", 1)]
    importlib.reload(module)
    assert sorted(seen[2:]) == [("first", 1), ("second", 1)]
    stop()
    stop()
    del sys.modules[NAME]
    importlib.import_module(NAME)
    assert seen[4:] == [("second", 1)]
    stop_other()
    importlib.reload(sys.modules[NAME])
    assert len(seen) == 5


def test_a_look_for_the_module_calls_nothing(source):
    seen = []
    stop = after_import(NAME, seen.append)
    spec = importlib.util.find_spec(NAME)
    assert "value" in spec.loader.get_source(NAME)
    assert not spec.loader.is_package(NAME)
    assert importlib.util.find_spec(f"no_{NAME}") is None
    stop()
    assert not seen
    assert NAME not in sys.modules


def test_an_error_of_the_callback_is_the_imports(source):
    def fail(module):
        raise KeyError("callback")

    stop = after_import(NAME, fail)
    with pytest.raises(KeyError, match="callback"):
        importlib.import_module(NAME)
    assert NAME not in sys.modules
    stop()
    importlib.import_module(NAME)
    with pytest.raises(KeyError, match="callback"):
        after_import(NAME, fail)  # it raises, so no hook is installed


def test_a_module_that_fails_can_be_rescued(source):
    source.write_text("value = 1\nimport no_such_module\n")
    stop = after_import(NAME, lambda module: pytest.fail("called"))
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        importlib.import_module(NAME)
    stop()
    stop = after_import(NAME, pytest.fail, lambda module, error: setattr(module, "value", error.name))
    assert importlib.import_module(NAME).value == "no_such_module"
    stop()


def test_another_thread_imports_it(source, tmp_path):
    """after_import() waits for the end of the import, and then calls the callback."""
    source.write_text("import threading, sys\nsys.started.set()\nsys.go.wait(60)\nvalue = 2\n")
    sys.started, sys.go = threading.Event(), threading.Event()
    try:
        importing = threading.Thread(target=importlib.import_module, args=[NAME])
        importing.start()
        sys.started.wait(60)
        seen, stops = [], []
        waiting = threading.Thread(target=lambda: stops.append(after_import(NAME, lambda m: seen.append(m.value))))
        waiting.start()
        sys.go.set()
        importing.join()
        waiting.join()
    finally:
        del sys.started, sys.go
    assert seen == [2]
    stops[0]()


def test_a_lazy_module_loads_when_it_is_used(source):
    source.write_text("import sys\nsys.modules[__name__].value = 3\n")
    seen = []
    stop = after_import(NAME, lambda module: seen.append(module.value))
    spec = importlib.util.find_spec(NAME)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    assert not seen
    assert module.value == 3
    assert seen == [3]
    stop()
