"""Logs in every way there is, from a program without torch."""

import sys
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import assert_type

import tbc
import tbc.proto
import tbc.summary
from tbc import FileWriter, Stats, SummaryWriter

rng = np.random.default_rng(0)
LAYOUT = {"losses": {"all": ["Multiline", ["loss"]]}}


def log(log_dir: Path) -> Stats:
    with SummaryWriter(log_dir, flush_secs=1, image_compression="small", on_disk_error="raise") as writer:
        assert_type(writer, SummaryWriter)
        assert_type(writer.get_logdir(), str | PathLike[str])
        assert_type(writer.log_dir, str | PathLike[str])
        assert_type(writer.file_writer, FileWriter | None)
        assert_type(writer.enabled, bool)
        log_numbers(writer)
        log_media(writer)
        log_results(writer)
        log_graphs(writer, Path("model.onnx"))
        writer.flush(sync=True)
        stats = writer.stats()
    writer.close()
    assert_type(stats.error, OSError | None)
    assert_type(stats.written, int)
    return stats


def log_numbers(writer: SummaryWriter) -> None:
    for step in range(3):
        writer.add_scalar("loss", 1 / (step + 1), step, display_name="loss", description="Of *all* batches.")
        writer.add_scalar("precise", np.float64(0.1), global_step=step, new_style=True, double_precision=True)
        writer.add_metrics({"accuracy": 0.5, "epoch": step}, step)
        writer.add_histogram("weights", rng.normal(size=100), step, bins="auto")
    writer.add_scalars("pair", {"a": 1.0, "b": np.float32(2)}, 0, walltime=1.5e9)
    writer.add_scalars("pair", {"a": 1}, 1, separate_runs=False)
    writer.add_histogram_raw("raw", 0, 2, 3, 4, 6, bucket_limits=[1, 2], bucket_counts=[1, 2], global_step=0)
    writer.add_tensor("table", np.eye(3), 0, display_name="eye")
    writer.add_custom_scalars(LAYOUT)
    writer.add_custom_scalars_multilinechart(["loss"], title="loss")
    writer.add_custom_scalars_marginchart(["loss", "precise", "epoch"], category="margins")


def log_media(writer: SummaryWriter) -> None:
    image = np.zeros((3, 8, 8), np.uint8)
    writer.add_image("image", image, 0, description="black")
    writer.add_images("images", np.stack([image, image]), 0, grid=False)
    writer.add_image_with_boxes("boxes", image, np.array([[1, 1, 5, 5]]), 0, labels=["cat"])
    writer.add_figure("figure", Figure((1, 1)), 0)
    writer.add_figure("figures", [Figure((1, 1)), Figure((1, 1))], 0, close=False)
    writer.add_video("video", np.zeros((1, 2, 3, 8, 8), np.uint8), 0, fps=2, format="apng")
    writer.add_audio("audio", np.zeros(80), 0, sample_rate=8000)
    writer.add_text("text", "hello", 0)
    writer.add_mesh("mesh", np.zeros((1, 3, 3)), config_dict={"material": {"cls": "MeshNormalMaterial"}})
    writer.add_embedding(rng.normal(size=(4, 2)), metadata=["a", "b", "c", "d"], tag="words", binary=True)


def log_results(writer: SummaryWriter) -> None:
    labels, predictions = np.array([0, 1]), np.array([0.2, 0.9])
    writer.add_pr_curve("pr", labels, predictions, 0, num_thresholds=3)
    writer.add_pr_curve_raw("pr_raw", [1, 1], [1, 0], [0, 1], [0, 0], [0.5, 1], [1, 1], 0, num_thresholds=2)
    writer.add_hparams({"lr": 0.1, "model": {"layers": 2}}, {"hparam/loss": 0.3}, run_name=".", status="success")


def log_graphs(writer: SummaryWriter, exported: Path) -> None:
    writer.add_graph(tbc.proto.GraphDef(node=[{"name": "net/fc", "op": "Linear"}]))
    if exported.exists():
        writer.add_onnx_graph(exported)


def log_messages(log_dir: Path) -> None:
    """Ready messages, of tbc.summary and of tbc.proto."""
    writer = FileWriter(log_dir, filename_suffix=".messages")
    assert_type(writer.get_logdir(), str)
    assert_type(writer.stats(), Stats)
    image = np.zeros((3, 8, 8), np.uint8)
    ones = np.ones(2)
    messages: list[Any] = [
        tbc.summary.scalar("scalar", 1.0),
        tbc.summary.tensor_proto("tensor", np.eye(2)),
        tbc.summary.histogram("histogram", np.arange(9.0), bins=4),
        tbc.summary.histogram_raw("histogram_raw", 0, 2, 3, 4, 6, [1, 2], [1, 2]),
        tbc.summary.image("image", image[np.newaxis]),
        tbc.summary.image_boxes("image_boxes", image, np.array([[1, 1, 5, 5]])),
        tbc.summary.video("video", np.zeros((1, 2, 3, 8, 8), np.uint8)),
        tbc.summary.audio("audio", np.zeros(80)),
        tbc.summary.text("text", "hello"),
        tbc.summary.pr_curve("pr", np.array([0, 1]), np.array([0.2, 0.9]), 3),
        tbc.summary.pr_curve_raw("pr_raw", ones, ones, ones, ones, ones, ones, num_thresholds=2),
        tbc.summary.mesh("mesh", np.zeros((1, 3, 3)), None, None, None),
        tbc.summary.custom_scalars(LAYOUT),
        *tbc.summary.hparams({"lr": 0.1}, {"loss": 0.0}),
    ]
    for step, message in enumerate(messages):
        writer.add_summary(message, step)
    writer.add_event(tbc.proto.Event(file_version="brain.Event:2"), 1)
    writer.flush(sync=True)
    assert_type(writer.reopen(), bool)
    writer.close()
    curve = tbc.summary.compute_curve(np.array([0, 1]), np.array([0.2, 0.9]), 3)
    assert_type(curve, NDArray[np.float64])
    drawn = tbc.summary.draw_boxes(Image.new("RGB", (8, 8)), np.array([[1, 1, 5, 5]]))
    assert_type(drawn, Image.Image)
    assert_type(tbc.__version__, str)


def main(log_dir: Path) -> None:
    """With the writers of torch and tensorboardX as tbc's, for libraries that make one; neither is needed."""
    begun: list[str] = []
    remove = tbc.on_new_run(begun.append)
    assert_type(remove, Callable[[], None])
    with tbc.patch_torch(), tbc.patch_tensorboardx():
        log(log_dir)
    remove()
    print(*begun, sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
