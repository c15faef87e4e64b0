"""Make graphs for TensorBoard's GRAPHS tab: GraphDef messages, in which slashes in the names of nodes make scopes.

A *node* is an operation, a parameter, an input or an output; its inputs are the names of other nodes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from tbc.proto import GraphDef, NodeDef, RunMetadata

PRODUCER = 22  # a version of the GraphDef format, the one that torch's writer sets


def node(
    name: str, op: str, inputs: Iterable[str] = (), about: str = "", shapes: Iterable[Sequence[int]] | None = None
) -> Any:
    """Return a NodeDef message.

    about: text that TensorBoard shows with the node. shapes: of the outputs, named "name", "name:1", ..., if known.
    """
    message = NodeDef(name=name, op=op, input=inputs)
    message.attr["attr"].s = about.replace("'", " ").encode()  # TensorBoard would end the text at a quote
    if shapes is not None:
        listed = message.attr["_output_shapes"].list
        for shape in shapes:
            listed.shape.add(dim=[{"size": size} for size in shape])
    return message


def profile(nodes: Iterable[Any]) -> tuple[Any, Any]:
    """Return the GraphDef message of the nodes, and the RunMetadata that torch's writer logs with a graph."""
    metadata = RunMetadata(step_stats={"dev_stats": [{"device": "/device:CPU:0"}]})  # also for a GPU, as in torch
    return graph(nodes), metadata


def graph(nodes: Iterable[Any]) -> Any:
    """Return the GraphDef message of NodeDef messages."""
    return GraphDef(node=nodes, versions={"producer": PRODUCER})


def is_message(value: Any) -> bool:
    """Return whether value is a message of any protobuf library, or bytes."""
    return isinstance(value, (bytes, bytearray)) or hasattr(value, "SerializeToString")


def message(value: Any) -> Any:
    """Return a message as it is, bytes as a GraphDef message. Raises ValueError for bytes that are not one."""
    if not isinstance(value, (bytes, bytearray)):
        return value
    try:
        return GraphDef.FromString(bytes(value))
    except DecodeError as error:
        raise ValueError(f"the {len(value)} bytes are not a GraphDef message: {error}") from None


def is_model(value: Any) -> bool:
    """Return whether value is a model of torch, without importing torch."""
    module = getattr(sys.modules.get("torch.nn"), "Module", ())
    function = getattr(sys.modules.get("torch.jit"), "ScriptFunction", ())
    return isinstance(value, (module, function))
