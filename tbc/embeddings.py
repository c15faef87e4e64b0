"""Embeddings, as TensorBoard's PROJECTOR reads them: files beside the event file, and one that lists them.

<log_dir>/projector_config.pbtxt                  lists all embeddings of the run
<log_dir>/<step>/<tag>/tensors.tsv | tensors.bytes
<log_dir>/<step>/<tag>/metadata.tsv, sprite.png   if there are labels and images
"""

from __future__ import annotations

import fcntl
import math
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import text_format

from tbc import _core, convert, images
from tbc.proto import EmbeddingInfo, ProjectorConfig

CONFIG = "projector_config.pbtxt"
MAX_SPRITE = 8192  # pixels a side, beyond which the projector refuses a sprite
BLOCK = 1 << 14  # numbers
PATIENCE = 1000  # hundredths of a second to wait for a lock
ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
BLANK = "\u200b"  # no width, but no white space, either: the projector skips lines of that, and mixes labels up

_checked: set[str] = set()  # directories whose list this process has found readable, or set aside


@dataclass
class Embedding:
    """One that is checked and copied, ready to be written."""

    vectors: npt.NDArray[np.float32]  # little-endian, in rows
    labels: list[str] | None  # the lines of metadata.tsv
    pictures: npt.NDArray[Any] | None  # NHWC
    binary: bool

    @property
    def nbytes(self) -> int:
        labels = sum(map(len, self.labels or ()))
        return self.vectors.nbytes + labels + (0 if self.pictures is None else self.pictures.nbytes)


def embedding(mat: Any, metadata: Any, pictures: Any, header: Sequence[Any] | None, binary: bool) -> Embedding:
    """Checks the parts of an embedding against each other, and copies them.

    mat: (N, D) real numbers. metadata: N labels, or with a header N rows as long as it. pictures: (N, H, W, C) uint8,
    C 1 or 3, which are not copied, or None. Raises AssertionError for lengths and ranks that do not fit, as torch does,
    ValueError for an empty mat, TypeError for what is no real number.
    """
    vectors = convert.array_or_list(mat)
    if vectors.ndim != 2:
        raise AssertionError(f"an embedding is a matrix, a row for each data point, got shape {vectors.shape}")
    if vectors.size == 0:
        raise ValueError(f"an embedding needs at least one data point and one dimension, got shape {vectors.shape}")
    if vectors.dtype.kind not in "biuf":
        raise TypeError(f"an embedding holds real numbers, got an array of {vectors.dtype}")
    labels = None if metadata is None else _lines(metadata, header, len(vectors))
    if pictures is not None:
        if len(pictures) != len(vectors) or pictures.shape[3] not in (1, 3):
            raise AssertionError(
                f"label_img must have {len(vectors)} images of 1 or 3 channels, as many as there are data points, "
                f"got shape {pictures.shape} (NHWC)"
            )
        side = math.ceil(math.sqrt(len(pictures))) * max(pictures.shape[1:3])
        if side > MAX_SPRITE:
            message = (
                f"the {len(pictures)} images make a sprite of {side} pixels, TensorBoard shows {MAX_SPRITE} at most"
            )
            warnings.warn(message, stacklevel=3)
    with np.errstate(over="ignore"):  # what is too large is infinite to the projector
        return Embedding(vectors.astype("<f4", order="C"), labels, pictures, binary)


def _lines(metadata: Any, header: Sequence[Any] | None, n: int) -> list[str]:
    if convert.is_torch(metadata):
        metadata = convert.array(metadata)
    rows = metadata.tolist() if hasattr(metadata, "tolist") else list(metadata)
    if len(rows) != n:
        raise AssertionError(f"metadata has {len(rows)} rows, but there are {n} data points")
    if not header:
        return [_line([row]) for row in rows]
    for row in rows:
        if isinstance(row, str) or not hasattr(row, "__len__") or len(row) != len(header):
            raise AssertionError(f"each row of metadata must have {len(header)} columns, as its header, got {row!r}")
    # the projector takes a first line with a tab for the header; a single column has none
    return [_line(row) for row in ([header, *rows] if len(header) > 1 else rows)]


def _line(cells: Sequence[Any]) -> str:
    line = "\t".join(str(cell).translate(ESCAPES) for cell in cells)
    return line if line.strip() else BLANK + line


def encode(name: str) -> str:
    """A tag as the name of a directory, in torch's way; for nothing but dots one of its own."""
    encoded = name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")
    return encoded if encoded.strip(".") else "%" + encoded


def make_directory(log_dir: str, tag: str, step: int) -> bool:
    """Makes the directory of an embedding; whether it was there. NotADirectoryError if a file is.

    Warns of a list that cannot be read: here, where the caller sees it, and before anything is lost to an error.
    """
    if log_dir not in _checked:
        _read_list(log_dir)
        _checked.add(log_dir)
    path = os.path.join(log_dir, f"{step:05}", encode(tag))
    try:
        os.makedirs(path)
    except FileExistsError as error:
        if not os.path.isdir(path):
            raise NotADirectoryError(
                error.errno, "a file is where the embedding's directory has to be", path
            ) from error
        return True
    return False


def write(log_dir: str, tag: str, step: int, embedding: Embedding) -> None:
    """Writes the files of an embedding and lists it."""
    folder = f"{step:05}/{encode(tag)}"
    os.makedirs(os.path.join(log_dir, folder), exist_ok=True)
    info = EmbeddingInfo(tensor_name=f"{tag}:{step:05}")
    if embedding.binary and not _passes_for_text(embedding.vectors):
        info.tensor_path = f"{folder}/tensors.bytes"
        info.tensor_shape.extend(embedding.vectors.shape)
        _write(log_dir, info.tensor_path, (block.tobytes() for block in _blocks(embedding.vectors)))
    else:
        info.tensor_path = f"{folder}/tensors.tsv"
        _write(log_dir, info.tensor_path, map(_core.table, _blocks(embedding.vectors)))
    if embedding.labels is not None:
        info.metadata_path = f"{folder}/metadata.tsv"
        text = "\n".join(embedding.labels) + "\n"
        _write(log_dir, info.metadata_path, [text.encode("utf-8", "backslashreplace")])
    if embedding.pictures is not None:
        n, height, width, _ = embedding.pictures.shape
        side = math.ceil(math.sqrt(n))  # as many rows as columns: the projector divides by the one for the other
        info.sprite.image_path = f"{folder}/sprite.png"
        info.sprite.single_image_dim.extend([width, height])
        sprite = images.Tiles(embedding.pictures[np.newaxis], side, side).pixels()[0]
        _write(log_dir, info.sprite.image_path, [images.encode_png(sprite)[3]])
    _list(log_dir, info)


def _blocks(vectors: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Some rows at a time: their text takes many times their memory."""
    rows = max(1, BLOCK // vectors.shape[1])
    return (vectors[i : i + rows] for i in range(0, len(vectors), rows))


def _passes_for_text(vectors: npt.NDArray[Any]) -> bool:
    """The projector tries a binary file as text first, and fails if its first line can be decoded, as zeros can."""
    for data in (block.tobytes() for block in _blocks(vectors)):
        start = next((i for i, byte in enumerate(data) if byte != ord("\n")), 0)
        end = data.find(b"\n", start)
        try:
            data[start : end if end >= 0 else None].decode()
        except UnicodeDecodeError as error:
            return error.end >= len(data)  # a character may be cut off
        if end >= 0:
            break
    return True


def _list(log_dir: str, info: Any) -> None:
    """Adds an embedding to the list of the run. What others wrote there stays as it is."""
    block = text_format.MessageToString(ProjectorConfig(embeddings=[info]))
    name = next(line.strip() for line in block.splitlines() if "tensor_name" in line)
    with _locked(log_dir):
        path = os.path.join(log_dir, CONFIG)
        text = ""
        with suppress(FileNotFoundError), open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        if name in text:  # the same tag and step
            config = _read_list(log_dir)
            others = [listed for listed in config.embeddings if listed.tensor_name != info.tensor_name]
            del config.embeddings[:]
            config.embeddings.extend(others)
            text = text_format.MessageToString(config)
        text = text.rstrip() + "\n" + block if text.strip() else block
        _write(log_dir, CONFIG, [text.encode("utf-8", "surrogateescape")])


@contextmanager
def _locked(log_dir: str) -> Iterator[None]:
    """While it is open, other processes wait that add embeddings to the same run; but not for one that hangs."""
    descriptor = os.open(log_dir, os.O_RDONLY)
    try:
        for _ in range(PATIENCE):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        with suppress(OSError):  # a child forked meanwhile has the descriptor, and would keep the lock
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _read_list(log_dir: str) -> Any:
    """What is listed; a list that cannot be read is set aside."""
    path = os.path.join(log_dir, CONFIG)
    config = ProjectorConfig()
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        try:
            text_format.Parse(text, config, allow_unknown_field=True)
        except text_format.ParseError as error:
            os.replace(path, path + ".unreadable")
            warnings.warn(f"{path} cannot be read ({error}), it is {path}.unreadable now", stacklevel=4)
            config = ProjectorConfig()
    return config


def _write(log_dir: str, name: str, data: Iterable[bytes]) -> None:
    """All of a file or nothing."""
    path = os.path.join(log_dir, name)
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            file.writelines(data)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
