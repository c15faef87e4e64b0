"""Call a function after a module is imported, without starting the import."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def after_import(
    name: str,
    callback: Callable[[ModuleType], object],
    rescue: Callable[[ModuleType, Exception], object] | None = None,
) -> Callable[[], None]:
    """Call callback(module) now if the module is imported, and after each import or reload of it.

    rescue: called as rescue(module, error) if the module's own code raises. The import succeeds if `rescue` returns;
    to let it fail, `rescue` raises the error again.

    Returns a function that stops the calls. An exception of `callback` becomes the exception of the import. `callback`
    can run in two threads at once, and can still run once after the calls were stopped.
    """
    hook = _Hook(name, callback, rescue)
    sys.meta_path.insert(0, hook)  # before the check of sys.modules, or an import in between would be missed
    module = sys.modules.get(name)
    if getattr(getattr(module, "__spec__", None), "_initializing", False):
        try:
            module = import_module(name)  # Usually another thread imports the module: wait until it is done.
        except Exception:
            module = None  # The thread that imports the module raises its own exception.
    if module is not None:
        try:
            callback(module)
        except BaseException:
            hook.remove()
            raise
    return hook.remove


class _Hook(MetaPathFinder):
    """Finds one module with the other finders, and wraps its loader."""

    def __init__(self, name: str, callback: Callable[[ModuleType], object], rescue: Any) -> None:
        self.name = name
        self.callback = callback
        self.rescue = rescue
        self.searching: set[int] = set()  # The threads that are in find_spec: other finders may call it again.

    def remove(self) -> None:
        with suppress(ValueError):
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        thread = threading.get_ident()
        if name != self.name or thread in self.searching:
            return None
        self.searching.add(thread)
        try:
            finders = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]
            spec = next(filter(None, (finder.find_spec(name, path, target) for finder in finders)), None)
        finally:
            self.searching.discard(thread)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader(Loader):
    """Loads a module as its own loader does, then calls the hook's callback."""

    def __init__(self, loader: Any, hook: _Hook) -> None:
        self.loader = loader
        self.hook = hook

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the module's own loader: get_source, is_package and others."""
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self.loader
        try:
            self.loader.exec_module(module)
        except Exception as error:
            if self.hook.rescue is None:
                raise
            self.hook.rescue(module, error)
        else:
            self.hook.callback(module)
