"""Graphs as TensorBoard's GRAPHS tab takes them: GraphDef messages, in which slashes in the names of nodes make scopes.

A *node* is an operation, a parameter, an input or an output; its inputs are the names of other nodes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from tbc.proto import GraphDef, NodeDef, RunMetadata

PRODUCER = 22  # a version of TensorFlow's; torch's writer has the same


def node(
    name: str, op: str, inputs: Iterable[str] = (), about: str = "", shapes: Iterable[Sequence[int]] | None = None
) -> Any:
    """A NodeDef message.

    about: text that TensorBoard shows with the node.
    shapes: of its outputs, of which "name:1" is the second; None if they are not known.
    """
    message = NodeDef(name=name, op=op, input=inputs)
    message.attr["attr"].s = about.replace("'", " ").encode()  # which TensorBoard would end the text at
    if shapes is not None:
        listed = message.attr["_output_shapes"].list
        for shape in shapes:
            listed.shape.add(dim=[{"size": size} for size in shape])
    return message


def profile(nodes: Iterable[Any]) -> tuple[Any, Any]:
    """The GraphDef message of the nodes, and the RunMetadata that torch's writer logs with one."""
    metadata = RunMetadata(step_stats={"dev_stats": [{"device": "/device:CPU:0"}]})  # wherever it runs, as in torch
    return graph(nodes), metadata


def graph(nodes: Iterable[Any]) -> Any:
    """The GraphDef message of NodeDef messages."""
    return GraphDef(node=nodes, versions={"producer": PRODUCER})


def is_message(value: Any) -> bool:
    """Of any protobuf library, or the bytes of one."""
    return isinstance(value, (bytes, bytearray)) or hasattr(value, "SerializeToString")


def message(value: Any) -> Any:
    """A GraphDef message, as it is or from its bytes. Raises ValueError if the bytes are none."""
    if not isinstance(value, (bytes, bytearray)):
        return value
    try:
        return GraphDef.FromString(bytes(value))
    except DecodeError as error:
        raise ValueError(f"{len(value)} bytes that are no GraphDef message: {error}") from None


def is_model(value: Any) -> bool:
    """Of torch, which is not imported to find that out."""
    module = getattr(sys.modules.get("torch.nn"), "Module", ())
    function = getattr(sys.modules.get("torch.jit"), "ScriptFunction", ())
    return isinstance(value, (module, function))
