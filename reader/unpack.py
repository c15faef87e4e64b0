"""Write values to separate files: images, sounds, texts, arrays and graphs, each in its usual format."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import os
import re
import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from .events import STRING, Value, tensor_values
from .kinds import Audio, Image, Mesh, decode

LONGEST = 150  # characters of a tag in a file's name; filesystems allow 255 bytes for the whole name


class Folder:
    """A directory to write values to. Each file has a different name, also on filesystems that ignore case."""

    def __init__(self, directory: str) -> None:
        self.directory: str = directory
        self._taken: dict[str, int] = {}  # how often each name was wanted

    def write(self, run: str, value: Value) -> list[str]:
        """Write the files of a value and return their paths: none for a kind that has no usual format.

        Raises ValueError for contents that do not fit the kind, OSError, and FileExistsError for an existing file.
        """
        contents = list(contents_of(value))
        names = []
        for i, (suffix, content) in enumerate(contents):
            nth = f"-{i}" if len(contents) > 1 else ""
            name = self._free_name(run, f"{name_of(value.tag or value.kind)}-{value.step}{nth}", suffix)
            os.makedirs(os.path.dirname(name), exist_ok=True)
            with open(name, "xb") as file:
                file.write(content)
            names.append(name)
        return names

    def _free_name(self, run: str, stem: str, suffix: str) -> str:
        """Return a path not yet taken. a-1-1 may be tag "a-1" at step 1, or the second file of tag "a" at step 1."""
        parts = ["%2E%2E" if part == ".." else part for part in run.split("/") if part not in ("", ".")]
        directory = os.path.join(self.directory, *parts)
        wanted = os.path.join(directory, f"{stem}.{suffix}")
        key = unicodedata.normalize("NFC", wanted).casefold()
        self._taken[key] = n = self._taken.get(key, 0) + 1
        return wanted if n == 1 else os.path.join(directory, f"{stem}+{n}.{suffix}")  # "+" is quoted in tags


def name_of(tag: str) -> str:
    """Return a tag as part of a file's name, quoted as in URLs. A long tag is cut, and its hash added."""
    quoted = re.sub(r"^\.", "%2E", quote(tag, safe=" "))
    if len(quoted) <= LONGEST:
        return quoted
    digest = hashlib.sha256(tag.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{re.sub('%.?$', '', quoted[: LONGEST - 17])}={digest}"  # "=" is quoted in tags


def contents_of(value: Value) -> Iterator[tuple[str, bytes]]:
    """Yield the suffix and the bytes of each file of a value."""
    data = decode(value)
    if isinstance(data, Image):
        for file in data.files:
            yield (data.format or "bin").lower(), file
    elif isinstance(data, Audio):
        for file in data.files:
            yield ("wav" if file.startswith(b"RIFF") else "bin"), file
    elif value.kind == "text" or (value.kind == "tensor" and value.content.tensor.dtype == STRING):
        yield strings_of(value.content.tensor)
    elif value.kind in ("tensor", "mesh"):
        yield "npy", npy_of(data.data if isinstance(data, Mesh) else data)
    elif value.kind == "keras_model":
        yield "json", data.encode()
    elif isinstance(data, bytes):  # a graph
        yield "pb", data


def strings_of(tensor: Any) -> tuple[str, bytes]:
    """Return the suffix and the bytes of a file for a tensor of strings.

    One string is written as it is. Several become JSON, in which a string that is not UTF-8 is {"base64": ...}.
    """
    strings = tensor_values(tensor)
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if len(strings) == 1 and math.prod(shape) == 1:
        return ("txt" if is_utf8(strings[0]) else "bin"), strings[0]
    values = [each.decode() if is_utf8(each) else {"base64": base64.b64encode(each).decode()} for each in strings]
    return "json", json.dumps({"dtype": "string", "shape": shape, "values": values}).encode()


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def npy_of(array: Any) -> bytes:
    import numpy as np

    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
