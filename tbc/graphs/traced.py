"""The graph that torch.jit.trace makes of a model: node for node that of torch's own writer.

The name of a node is its scope and torch's name of the value that it gives: Net/Linear[fc]/input.3. What gets a
parameter from a module is a node, too; what gets a module is none, for the scopes tell it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from tbc import graphs

GET_ATTRIBUTE = "prim::GetAttr"
MODULE = "ClassType"  # the kind of a value's type


class Node(NamedTuple):
    """Of one value; an operation that gives several has as many nodes."""

    scope: str
    op: str
    inputs: list[str]  # torch's names of values
    about: str
    shapes: list[list[int]] | None


def trace(model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], verbose: bool, strict: bool) -> list[Any]:
    """The NodeDef messages of a call of the model, which runs once. strict is torch.jit.trace's, which may raise."""
    inputs: dict[str, Any] = {"example_kwarg_inputs": dict(kwargs)} if kwargs else {"example_inputs": args}
    with warnings.catch_warnings():  # of what a trace is not good for: this one is looked at, and never run
        warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(model, **inputs, strict=strict, check_trace=False)
    graph = traced.graph
    torch._C._jit_pass_inline(graph)
    return nodes(graph, traced, verbose)


def nodes(graph: Any, module: Any, verbose: bool) -> list[Any]:
    """The NodeDef messages of torch's graph, inlined, of a ScriptModule or a ScriptFunction. verbose prints it."""
    if verbose:
        print(graph)
    root, classes = _classes(module)
    paths: dict[str, str] = {}  # of attributes, by torch's names of values
    names: dict[str, str] = {}
    found: dict[str, Node] = {}  # an operation takes the place of an input or output of its name
    for value in graph.inputs():
        if value.uses() and value.type().kind() != MODULE:
            found[value.debugName()] = Node("input", "IO Node", [], "", _shapes(value))
    for number, value in enumerate(graph.outputs(), 1):
        found[f"output.{number}"] = Node("output", "IO Node", [value.debugName()], "", _shapes(value))
    for operation in graph.nodes():
        path = _attribute(operation, paths) if operation.kind() == GET_ATTRIBUTE else operation.scopeName()
        if operation.kind() == GET_ATTRIBUTE and operation.output().type().kind() == MODULE:
            continue
        parts = [classes.get(part, part.rpartition(".")[2]) for part in path.split("/")]
        scope = "/".join([root, *parts]) if any(parts) else root
        inputs = [value.debugName() for value in operation.inputs()]
        about = str({name: getattr(operation, operation.kindOf(name))(name) for name in operation.attributeNames()})
        names.update((name, f"{scope}/{name}") for name in inputs)  # of a module: that of the last to use it
        for value in operation.outputs():
            shapes = _shapes(value) if value.isCompleteTensor() else None
            found[value.debugName()] = Node(scope, operation.kind(), inputs, about, shapes)
    names.update((name, f"{node.scope}/{name}") for name, node in found.items())
    return [
        graphs.node(names[name], node.op, [names[input] for input in node.inputs], node.about, node.shapes)
        for name, node in found.items()
    ]


def _classes(module: Any) -> tuple[str, dict[str, str]]:
    """The name of the class of a module, and of each within: {"__module.fc": "Linear[fc]"}."""
    if isinstance(module, torch.jit.ScriptFunction):
        return module.name, {}
    modules = module.named_modules(prefix="__module")
    return _class(module), {path: f"{_class(inner)}[{path.rpartition('.')[2]}]" for path, inner in modules}


def _class(module: Any) -> str:
    name: str = module._name if isinstance(module, torch.jit.TracedModule) else module.original_name
    return name


def _attribute(operation: Any, paths: dict[str, str]) -> str:
    """The scope of what gets an attribute, as that of other operations: __module.features/__module.features.weight."""
    name, parent = operation.s("name"), paths.get(operation.input().debugName())
    path = f"{parent}/{parent.rpartition('/')[2]}.{name}" if parent else f"__module.{name}"
    paths[operation.output().debugName()] = path
    return path


def _shapes(value: Any) -> list[list[int]] | None:
    try:
        sizes = value.type().sizes()
    except RuntimeError:  # an input or output that is no tensor
        return [[1]]
    return None if sizes is None else [sizes]
