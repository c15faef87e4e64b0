"""proto/tbc.proto: its compiled form is up to date, and its fields are TensorBoard's."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from tensorboard.compat.proto import config_pb2, event_pb2, graph_pb2, summary_pb2, tensor_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.mesh import plugin_data_pb2 as mesh_pb2
from tensorboard.plugins.projector import projector_config_pb2

import tbc.proto

TBC_PROTO = Path(__file__).parent.parent / "proto" / "tbc.proto"


def fields(descriptor):
    return {field.name: field for field in descriptor.fields}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (tbc.proto.Event, event_pb2.Event),
        (tbc.proto.Summary, summary_pb2.Summary),
        (tbc.proto.TensorProto, tensor_pb2.TensorProto),
        (tbc.proto.GraphDef, graph_pb2.GraphDef),
        (tbc.proto.RunMetadata, config_pb2.RunMetadata),
        (tbc.proto.HParamsPluginData, plugin_data_pb2.HParamsPluginData),
        (tbc.proto.Layout, layout_pb2.Layout),
        (tbc.proto.MeshPluginData, mesh_pb2.MeshPluginData),
        (tbc.proto.ProjectorConfig, projector_config_pb2.ProjectorConfig),
    ],
)
def test_the_fields_are_tensorboards(ours, theirs):
    """Compare number, type and label of every field of every message; tbc.proto has graphs as bytes."""
    seen = set()

    def compare(ours, theirs):
        if ours.full_name in seen:
            return
        seen.add(ours.full_name)
        for name, field in fields(ours).items():
            other = fields(theirs)[name]
            assert field.number == other.number, field.full_name
            assert field.is_repeated == other.is_repeated, field.full_name
            if (field.full_name, field.type) in {
                ("tbc.Event.meta_graph_def", field.TYPE_BYTES),
                ("tbc.Event.graph_def", field.TYPE_BYTES),
                ("tbc.TaggedRunMetadata.run_metadata", field.TYPE_BYTES),
            }:
                continue
            assert field.type == other.type, field.full_name
            if field.enum_type is not None:
                values = {value.name: value.number for value in field.enum_type.values}
                assert values.items() <= {value.name: value.number for value in other.enum_type.values}.items()
            if field.message_type is not None:
                compare(field.message_type, other.message_type)

    compare(ours.DESCRIPTOR, theirs.DESCRIPTOR)
    assert seen


def test_the_compiled_form_is_up_to_date(tmp_path):
    pytest.importorskip("grpc_tools")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{TBC_PROTO.parent}", "--include_imports"]
    subprocess.run([*command, f"--descriptor_set_out={tmp_path / 'new'}", str(TBC_PROTO)], check=True, timeout=60)
    new, old = (
        next(
            file
            for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file
            if file.package == "tbc"
        )
        for path in (tmp_path / "new", TBC_PROTO.with_suffix(".binpb"))
    )
    assert new == old, "run `make proto`"
