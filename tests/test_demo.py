"""The demo's run, a real training: both readers of TensorBoard load every tag and every point."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import tensorboard_data_server
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.context import RequestContext
from tensorboard.data.grpc_provider import GrpcDataProvider, make_stub

from tbc.reader import find_event_files, load_runs, read_events
from tbc.reader.events import scalar_of, values_of
from tbc.testing import assert_logged, assert_valid

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

PLUGINS = {  # TensorBoard's plugin: tbc's kind, and the data server's name for the data
    "scalars": ("scalar", "scalars"),
    "histograms": ("histogram", "tensors"),
    "text": ("text", "tensors"),
    "pr_curves": ("pr_curve", "tensors"),
    "mesh": ("mesh", "tensors"),
    "custom_scalars": ("custom_scalars", "tensors"),
    "images": ("image", "blob_sequences"),
    "audio": ("audio", "blob_sequences"),
}

DEMO = Path(__file__).parent.parent / "examples" / "digits.py"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Return the run's directory, the demo's output, and (kind, tag) -> [(step, value)] from tbc.reader."""
    log_dir = tmp_path_factory.mktemp("runs") / "digits"
    command = [sys.executable, str(DEMO), str(log_dir)]
    output = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=log_dir.parent).stdout
    logged = {}
    for path in find_event_files(log_dir):
        for event in read_events(path):
            for value in values_of(event):
                number = scalar_of(value.content) if value.kind == "scalar" else None
                logged.setdefault((value.kind, value.tag), []).append((value.step, number))
    return log_dir, output, logged


def test_the_run_is_valid_and_loads(demo):
    log_dir, _, logged = demo
    assert_valid(log_dir, strict=True)
    for tag, points in of_kind(logged, "scalar").items():
        steps, numbers = zip(*points, strict=True)
        assert_logged(log_dir, tag, steps=steps, values=numbers)
    loaded = {
        (kind, tag): of.step.tolist()
        for kind, tags in load_runs(log_dir)["."].values.items()
        for tag, of in tags.items()
    }
    assert loaded == {key: [step for step, _ in points] for key, points in logged.items() if key[0] != "scalar"}


def of_kind(logged, kind):
    return {tag: points for (kind_, tag), points in logged.items() if kind_ == kind}


def test_the_demo_learns_and_logs_every_kind(demo):
    log_dir, output, logged = demo
    assert logged["scalar", "accuracy/test"][-1][1] > 0.95
    assert logged["scalar", "loss/train"][-1][1] < 0.1
    kinds = {"scalar", "histogram", "image", "audio", "text", "pr_curve", "mesh", "custom_scalars", "hparams", "tensor"}
    assert {kind for kind, _ in logged} == {"file_version", *kinds}
    assert "sprite.png" in os.listdir(f"{log_dir}/01760/hidden")
    assert len(logged["scalar", "loss/train"]) == 1760
    for words in ("loss/train", "weights/hidden", f"tbc.reader dump {log_dir}", "tensorboard --logdir"):
        assert words in output


def test_event_accumulator_loads_every_point(demo):
    log_dir, _, logged = demo
    everything = dict.fromkeys(["scalars", "histograms", "images", "audio", "tensors"], 0)
    accumulator = EventAccumulator(str(log_dir), everything)
    accumulator.Reload()
    for kind, read in (
        ("scalar", accumulator.Scalars),
        ("histogram", accumulator.Histograms),
        ("image", accumulator.Images),
        ("audio", accumulator.Audio),
    ):
        tags = of_kind(logged, kind)
        assert sorted(accumulator.Tags()[kind if kind == "audio" else kind + "s"]) == sorted(tags)
        for tag, points in tags.items():
            events = read(tag)
            assert [event.step for event in events] == [step for step, _ in points]
            if kind == "scalar":
                assert [event.value for event in events] == [value for _, value in points]
    stored_as_tensors = "text", "pr_curve", "mesh", "custom_scalars", "tensor"
    assert {*accumulator.Tags()["tensors"]} >= {tag for kind in stored_as_tensors for tag in of_kind(logged, kind)}


@contextmanager
def rustboard(log_dir, tmp_path):
    port_file = tmp_path / "port"
    command = [tensorboard_data_server.server_binary(), f"--logdir={log_dir}", "--port=0", f"--port-file={port_file}"]
    command += [
        "--samples-per-plugin=" + ",".join(f"{plugin}=all" for plugin in PLUGINS),
        "--reload=1",
        "--die-after-stdin",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 30
        while not (port_file.exists() and port_file.read_text().endswith("\n")):
            assert time.monotonic() < deadline
            assert server.poll() is None
            time.sleep(0.05)
        address = f"localhost:{port_file.read_text().strip()}"
        with grpc.insecure_channel(address) as channel:
            yield GrpcDataProvider(address, make_stub(channel))
        server.kill()


def test_rustboard_loads_every_point(demo, tmp_path):
    log_dir, _, logged = demo
    context = RequestContext()
    with rustboard(log_dir.parent, tmp_path) as provider:

        def read(what, plugin):
            series = getattr(provider, f"read_{what}")(context, experiment_id="", plugin_name=plugin, downsample=10**6)
            return series.get("digits", {})

        deadline = time.monotonic() + 30
        while len(read("scalars", "scalars").get("loss/train", [])) < 1760 and time.monotonic() < deadline:
            time.sleep(0.1)
        for plugin, (kind, what) in PLUGINS.items():
            tags, theirs = of_kind(logged, kind), read(what, plugin)
            assert sorted(theirs) == sorted(tags)
            for tag, points in tags.items():
                assert [point.step for point in theirs[tag]] == [step for step, _ in points], tag
                if kind == "scalar":
                    assert [point.value for point in theirs[tag]] == [value for _, value in points]
