"""on_new_run, subclasses in place of torch's EventFileWriter, and file writers that see every event."""

import os
import threading

import numpy as np
import pytest
from helpers.oracle import read_back, run_script
from tensorboard.summary.writer import event_file_writer

import tbc


@pytest.fixture
def begun():
    """The directories that on_new_run reported."""
    log_dirs = []
    remove = tbc.on_new_run(log_dirs.append)
    yield log_dirs
    remove()


def test_every_new_run_is_told(begun, log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        assert begun == [log_dir]
        writer.add_scalar("x", 1)
        writer.add_scalars("y", {"a": 1, "b": 2})
        writer.add_scalars("y", {"a": 1, "b": 2})
        writer.add_hparams({"lr": 1}, {"loss": 2}, run_name="trial")
        writer.close()
        writer.add_scalar("x", 2)  # opens another file of the same run
    assert begun == [log_dir, f"{log_dir}/y_a", f"{log_dir}/y_b", f"{log_dir}/trial"]
    tbc.SummaryWriter(f"{log_dir}/off", enabled=False).add_scalars("y", {"a": 1})
    assert len(begun) == 4


def test_the_file_is_not_there_yet(tmp_path):
    found = []
    remove = tbc.on_new_run(lambda log_dir: found.append(os.path.exists(log_dir)))
    tbc.SummaryWriter(tmp_path / "run").close()
    remove()
    remove()  # a second call does nothing
    tbc.SummaryWriter(tmp_path / "other").close()
    assert found == [False]


def test_a_callback_that_fails_is_told_of_where_the_writer_is_made(begun, log_dir):
    remove = tbc.on_new_run(lambda log_dir: 1 / 0)
    try:
        words = r"the callback .* raised ZeroDivisionError.* for the new run '.*run'"
        with pytest.warns(RuntimeWarning, match=words) as caught:
            tbc.SummaryWriter(log_dir).close()
    finally:
        remove()
    assert caught[0].filename == __file__
    assert begun == [log_dir]


@pytest.mark.parametrize("callback", [None, "print", 3])
def test_what_cannot_be_called(callback):
    with pytest.raises(TypeError, match="callback must be a function that takes log_dir"):
        tbc.on_new_run(callback)


def test_a_subclass_in_the_place_of_event_file_writer(log_dir, monkeypatch):
    """wandb does this."""
    told = []

    class Listening(event_file_writer.EventFileWriter):
        def __init__(self, logdir, *args, **kwargs):
            told.append(logdir)
            super().__init__(logdir, *args, **kwargs)

    tbc.SummaryWriter(log_dir + "0").close()
    monkeypatch.setattr(event_file_writer, "EventFileWriter", Listening)
    tbc.SummaryWriter(log_dir).close()
    assert told == [log_dir]
    assert len(os.listdir(log_dir)) == 1

    class Failing(Listening):
        def __init__(self, logdir, *args, **kwargs):
            raise OSError("no network")

    monkeypatch.setattr(event_file_writer, "EventFileWriter", Failing)
    with pytest.warns(RuntimeWarning, match="no network"):
        tbc.SummaryWriter(log_dir + "1").close()
    monkeypatch.setattr(event_file_writer, "EventFileWriter", lambda *args: told.append("a function"))
    tbc.SummaryWriter(log_dir + "2").close()
    assert told == [log_dir]


class Seeing(tbc.FileWriter):
    def __init__(self, *arguments, **keywords):
        self.seen = []
        super().__init__(*arguments, **keywords)

    def add_event(self, event, step=None, walltime=None):
        what = event.summary.value[0].tag if event.HasField("summary") else event.WhichOneof("what")
        self.seen.append((what, step, walltime, threading.current_thread() is threading.main_thread()))
        super().add_event(event, step, walltime)


class SeeingWriter(tbc.SummaryWriter):
    _FileWriter = Seeing


def test_add_event_sees_all_that_is_logged(log_dir):
    with SeeingWriter(log_dir, purge_step=3) as writer:
        file = writer.file_writer
        writer.add_scalar("scalar", 0.5, 1, 10.0)
        writer.add_metrics({"metric": 1}, 2, 11.0)
        writer.add_histogram("histogram", np.arange(9.0), 3, walltime=12.0)
        writer.add_text("text", "hello", 4, 13.0)
        writer.add_pr_curve("curve", np.array([0, 1]), np.array([0.1, 0.9]), 5, walltime=14.0)
        writer.add_audio("audio", np.zeros(9), 6, walltime=15.0)
        writer.add_mesh("mesh", np.zeros((1, 2, 3)), global_step=7, walltime=16.0)
        writer.add_hparams({"lr": 1}, {}, run_name=".", global_step=8)
        writer.add_image("image", np.zeros((3, 2, 2)), 9, 17.0)
        writer.flush()
    for seen, written in zip(file.seen, read_back(log_dir), strict=True):
        assert written.step == seen[1]
        assert written.wall_time == seen[2] or seen[2] is None
    assert [(what, step, at if at and at < 100 else None, here) for what, step, at, here in file.seen] == [
        ("file_version", 3, None, True),
        ("session_log", 3, None, True),
        ("scalar", 1, 10, True),
        ("metric", 2, 11, True),
        ("histogram", 3, 12, True),
        ("text/text_summary", 4, 13, True),
        ("curve", 5, 14, True),
        ("audio", 6, 15, True),
        ("mesh_VERTEX", 7, 16, True),
        ("_hparams_/experiment", 8, None, True),
        ("_hparams_/session_start_info", 8, None, True),
        ("_hparams_/session_end_info", 8, None, True),
        ("image", 9, 17, False),
    ]


def test_what_is_seen_is_what_is_written_otherwise(log_dir):
    for kind, directory in ((tbc.SummaryWriter, "plain"), (SeeingWriter, "seen")):
        with kind(f"{log_dir}/{directory}") as writer:
            writer.add_scalar("scalar", 0.5, 1, 1.0, display_name="Scalar")
            writer.add_scalar("tensor", 0.5, 1, 1.0, new_style=True, double_precision=True)
            writer.add_histogram("histogram", np.arange(9.0), 3, walltime=1.0)
            writer.add_images("images", np.zeros((2, 3, 2, 2)), 3, 1.0, grid=False)
    assert read_back(f"{log_dir}/plain") == read_back(f"{log_dir}/seen")


def test_add_summary_replaced_on_the_class(log_dir, monkeypatch):
    """MLflow does this."""
    tags = []
    original = tbc.FileWriter.add_summary

    def add_summary(self, summary, global_step=None, walltime=None):
        tags.append((summary.value[0].tag, global_step))
        return original(self, summary, global_step, walltime)

    with tbc.SummaryWriter(log_dir + "0") as writer:
        monkeypatch.setattr(tbc.FileWriter, "add_summary", add_summary)
        writer.add_scalar("before", 1, 1)  # this writer was made before the patch
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar("loss", 1, 1)
        writer.add_scalars("loss", {"a": 1, "b": 2}, 2)
    assert tags == [("before", 1), ("loss", 1), ("loss", 2), ("loss", 2)]
    assert len(read_back(log_dir)) == 1


def test_an_image_that_is_seen_waits_for_no_room(tmp_path):
    """Its own pixels, and those of images queued after it, may be what fills the queue."""
    script = """
        import sys, numpy as np, tbc
        from tbc import _core
        sys.path.insert(0, ".")
        from test_runs import SeeingWriter
        _core.set_queue_limit(100_000)
        with SeeingWriter(sys.argv[1]) as writer:
            for step in range(20):
                writer.add_image("noise", np.random.default_rng(0).random((3, 120, 120)), step)
    """
    run_script(script, tmp_path)
    assert len(read_back(tmp_path)) == 20


def test_nothing_is_seen_where_nothing_is_logged(log_dir):
    writer = SeeingWriter(log_dir, enabled=False)
    writer.add_scalar("x", 1)
    writer.close()
    assert not os.path.exists(log_dir)
    assert not hasattr(writer.file_writer, "seen")
