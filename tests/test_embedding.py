"""add_embedding: the files it writes, as TensorBoard's projector serves them."""

import json
import os
import shutil
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.oracle import read_back, run_script, tensorboard_on
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from tensorboard.plugins.projector import projector_plugin
from werkzeug.test import Client

import tbc
from tbc import encoder_thread
from tbc.compat import tensorboardx
from tbc.kinds import embeddings

RNG = np.random.default_rng(11)
MAT = RNG.normal(size=(4, 3)).astype(np.float32)
CONFIG = "projector_config.pbtxt"
both_writers = pytest.mark.parametrize("kind", [tbc.SummaryWriter, tensorboardx.SummaryWriter])


class Projector:
    """What TensorBoard's projector serves for a directory with one run."""

    def __init__(self, log_dir):
        self.log_dir = Path(log_dir)
        self.apps = projector_plugin.ProjectorPlugin(tensorboard_on(log_dir)).get_plugin_apps()
        listed = json.loads(self.get("/info"))["embeddings"] if json.loads(self.get("/runs")) else []
        self.embeddings = {embedding["tensorName"]: embedding for embedding in listed}
        assert len(self.embeddings) == len(listed)

    def get(self, route, **query):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the projector reads 1e300 into float32
            response = Client(self.apps[route]).get("/", query_string={"run": ".", **query})
        assert response.status_code == 200, response.text
        return response.data

    def tensor(self, name):
        (shape,) = [self.embeddings[name]["tensorShape"]]
        return np.frombuffer(self.get("/tensor", name=name), np.float32).reshape(shape)

    def metadata(self, name):
        """Return the rows as the page reads them: it skips blank lines; a first line with a tab is a header."""
        lines = [line for line in self.get("/metadata", name=name).decode().split("\n") if line.strip()]
        return [line.split("\t") for line in lines]

    def sprites(self, name):
        """Return the images, cut out of the sprite as the page does: sprite side divided by image side."""
        path = self.log_dir / self.embeddings[name]["sprite"]["imagePath"]
        assert self.get("/sprite_image", name=name) == path.read_bytes()
        pixels = np.asarray(Image.open(path))
        width, height = self.embeddings[name]["sprite"]["singleImageDim"]
        rows, columns = pixels.shape[0] // height, pixels.shape[1] // width
        assert rows == columns
        return [
            pixels[i // columns * height :][:height, i % columns * width :][:, :width] for i in range(rows * columns)
        ]


def log_embedding(log_dir, *arguments, **options):
    """Log one embedding; return what the projector serves, and the embedding's name there."""
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_embedding(*arguments, **options)
    projector = Projector(log_dir)
    (name,) = projector.embeddings
    return projector, name


finite = st.sampled_from([0.0, 0.5, 2.0, -0.0, 1e-45, 3e38, 1 / 3, 10.0]) | st.floats(width=32)
matrices = arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=finite)


@given(matrices, st.booleans())
def test_the_projector_reads_every_value_exactly(mat, binary):
    with tempfile.TemporaryDirectory() as log_dir:
        projector, name = log_embedding(log_dir, mat, binary=binary)
        np.testing.assert_array_equal(projector.tensor(name), mat)
    assert name == "default:00000"


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "g", ">f4", "i8", "i2", "u1", "u8", "?"])
def test_types_of_numpy(log_dir, dtype, binary):
    mat = (RNG.random((5, 4)) * 3).astype(dtype)
    projector, name = log_embedding(log_dir, mat.T[::-1], binary=binary)
    np.testing.assert_array_equal(projector.tensor(name), mat.T[::-1].astype(np.float32))


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int64", "uint8", "bool"])
def test_types_of_torch(log_dir, dtype, binary):
    torch = pytest.importorskip("torch")
    mat = (torch.rand(5, 4) * 3).to(getattr(torch, dtype))
    if mat.is_floating_point():
        mat.requires_grad_()
    projector, name = log_embedding(log_dir, mat.T, binary=binary)
    np.testing.assert_array_equal(projector.tensor(name), mat.T.detach().float().numpy())


def test_lists(log_dir):
    projector, name = log_embedding(log_dir, [[1, 2.5], [3, 4]])
    np.testing.assert_array_equal(projector.tensor(name), [[1, 2.5], [3, 4]])


@pytest.mark.parametrize("binary", [False, True])
def test_what_float32_cannot_hold_is_infinite_without_ado(log_dir, binary):
    projector, name = log_embedding(log_dir, np.array([[1e300, 1.0], [-1e300, np.nan]]), binary=binary)
    np.testing.assert_array_equal(projector.tensor(name), [[np.inf, 1], [-np.inf, np.nan]])


def first_lines(log_dir, mat):
    projector, name = log_embedding(log_dir, mat, binary=True)
    np.testing.assert_array_equal(projector.tensor(name), mat)
    return projector.embeddings[name]["tensorPath"]


def test_binary_files_that_the_projector_takes_for_text_are_text(log_dir, tmp_path):
    """The projector first reads text, line by line, until bytes are not UTF-8. Zeros are valid UTF-8."""
    assert first_lines(log_dir, np.zeros((100, 100), np.float32)) == "00000/default/tensors.tsv"
    newline_first = np.array([[0x0A0A0A0A, 0x30303030], [0x3030300A, 0xBF800000]], np.uint32).view(np.float32)
    assert first_lines(tmp_path / "newline", newline_first) == "00000/default/tensors.tsv"
    assert first_lines(tmp_path / "bytes", np.ones((2, 2), np.float32)) == "00000/default/tensors.bytes"


def test_binary_is_four_bytes_a_number(log_dir):
    log_embedding(log_dir, RNG.random((1000, 10)), binary=True)
    assert os.path.getsize(f"{log_dir}/00000/default/tensors.bytes") == 4 * 10_000


def test_the_files_are_torchs(log_dir, tmp_path):
    torch = pytest.importorskip("torch")
    SummaryWriter = pytest.importorskip("torch.utils.tensorboard").SummaryWriter
    pixels = torch.rand(4, 3, 5, 5)
    arguments = torch.tensor(MAT), [["a", 1], ["b", 2], ["c", 3], ["d", 4]], pixels, 7, "a/b%c\\d", ["name", "number"]
    for make, directory in ((SummaryWriter, tmp_path / "torch"), (tbc.SummaryWriter, log_dir)):
        with make(directory) as writer:
            writer.add_embedding(*arguments)
    folder = "00007/a%2fb%25c%5cd"
    for name in (f"{folder}/metadata.tsv", f"{folder}/sprite.png", f"{folder}/tensors.tsv", CONFIG):
        ours, theirs = (Path(directory, name) for directory in (log_dir, tmp_path / "torch"))
        if name.endswith(".png"):
            np.testing.assert_array_equal(np.asarray(Image.open(ours)), np.asarray(Image.open(theirs)))
        elif name.endswith("tensors.tsv"):  # tbc writes nine digits, torch seventeen
            np.testing.assert_array_equal(np.loadtxt(ours, np.float32), np.loadtxt(theirs, np.float32))
        else:
            assert ours.read_text() == theirs.read_text()


def test_nothing_but_the_files_it_lists(log_dir):
    log_embedding(log_dir, MAT, list("abcd"), RNG.random((4, 1, 2, 3)))
    assert read_back(log_dir) == []
    files = sorted(str(path.relative_to(log_dir)) for path in Path(log_dir).rglob("*") if path.is_file())
    assert files[:3] == [f"00000/default/{name}" for name in ("metadata.tsv", "sprite.png", "tensors.tsv")]
    assert (files[4], len(files)) == (CONFIG, 5)


# --- metadata ---

labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
ESCAPED = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


@given(st.lists(labels, min_size=1, max_size=8))
def test_every_point_has_its_label(names):
    with tempfile.TemporaryDirectory() as log_dir:
        projector, name = log_embedding(log_dir, np.ones((len(names), 2)), names)
        shown = projector.metadata(name)
    expected = [label.translate(ESCAPED) for label in names]
    for cells, label in zip(shown, expected, strict=True):
        assert cells == [label if label.strip() else "\u200b" + label]


@given(st.integers(2, 4), st.integers(1, 5), st.data())
def test_every_point_has_its_row_under_a_header(columns, points, data):
    header, *rows = (data.draw(st.lists(labels, min_size=columns, max_size=columns)) for _ in range(points + 1))
    with tempfile.TemporaryDirectory() as log_dir:
        projector, name = log_embedding(log_dir, np.ones((points, 2)), rows, metadata_header=header)
        shown = projector.metadata(name)
    assert len(shown) == points + 1
    for cells, expected in zip(shown, [header, *rows], strict=True):
        assert cells[0].removeprefix("\u200b") == expected[0].translate(ESCAPED).removeprefix("\u200b")
        assert cells[1:] == [cell.translate(ESCAPED) for cell in expected[1:]]


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        (["a", "b", "", " "], ["a", "b", "\u200b", "\u200b "]),
        (["a\tb", "a\nb", "a\r\nb", "\n"], ["a\\tb", "a\\nb", "a\\r\\nb", "\\n"]),
        (["тег", "损失", "🔥", "\ud800"], ["тег", "损失", "🔥", "\\ud800"]),
        ([1, 2.5, None, True], ["1", "2.5", "None", "True"]),
        (np.arange(4), ["0", "1", "2", "3"]),
        (np.array(["a", "b", "c", "d"]), ["a", "b", "c", "d"]),
        (np.array([0.1, 2, 3, 4]), ["0.1", "2.0", "3.0", "4.0"]),
        (range(4), ["0", "1", "2", "3"]),
        ("abcd", ["a", "b", "c", "d"]),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, ["a", "b", "c", "d"]),
        (iter("abcd"), ["a", "b", "c", "d"]),
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:12]!a}",
)
def test_labels(log_dir, metadata, shown):
    projector, name = log_embedding(log_dir, MAT, metadata)
    assert projector.metadata(name) == [[label] for label in shown]


def test_tensors_as_labels(log_dir):
    torch = pytest.importorskip("torch")
    projector, name = log_embedding(log_dir, MAT, torch.arange(4))
    assert projector.metadata(name) == [["0"], ["1"], ["2"], ["3"]]


@pytest.mark.parametrize("rows", [[["a", 1], ("b", 2), ["", 3], ["", ""]], np.array([["a", 1], ["b", 2]] * 2)])
def test_a_header_of_several_columns(log_dir, rows):
    projector, name = log_embedding(log_dir, MAT, rows, metadata_header=["name", "number"])
    shown = projector.metadata(name)
    assert (shown[0], shown[1], len(shown)) == (["name", "number"], ["a", "1"], 5)


def test_a_header_of_one_column_is_left_out(log_dir):
    """The projector would read such a header as a point."""
    projector, name = log_embedding(log_dir, MAT, [["a"], ["b"], ["c"], ["d"]], metadata_header=["name"])
    assert projector.metadata(name) == [["a"], ["b"], ["c"], ["d"]]


# --- sprites ---


@given(
    st.integers(1, 10),
    st.sampled_from([1, 3]),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from(["u1", "f4", "f8"]),
)
def test_every_point_has_its_image(n, channels, height, width, dtype):
    pixels = RNG.integers(0, 256, (n, channels, height, width))
    pixels = pixels.astype("u1") if dtype == "u1" else ((pixels + 0.25) / 255).astype(dtype)
    with tempfile.TemporaryDirectory() as log_dir:
        projector, name = log_embedding(log_dir, np.ones((n, 2)), label_img=pixels)
        shown = projector.sprites(name)
    expected = pixels if dtype == "u1" else (pixels * 255).astype("u1")
    assert len(shown) == int(np.ceil(np.sqrt(n))) ** 2
    for image, pixels_ in zip(shown[:n], expected, strict=True):
        np.testing.assert_array_equal(image, np.broadcast_to(pixels_, (3, height, width)).transpose(1, 2, 0))
    assert not any(image.any() for image in shown[n:])


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bfloat16"])
def test_tensors_as_images(log_dir, dtype):
    torch = pytest.importorskip("torch")
    pixels = torch.tensor([0, 1] * 12).reshape(4, 1, 3, 2).to(getattr(torch, dtype))
    projector, name = log_embedding(log_dir, MAT, label_img=pixels)
    ones = 1 if dtype == "uint8" else 255
    np.testing.assert_array_equal(np.stack(projector.sprites(name))[..., 0], pixels[:, 0].float().numpy() * ones)


@both_writers
def test_a_sprite_too_large_for_the_projector_warns(log_dir, kind):
    with kind(log_dir) as writer, pytest.warns(UserWarning, match="8193 pixels.*at most 8192") as told:
        writer.add_embedding(np.ones((1, 2)), label_img=np.zeros((1, 1, 8193, 1), np.uint8))
    assert told[0].filename == __file__


# --- several of them ---


@pytest.mark.parametrize(
    ("step", "shown"),
    [(None, "00000"), (7, "00007"), (123456, "123456"), (-1, "-0001"), (2**63 - 1, str(2**63 - 1)), (1.9, "001.9")]
    + [("best", "0best"), ("epoch-3", "epoch-3"), ("12", "00012"), (2**63, str(2**63)), (np.int8(3), "00003")]
    + [(np.array(4), "00004"), (np.float32(2.5), "002.5"), (True, "0True")],
)
def test_steps(log_dir, step, shown):
    projector, name = log_embedding(log_dir, MAT, global_step=step)
    assert name == f"default:{shown}"
    assert projector.embeddings[name]["tensorPath"] == f"{shown}/default/tensors.tsv"


TAGS = [
    "",
    ".",
    "..",
    "...",
    "%",
    "a/b",
    "a%2fb",
    "a%252fb",
    "a\\b",
    "a%5cb",
    "/",
    "//",
    "~",
    " ",
    "\n",
    '"',
    "тег",
    "損失",
]


def test_tags_keep_apart(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        for i, tag in enumerate(TAGS):
            writer.add_embedding(MAT + i, [f"label {i}"] * 4, tag=tag)
    projector = Projector(log_dir)
    assert list(projector.embeddings) == [f"{tag}:00000" for tag in TAGS]
    for i, tag in enumerate(TAGS):
        np.testing.assert_array_equal(projector.tensor(f"{tag}:00000"), MAT + np.float32(i))
        assert projector.metadata(f"{tag}:00000")[0] == [f"label {i}"]
    assert set(os.listdir(log_dir)) == {"00000", CONFIG, *(name for name in os.listdir(log_dir) if "tfevents" in name)}


def test_earlier_embeddings_are_kept_after_a_restart(log_dir):
    for i in range(3):
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_embedding(MAT + i, list("abcd"), tag="t", global_step=i)
            writer.add_embedding(MAT - i, tag="u", global_step=i)
    projector = Projector(log_dir)
    assert list(projector.embeddings) == ["t:00000", "u:00000", "t:00001", "u:00001", "t:00002", "u:00002"]
    for i in range(3):
        np.testing.assert_array_equal(projector.tensor(f"t:0000{i}"), MAT + i)
        np.testing.assert_array_equal(projector.tensor(f"u:0000{i}"), MAT - i)


def test_embeddings_of_torch_are_kept(log_dir):
    torch = pytest.importorskip("torch")
    SummaryWriter = pytest.importorskip("torch.utils.tensorboard").SummaryWriter
    with SummaryWriter(log_dir) as writer:
        writer.add_embedding(torch.tensor(MAT), list("abcd"), tag="a")
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_embedding(MAT, tag="b")
    projector = Projector(log_dir)
    assert list(projector.embeddings) == ["a:00000", "b:00000"]
    assert projector.metadata("a:00000")[0] == ["a"]


@pytest.mark.parametrize("restart", [False, True])
def test_the_same_tag_and_step_replaces(log_dir, restart):
    writer = tbc.SummaryWriter(log_dir)
    writer.add_embedding(MAT, list("abcd"), binary=True)
    writer.add_embedding(MAT, tag="other")
    if restart:
        writer.close()
    with pytest.warns(UserWarning, match="'default' of step 0 is replaced; pass global_step to keep both") as told:
        writer.add_embedding(-MAT[:2])
    writer.close()
    assert told[0].filename == __file__
    projector = Projector(log_dir)
    assert sorted(projector.embeddings) == ["default:00000", "other:00000"]
    np.testing.assert_array_equal(projector.tensor("default:00000"), -MAT[:2])
    assert "metadataPath" not in projector.embeddings["default:00000"]


@both_writers
@pytest.mark.parametrize("content", [b"embeddings {", b"\x00\xff\xfe"])
def test_a_list_that_cannot_be_read_is_set_aside(log_dir, content, kind):
    os.makedirs(log_dir)
    Path(log_dir, CONFIG).write_bytes(content)
    with kind(log_dir) as writer:
        with pytest.warns(UserWarning, match=r"cannot be read .* is now named .*\.unreadable, ") as told:
            writer.add_embedding(MAT, tag="a")
        writer.add_embedding(MAT, tag="b")
    assert told[0].filename == __file__
    assert Path(log_dir, CONFIG + ".unreadable").read_bytes() == content
    assert list(Projector(log_dir).embeddings) == ["a:00000", "b:00000"]


def test_what_others_wrote_into_the_list_stays(log_dir):
    os.makedirs(log_dir)
    written = 'embeddings {\n  tensor_name: "theirs"\n  future_field: 3\n}\n# a comment\n'
    Path(log_dir, CONFIG).write_text(written)
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_embedding(MAT)
    listed = Path(log_dir, CONFIG).read_text()
    assert listed.startswith(written)
    assert 'tensor_name: "default:00000"' in listed


def test_the_process_may_leave_its_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with tbc.SummaryWriter("run") as writer:
        encoder_thread.run(lambda: time.sleep(0.05))
        writer.add_embedding(MAT)
        monkeypatch.chdir("/")
    assert list(Projector(tmp_path / "run").embeddings) == ["default:00000"]


def test_processes_share_the_list(log_dir):
    run_script(
        """
        import os, sys, numpy as np, tbc
        children = []
        for child in range(4):
            pid = os.fork()
            if pid == 0:
                with tbc.SummaryWriter(sys.argv[1]) as writer:
                    for step in range(10):
                        writer.add_embedding(np.ones((2, 2)), global_step=step, tag=f"of {child}")
                        writer.flush()
                os._exit(0)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
        """,
        log_dir,
    )
    assert Path(log_dir, CONFIG).read_text().count("tensor_name") == 40
    assert sorted(name for name in os.listdir(log_dir) if "part" in name) == []


def test_integer_pixels_warn(log_dir):
    with tbc.SummaryWriter(log_dir) as writer, pytest.warns(UserWarning, match="pixels of int64"):
        writer.add_embedding(MAT, label_img=np.full((4, 3, 2, 2), 200))


def test_warnings_as_errors_lose_nothing(log_dir):
    os.makedirs(log_dir)
    Path(log_dir, CONFIG).write_text("?")
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(UserWarning, match="cannot be read"):
            writer.add_embedding(MAT)
        assert not os.path.exists(f"{log_dir}/00000")
        writer.add_embedding(MAT)
    assert list(Projector(log_dir).embeddings) == ["default:00000"]


def test_other_entries_of_the_list_are_kept(log_dir):
    os.makedirs(log_dir)
    Path(log_dir, CONFIG).write_text(
        'model_checkpoint_path: "model"\nembeddings { tensor_name: "x" tensor_path: "x.tsv" bookmarks_path: "b" }\n'
    )
    Path(log_dir, "x.tsv").write_text("1\t2\n")
    projector, name = log_one_more(log_dir)
    assert (list(projector.embeddings), name) == (["x", "default:00000"], "default:00000")
    assert projector.embeddings["x"]["bookmarksPath"] == "b"
    assert 'model_checkpoint_path: "model"' in Path(log_dir, CONFIG).read_text()


def log_one_more(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_embedding(MAT)
    projector = Projector(log_dir)
    return projector, list(projector.embeddings)[-1]


# --- on the encoder's thread ---


@pytest.fixture
def busy_thread():
    """Block the encoder's thread in a job until the returned event is set."""
    go = threading.Event()
    encoder_thread.run(go.wait)
    yield go
    go.set()


@pytest.mark.parametrize("binary", [False, True])
def test_the_caller_may_change_everything_after_the_call(log_dir, busy_thread, binary):
    mat, names, pixels = MAT.copy(), ["a", "b", "c", "d"], np.ones((4, 3, 2, 2), np.uint8)
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_embedding(mat, names, pixels, binary=binary)
        mat[:], names[:], pixels[:] = 0, "wxyz", 0
        busy_thread.set()
    projector = Projector(log_dir)
    np.testing.assert_array_equal(projector.tensor("default:00000"), MAT)
    assert projector.metadata("default:00000") == [["a"], ["b"], ["c"], ["d"]]
    assert all((image == 1).all() for image in projector.sprites("default:00000"))


def test_flush_waits(log_dir, busy_thread):
    writer = tbc.SummaryWriter(log_dir)
    writer.add_embedding(MAT)
    assert Path(log_dir, CONFIG).read_bytes() == b""
    threading.Timer(0.1, busy_thread.set).start()
    writer.flush()
    assert list(Projector(log_dir).embeddings) == ["default:00000"]
    writer.close()


def test_an_exit_waits(log_dir):
    script = """
        import sys, numpy as np, tbc
        tbc.SummaryWriter(sys.argv[1]).add_embedding(np.ones((500, 500)))
        """
    run_script(script, log_dir)
    assert Projector(log_dir).tensor("default:00000").shape == (500, 500)


def test_it_is_listed_when_its_files_are_whole(log_dir, monkeypatch):
    listed = []
    add = embeddings._list

    def watch(log_dir, info):
        names = info.tensor_path, info.metadata_path, info.sprite.image_path
        listed.append([os.path.getsize(os.path.join(log_dir, name)) for name in names])
        add(log_dir, info)

    monkeypatch.setattr(embeddings, "_list", watch)
    log_embedding(log_dir, MAT, list("abcd"), np.ones((4, 1, 2, 2)))
    names = "tensors.tsv", "metadata.tsv", "sprite.png"
    assert listed == [[Path(log_dir, "00000/default", name).stat().st_size for name in names]]
    assert list(Path(log_dir).rglob("*.part")) == []


def everything_in(directory):
    return sorted(str(path.relative_to(directory)) for path in Path(directory).rglob("*"))


@pytest.mark.parametrize("arguments", [(), (list("abcd"),), (None, np.ones((4, 1, 2, 2)))])
@pytest.mark.parametrize("binary", [False, True])
def test_all_names_are_there_when_the_call_returns(log_dir, busy_thread, arguments, binary):
    """A name created later could disturb a program that removes the directory."""
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_embedding(MAT, *arguments, binary=binary)
        before = everything_in(log_dir)
        busy_thread.set()
        writer.flush()
        assert everything_in(log_dir) == before
        with pytest.warns(UserWarning, match="is replaced"):
            writer.add_embedding(-MAT, *arguments, binary=binary)
        writer.flush()
        assert everything_in(log_dir) == before


def test_a_directory_that_is_removed_meanwhile_stays_so(log_dir, busy_thread):
    writer = tbc.SummaryWriter(log_dir)
    writer.add_embedding(MAT, list("abcd"), np.ones((4, 1, 2, 2)))
    shutil.rmtree(log_dir)
    busy_thread.set()
    writer.close()
    assert not os.path.exists(log_dir)
    with writer:
        writer.add_embedding(MAT)
    assert list(Projector(log_dir).embeddings) == ["default:00000"]


def test_the_same_again_leaves_the_list_as_it_is(log_dir):
    log_embedding(log_dir, MAT, list("abcd"))
    before = Path(log_dir, CONFIG).stat()
    with pytest.warns(UserWarning, match="is replaced"):
        log_embedding(log_dir, -MAT, list("abcd"))
    assert Path(log_dir, CONFIG).stat() == before


def test_a_disk_that_fails_is_told_by_flush_and_keeps_the_list(log_dir, monkeypatch):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_embedding(MAT, tag="a")
        writer.flush()
        with monkeypatch.context() as patch:
            patch.setattr(embeddings, "_fill", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
            writer.add_embedding(MAT, tag="b")
            with pytest.raises(OSError, match="disk full"):
                writer.flush()
        writer.add_embedding(MAT, tag="c")
    assert list(Projector(log_dir).embeddings) == ["a:00000", "c:00000"]


# --- bad input ---


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((np.ones(3),), AssertionError, r"\(3,\)"),
        ((np.ones((2, 3, 4)),), AssertionError, r"\(2, 3, 4\)"),
        ((3.0,), AssertionError, "matrix"),
        ((np.ones((0, 3)),), ValueError, "at least one"),
        ((np.ones((3, 0)),), ValueError, "at least one"),
        ((np.ones((2, 2), complex),), TypeError, "complex128"),
        ((np.array([["a", "b"]]),), TypeError, "real numbers"),
        ((np.full((2, 2), None),), TypeError, "object"),
        ((None,), NotImplementedError, "NoneType"),
        (([[1, 2], [3]],), ValueError, "of one length"),
        ((MAT, ["a", "b", "c"]), AssertionError, "3 rows, but there are 4"),
        ((MAT, []), AssertionError, "0 rows"),
        ((MAT, 3), TypeError, "metadata must be a list"),
        ((MAT, [["a"]] * 4, None, 0, "t", ["x", "y"]), AssertionError, "2 columns"),
        ((MAT, ["ab"] * 4, None, 0, "t", ["x", "y"]), AssertionError, "2 columns"),
        ((MAT, [["a", "b"]] * 3 + [["a"]], None, 0, "t", ["x", "y"]), AssertionError, "2 columns"),
        ((MAT, np.arange(4), None, 0, "t", ["x", "y"]), AssertionError, "2 columns"),
        ((MAT, None, np.ones((3, 3, 2, 2))), AssertionError, "4 images"),
        ((MAT, None, np.ones((4, 4, 2, 2))), AssertionError, "1 or 3 channels"),
        ((MAT, None, np.ones((4, 5, 2, 2))), ValueError, "channels"),
        ((MAT, None, np.ones((4, 2, 2))), ValueError, "4 dimensions"),
        ((MAT, None, np.ones((4, 3, 0, 2))), ValueError, "pixel"),
        ((MAT, None, [1, 2, 3, 4]), NotImplementedError, "list"),
        ((MAT, None, None, "a/../../x"), ValueError, "lead out of the run's directory"),
        ((MAT, None, None, "/x/y/z"), ValueError, "lead out of the run's directory"),
        ((MAT, None, None, "a\0b"), ValueError, "null"),
        ((MAT, None, None, 0, 3), TypeError, "tag"),
        ((MAT, None, None, 0, "\ud800"), UnicodeEncodeError, "surrogates"),
        ((MAT, None, None, 0, "a\0b"), ValueError, "null"),
        ((MAT, None, None, 0, "x" * 300), OSError, "too long"),
    ],
)
def test_bad_input_is_told_at_once_and_writes_nothing(log_dir, arguments, error, words):
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(error, match=words):
        writer.add_embedding(*arguments)
    assert not list(Path(log_dir).rglob("*.*sv"))
    assert not os.path.exists(f"{log_dir}/{CONFIG}")


@pytest.mark.parametrize("path", ["00000", "00000/default"])
def test_a_file_where_the_directory_must_be(log_dir, path):
    with tbc.SummaryWriter(log_dir) as writer:
        Path(log_dir, path).parent.mkdir(exist_ok=True)
        Path(log_dir, path).write_text("mine")
        with pytest.raises(NotADirectoryError, match="default"):
            writer.add_embedding(MAT)
    assert Path(log_dir, path).read_text() == "mine"
    assert not os.path.exists(f"{log_dir}/{CONFIG}")


def test_not_enabled(log_dir):
    tbc.SummaryWriter(log_dir, enabled=False).add_embedding(object())
    assert not os.path.exists(log_dir)
