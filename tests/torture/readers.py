"""Read with TensorBoard's two readers, as oracles: each follows a tree of runs live, or reads it afresh.

A view is {run: {tag: [(step, value)]}}, what a reader has read so far. The run is the path of a directory below the
watched one, and value is None if it is not a scalar. RustBoard is the data server that TensorBoard starts by default,
in its own process. The Python loader is TensorBoard's fallback, and runs in this process.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import grpc
import tensorboard_data_server
from tensorboard.backend.event_processing import directory_watcher, event_file_loader, io_wrapper
from tensorboard.data import grpc_provider
from tensorboard.util import tensor_util

PATIENCE = 10  # seconds that a reader has to find what is expected, on a busy machine
PLUGINS = {  # plugin -> the method that reads its data from RustBoard
    "scalars": "read_scalars",
    "histograms": "read_tensors",
    "text": "read_tensors",
    "images": "read_blob_sequences",
}
# A stopped process would not notice that its parent is gone, so the system kills it then. preexec_fn cannot do this:
# it runs Python code in a fork, which fails with gRPC's threads.
DIE_WITH_PARENT = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
has_rustboard = tensorboard_data_server.server_binary() is not None


class RustBoard:
    """A data server on a directory. It reloads continuously, but is stopped (SIGSTOP) while nobody reads.

    once: read all files once, at the start.
    """

    def __init__(self, log_dir, once=False):
        self._files = tempfile.TemporaryDirectory()
        port = Path(self._files.name, "port")
        keep = ",".join(f"{plugin}=all" for plugin in PLUGINS)
        command = [tensorboard_data_server.server_binary(), f"--logdir={log_dir}", f"--samples-per-plugin={keep}"]
        command += [f"--reload={'once' if once else 0}", "--port=0", f"--port-file={port}"]
        if sys.platform == "linux":
            command = [sys.executable, "-c", DIE_WITH_PARENT, *command]
        environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        self._stops = not once
        self._process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        wait_for(lambda: port.exists() and port.read_text().endswith("\n"))
        self._channel = grpc.insecure_channel(
            f"localhost:{port.read_text().strip()}", options=[("grpc.max_receive_message_length", 1 << 30)]
        )
        self._provider = grpc_provider.GrpcDataProvider("", grpc_provider.make_stub(self._channel))
        grpc.channel_ready_future(self._channel).result(PATIENCE)
        self._stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._channel.close()
        self._process.kill()
        self._process.wait()
        self._files.cleanup()

    def view(self, enough, patience=PATIENCE):
        """Return what the server has read, as soon as that is enough, or after `patience` seconds."""
        deadline = time.monotonic() + patience
        self._process.send_signal(signal.SIGCONT)
        view = self._read()
        while not enough(view) and time.monotonic() < deadline:
            time.sleep(0.005)
            view = self._read()
        self._stop()
        return view

    def _stop(self):
        if self._stops:
            self._process.send_signal(signal.SIGSTOP)

    def _read(self):
        view = {}
        for plugin, method in PLUGINS.items():
            read = getattr(self._provider, method)
            found = read(None, experiment_id="", plugin_name=plugin, downsample=1 << 30)
            for run, tags in found.items():
                for tag, points in tags.items():
                    view.setdefault(run, {})[tag] = [(point.step, getattr(point, "value", None)) for point in points]
        return view


class PythonLoader:
    """TensorBoard's directory watchers, one for each run below a directory."""

    def __init__(self, log_dir):
        self._log_dir = str(log_dir)
        self._watchers = {}
        self._view = {}

    def view(self):
        """Load what is new; return all that was found so far."""
        for directory, _, files in sorted(os.walk(self._log_dir)):
            if any(map(io_wrapper.IsTensorFlowEventsFile, files)) and directory not in self._watchers:
                self._watchers[directory] = directory_watcher.DirectoryWatcher(
                    directory, event_file_loader.EventFileLoader, io_wrapper.IsTensorFlowEventsFile
                )
        for directory, watcher in self._watchers.items():
            run = os.path.relpath(directory, self._log_dir)
            with suppress(directory_watcher.DirectoryDeletedError, FileNotFoundError):  # it may come back
                for event in watcher.Load():
                    for value in event.summary.value:
                        points = self._view.setdefault(run, {}).setdefault(value.tag, [])
                        points.append((event.step, _number(value)))
        return self._view


def _number(value):
    array = tensor_util.make_ndarray(value.tensor)
    return float(array) if array.ndim == 0 and array.dtype.kind == "f" else None


def wait_for(condition, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"nothing came within {patience} s"
        time.sleep(0.005)


class Readers:
    """Both readers, following a tree in which every case has its own directory."""

    def __init__(self, root):
        self._root = str(root)
        self._rustboard = RustBoard(root) if has_rustboard else None
        self._loaders = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._rustboard is not None:
            self._rustboard.__exit__()

    def live(self, case, enough=None):
        """Return the views of a case by the readers that follow it since the first call.

        RustBoard has time until its view is enough: by default, until it is the same as the loader's.
        """
        loader = self._loaders.setdefault(case, PythonLoader(os.path.join(self._root, case)))
        views = {"Python live": loader.view()}
        if self._rustboard is not None:
            enough = enough or (lambda view: view == views["Python live"])
            found = self._rustboard.view(lambda view: enough(_of(case, view)))
            views["RustBoard live"] = _of(case, found)
        return views

    def forget(self, case):
        """Drop the loader of a case that is over."""
        self._loaders.pop(case, None)


def fresh(root, expected):
    """Read many cases afresh; return {reader: {case: view}}. expected: {case: view}, for which RustBoard is awaited."""
    found = {case: PythonLoader(os.path.join(root, case)).view() for case in expected}
    views = {"Python fresh": found}
    if has_rustboard:
        with RustBoard(root, once=True) as server:
            found = server.view(lambda view: {case: _of(case, view) for case in expected} == expected)
        views["RustBoard fresh"] = {case: _of(case, found) for case in expected}
    return views


def _of(case, view):
    """Return the part of a view that belongs to a case, with the runs named relative to its directory."""
    return {os.path.relpath(run, case): tags for run, tags in view.items() if (run + os.sep).startswith(case + os.sep)}
