"""The project's tests; what a user's checker sees in the code is true of it when it runs, too."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from report import copy, event_by_event, export, findings, first_values, is_broken, kinds_of_all_runs, last_loss
from train import log, log_messages
from typing_extensions import assert_type

from tbc.reader import Scalars, Values
from tbc.testing import assert_logged, assert_valid, event_files, events, steps, summary_values, tags


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log_dir = tmp_path_factory.mktemp("logs")
    assert log(log_dir).error is None
    log_messages(log_dir / "messages")
    return log_dir


def test_what_was_logged(logs: Path) -> None:
    assert_valid(logs)
    assert_type(assert_logged(logs, "loss", steps=range(3), values=[1, 1 / 2, 1 / 3]), Scalars)
    assert_type(assert_logged(logs, "text/text_summary", kind="text", values=["hello"]), Values)


def test_what_is_read(logs: Path, tmp_path: Path) -> None:
    assert last_loss(logs) == pytest.approx(1 / 3)
    assert {"image", "histogram", "audio", "mesh", "hparams"} <= kinds_of_all_runs(logs)
    assert event_by_event(logs) > 30
    assert len(first_values(logs, 5)) == 5
    assert not [line for line in findings(logs) if line.startswith("error")]
    assert copy(logs, tmp_path / "copy") > 30
    assert export(logs, tmp_path) == 3


def test_the_script(tmp_path: Path) -> None:
    script = Path(__file__).with_name("train.py")
    result = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=True)
    assert_type(result.stdout, str)
    assert result.stdout.splitlines()[0] == str(tmp_path)
    assert_valid(tmp_path)


def test_a_broken_file(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(bytes(7))
    assert is_broken(path)


@settings(max_examples=10)
@given(event_files(max_events=3), events(), summary_values(["scalar"]), tags(), steps())
def test_strategies(file: bytes, event: object, value: object, tag: str, step: int) -> None:
    assert file
    assert repr(event) is not repr(value)
    assert_type(tag, str)
    assert_type(step, int)
