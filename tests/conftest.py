import signal

import hypothesis
import pytest

from tbc.reader import records

# A background job of a shell ignores SIGINT, and its processes inherit that, but tests interrupt processes with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("tbc", deadline=None)  # tests may be slow on a busy machine
hypothesis.settings.load_profile("tbc")


@pytest.fixture(autouse=True)
def reader_in_pure_python(monkeypatch):
    """Compute checksums in Python: the reader checks what the extension wrote, so it must not use the extension."""
    monkeypatch.setattr(records, "crc32c", records.crc32c_in_python)


@pytest.fixture
def log_dir(tmp_path):
    return str(tmp_path / "run")
