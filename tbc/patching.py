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
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import ModuleType, TracebackType
from typing import Any

from tbc.file_writer import warn

Pair = tuple[Any, Any]  # what a package has, and what takes its place

_lock = threading.RLock()
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


class _Package(MetaPathFinder):
    """A package to be patched, from the moment it is imported.

    pairs: makes the list of what is replaced, when the package is there.
    stand_in: makes the modules that take its place, if it cannot be imported for want of tensorboard.
    """

    def __init__(
        self,
        name: str,
        pairs: Callable[[], list[Pair]],
        stand_in: Callable[[ModuleType], dict[str, ModuleType]] | None = None,
    ) -> None:
        self.name = name
        self.pairs = pairs
        self.stand_in = stand_in
        self.uses: int = 0
        self.replaced: list[Pair] = []
        self.modules: dict[str, ModuleType] = {}  # that stand in
        self.is_searching: bool = False

    def enter(self) -> None:
        with _lock:
            self.uses += 1
            if self.uses > 1:
                return
            sys.meta_path.insert(0, self)
            if sys.modules.get(self.name) is not None:
                try:
                    self.replace()
                except BaseException:  # a warning that is an error, for one
                    self.leave()
                    raise

    def leave(self) -> None:
        with _lock:
            self.uses -= 1
            if self.uses > 0:
                return
            sys.meta_path.remove(self)
            _rebind((new, old) for old, new in self.replaced)
            for name, module in self.modules.items():
                parent, _, last = name.rpartition(".")
                if sys.modules.pop(name, None) is module and parent in sys.modules:
                    _namespace(sys.modules[parent]).pop(last, None)
            self.replaced, self.modules = [], {}

    def replace(self) -> None:
        pairs = self.pairs()
        self.replaced += pairs
        _rebind(pairs)
        for old, new in pairs:
            if isinstance(old, type):
                for subclass in set[type](old.__subclasses__()) - {new}:
                    name = f"{subclass.__module__}.{subclass.__qualname__}"
                    warn(f"{name} was derived from {self.name}'s {old.__name__} before the patch, and stays so")

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != self.name or self.is_searching:
            return None
        self.is_searching = True  # other finders may do as this one does
        try:
            finders = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]
            spec = next(filter(None, (finder.find_spec(name, path, target) for finder in finders)), None)
        finally:
            self.is_searching = False
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchingLoader(spec.loader, self)
        return spec


class _PatchingLoader(Loader):
    """Loads a package as its own loader does, and patches it then."""

    def __init__(self, loader: Loader, package: _Package) -> None:
        self.loader = loader
        self.package = package

    def __getattr__(self, name: str) -> Any:
        """What others want to know of it."""
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self.loader
        try:
            self.loader.exec_module(module)
        except ModuleNotFoundError as error:
            if error.name != "tensorboard" or self.package.stand_in is None:
                raise
            self.package.modules = self.package.stand_in(module)
            sys.modules.update(self.package.modules)
        else:
            self.package.replace()


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


def _rebind(pairs: Iterable[Pair]) -> None:
    """In all modules that have got hold of one."""
    by_id = {id(old): (old, new) for old, new in pairs}
    for name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType) or name.partition(".")[0] == "tbc":
            continue
        namespace = _namespace(module)
        for key, value in list(namespace.items()):
            old, new = by_id.get(id(value), (None, None))
            if old is not None:
                namespace[key] = new


def _torch_pairs() -> list[Pair]:
    torch_summary, torch_writer = (import_module(f"torch.utils.tensorboard.{name}") for name in ("summary", "writer"))
    from tbc import file_writer, summary, writer

    files = _also(file_writer.FileWriter, torch_writer.FileWriter)
    summaries = _also(writer.SummaryWriter, torch_writer.SummaryWriter, _FileWriter=files)
    functions = [
        (getattr(torch_summary, name), _of_tensorboard(getattr(summary, name)))
        for name in summary.__all__
        if hasattr(torch_summary, name)
    ]
    return [(torch_writer.FileWriter, files), (torch_writer.SummaryWriter, summaries), *functions]


def _torch_stand_in(package: ModuleType) -> dict[str, ModuleType]:
    """The package, which is empty, and its submodules."""
    from tbc import file_writer, summary, writer

    writers = {"FileWriter": file_writer.FileWriter, "SummaryWriter": writer.SummaryWriter}
    functions = {name: getattr(summary, name) for name in summary.__all__}
    submodules = {
        name: module_from_spec(ModuleSpec(f"{package.__name__}.{name}", None)) for name in ("summary", "writer")
    }
    vars(submodules["writer"]).update(writers)
    vars(submodules["summary"]).update(functions)
    vars(package).update(writers | submodules)
    return {module.__name__: module for module in (package, *submodules.values())}


@functools.cache
def _also(ours: Any, theirs: Any, **members: Any) -> Any:
    """Our class, with these members, whose objects are instances of theirs, too, and theirs of it."""

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
def _of_tensorboard(function: Callable[..., Any]) -> Callable[..., Any]:
    """With messages of tensorboard's classes, to be put into other ones of them."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    def convert(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(convert, value))
        return Summary.FromString(value.SerializeToString()) if hasattr(value, "SerializeToString") else value

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        return convert(function(*arguments, **keywords))

    return call


def _tensorboardx_pairs() -> list[Pair]:
    import tensorboardX

    from tbc.compat import tensorboardx

    files = _also(tensorboardx.FileWriter, tensorboardX.FileWriter)
    summaries = _also(tensorboardx.SummaryWriter, tensorboardX.SummaryWriter, _FileWriter=files)
    shared = _also(tensorboardx.GlobalSummaryWriter, tensorboardX.GlobalSummaryWriter)
    theirs = tensorboardX.FileWriter, tensorboardX.SummaryWriter, tensorboardX.GlobalSummaryWriter
    return list(zip(theirs, (files, summaries, shared), strict=True))


_TORCH = _Package("torch.utils.tensorboard", _torch_pairs, _torch_stand_in)
_TENSORBOARDX = _Package("tensorboardX", _tensorboardx_pairs)
