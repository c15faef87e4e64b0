"""Replaces the writers of torch and tensorboardX by tbc's, so that programs and frameworks use tbc without a change.

    import tbc

    tbc.patch_torch()  # before or after other imports

Every name of an original class in an imported module is bound to a new class: in the package, and in modules that have
imported the class from it. The patch imports no package: one that is imported later is patched after its import. A new
class is a subclass of both tbc's and the package's class, and isinstance accepts objects of either.
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

Pair = tuple[Any, Any]  # an object of a package, and its replacement

_TORCH_NAME = "torch.utils.tensorboard"

# `_lock` lets one patch or undo run at a time. Its holder may wait for a thread that imports a module of the package.
# That thread takes `_rebinding` when the module is there, so the holder of `_rebinding` imports no such module.
_lock = threading.RLock()
_rebinding = threading.RLock()
_namespace: Callable[[ModuleType], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__  # loads no lazy module


class Patch:
    """Replaces a package's writers by tbc's until undo() is called or the with-block ends.

    If a package has several Patches, the last undo() counts. Writers that were made under a patch stay tbc's.
    """

    def __init__(self, package: _Package) -> None:
        self._package: _Package | None = package
        package.enter()

    def undo(self) -> None:
        """Gives the package its own writers back; a second call does nothing."""
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
    """Patches a package, now or when it is imported.

    modules: the names of its modules that define what is replaced; the last is the package itself.
    pairs: returns the pairs to replace in one of these modules; called when that module is imported.
    stand_in: returns the content of one of these modules if it cannot be imported because tensorboard is missing.
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
        self.stops: list[Callable[[], None]] = []  # functions that stop the import hooks
        self.replaced: list[Pair] = []
        self.patched: list[ModuleType] = []  # some may not be in sys.modules any more, but still in use
        self.stand_ins: list[ModuleType] = []

    def enter(self) -> None:
        with _lock:
            self.uses += 1
            if self.uses > 1:
                return
            try:
                for name in self.modules:
                    self.stops.append(after_import(name, self.replace, self.rescue))
            except BaseException:  # such as a warning that is turned into an error
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
        """Replace the pairs of a module that was imported or reloaded, except those that are replaced already."""
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
                    package = self.modules[-1]
                    warn(f"{name} was derived from {package}'s {old.__name__} and does not use tbc; patch before that")

    def rescue(self, module: ModuleType, error: Exception) -> None:
        """Fill a module whose import failed because tensorboard is missing; raise any other error again."""
        if self.stand_in is None or not isinstance(error, ModuleNotFoundError) or error.name != "tensorboard":
            raise error
        with _rebinding:
            if not self.uses:
                raise error
            self.stand_ins.append(module)
        vars(module).update(self.stand_in(module))


def patch_torch() -> Patch:
    """Replaces torch.utils.tensorboard's SummaryWriter and FileWriter by tbc's, even where they are already imported.

    The functions of torch.utils.tensorboard.summary that make messages are replaced, too; the messages are still of
    tensorboard's protobuf classes. Without tensorboard, torch's own writer cannot be imported;
    torch.utils.tensorboard then has tbc's classes and functions only.

    Returns a Patch: its undo() or the end of its with-block restores torch's classes. The call does not import
    torch.utils.tensorboard; if that is imported later, it is patched then.

    A class that was derived from torch's before the patch is not changed; a warning says so. A class that is derived
    later can have no metaclass except ABCMeta. Replace methods of classes, as mlflow.autolog() does, after the patch.

    To do the same without changing the program, set TBC_PATCH_TORCH=1 in the environment, or run
    python -m tbc train.py.
    """
    return Patch(_TORCH)


def patch_tensorboardx() -> Patch:
    """Replaces tensorboardX's SummaryWriter, GlobalSummaryWriter and FileWriter by those of tbc.compat.tensorboardx.

    Functions are not replaced. Undoing, later imports and derived classes are as in patch_torch. Ray logs with
    tensorboardX; pytorch-ignite does if tensorboardX is installed. To do the same without changing the program, set
    TBC_PATCH_TENSORBOARDX=1 in the environment, or run python -m tbc train.py.
    """
    return Patch(_TENSORBOARDX)


def patch_as_environment_says() -> None:
    """Patch what TBC_PATCH_TORCH and TBC_PATCH_TENSORBOARDX name. tbc.pth calls this at the start of each process."""
    for variable, patch in (("TBC_PATCH_TORCH", patch_torch), ("TBC_PATCH_TENSORBOARDX", patch_tensorboardx)):
        if os.environ.get(variable, "0") not in ("", "0"):
            patch()


def _rebind(pairs: Iterable[Pair], others: Iterable[ModuleType] = ()) -> None:
    """Bind every name of an old object to the new one, in imported modules and in `others`, except tbc's modules."""
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
            import_module(f"{_TORCH_NAME}.{name}")  # needs tensorboard, too, so `rescue` fills it
    return {"FileWriter": file_writer.FileWriter, "SummaryWriter": writer.SummaryWriter}


def _class_pairs(module: ModuleType, *classes: Any) -> list[Pair]:
    """Pair a module's classes with ours of the same names. Pass FileWriter first: SummaryWriter needs its pair."""
    pairs: list[Pair] = []
    for ours in classes:
        theirs = getattr(module, ours.__name__, None)
        if isinstance(theirs, type):
            members = {"_FileWriter": pairs[0][1]} if pairs and hasattr(ours, "_FileWriter") else {}
            pairs.append((theirs, _also(ours, theirs, **members)))
    return pairs


@functools.cache
def _also(ours: Any, theirs: Any, **members: Any) -> Any:
    """Return a subclass of both classes, with these members; isinstance accepts objects of either class."""
    if issubclass(theirs, ours):  # made by this function before; the module was imported again under the patch
        return theirs

    class Meta(ABCMeta):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, (ours, theirs)) if cls is both else super().__instancecheck__(instance)

        def __subclasscheck__(cls, subclass: Any) -> bool:
            return issubclass(subclass, (ours, theirs)) if cls is both else super().__subclasscheck__(subclass)

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        """Pickle `both` as our class: in another process, the name may be that of torch's class."""
        _, (kind,), *state = ours.__reduce_ex__(self, protocol)
        return _new, (ours if kind is both else kind,), *state

    members |= {"__doc__": ours.__doc__, "__module__": theirs.__module__, "__reduce_ex__": __reduce_ex__}
    both = Meta(theirs.__name__, (ours, theirs), members)
    return both


def _new(kind: Any) -> Any:
    return kind.__new__(kind)


@functools.cache
def _of_tensorboard(function: FunctionType, theirs: FunctionType) -> Callable[..., Any]:
    """Make our function return messages of tensorboard's classes: a program may put them into other messages."""
    if theirs.__module__ == function.__module__:  # made by this function before, as in _also
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


# A module follows the modules that it imports, so that it already has their replacements.
_TORCH = _Package((f"{_TORCH_NAME}.summary", f"{_TORCH_NAME}.writer", _TORCH_NAME), _torch_pairs, _torch_stand_in)
_TENSORBOARDX = _Package(("tensorboardX.writer", "tensorboardX.global_writer", "tensorboardX"), _tensorboardx_pairs)
