"""Write embeddings for TensorBoard's PROJECTOR tab: files in the directory of the run, and a list of them.

<log_dir>/projector_config.pbtxt                  lists all embeddings of the run
<log_dir>/<step>/<tag>/tensors.tsv | tensors.bytes
<log_dir>/<step>/<tag>/metadata.tsv, sprite.png   if there are labels and images
"""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import text_format

from tbc import _core, convert
from tbc.kinds import images
from tbc.notices import warn
from tbc.proto import EmbeddingInfo, ProjectorConfig

CONFIG = "projector_config.pbtxt"
MAX_SPRITE = 8192  # pixels a side: the projector refuses a larger sprite
BLOCK = 1 << 14  # numbers to convert at a time
PATIENCE = 1000  # how often to try to lock, 0.01 s apart
ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
BLANK = "\u200b"  # for an empty label: the projector skips lines of white space, and would shift all later labels

_checked: set[str] = set()  # directories whose list this process has found readable, or has renamed


class Embedding:
    """A checked embedding, ready to be written.

    vectors: (N, D), little-endian.
    labels: the lines of metadata.tsv.
    pictures: NHWC.
    """

    # Not a dataclass, whose __init__ has no file: dynamo skips functions by their file.
    def __init__(
        self,
        vectors: npt.NDArray[np.float32],
        labels: list[str] | None,
        pictures: npt.NDArray[Any] | None,
        binary: bool,
    ) -> None:
        self.vectors = vectors
        self.labels = labels
        self.pictures = pictures
        self.binary = binary

    @property
    def nbytes(self) -> int:
        labels = sum(map(len, self.labels or ()))
        return self.vectors.nbytes + labels + (0 if self.pictures is None else self.pictures.nbytes)


def embedding(mat: Any, metadata: Any, pictures: Any, header: Sequence[Any] | None, binary: bool) -> Embedding:
    """Check the parts of an embedding against each other, and copy all except the pictures.

    mat: (N, D) real numbers. metadata: N labels, or with a header N rows of its length. pictures: (N, H, W, C) uint8,
    C 1 or 3, or None. Raises AssertionError for lengths and numbers of dimensions that do not fit, as torch does;
    ValueError for an empty mat; TypeError for values that are not real numbers. Warns of a sprite that is too large.
    """
    vectors = convert.array_or_list(mat)
    if vectors.ndim != 2:
        raise AssertionError(f"an embedding must be a matrix with a row for each data point, got shape {vectors.shape}")
    if vectors.size == 0:
        raise ValueError(f"an embedding needs at least one data point and one dimension, got shape {vectors.shape}")
    vectors = convert.real(vectors, "an embedding's points")
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
                f"the {len(pictures)} images of label_img make a sprite of {side} pixels a side, but TensorBoard shows "
                f"at most {MAX_SPRITE}; pass smaller images"
            )
            warn(message)
    with np.errstate(over="ignore"):  # numbers too large for a float32 become infinite
        return Embedding(vectors.astype("<f4", order="C"), labels, pictures, binary)


def _lines(metadata: Any, header: Sequence[Any] | None, n: int) -> list[str]:
    rows = convert.elements(metadata, "metadata")
    header = None if header is None else convert.elements(header, "metadata_header")
    if len(rows) != n:
        raise AssertionError(f"metadata has {len(rows)} rows, but there are {n} data points")
    if not header:
        return [_line([row]) for row in rows]
    for row in rows:
        if isinstance(row, str) or not hasattr(row, "__len__") or len(row) != len(header):
            raise AssertionError(f"each row of metadata must have {len(header)} columns, like the header, got {row!r}")
    # The projector takes the first line for a header only if it has a tab: that of a single column is not written.
    return [_line(row) for row in ([header, *rows] if len(header) > 1 else rows)]


def _line(cells: Sequence[Any]) -> str:
    line = "\t".join(str(cell).translate(ESCAPES) for cell in cells)
    return line if line.strip() else BLANK + line


def encode(name: str) -> str:
    """Return a tag as the name of a directory, like torch. A tag of dots only gets a "%" in front, unlike there."""
    if not isinstance(name, str):
        raise TypeError(f"the tag of an embedding must be a str, got {name!r} of type {type(name).__name__}")
    if "\0" in name:
        raise ValueError(f"the tag of an embedding names a directory, so it cannot have a null character: {name!r}")
    encoded = name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")
    return encoded if encoded.strip(".") else "%" + encoded


def place(tag: str, global_step: Any, embedding: Embedding) -> Any:
    """Return the EmbeddingInfo of an embedding, its entry in the list: name, files and shapes.

    Its folder is <step>/<tag>, as in torch. The step is str(global_step), padded with zeros to five characters. Raises
    ValueError for a step whose text leads out of the run's directory.
    """
    step = 0 if global_step is None else global_step
    if convert.is_torch(step) or isinstance(step, np.ndarray):  # str() of a tensor is "tensor(7)"
        step = convert.integer(step)
    name = str(step).zfill(5)
    folder = f"{name}/{encode(tag)}"
    if os.path.isabs(folder) or ".." in folder.split("/"):
        raise ValueError(f"global_step makes the path {folder!r}, which must not lead out of the run's directory")
    info = EmbeddingInfo(tensor_name=f"{tag}:{name}")
    if embedding.binary and not _passes_for_text(embedding.vectors):
        info.tensor_path = f"{folder}/tensors.bytes"
        info.tensor_shape.extend(embedding.vectors.shape)
    else:
        info.tensor_path = f"{folder}/tensors.tsv"
    if embedding.labels is not None:
        info.metadata_path = f"{folder}/metadata.tsv"
    if embedding.pictures is not None:
        _, height, width, _ = embedding.pictures.shape
        info.sprite.image_path = f"{folder}/sprite.png"
        info.sprite.single_image_dim.extend([width, height])
    return info


def prepare(log_dir: str, info: Any) -> bool:
    """Make the folder of an embedding and its empty files; return whether the folder existed before.

    All files are created here, on the thread that logs, and `write` only fills them: a file created later could make
    a program fail that is removing the directory. A list that cannot be read is renamed here, too, so that its warning
    names the caller's line. Raises NotADirectoryError if a file is where the folder must be.
    """
    if log_dir not in _checked:
        _read_list(log_dir)
        _checked.add(log_dir)
    folder = os.path.join(log_dir, os.path.dirname(info.tensor_path))
    was_there = os.path.isdir(folder)
    try:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(error.errno, "a file is where the embedding's directory must be", folder) from error
    for name in filter(None, (info.tensor_path, info.metadata_path, info.sprite.image_path, CONFIG)):
        os.close(os.open(os.path.join(log_dir, name), os.O_WRONLY | os.O_CREAT, 0o666))
    return was_there


def write(log_dir: str, info: Any, embedding: Embedding, prepared: bool = True) -> None:
    """Fill the files of an embedding, then add it to the list. Stop without an error if a file has been removed.

    prepared: whether `prepare` has made the files; if not, it is called first.
    """
    if not prepared:
        prepare(log_dir, info)
    blocks = _blocks(embedding.vectors)
    is_text = info.tensor_path.endswith(".tsv")
    with suppress(FileNotFoundError):
        _fill(log_dir, info.tensor_path, map(_core.tsv, blocks) if is_text else (b.tobytes() for b in blocks))
        if embedding.labels is not None:
            text = "\n".join(embedding.labels) + "\n"
            _fill(log_dir, info.metadata_path, [text.encode("utf-8", "backslashreplace")])
        if embedding.pictures is not None:
            # As many rows as columns: to find the row of an image the projector divides by the number of rows.
            side = math.ceil(math.sqrt(len(embedding.pictures)))
            sprite = images.Tiles(embedding.pictures[np.newaxis], side, side).pixels()[0]
            _fill(log_dir, info.sprite.image_path, [images.encode_png(sprite)[3]])
        _list(log_dir, info)


def _blocks(vectors: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield some rows at a time, since their text takes many times their memory."""
    rows = max(1, BLOCK // vectors.shape[1])
    return (vectors[i : i + rows] for i in range(0, len(vectors), rows))


def _passes_for_text(vectors: npt.NDArray[Any]) -> bool:
    """Return whether the projector would take a binary file for text: its first filled line is UTF-8, as zeros are."""
    for data in (block.tobytes() for block in _blocks(vectors)):
        start = next((i for i, byte in enumerate(data) if byte != ord("\n")), 0)
        end = data.find(b"\n", start)
        try:
            data[start : end if end >= 0 else None].decode()
        except UnicodeDecodeError as error:
            return error.end >= len(data)  # the block may end within a character
        if end >= 0:
            break
    return True


def _list(log_dir: str, info: Any) -> None:
    """Add an embedding to the list of the run, or replace its entry. Other entries stay as they are."""
    block = text_format.MessageToString(ProjectorConfig(embeddings=[info]))
    name = next(line.strip() for line in block.splitlines() if "tensor_name" in line)
    path = os.path.join(log_dir, CONFIG)
    with _locked(log_dir), open(os.open(path, os.O_RDWR | os.O_APPEND), "r+b", buffering=0) as file:
        listed = file.read()
        if name.encode() not in listed:
            gap = b"" if not listed or listed.endswith(b"\n") else b"\n"
            file.write(gap + block.encode())  # one write, so that a killed process leaves no half entry
        elif block.encode() not in listed:  # the same tag and step with other files or shapes
            config = _read_list(log_dir)
            for other in config.embeddings:
                if other.tensor_name == info.tensor_name:
                    other.CopyFrom(info)
            _replace(path, text_format.MessageToString(config).encode())


@contextmanager
def _locked(log_dir: str) -> Iterator[None]:
    """Lock the list of a run against other processes; after 10 s, or on a file system without locks, go on unlocked."""
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
        with suppress(OSError):  # unlock before closing: a child forked meanwhile has the descriptor open, too
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _read_list(log_dir: str) -> Any:
    """Return the list of embeddings. Rename a list that cannot be read, warn, and return an empty one."""
    path = os.path.join(log_dir, CONFIG)
    config = ProjectorConfig()
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        try:
            text_format.Parse(text, config, allow_unknown_field=True)
        except text_format.ParseError as error:
            os.replace(path, path + ".unreadable")
            warn(f"{path} cannot be read ({error}); it is now named {path}.unreadable, and a new list is begun")
            config = ProjectorConfig()
    return config


def _fill(log_dir: str, name: str, data: Iterable[Any]) -> None:
    """Write buffers to an existing file. Raises FileNotFoundError if the file does not exist."""
    with open(os.open(os.path.join(log_dir, name), os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.writelines(data)


def _replace(path: str, data: bytes) -> None:
    """Replace a file as a whole: a reader never sees a part of the new content."""
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
