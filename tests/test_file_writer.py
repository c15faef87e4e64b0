"""tbc.FileWriter: messages are stored unchanged, and subclasses may have any attribute."""

import gc
import os
import tempfile

import numpy as np
import pytest
from helpers.oracle import bytes_of, only_value, read_back, run_script, steps, tags, walltimes
from hypothesis import given
from tensorboard.compat.proto import event_pb2, summary_pb2

import tbc
from tbc.event_file import EventFile
from tbc.kinds import images
from tbc.proto import Event, Summary
from tbc.reader import find_event_files

TORCH_NAMES = {"add_event", "add_graph", "add_onnx_graph", "add_summary", "close", "event_writer", "flush"}
TORCH_NAMES |= {"get_logdir", "reopen"}


def summary(tag, number=0.5, message=summary_pb2.Summary):
    return message(value=[message.Value(tag=tag, simple_value=number)])


@given(tags, steps, walltimes)
def test_a_summary_is_stored_as_it_is(tag, step, walltime):
    with tempfile.TemporaryDirectory() as log_dir:
        writer = tbc.FileWriter(log_dir)
        writer.add_summary(summary(tag), step, walltime)
        writer.close()
        event, value = only_value(log_dir)
    assert (event.step, event.wall_time, value.tag, value.simple_value) == (step, walltime, tag, 0.5)


@given(tags, steps, walltimes)
def test_an_event_gets_its_step_and_time(tag, step, walltime):
    event = event_pb2.Event(summary=summary(tag), step=3, wall_time=1)
    with tempfile.TemporaryDirectory() as log_dir:
        writer = tbc.FileWriter(log_dir)
        writer.add_event(event, step, walltime)
        writer.close()
        assert (event.step, event.wall_time) == (step, walltime)  # changes the message itself, as torch does
        (stored,) = read_back(log_dir)
    assert bytes_of(stored) == bytes_of(Event.FromString(event.SerializeToString()))


def test_an_events_own_step_stays(log_dir):
    event = event_pb2.Event(summary=summary("x"), step=3)
    writer = tbc.FileWriter(log_dir)
    writer.add_event(event)
    writer.close()
    assert (only_value(log_dir)[0].step, event.wall_time > 1e9) == (3, True)


def test_messages_of_any_library(log_dir):
    pb2 = pytest.importorskip("tensorboardX.proto.summary_pb2")
    with tbc.SummaryWriter(log_dir) as writer:
        writer._get_file_writer().add_summary(summary("tensorboardX", message=pb2.Summary), 1)
        writer.file_writer.add_summary(summary("tensorboard"))
        writer.file_writer.add_summary(summary("tbc", message=Summary))
    assert [event.summary.value[0].tag for event in read_back(log_dir)] == ["tensorboardX", "tensorboard", "tbc"]


def test_a_closed_writer_starts_a_new_file(log_dir):
    writer = tbc.FileWriter(log_dir, filename_suffix=".mine")
    first = writer._file_name
    writer.reopen()  # does nothing while open
    assert (writer._file_name, writer._event_file.closed, writer.get_logdir()) == (first, False, log_dir)
    writer.close()
    writer.close()
    writer.flush()
    assert (writer._file_name, writer._event_file.closed) == (first, True)
    writer.add_summary(summary("x"))
    writer.close()
    writer.reopen()
    writer.add_summary(summary("x"))
    writer.close()
    assert len(find_event_files(log_dir)) == 3
    assert all(path.endswith(".mine") for path in find_event_files(log_dir))


def test_its_public_names_are_torchs_and_stats():
    assert {name for name in dir(tbc.FileWriter) if not name.startswith("_")} == TORCH_NAMES | {"stats"}
    theirs = pytest.importorskip("torch.utils.tensorboard").FileWriter
    assert {name for name in dir(theirs) if not name.startswith("_")} | {"event_writer"} == TORCH_NAMES


def test_its_path_is_that_of_the_file(log_dir):
    with tbc.FileWriter(log_dir) as writer:
        assert [writer.path] == find_event_files(log_dir)
        with pytest.raises(AttributeError, match="'FileWriter' object has no attribute 'paths'"):
            writer.paths  # noqa: B018


def test_a_subclass_may_have_any_attribute_and_method(log_dir):
    def own(self, *arguments):
        raise AssertionError("tbc calls a method of the subclass that torch's FileWriter does not have")

    names = {name for name in dir(EventFile) if not name.startswith("_")} - TORCH_NAMES
    methods = type("Methods", (tbc.FileWriter,), dict.fromkeys(names, own))

    class Attributes(tbc.FileWriter):
        def __init__(self, log_dir):
            for name in names:
                setattr(self, name, name)
            super().__init__(log_dir)

    for kind in (methods, Attributes):
        writer = tbc.SummaryWriter(f"{log_dir}/{kind.__name__}")
        writer.file_writer = mine = kind(f"{log_dir}/{kind.__name__}/mine")
        writer.all_writers[mine.get_logdir()] = mine
        writer.add_scalar("x", 1, 2)
        writer.add_image("y", np.zeros((3, 4, 4)), 2)
        mine.add_summary(summary("z"), 2)
        assert writer.stats().dropped == 0
        writer.close()
        events = read_back(f"{log_dir}/{kind.__name__}/mine")
        assert sorted(event.summary.value[0].tag for event in events) == ["x", "y", "z"]


def test_a_subclass_that_has_no_file_is_told(log_dir):
    class Forgetful(tbc.FileWriter):
        def __init__(self):
            pass

    class Complete(Forgetful):
        def add_summary(self, summary, global_step=None, walltime=None):
            seen.append(summary.value[0].tag)

    seen = []
    with tbc.SummaryWriter(log_dir) as writer:
        writer.file_writer = Forgetful()
        with pytest.raises(RuntimeError, match=r"Forgetful.__init__ must call tbc.FileWriter.__init__"):
            writer.add_scalar("x", 1)
        writer.file_writer = Complete()  # which needs none
        writer.add_scalar("y", 1)
        del writer.file_writer
    assert seen == ["y"]


def test_the_flush_of_a_subclass_is_called_at_exit(log_dir):
    """It may hold events back until then."""
    run_script(
        """
        import sys, tbc
        class Late(tbc.FileWriter):
            events = []
            def add_event(self, *arguments):
                self.events.append(arguments)
            def flush(self):
                while self.events:
                    super().add_event(*self.events.pop(0))
                super().flush()
        writer = tbc.SummaryWriter(sys.argv[1])
        writer.file_writer = Late(sys.argv[1] + "/late")
        for step in range(3):
            writer.add_scalar("x", 1, step)
        """,
        log_dir,
    )
    assert [event.step for event in read_back(f"{log_dir}/late")] == [0, 1, 2]


def test_what_others_take_out_of_all_writers_is_flushed_and_closed(log_dir):
    writer = tbc.SummaryWriter(log_dir)
    writer.add_scalars("x", {"a": 1}, 3)
    writer.all_writers.clear()
    writer.add_scalar("y", 1, 4)
    writer.flush()
    assert writer.stats().queued == 0
    writer.close()
    assert writer.file_writer is None
    assert [event.step for event in read_back(log_dir)] == [4]
    assert [event.step for event in read_back(f"{log_dir}/x_a")] == [3]


def test_two_writers_in_one_directory_do_not_collide(log_dir):
    writers = [tbc.FileWriter(log_dir) for _ in range(50)]
    assert len(set(os.listdir(log_dir))) == 50
    for writer in writers:
        writer.close()


@pytest.mark.parametrize(
    ("method", "arguments", "error", "words"),
    [
        ("add_event", ("event",), TypeError, "Event message"),
        ("add_summary", (None,), TypeError, "Summary message"),
        ("add_summary", (event_pb2.Event(),), TypeError, "Summary message is expected, got Event"),
        ("add_event", (summary_pb2.Summary(),), TypeError, "Event message is expected, got Summary"),
        ("add_event", (event_pb2.Event(), 2**63), ValueError, "64-bit"),
        ("add_event", (event_pb2.Event(), 1, float("nan")), ValueError, "walltime"),
        ("add_summary", (summary_pb2.Summary(), 2**63), ValueError, "64-bit"),
        ("add_summary", (summary_pb2.Summary(), 1, float("-inf")), ValueError, "walltime"),
    ],
)
def test_bad_input_is_told_at_once_and_writes_nothing(log_dir, method, arguments, error, words):
    writer = tbc.FileWriter(log_dir)
    with pytest.raises(error, match=words):
        getattr(writer, method)(*arguments)
    writer.add_summary(summary("fine"))
    writer.close()
    assert only_value(log_dir)[1].tag == "fine"


def test_a_file_that_cannot_be_begun_is_taken_back(log_dir):
    result = run_script(
        """
        import os, resource, sys, tbc
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        try:
            tbc.FileWriter(sys.argv[1])
        except OSError as error:
            assert sys.argv[1] in error.filename
        else:
            raise AssertionError("no error")
        assert os.listdir(sys.argv[1]) == []
        """,
        log_dir,
    )
    assert result.stderr == ""


def test_a_reservation_that_is_dropped_leaves_its_room(log_dir):
    """Something may end the call between the reservation and the job, such as Ctrl-C."""
    run_script(
        """
        import sys, numpy as np, tbc
        from tbc import _core
        _core.set_queue_limit(1 << 20)
        writer = tbc.SummaryWriter(sys.argv[1])
        for _ in range(100):
            reservation = writer.file_writer._event_file.reserve(1 << 20)
            del reservation
        held = writer.file_writer._event_file.reserve(1 << 19)
        writer.add_image("i", np.zeros((3, 300, 400), np.uint8))
        writer.close()
        """,
        log_dir,
    )


def test_a_job_that_fails_gives_its_room_and_its_pixels_back_at_once(log_dir, monkeypatch):
    """They do not wait for the garbage collector, which some programs switch off."""

    def fail(*_):
        raise MemoryError("no memory for a PNG")

    monkeypatch.setattr(images, "encode_png", fail)
    monkeypatch.setattr(tbc.SummaryWriter, "_compressor", lambda self: None)
    gc.disable()
    try:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_image("x", np.zeros((3, 100, 100)))
            with pytest.raises(MemoryError, match="PNG"):
                writer.flush()
            assert writer.stats().queued == 0
    finally:
        gc.enable()
