"""add_onnx_graph, compared to torch's writer."""

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
from helpers.oracle import read_back, run_script
from hypothesis import given
from hypothesis import strategies as st

import tbc
from tbc.proto import Event, GraphDef

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

X = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])


def model(nodes, inputs=(X,), outputs=(Y,), initializers=()):
    return helper.make_model(helper.make_graph(nodes, "net", inputs, outputs, initializers))


def branch(name):
    constant = helper.make_node("Constant", [], [name], value_float=1.0)
    return helper.make_graph([constant], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [])])


WEIGHT = numpy_helper.from_array(np.ones((3, 2), np.float32), "weight")
MODELS = {
    "a layer": model([helper.make_node("Gemm", ["x", "weight"], ["y"], alpha=0.5)], initializers=[WEIGHT]),
    "nothing": model([], [], []),
    "a scalar": model([], [helper.make_tensor_value_info("s", TensorProto.INT64, [])], []),
    "no shape": model([], [helper.make_tensor_value_info("s", TensorProto.BFLOAT16, None)], []),
    "a sequence": model([], [helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, [2])], []),
    "attributes": model(
        [
            helper.make_node("Conv", ["x", "weight"], ["c"], kernel_shape=[3, 3], pads=[1] * 4, auto_pad="NOTSET"),
            helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.arange(4.0))),
            helper.make_node("Split", ["c", "k"], ["a", "b"], axis=1, name="split"),
            helper.make_node("Mine", ["a", "", "é"], ["y"], domain="mine", floats=[0.5], texts=["a'b", "ä"], flag=True),
        ]
    ),
    "branches": model([helper.make_node("If", ["x"], ["y"], then_branch=branch("t"), else_branch=branch("e"))]),
}


def logged(log_dir, *arguments):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_onnx_graph(*arguments)
    (event,) = read_back(log_dir)
    assert (event.step, event.WhichOneof("what")) == (0, "graph_def")
    return GraphDef.FromString(event.graph_def)


def torchs(path):
    """Return the graph of torch's writer as a message, since the order of attributes in bytes may differ."""
    load = pytest.importorskip("torch.utils.tensorboard._onnx_graph").load_onnx_graph
    with redirect_stdout(io.StringIO()):  # torch prints every name
        return GraphDef.FromString(load(str(path)).SerializeToString())


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_is_that_of_torchs_writer(name, tmp_path, log_dir, capsys):
    path = tmp_path / "model.onnx"
    onnx.save(MODELS[name], path)
    graph = logged(log_dir, str(path))
    assert capsys.readouterr().out == ""
    assert graph == torchs(path)
    assert len(graph.node) == sum(len(getattr(MODELS[name].graph, part)) for part in ("input", "output", "node"))


@given(
    st.lists(
        st.dictionaries(
            st.text("abc", min_size=1),
            st.integers(-9, 9)
            | st.floats(width=32, allow_nan=False)
            | st.text()
            | st.lists(st.integers(0, 9), min_size=1),
            max_size=3,
        ),
        max_size=4,
    )
)
def test_drawn_attributes(tmp_path_factory, attributes):
    tmp_path = tmp_path_factory.mktemp("onnx")
    nodes = [helper.make_node("Op", ["x"], [f"y{number}"], **some) for number, some in enumerate(attributes)]
    onnx.save(model(nodes), tmp_path / "model.onnx")
    assert logged(tmp_path / "run", tmp_path / "model.onnx") == torchs(tmp_path / "model.onnx")


def test_a_model_that_is_loaded(tmp_path, log_dir):
    onnx.save(MODELS["attributes"], tmp_path / "model.onnx")
    assert logged(log_dir, MODELS["attributes"]) == torchs(tmp_path / "model.onnx")


def test_a_file_that_is_open(tmp_path, log_dir):
    onnx.save(MODELS["attributes"], tmp_path / "model.onnx")
    with open(tmp_path / "model.onnx", "rb") as file:
        assert logged(log_dir, file) == torchs(tmp_path / "model.onnx")


def test_weights_in_another_file_are_not_read(tmp_path, log_dir):
    path = tmp_path / "model.onnx"
    onnx.save(MODELS["a layer"], path, save_as_external_data=True, location="weights", size_threshold=0)
    graph = torchs(path)
    (tmp_path / "weights").unlink()
    assert logged(log_dir, path) == graph


@pytest.mark.parametrize(
    ("given", "error"), [("no such file", FileNotFoundError), (Event(), TypeError), (3, TypeError), (None, TypeError)]
)
def test_what_is_no_model_raises(given, error, log_dir):
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(error):
        writer.add_onnx_graph(given)
    assert read_back(log_dir) == []


def test_without_onnx(tmp_path):
    script = """
        import sys
        sys.modules["onnx"] = None  # makes the import fail
        import tbc
        with tbc.SummaryWriter(sys.argv[1]) as writer:
            try:
                writer.add_onnx_graph("model.onnx")
            except ImportError as error:
                assert "pip install 'tbc[onnx]'" in str(error), error
            else:
                raise AssertionError
    """
    run_script(script, tmp_path)
