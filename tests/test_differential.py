"""A short run of the random comparison with torch's writer, and differences that it must find."""

from collections import Counter

import pytest
from helpers.oracle import run_script

pytest.importorskip("torch")
pytest.importorskip("google_crc32c")
from helpers import differences
from torture import differential
from torture.calls import METHODS, Call, Sequence, TorchWriter


@pytest.fixture(autouse=True)
def fast():
    with differential.fast():
        yield


@pytest.mark.filterwarnings("ignore")  # drawn values may cause warnings
def test_random_calls_log_the_same():
    counts = Counter()
    failure = differential.search(0, 12, 60, differences.DIFFERENCES + differences.KNOWN_FAULTS, counts)
    assert failure is None, f"{failure[1]}\n\n{failure[0].program()}"
    assert differential.total(counts) > 200


def test_every_method_is_drawn():
    methods = {name for name in vars(TorchWriter) if name.startswith("add_")} | {"flush", "close", "get_logdir"}
    assert methods <= METHODS.keys()


DIFFERS = Call("add_scalar", "'x', torch.tensor(70000.0, dtype=torch.bfloat16)")


def test_a_difference_is_found_and_is_no_difference_once_it_is_documented():
    sequence = Sequence("log_dir='run'", (DIFFERS,))
    with pytest.raises(AssertionError, match="inf"):
        differential.compare(sequence, [])
    differential.compare(sequence, differences.DIFFERENCES)


def test_another_exception_is_found(monkeypatch):
    sequence = Sequence("log_dir='run'", (Call("add_scalar", "'x', [1]"),))
    differential.compare(sequence, [])
    monkeypatch.setattr(differential.tbc.SummaryWriter, "add_scalar", lambda self, *arguments: 1 / 0)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        differential.compare(sequence, [])


@pytest.mark.filterwarnings("ignore")
def test_what_is_found_is_shortened(monkeypatch):
    """Shortened to one call with the simplest arguments."""
    monkeypatch.setattr(differential.tbc.SummaryWriter, "add_text", lambda self, *arguments, **keywords: None)
    sequence, _ = differential.search(0, 12, 100, differences.DIFFERENCES + differences.KNOWN_FAULTS, Counter())
    assert [call.method for call in sequence.calls] == ["add_text"]


def test_what_is_found_runs_as_a_program():
    sequence = Sequence("log_dir='run', purge_step=3", (DIFFERS, Call("add_text", "'x', 3")))
    ran = run_script(sequence.program())
    assert "70144" in ran.stdout
    assert "AttributeError" in ran.stdout
