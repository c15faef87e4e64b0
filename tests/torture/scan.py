"""Read event files without any code of tbc."""

import struct
from pathlib import Path

import google_crc32c
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow

pywrap_tensorflow.crc32c = google_crc32c.value  # TensorBoard's own is in Python, and would take hours

HEAD = struct.Struct("<QI")  # length, its checksum
TAIL = struct.Struct("<I")  # the data's checksum


def masked(data):
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frames(path):
    """Return the data of all whole records, and how many bytes of a torn one follow. Fails for damaged records."""
    content, at, found = Path(path).read_bytes(), 0, []
    while len(content) - at >= HEAD.size:
        length, crc = HEAD.unpack_from(content, at)
        assert crc == masked(content[at : at + 8]), f"{path}: no length at byte {at} of {len(content)}"
        end = at + HEAD.size + length + TAIL.size
        if end > len(content):
            break
        data = content[at + HEAD.size : end - TAIL.size]
        assert TAIL.unpack_from(content, end - TAIL.size) == (masked(data),), f"{path}: bad data at byte {at}"
        found.append(data)
        at = end
    return found, len(content) - at


def load(path):
    """Return the data of all whole records by TensorBoard's loader, which stops at a torn record."""
    return list(RawEventFileLoader(str(path)).Load())


def events(path):
    """Return all events except the first, of a file that must end with a whole record."""
    (first, *rest), torn = frames(path)
    assert torn == 0, f"{path}: {torn} bytes of a torn record"
    assert Event.FromString(first).file_version == "brain.Event:2", path
    return [Event.FromString(data) for data in rest]


def steps(path):
    """Return {tag: steps}, in the order of the file."""
    found = {}
    for event in events(path):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append(event.step)
    return found
