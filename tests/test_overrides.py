"""What subclasses, mocks and other programs may replace: the table of docs/torch.md, tested on torch's writer, too."""

import os
import threading
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from helpers.oracle import read_back, steps_of_runs

import tbc
from tbc import encoder_thread
from tbc.proto import Event

torch = pytest.importorskip("torch")
from torch.utils.tensorboard import FileWriter as TorchFileWriter  # noqa: E402
from torch.utils.tensorboard import SummaryWriter as TorchWriter  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

IMAGE = np.zeros((3, 4, 4), np.float32)
CALLS = {
    "add_scalar": lambda w, step: w.add_scalar("x", 1, step),
    "add_text": lambda w, step: w.add_text("x", "text", step),
    "add_scalars": lambda w, step: w.add_scalars("x", {"a": 1}, step),
    "add_histogram": lambda w, step: w.add_histogram("x", IMAGE, step),
    "add_histogram, 5 bins": lambda w, step: w.add_histogram("x", IMAGE, step, 5),
    "add_image": lambda w, step: w.add_image("x", IMAGE, step),
    "add_audio": lambda w, step: w.add_audio("x", IMAGE[0, :1], step),
    "add_tensor": lambda w, step: w.add_tensor("x", torch.ones(3), step),
    "add_pr_curve": lambda w, step: w.add_pr_curve("x", np.ones(3), np.ones(3), step),
    "add_mesh": lambda w, step: w.add_mesh("x", torch.zeros(1, 3, 3), global_step=step),
    "add_custom_scalars": lambda w, step: w.add_custom_scalars({"a": {"b": ["Multiline", ["x"]]}}),
    "add_embedding": lambda w, step: w.add_embedding(torch.ones(3, 2), global_step=step),
    "add_graph": lambda w, step: w.add_graph(torch.nn.Linear(1, 1), torch.ones(1, 1)),
}

both = pytest.mark.parametrize("kind", [tbc.SummaryWriter, TorchWriter], ids=["tbc", "torch"])
every_call = pytest.mark.parametrize("call", CALLS)


def added(file):
    """Return the messages that a mock FileWriter got: [(method, tag, step), ...]."""
    found = []
    for name, arguments, _ in file.method_calls:
        if name == "add_summary":
            message, *stamp = arguments
            found += [(name, value.tag, stamp[0] if stamp and stamp[0] else 0) for value in message.value]
        elif name.startswith("add_"):
            found.append((name,))
    return found


@both
@every_call
def test_an_overridden_get_file_writer_is_asked_by_every_call(log_dir, kind, call):
    asked = []

    class Asking(kind):
        def _get_file_writer(self):
            asked.append(1)
            return super()._get_file_writer()

    writer = Asking(log_dir)
    for step in range(3):
        before = len(asked)
        CALLS[call](writer, step)
        assert len(asked) > before
    writer.close()


@both
def test_an_overridden_get_file_writer_may_start_a_new_run(tmp_path, kind):
    """Some programs begin a new run when the file is large, or for every epoch."""

    class Rotating(kind):
        def _get_file_writer(self):
            if self.rotate:
                self.rotate = False
                self.close()
                self.log_dir = str(tmp_path / "second")
            return super()._get_file_writer()

    Rotating.rotate = False
    writer = Rotating(str(tmp_path / "first"))
    for step in range(4):
        writer.rotate = step == 2
        writer.add_scalar("x", 1, step)
        writer.add_scalars("x", {"a": 1}, step)
    writer.close()
    steps = {"x": {".": [0, 1], "x_a": [0, 1]}}
    assert steps_of_runs(tmp_path / "first", "x") == steps["x"]
    assert steps_of_runs(tmp_path / "second", "x") == {".": [2, 3], "x_a": [2, 3]}


@both
@every_call
@pytest.mark.parametrize("where", ["object", "class"])
def test_a_replaced_get_file_writer_is_asked(log_dir, kind, call, where):
    """It is replaced after a file is open. When the real one is back, it is asked again."""
    writer = kind(log_dir)
    CALLS["add_scalar"](writer, 0)
    file = mock.MagicMock()
    file.get_logdir.return_value = log_dir
    with mock.patch.object(writer if where == "object" else kind, "_get_file_writer", return_value=file) as get:
        CALLS[call](writer, 1)
        assert get.called
    CALLS["add_scalar"](writer, 2)
    writer.close()
    assert [event.step for event in read_back(log_dir) if event.summary.value] == [0, 2]


@every_call
def test_another_object_in_the_place_of_file_writer_gets_the_messages(tmp_path, call):
    found = []
    for kind in (tbc.SummaryWriter, TorchWriter):
        writer = kind(str(tmp_path / kind.__module__))
        writer.file_writer = mock.MagicMock()
        writer.file_writer.get_logdir.return_value = writer.log_dir
        CALLS[call](writer, 7)
        found.append(added(writer.file_writer))
        writer.close()
    assert found[0] == found[1]


@both
def test_file_writer_may_be_patched_and_put_back(log_dir, kind):
    writer = kind(log_dir)
    writer.add_scalar("x", 1, 0)
    with mock.patch.object(writer, "file_writer"):
        writer.add_scalar("x", 1, 1)
        assert added(writer.file_writer) == [("add_summary", "x", 1)]
    writer.add_scalar("x", 1, 2)
    writer.close()
    assert [event.step for event in read_back(log_dir)] == [0, 2]


@both
@pytest.mark.parametrize("where", ["object", "class"])
@pytest.mark.parametrize("method", ["add_summary", "add_event"])
@pytest.mark.parametrize("call", [call for call in CALLS if call not in ("add_embedding", "add_graph")])
def test_a_replaced_method_of_the_file_writer_sees_every_event(log_dir, kind, call, method, where):
    """The method is replaced after the writer was made."""
    writer = kind(log_dir)
    CALLS[call](writer, 0)
    writer.flush()
    target = (
        writer.file_writer if where == "object" else (tbc.FileWriter if kind is not TorchWriter else TorchFileWriter)
    )
    with mock.patch.object(target, method) as replaced:
        if call == "add_scalars" and where == "object":
            target = next(file for name, file in writer.all_writers.items() if name.endswith("x_a"))
            with mock.patch.object(target, method) as replaced:
                CALLS[call](writer, 1)
        else:
            CALLS[call](writer, 1)
        writer.flush()
        assert replaced.called
    before = sum(len(values) for values in steps_of_runs(log_dir).values())
    CALLS[call](writer, 2)
    writer.close()
    assert sum(len(values) for values in steps_of_runs(log_dir).values()) == 2 * before


@both
def test_the_replaced_method_may_call_the_real_one(log_dir, kind):
    writer = kind(log_dir)
    file, seen = writer.file_writer, []
    add_event = file.add_event
    file.add_event = lambda event, *stamp: (seen.append(event.summary.value[0].tag), add_event(event, *stamp))
    for step in range(3):
        writer.add_scalar("x", 1, step)
        writer.add_image("y", IMAGE, step)
    writer.flush()
    del file.add_event
    writer.add_scalar("x", 1, 3)
    writer.close()
    assert sorted(seen) == ["x"] * 3 + ["y"] * 3
    assert [event.step for event in read_back(log_dir) if event.summary.value[0].tag == "x"] == [0, 1, 2, 3]


@both
def test_what_is_put_into_all_writers_is_flushed_and_closed(log_dir, kind):
    writer, other = kind(log_dir), mock.MagicMock()
    writer.all_writers["other"] = other
    writer.flush()
    assert other.flush.called
    assert not other.close.called
    writer.close()
    assert other.close.called
    assert writer.all_writers is None


@both
def test_a_file_writer_in_all_writers_takes_the_curve_of_its_directory(log_dir, kind):
    writer, other = kind(log_dir), mock.MagicMock()
    writer.all_writers[f"{log_dir}/x_a"] = other
    writer.add_scalars("x", {"a": 1}, 3)
    writer.close()
    assert added(other) == [("add_summary", "x", 3)]


@both
def test_settings_that_are_changed_after_close_hold_for_the_next_file(tmp_path, kind):
    writer = kind(str(tmp_path / "first"), filename_suffix=".before")
    writer.add_scalar("x", 1, 0)
    writer.close()
    writer.filename_suffix, writer.purge_step = ".after", 5
    writer.add_scalar("x", 1, 5)
    writer.close()
    writer.log_dir = str(tmp_path / "second")
    writer.add_scalar("x", 1, 6)
    writer.close()
    names = sorted(os.listdir(tmp_path / "first"))
    assert [name.rpartition(".")[2] for name in names] == ["before", "after"]
    events = list(tbc.reader.read_events(tmp_path / "first" / names[1]))
    assert [event.step for event in events if event.HasField("session_log")] == [5]
    (name,) = os.listdir(tmp_path / "second")
    assert name.endswith(".after")


@both
def test_methods_may_be_replaced_on_an_object_and_on_the_class(log_dir, kind):
    writer = kind(log_dir)
    for target in (writer, kind):
        with mock.patch.object(target, "add_scalar") as replaced:
            writer.add_scalar("x", 1, 2)
            assert replaced.call_args.args[-3:] == ("x", 1, 2)
    writer.close()


def test_autospec_checks_the_arguments_of_functions(log_dir):
    """add_scalar, add_scalars and add_text are not Python functions, so autospec does not check their arguments."""
    ours, theirs = mock.create_autospec(tbc.SummaryWriter), mock.create_autospec(TorchWriter)
    for spec in (ours, theirs):
        spec.add_image("x", IMAGE)
        with pytest.raises(TypeError):
            spec.add_image("x")
    with pytest.raises(TypeError):
        theirs.add_scalar("x")
    ours.add_scalar("x")


def test_the_table_has_a_row_for_each_test():
    page = (Path(__file__).parent.parent / "docs" / "torch.md").read_text()
    table = page.partition("| what a program does | tbc |\n| --- | --- |\n")[2].partition("\n\n")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()]
    assert rows == [
        "overrides `_get_file_writer` in a subclass, or replaces it on an object or a class",
        "puts another object in the place of `file_writer`",
        "overrides or replaces `add_summary` or `add_event` of a `FileWriter`, on an object or a class",
        "puts a `FileWriter`, or an object like one, into `all_writers`",
        "changes `log_dir`, `filename_suffix`, `flush_secs` or `purge_step` after `close()`",
        "replaces an `add_*` on an object or a class",
        "`mock.create_autospec(SummaryWriter)`",
    ]


# --- order, sessions, locks ---


def test_a_session_begins_after_the_images_before_it(log_dir):
    """Readers drop values before a session start, so images that are still encoded must be written before it."""
    go = threading.Event()
    encoder_thread.run(lambda: go.wait(0.2))
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_image("x", IMAGE, 1)
        writer.file_writer.add_event(Event(session_log={"status": "START"}), 1)
        writer.add_image("x", IMAGE, 2)
    kinds = [event.WhichOneof("what") for event in read_back(log_dir)]
    assert kinds == ["summary", "session_log", "summary"]


@pytest.mark.parametrize("run_name", [None, "trial", "."])
def test_purge_step_reaches_every_run(log_dir, run_name):
    """Runs of add_scalars and of named hyperparameters get the session start when they are first opened."""

    def log(steps, **options):
        with tbc.SummaryWriter(log_dir, **options) as writer:
            for step in steps:
                writer.add_scalar("x", step, step)
                writer.add_scalars("x", {"a": step}, step)
                if step == 7:
                    writer.close()
                    writer.add_scalars("x", {"b": step}, step)
            writer.add_hparams({"lr": 1}, {"loss": 2}, run_name=run_name, global_step=step)

    log(range(10))
    log(range(5, 8), purge_step=5)
    runs = {name: run.scalars for name, run in tbc.reader.load_runs(log_dir, purge=True).items()}
    for name in (".", "x_a"):
        assert runs[name]["x"].step.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert runs["x_b"]["x"].step.tolist() == [7]
    starts = {}
    for path in tbc.reader.find_event_files(log_dir):
        name = os.path.relpath(os.path.dirname(path), log_dir)
        starts.setdefault(name, []).extend(e.step for e in tbc.reader.read_events(path) if e.HasField("session_log"))
    assert starts.pop(".") == starts.pop("x_a") == starts.pop("x_b") == [5]
    assert all(found == ([5] if name == "trial" else []) for name, found in starts.items())


def test_a_callback_may_wait_for_another_thread_that_logs(tmp_path):
    """The thread may log to the same writer, and to runs of add_scalars."""
    done = []

    def begin(log_dir):
        if not log_dir.endswith("other"):
            threads = [threading.Thread(target=log, args=(log_dir,)), threading.Thread(target=log_same)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
                done.append(not thread.is_alive())

    def log(log_dir):
        with tbc.SummaryWriter(log_dir + "/other") as writer:
            writer.add_scalar("x", 1)

    def log_same():
        if writers:
            writers[0].add_scalar("x", 1)
            writers[0].add_scalars("x", {"a": 1})

    writers = []
    remove = tbc.on_new_run(begin)
    try:
        writers.append(tbc.SummaryWriter(tmp_path / "main"))
        writers[0].add_scalars("x", {"a": 1, "b": 2})
        writers[0].close()
    finally:
        remove()
    assert done
    assert all(done)
    assert len(list((tmp_path / "main" / "x_a").iterdir())) == 2  # an event file, and the other writer's directory


def test_a_run_is_announced_once_by_many_threads(log_dir):
    begun = []
    remove = tbc.on_new_run(begun.append)
    writer = tbc.SummaryWriter(log_dir)
    threads = [
        threading.Thread(target=writer.add_scalars, args=("x", {str(i): i for i in range(20)})) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    remove()
    assert sorted(begun) == sorted([log_dir, *(f"{log_dir}/x_{i}" for i in range(20))])
    assert all(len(os.listdir(f"{log_dir}/x_{i}")) == 1 for i in range(20))


def test_a_file_writer_is_a_context_manager(log_dir):
    with tbc.FileWriter(log_dir) as writer:
        writer.add_summary(tbc.summary.scalar("x", 1), 3)
    assert writer._event_file.closed
    assert [event.step for event in read_back(log_dir)] == [3]
