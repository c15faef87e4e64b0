import sys

import pytest
from oracle import run_script

import tbc

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


def test_what_is_not_there_is_told():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = tbc.no_such_name
    assert {"SummaryWriter", "FileWriter"} <= set(dir(tbc))
