"""tbc's writers in the place of torch's and tensorboardX's, so that programs and frameworks use them unchanged.

    import tbc

    tbc.patch_torch()  # before or after other imports

What the packages offer under their public names is rebound, and wherever a module has got hold of it by an import. If a
package is not imported yet, that waits until it is: nothing is imported here. The classes that take the place of
torch's are subclasses of torch's, too, so that whoever holds the one or the other finds isinstance to be true.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from abc import ABCMeta
from collections.abc import Callable, Iterable
from importlib import import_module
from types import FunctionType, ModuleType, TracebackType
from typing import Any

from tbc.import_hooks import after_import
from tbc.notices import warn

Pair = tuple[Any, Any]  # what a package has, and what takes its place

_TORCH_NAME = "torch.utils.tensorboard"

# `_lock` lets one patch or undo run at a time. Its holder may wait for a thread that imports a module of the package.
# That thread takes `_rebinding` when the module is there, so the holder of `_rebinding` imports no such module.
_lock = threading.RLock()
_rebinding = threading.RLock()
_namespace: Callable[[ModuleType], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__  # loads no lazy module


class Patch:
    """A package's writers are tbc's until undo() is called, or the with-block ends; of several, until the last ends.

    Writers that were made meanwhile stay what they are.
    """

    def __init__(self, package: _Package) -> None:
        self._package: _Package | None = package
        package.enter()

    def undo(self) -> None:
        """Gives the package its own writers back; calling it again does nothing."""
        package, self._package = self._package, None
        if package is not None:
            package.leave()

    def __enter__(self) -> Patch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.undo()


class _Package:
    """A package to be patched, from the moment it is imported.

    modules: the names of its modules that hold what is replaced, its own as the last.
    pairs: makes the list of what is replaced in one of these modules, when it is imported.
    stand_in: makes what such a module holds if it cannot be imported for want of tensorboard.
    """

    def __init__(
        self,
        modules: tuple[str, ...],
        pairs: Callable[[ModuleType], list[Pair]],
        stand_in: Callable[[ModuleType], dict[str, Any]] | None = None,
    ) -> None:
        self.modules = modules
        self.pairs = pairs
        self.stand_in = stand_in
        self.uses: int = 0
        self.stops: list[Callable[[], None]] = []  # of the hooks that wait for imports of its modules
        self.replaced: list[Pair] = []
        self.patched: list[ModuleType] = []  # sys.modules may have lost some, which others still hold
        self.stand_ins: list[ModuleType] = []

    def enter(self) -> None:
        with _lock:
            self.uses += 1
            if self.uses > 1:
                return
            try:
                for name in self.modules:
                    self.stops.append(after_import(name, self.replace, self.rescue))
            except BaseException:  # a warning that is an error, for one
                self.leave()
                raise

    def leave(self) -> None:
        with _lock:
            self.uses -= 1
            if self.uses > 0:
                return
            while self.stops:
                self.stops.pop()()
            with _rebinding:
                _rebind(((new, old) for old, new in self.replaced), self.patched)
                for module in self.stand_ins:
                    parent, _, last = module.__name__.rpartition(".")
                    if sys.modules.get(module.__name__) is module:
                        del sys.modules[module.__name__]
                        _namespace(sys.modules[parent]).pop(last, None) if parent in sys.modules else None
                self.replaced, self.patched, self.stand_ins = [], [], []

    def replace(self, module: ModuleType) -> None:
        """Put tbc's in the place of what a module holds. After a reload, some of that can be tbc's already."""
        with _rebinding:
            if not self.uses:  # undone while another thread imported the module
                return
            pairs = [(old, new) for old, new in self.pairs(module) if old is not new]
            self.replaced += pairs
            self.patched.append(module)
            _rebind(pairs)
        for old, new in pairs:
            if isinstance(old, type):
                for subclass in set[type](old.__subclasses__()) - {new}:
                    name = f"{subclass.__module__}.{subclass.__qualname__}"
                    warn(f"{name} was derived from {self.modules[-1]}'s {old.__name__} before the patch, and stays so")

    def rescue(self, module: ModuleType, error: Exception) -> None:
        if self.stand_in is None or not isinstance(error, ModuleNotFoundError) or error.name != "tensorboard":
            raise error
        with _rebinding:
            if not self.uses:
                raise error
            self.stand_ins.append(module)
        vars(module).update(self.stand_in(module))


def patch_torch() -> Patch:
    """From now on torch.utils.tensorboard's SummaryWriter and FileWriter are tbc's, whoever imports or imported them.

    So are the functions of torch.utils.tensorboard.summary that make messages: their messages are of tensorboard's
    protobuf classes as before. Without tensorboard, torch.utils.tensorboard holds nothing but tbc's (torch's own cannot
    be imported then).

    Returns a Patch, to undo it, or for a with-block. Nothing is imported: if torch is not, the patch waits for it.

    It warns of classes that were derived from torch's before, for it is too late for them; those that are derived later
    may have no other metaclass than ABCMeta. Who replaces methods of the classes, as mlflow.autolog() does, should do
    so after the patch.

    The same without a changed line: TBC_PATCH_TORCH=1 in the environment, or python -m tbc train.py.
    """
    return Patch(_TORCH)


def patch_tensorboardx() -> Patch:
    """From now on tensorboardX's SummaryWriter, GlobalSummaryWriter and FileWriter are tbc.compat.tensorboardx's.

    As patch_torch otherwise. Ray logs with tensorboardX, and pytorch-ignite where it is installed. Without a changed
    line: TBC_PATCH_TENSORBOARDX=1 in the environment, or python -m tbc train.py.
    """
    return Patch(_TENSORBOARDX)


def patch_as_environment_says() -> None:
    """What a Python process of an environment with tbc begins with, by tbc.pth."""
    for variable, patch in (("TBC_PATCH_TORCH", patch_torch), ("TBC_PATCH_TENSORBOARDX", patch_tensorboardx)):
        if os.environ.get(variable, "0") not in ("", "0"):
            patch()


def _rebind(pairs: Iterable[Pair], others: Iterable[ModuleType] = ()) -> None:
    """In all modules that have got hold of one, and in these others."""
    by_id = {id(old): (old, new) for old, new in pairs}
    for name, module in [*sys.modules.items(), *((module.__name__, module) for module in others)]:
        if not isinstance(module, ModuleType) or name.partition(".")[0] == "tbc":
            continue
        namespace = _namespace(module)
        for key, value in list(namespace.items()):
            old, new = by_id.get(id(value), (None, None))
            if old is not None:
                namespace[key] = new


def _torch_pairs(module: ModuleType) -> list[Pair]:
    from tbc import file_writer, summary, writer

    functions = [(getattr(module, name, None), getattr(summary, name)) for name in summary.__all__]
    return [
        *_class_pairs(module, file_writer.FileWriter, writer.SummaryWriter),
        *((theirs, _of_tensorboard(ours, theirs)) for theirs, ours in functions if isinstance(theirs, FunctionType)),
    ]


def _torch_stand_in(module: ModuleType) -> dict[str, Any]:
    from tbc import file_writer, summary, writer

    if module.__name__ == f"{_TORCH_NAME}.summary":
        return {name: getattr(summary, name) for name in summary.__all__}
    if module.__name__ == _TORCH_NAME:
        for name in ("summary", "writer"):
            import_module(f"{_TORCH_NAME}.{name}")  # which fails, and is rescued as the package is
    return {"FileWriter": file_writer.FileWriter, "SummaryWriter": writer.SummaryWriter}


def _class_pairs(module: ModuleType, *classes: Any) -> list[Pair]:
    """What a module has of classes of these names, and these. A FileWriter stands first: SummaryWriters make it."""
    pairs: list[Pair] = []
    for ours in classes:
        theirs = getattr(module, ours.__name__, None)
        if isinstance(theirs, type):
            members = {"_FileWriter": pairs[0][1]} if pairs and hasattr(ours, "_FileWriter") else {}
            pairs.append((theirs, _also(ours, theirs, **members)))
    return pairs


@functools.cache
def _also(ours: Any, theirs: Any, **members: Any) -> Any:
    """Our class, with these members, whose objects are instances of theirs, too, and theirs of it."""
    if issubclass(theirs, ours):  # a product of this function: its module was imported once more under the patch
        return theirs

    class Meta(ABCMeta):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, (ours, theirs)) if cls is both else super().__instancecheck__(instance)

        def __subclasscheck__(cls, subclass: Any) -> bool:
            return issubclass(subclass, (ours, theirs)) if cls is both else super().__subclasscheck__(subclass)

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        """In another process torch's may have its own name back."""
        _, (kind,), *state = ours.__reduce_ex__(self, protocol)
        return _new, (ours if kind is both else kind,), *state

    members |= {"__doc__": ours.__doc__, "__module__": theirs.__module__, "__reduce_ex__": __reduce_ex__}
    both = Meta(theirs.__name__, (ours, theirs), members)
    return both


def _new(kind: Any) -> Any:
    return kind.__new__(kind)


@functools.cache
def _of_tensorboard(function: FunctionType, theirs: FunctionType) -> Callable[..., Any]:
    """Our function in the place of theirs. Its messages are of tensorboard's classes, to be put into other ones."""
    if theirs.__module__ == function.__module__:  # a product of this function, as in _also
        return theirs
    from tensorboard.compat.proto.summary_pb2 import Summary

    def convert(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(convert, value))
        return Summary.FromString(value.SerializeToString()) if hasattr(value, "SerializeToString") else value

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        return convert(function(*arguments, **keywords))

    return call


def _tensorboardx_pairs(module: ModuleType) -> list[Pair]:
    from tbc.compat import tensorboardx

    if module.__name__ == "tensorboardX.global_writer":
        return _class_pairs(module, tensorboardx.GlobalSummaryWriter)
    return _class_pairs(module, tensorboardx.FileWriter, tensorboardx.SummaryWriter, tensorboardx.GlobalSummaryWriter)


# In the order in which they import each other, so that each finds what is replaced in those before.
_TORCH = _Package((f"{_TORCH_NAME}.summary", f"{_TORCH_NAME}.writer", _TORCH_NAME), _torch_pairs, _torch_stand_in)
_TENSORBOARDX = _Package(("tensorboardX.writer", "tensorboardX.global_writer", "tensorboardX"), _tensorboardx_pairs)
