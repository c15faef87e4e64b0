"""Record the graph of a model that torch.jit.trace cannot trace: run it once, and make a node of each call of torch.

Recording works for all that the model can run: any Python, control flow that depends on data, dicts and dataclasses,
tensors without data. torch.export and torch.fx refuse much of that, and copy or compile the model. The scope of a node
is the path of the module that made the call: Net/ModuleList[blocks]/Linear[0]/linear.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from tbc import graphs

ATTRIBUTE, CONSTANT, INPUT_OR_OUTPUT = "prim::GetAttr", "prim::Constant", "IO Node"  # as in a traced graph
LONGEST = 1000  # characters of a call's arguments that a node shows


def record(model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """Call the model; return the NodeDef messages of the call. Raises what the model raises."""
    recorder = _Recorder(model)
    for name, value in inspect.signature(model.forward).bind(*args, **kwargs).arguments.items():
        recorder.give(name, value)
    with (
        register_module_forward_pre_hook(recorder.enter),  # global, so that the hooks of the model do not change
        register_module_forward_hook(recorder.leave, always_call=True),
        _eager(),
        recorder,
    ):
        result = model(*args, **kwargs)
    recorder.take(result)
    return recorder.nodes


def outline(model: Any) -> list[Any]:
    """Return the NodeDef messages of the modules, parameters and buffers of a model, without running it."""
    nodes = []
    for module, scope in _scopes(model).items():
        own = dict(_own(module))
        for name, tensor in own.items():
            nodes.append(graphs.node(f"{scope}/{name}", ATTRIBUTE, shapes=_shapes([tensor])))
        if not list(module.children()):
            inputs = [f"{scope}/{name}" for name in own]
            nodes.append(graphs.node(f"{scope}/{_class(module)}", _class(module), inputs, module.extra_repr()))
    return nodes


def tensors(value: Any, name: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (name, tensor) of each tensor in mappings, sequences, dataclasses and other objects: ("batch.ids", ...)."""
    if isinstance(value, torch.Tensor):
        yield name, value
        return
    if isinstance(value, Mapping):
        parts = dict(value)
    elif isinstance(value, (list, tuple)):
        parts = dict(enumerate(value))
    elif isinstance(value, (type, ModuleType, torch.nn.Module)):  # their tensors are not arguments of this call
        return
    elif dataclasses.is_dataclass(value):
        parts = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    else:
        parts = getattr(value, "__dict__", {})
    seen = set() if seen is None else seen
    if id(value) not in seen:  # an object may hold itself
        seen.add(id(value))
        for key, part in parts.items():
            yield from tensors(part, f"{name}.{key}", seen)


class _Recorder(TorchFunctionMode):  # type: ignore[misc]
    """Make a node of each call of torch that returns a tensor, but not of the calls that torch makes within it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.nodes: list[Any] = []
        self._taken: dict[str, int] = {}  # name of a node -> the last number appended to make another node unique
        self._scopes = _scopes(model)
        self._running = [self._scopes[model]]  # the scopes of the modules that run, the innermost last
        self._thread = threading.get_ident()
        self._sources = WeakIdKeyDictionary()  # tensor -> the output of a node, "name" or "name:1"
        self._unused = WeakIdKeyDictionary()  # tensor -> (name, op) of its node, which is made when a call uses it
        for module, scope in self._scopes.items():
            for name, tensor in _own(module):
                self._unused.setdefault(tensor, (f"{scope}/{name}", ATTRIBUTE))

    def give(self, name: str, value: Any) -> None:
        """Register an argument of the model."""
        for path, tensor in tensors(value, name):
            self._unused.setdefault(tensor, (f"input/{path}", INPUT_OR_OUTPUT))

    def take(self, result: Any) -> None:
        """Make the nodes of what the model returned."""
        for path, tensor in tensors(result, "output"):
            self._add(f"output/{path}", INPUT_OR_OUTPUT, tensor, "", [tensor])

    def enter(self, module: torch.nn.Module, args: Any) -> None:
        if module in self._scopes and threading.get_ident() == self._thread:
            self._running.append(self._scopes[module])

    def leave(self, module: torch.nn.Module, args: Any, result: Any) -> None:
        if module in self._scopes and threading.get_ident() == self._thread:
            unseen = [tensor for _, tensor in tensors(result) if not self._is_known(tensor)]
            if unseen:  # made by code that is not Python, such as a ScriptModule's: one node for the module
                self._make(_class(module), _class(module), args, module.extra_repr(), unseen)
            self._running.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        op = _op(func)
        made = [tensor for _, tensor in tensors(args[0] if op == "aten::setitem" else result)]
        if made:
            plain = {key: value for key, value in [*enumerate(args), *kwargs.items()] if _is_plain(value)}
            self._make(op.rpartition("::")[2], op, [args, kwargs], str(plain)[:LONGEST], made)
        return result

    def _make(self, name: str, op: str, inputs: Any, about: str, made: Sequence[torch.Tensor]) -> None:
        """Make a node in the scope of the running module, with the tensors `made` as its outputs."""
        node = self._add(f"{self._running[-1]}/{name}", op, inputs, about, made)
        for place, tensor in enumerate(made):
            self._sources[tensor] = f"{node}:{place}" if place else node

    def _add(self, name: str, op: str, inputs: Any, about: str, made: Sequence[torch.Tensor]) -> str:
        """Make a node; return its name, which is unique."""
        sources = [self._source(tensor) for _, tensor in tensors(inputs)]
        unique = name
        while unique in self._taken:
            self._taken[name] += 1
            unique = f"{name}_{self._taken[name]}"
        self._taken[unique] = 0
        self.nodes.append(graphs.node(unique, op, sources, about, _shapes(made)))
        return unique

    def _source(self, tensor: torch.Tensor) -> str:
        """Return the output of a node that the tensor is; make its node if the tensor is used for the first time."""
        if tensor not in self._sources:
            name, op = self._unused.pop(tensor, (f"{self._running[-1]}/constant", CONSTANT))
            self._sources[tensor] = self._add(name, op, (), "", [tensor])
        source: str = self._sources[tensor]
        return source

    def _is_known(self, tensor: torch.Tensor) -> bool:
        return tensor in self._sources or tensor in self._unused


def _eager() -> AbstractContextManager[Any]:
    """Run compiled functions as plain Python, whose calls can be seen."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and importing dynamo takes two seconds
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


def _scopes(model: Any) -> dict[torch.nn.Module, str]:
    """Return the scope of each module: {model: "Net", model.fc: "Net/Linear[fc]"}."""
    scopes: dict[str, str] = {}
    for path, module in model.named_modules():
        parent, _, name = path.rpartition(".")
        scopes[path] = f"{scopes[parent]}/{_class(module)}[{name}]" if path else _class(module)
    return {module: scopes[path] for path, module in model.named_modules()}


def _class(module: torch.nn.Module) -> str:
    return str(module.original_name) if isinstance(module, torch.jit.ScriptModule) else type(module).__name__


def _own(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the module's own parameters and buffers, not those of the modules in it."""
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _shapes(tensors: Sequence[torch.Tensor]) -> list[torch.Size] | None:
    return None if any(map(is_lazy, tensors)) else [tensor.shape for tensor in tensors]


def _op(func: Any) -> str:
    """Return the name of an operation, such as aten::linear. Custom operators have other namespaces than aten."""
    qualified = getattr(func, "_qualified_op_name", getattr(func, "_name", ""))
    if "::" in qualified:
        return str(qualified.partition(".")[0])  # without the overload: aten::add.Tensor is aten::add
    name = getattr(func, "__name__", type(func).__name__)
    if name == "__get__":  # a property, such as Tensor.T
        name = func.__self__.__name__
    return f"aten::{name.lstrip('_').removesuffix('__')}"


def _is_plain(value: Any) -> bool:
    """Return whether an argument can be shown in a line of text."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, complex, str, slice, torch.dtype, torch.device))
