"""add_mesh: the messages that TensorBoard's mesh plugin reads, compared to torch's."""

import json
import tempfile

import numpy as np
import pytest
from helpers.oracle import only_value, read_back, steps, tags
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorboard.compat.proto import tensor_pb2
from tensorboard.plugins.mesh import metadata
from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData
from tensorboard.util import tensor_util

import tbc

RNG = np.random.default_rng(5)


def parts_of(log_dir):
    """Return {part: (metadata as TensorBoard parses it, array)}, and the event that holds them."""
    (event,) = read_back(log_dir)
    parts = {}
    for value in event.summary.value:
        data = metadata.parse_plugin_metadata(value.metadata.plugin_data.content)
        part = MeshPluginData.ContentType.Name(data.content_type)
        assert value.metadata.plugin_data.plugin_name == metadata.PLUGIN_NAME
        assert value.tag == metadata.get_instance_name(data.name, data.content_type)
        array = tensor_util.make_ndarray(tensor_pb2.TensorProto.FromString(value.tensor.SerializeToString()))
        assert array.dtype == np.float32
        assert list(data.shape) == list(array.shape)
        parts[part] = data, array
    return parts, event


def log_mesh(log_dir, *arguments, **options):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_mesh(*arguments, **options)
    return parts_of(log_dir)


floats = arrays.arrays(
    np.float32, st.tuples(st.integers(0, 3), st.integers(0, 5), st.just(3)), elements=st.floats(width=32)
)


@given(tags, floats, st.booleans(), st.booleans(), steps)
def test_a_mesh_is_read_back(tag, vertices, colored, with_faces, step):
    colors = RNG.integers(0, 256, vertices.shape) if colored else None
    faces = RNG.integers(0, 9, (len(vertices), 2, 3)) if with_faces else None
    with tempfile.TemporaryDirectory() as log_dir:
        parts, event = log_mesh(log_dir, tag, vertices, colors, faces, global_step=step)
    expected = {"VERTEX": vertices, "FACE": faces, "COLOR": colors}
    expected = {part: array for part, array in expected.items() if array is not None}
    assert list(parts) == list(expected)
    components = metadata.get_components_bitmask([MeshPluginData.ContentType.Value(part) for part in expected])
    for part, array in expected.items():
        data, found = parts[part]
        assert (data.name, data.components, data.json_config) == (tag, components, "{}")
        np.testing.assert_array_equal(found, array)
    assert event.step == step


def test_the_events_say_what_torchs_say(log_dir):
    torch = pytest.importorskip("torch")
    mesh = pytest.importorskip("torch.utils.tensorboard.summary").mesh
    arrays_ = [torch.rand(2, 4, 3), torch.randint(0, 256, (2, 4, 3)).float(), torch.randint(0, 4, (2, 5, 3)).float()]
    config = {"lights": [{"cls": "AmbientLight"}], "camera": {"fov": 75}}
    theirs = mesh("m", *arrays_, config, "name", "of a mesh").value
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_mesh("m", *arrays_, config, display_name="name", description="of a mesh")
    (event,) = read_back(log_dir)
    for our, their in zip(event.summary.value, theirs, strict=True):
        assert our.tag == their.tag
        assert our.metadata.SerializeToString() == their.metadata.SerializeToString()
        tensor = tensor_pb2.TensorProto.FromString(our.tensor.SerializeToString())
        np.testing.assert_array_equal(tensor_util.make_ndarray(tensor), tensor_util.make_ndarray(their.tensor))


VERTICES = np.arange(24).reshape(2, 4, 3)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", ">f4", "g", "i8", "u1", "?"])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda array: array[::-1, ::-1]])
def test_types_and_layouts_of_numpy(log_dir, dtype, layout):
    vertices = layout(VERTICES).astype(dtype, order="K")
    parts, _ = log_mesh(log_dir, "m", vertices, vertices, vertices)
    for _, found in parts.values():
        np.testing.assert_array_equal(found, vertices)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8"])
def test_types_of_torch(log_dir, dtype):
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(VERTICES).to(getattr(torch, dtype))
    if tensor.is_floating_point():
        tensor.requires_grad_()
    parts, _ = log_mesh(log_dir, "m", tensor, tensor, tensor)
    for _, found in parts.values():
        np.testing.assert_array_equal(found, VERTICES)
    assert len(parts) == 3


def test_tensors_that_are_not_contiguous(log_dir):
    torch = pytest.importorskip("torch")
    parts, _ = log_mesh(log_dir, "m", torch.tensor(VERTICES).permute(2, 0, 1)[:, :1].permute(1, 2, 0))
    np.testing.assert_array_equal(parts["VERTEX"][1], VERTICES[:1])


def test_lists(log_dir):
    parts, _ = log_mesh(log_dir, "m", VERTICES.tolist(), faces=[[[0, 1, 2]], [[1, 2, 3]]])
    np.testing.assert_array_equal(parts["VERTEX"][1], VERTICES)
    np.testing.assert_array_equal(parts["FACE"][1], [[[0, 1, 2]], [[1, 2, 3]]])


def test_a_million_vertices_are_four_bytes_a_number(log_dir):
    vertices = RNG.random((1, 1_000_000, 3), np.float32)
    parts, event = log_mesh(log_dir, "m", vertices)
    np.testing.assert_array_equal(parts["VERTEX"][1], vertices)
    assert event.ByteSize() < vertices.nbytes + 1000


@pytest.mark.parametrize("config", [{}, {"b": [1, {"c": None}], "a": "тег"}])
def test_the_config_is_json(log_dir, config):
    parts, _ = log_mesh(log_dir, "m", VERTICES, VERTICES, config_dict=config)
    assert [json.loads(data.json_config) for data, _ in parts.values()] == [config, config]


def test_label(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_mesh("m", VERTICES, display_name="name", description="# of a mesh", walltime=12.5)
    event, value = only_value(log_dir)
    assert (value.metadata.display_name, value.metadata.summary_description) == ("name", "# of a mesh")
    assert event.wall_time == 12.5


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("m", None), ValueError, "needs vertices"),
        (("m", None, VERTICES), ValueError, "needs vertices"),
        (("m", np.zeros((4, 3))), ValueError, r"vertices.*\(4, 3\)"),
        (("m", np.zeros((2, 4, 2))), ValueError, r"vertices.*\(2, 4, 2\)"),
        (("m", np.zeros((2, 2, 4, 3))), ValueError, "vertices"),
        (("m", 3.0), ValueError, "vertices"),
        (("m", VERTICES, VERTICES[:1]), ValueError, "colors must have the shape of vertices"),
        (("m", VERTICES, VERTICES[:, :3]), ValueError, "colors must have the shape of vertices"),
        (("m", VERTICES, None, np.zeros((2, 4))), ValueError, "faces"),
        (("m", VERTICES, None, np.zeros((1, 4, 3))), ValueError, "faces must have the batch size of vertices"),
        (("m", VERTICES.astype(complex)), TypeError, "complex128"),
        (("m", VERTICES.astype(str)), TypeError, "real numbers"),
        (("m", VERTICES, None, None, {"a": object()}), TypeError, "JSON"),
        (("m", [[[1, 2, 3], [1, 2]]]), ValueError, "of one length"),
        (("m", "vertices"), TypeError, "real numbers"),
        (("m", object()), NotImplementedError, "object"),
        ((1, VERTICES), TypeError, "tag"),
        (("m", VERTICES, None, None, None, 2**63), ValueError, "64-bit"),
        (("\ud800", VERTICES), UnicodeEncodeError, "surrogates"),
    ],
)
def test_bad_input_is_told_at_once_and_writes_nothing(log_dir, arguments, error, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error, match=words):
            writer.add_mesh(*arguments)
        writer.add_mesh("fine", VERTICES)
    assert only_value(log_dir)[1].tag == "fine_VERTEX"
