"""Convert ONNX models to graphs, like torch's writer: names as in the model, parameters of operations as text."""

from __future__ import annotations

import os
from itertools import chain
from typing import Any

from tbc import graphs
from tbc.proto import NodeDef


def graph(model: Any) -> Any:
    """Return the GraphDef message of an ONNX file (its path or an open file) or of a ModelProto message.

    Raises ImportError for a file if onnx is not installed, TypeError for other objects.
    """
    if isinstance(model, (str, os.PathLike)) or hasattr(model, "read"):
        model = _load(model)
    if not hasattr(model, "graph"):
        raise TypeError(f"the file of an ONNX model or a ModelProto message is expected, got {type(model).__name__}")
    nodes = [_variable(value) for value in chain(model.graph.input, model.graph.output)]
    return graphs.graph(nodes + [_operation(operation) for operation in model.graph.node])


def _load(file: Any) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ImportError("add_onnx_graph needs onnx: pip install 'tbc[onnx]'") from error
    return onnx.load(file, load_external_data=False)  # a graph shows no weights


def _variable(value: Any) -> Any:
    """Return the node of an input or an output."""
    tensor = value.type.tensor_type
    node = NodeDef(name=value.name, op="Variable")
    node.attr["dtype"].type = tensor.elem_type
    node.attr["shape"].shape.SetInParent()  # even if it is a scalar, without dimensions
    for dimension in tensor.shape.dim:
        node.attr["shape"].shape.dim.add(size=dimension.dim_value)
    return node


def _operation(operation: Any) -> Any:
    """Return the node of an operation, named after its first output."""
    parameters = (" = ".join(str(value) for _, value in attribute.ListFields()) for attribute in operation.attribute)
    node = NodeDef(name=operation.output[0], op=operation.op_type, input=operation.input)
    node.attr["parameters"].s = ", ".join(parameters).encode()
    return node
