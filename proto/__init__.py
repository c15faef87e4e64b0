"""The messages of event files, as protobuf classes: `Event`, `Summary`, ...

They are made from tbc.binpb, the compiled form of tbc.proto, in a descriptor pool of their own. Modules that protoc
generates would need one range of protobuf releases, and would clash with messages of other packages. Importing this
module imports protobuf, so tbc imports it only when it is needed.
"""

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_pool = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(Path(__file__).with_name("tbc.binpb").read_bytes()).file:
    _pool.AddSerializedFile(_file.SerializeToString())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"tbc.{name}"))


EmbeddingInfo: Any = _message("EmbeddingInfo")
Event: Any = _message("Event")
GraphDef: Any = _message("GraphDef")
HParamsPluginData: Any = _message("HParamsPluginData")
Layout: Any = _message("Layout")
MeshPluginData: Any = _message("MeshPluginData")
NodeDef: Any = _message("NodeDef")
ProjectorConfig: Any = _message("ProjectorConfig")
RunMetadata: Any = _message("RunMetadata")
Summary: Any = _message("Summary")
TensorProto: Any = _message("TensorProto")
