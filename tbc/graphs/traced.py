"""Trace a model with torch.jit.trace, and make the graph that torch's writer makes, node for node.

The name of a node is its scope and torch's name of the value it returns: Net/Linear[fc]/input.3. An operation that
gets a parameter from a module is a node, too. One that gets a module is not, since the scopes already show that.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from tbc import graphs

GET_ATTRIBUTE = "prim::GetAttr"
MODULE = "ClassType"  # the kind of type that a module has in a traced graph


class Node(NamedTuple):
    """The node of one value; an operation that returns several values has as many nodes."""

    scope: str
    op: str
    inputs: list[str]  # torch's names of values
    about: str
    shapes: list[list[int]] | None


def trace(model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], verbose: bool, strict: bool) -> list[Any]:
    """Run the model once; return the NodeDef messages. strict is passed to torch.jit.trace. Raises what that raises."""
    inputs: dict[str, Any] = {"example_kwarg_inputs": dict(kwargs)} if kwargs else {"example_inputs": args}
    with warnings.catch_warnings():  # the warnings are about later runs of a trace; this one is only read
        warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(model, **inputs, strict=strict, check_trace=False)
    graph = traced.graph
    torch._C._jit_pass_inline(graph)
    return nodes(graph, traced, verbose)


def nodes(graph: Any, module: Any, verbose: bool) -> list[Any]:
    """Return the NodeDef messages of the inlined graph of a ScriptModule or ScriptFunction. verbose: print it, too."""
    if verbose:
        print(graph)
    root, classes = _classes(module)
    paths: dict[str, str] = {}  # torch's name of a value -> the path of the attribute that it is
    names: dict[str, str] = {}  # torch's name of a value -> the name of its node
    found: dict[str, Node] = {}  # by torch's name of the value; an operation replaces an input or output of its name
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
        names.update((name, f"{scope}/{name}") for name in inputs)  # a module has no node: the scope of its last user
        for value in operation.outputs():
            shapes = _shapes(value) if value.isCompleteTensor() else None
            found[value.debugName()] = Node(scope, operation.kind(), inputs, about, shapes)
    names.update((name, f"{node.scope}/{name}") for name, node in found.items())
    return [
        graphs.node(names[name], node.op, [names[input] for input in node.inputs], node.about, node.shapes)
        for name, node in found.items()
    ]


def _classes(module: Any) -> tuple[str, dict[str, str]]:
    """Return the class name of a module, and the scopes of the modules within it: {"__module.fc": "Linear[fc]"}."""
    if isinstance(module, torch.jit.ScriptFunction):
        return module.name, {}
    modules = module.named_modules(prefix="__module")
    return _class(module), {path: f"{_class(inner)}[{path.rpartition('.')[2]}]" for path, inner in modules}


def _class(module: Any) -> str:
    name: str = module._name if isinstance(module, torch.jit.TracedModule) else module.original_name
    return name


def _attribute(operation: Any, paths: dict[str, str]) -> str:
    """Return the scope of a GetAttr operation, written like others: __module.features/__module.features.weight."""
    name, parent = operation.s("name"), paths.get(operation.input().debugName())
    path = f"{parent}/{parent.rpartition('/')[2]}.{name}" if parent else f"__module.{name}"
    paths[operation.output().debugName()] = path
    return path


def _shapes(value: Any) -> list[list[int]] | None:
    try:
        sizes = value.type().sizes()
    except RuntimeError:  # an input or output that is not a tensor
        return [[1]]
    return None if sizes is None else [sizes]
