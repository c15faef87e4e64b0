import signal

import hypothesis
import pytest

from tbc.reader import records

# A shell's background job ignores it, and so would the processes of the tests, which are interrupted by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("tbc", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("tbc")


@pytest.fixture(autouse=True)
def reader_in_pure_python(monkeypatch):
    """The reader is the oracle: it checks what the extension wrote without the extension."""
    monkeypatch.setattr(records, "crc32c", records.crc32c_in_python)


@pytest.fixture
def log_dir(tmp_path):
    return str(tmp_path / "run")
