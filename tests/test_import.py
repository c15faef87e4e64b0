"""Which modules each import loads, and which symbols an extension exports."""

import ctypes
import re
import sys
from pathlib import Path

import pytest
from helpers.oracle import run_script

import tbc
from tbc import _core, _scan

HEAVY = ("numpy", "google.protobuf", "PIL", "isal", "torch", "tensorboard", "tensorflow", "concurrent.futures")


def test_import_loads_the_standard_library_alone():
    script = """
        import sys
        before = set(sys.modules)
        import tbc
        assert dir(tbc) and tbc.__version__
        print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
    """
    loaded = run_script(script).stdout.split()
    assert set(loaded) - set(sys.stdlib_module_names) == {"tbc"}


def test_logging_numbers_loads_no_more(tmp_path):
    script = f"""
        import sys, tbc
        with tbc.SummaryWriter(sys.argv[1]) as writer:
            writer.add_scalar("loss", 0.5, 1)
            writer.add_scalars("loss", {{"a": 1}}, 2)
            writer.add_text("note", "text")
        loaded = [name for name in {HEAVY!r} if name in sys.modules and name != "concurrent.futures"]
        assert not loaded, loaded
    """
    run_script(script, tmp_path)


def test_tensorboardx_in_name_only(tmp_path):
    script = """
        import sys
        from tbc.compat.tensorboardx import GlobalSummaryWriter, SummaryWriter
        with SummaryWriter(sys.argv[1]) as writer:
            writer.add_scalar("loss", 0.5, 1)
            writer.add_scalars("loss", {"a": 1}, 2)
            assert "multiprocessing" not in sys.modules
            writer.export_scalars_to_json(sys.argv[1] + "/scalars.json")
        GlobalSummaryWriter(sys.argv[1]).add_scalar("loss", 0.5)
        assert not {"tensorboardX", "google.protobuf", "torch"} & set(sys.modules)
    """
    run_script(script, tmp_path)


def test_writing_needs_no_protobuf_and_no_torch(tmp_path):
    script = """
        import sys, numpy as np, tbc
        with tbc.SummaryWriter(sys.argv[1]) as writer:
            writer.add_histogram("h", np.arange(9.0), bins="auto")
            writer.add_image("i", np.zeros((3, 2, 2)))
        assert not {"google.protobuf", "torch", "tensorboard", "PIL"} & set(sys.modules)
    """
    run_script(script, tmp_path)


def test_reading_frames_needs_no_protobuf():
    run_script("import sys, tbc.reader; tbc.reader.read_records; assert 'google.protobuf' not in sys.modules")


def test_columns_need_no_protobuf(tmp_path):
    script = """
        import sys, tbc
        with tbc.SummaryWriter(sys.argv[1]) as writer:
            writer.add_scalar("loss", 0.5, 1)
            writer.add_scalar("loss", 0.25, 2, new_style=True)
            writer.add_text("note", "hello")
        import tbc.reader
        assert "numpy" not in sys.modules
        (run,) = tbc.reader.load_runs(sys.argv[1]).values()
        assert run.scalars["loss"].value.tolist() == [0.5, 0.25]
        assert not {"google.protobuf", "PIL", "pandas", "pyarrow", "fsspec", "tqdm"} & set(sys.modules)
        assert run.values["text"]["note/text_summary"][0] == "hello"  # a message that is decoded
        assert "google.protobuf" in sys.modules
    """
    run_script(script, tmp_path)


def test_what_is_not_there_is_told():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = tbc.no_such_name
    assert {"SummaryWriter", "FileWriter"} <= set(dir(tbc))


def test_encoding_imports_nothing(tmp_path):
    """The encoder's thread must not import: a fork would leave the held import lock to the child."""
    script = """
        import sys, threading, numpy as np, tbc
        from tbc import encoder_thread
        pixels = np.zeros((3, 20, 30))
        with tbc.SummaryWriter(sys.argv[1]) as writer:
            calls = [
                lambda: writer.add_image("i", pixels),
                lambda: writer.add_images("i", pixels[None], grid=False),
                lambda: writer.add_image_with_boxes("i", pixels, np.ones((1, 4)), labels="a", rescale=2),
                lambda: writer.add_video("v", pixels[None, None]),
                lambda: writer.add_video("v", pixels[None, None], format="apng"),
                lambda: writer.add_embedding(np.ones((2, 2)), [1, 2], pixels[None].repeat(2, axis=0)),
            ]
            for call in calls:
                go = threading.Event()
                encoder_thread.run(go.wait)
                call()
                before = set(sys.modules)
                go.set()
                writer.flush()
                assert set(sys.modules) == before, set(sys.modules) - before
    """
    run_script(script, tmp_path)


@pytest.mark.parametrize("name", ["torch", "PIL.Image", "matplotlib.pyplot", "multiprocessing.util"])
def test_another_thread_may_be_importing(tmp_path, name):
    """A module is in sys.modules before it has any names."""
    script = """
        import sys, types, numpy as np, tbc
        sys.modules[sys.argv[2]] = types.ModuleType(sys.argv[2])
        with tbc.SummaryWriter(sys.argv[1]) as writer:
            writer.add_scalar("s", np.float32(1))
            writer.add_histogram("h", np.ones(3))
            writer.add_image("i", np.zeros((3, 2, 2)))
    """
    run_script(script, tmp_path, name)


def test_submodules_load_when_they_are_named():
    run_script("import tbc; tbc.summary.scalar; tbc.reader.read_events")


@pytest.mark.parametrize("extension", [_core, _scan])
def test_an_extension_exports_nothing_but_its_init_function(extension):
    """With RTLD_GLOBAL, a second copy of csrc would use the variables of the first if these were exported."""
    library = ctypes.PyDLL(extension.__file__)
    headers = (Path(__file__).parent.parent / "csrc").glob("*.h")
    names = {name for header in headers for name in re.findall(r"\b(tbc_\w+)\(", header.read_text())}
    assert {"tbc_queue_lock", "tbc_scan_records"} < names
    assert [name for name in names if hasattr(library, name)] == []
    assert hasattr(library, "PyInit_" + extension.__name__.removeprefix("tbc."))
