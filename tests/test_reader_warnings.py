"""Warnings of the reader name the line that called it, even if threads read."""

import os
import warnings

import pytest
from helpers import eventfiles
from helpers.eventfiles import VERSION, scalar

from tbc.reader import find_event_files, follow, load, load_runs, load_scalars, to_dataset


def link_and_find(root):
    os.symlink("nowhere", root / "link")
    return root


@pytest.mark.parametrize(
    "call",
    [
        lambda root: load_scalars(root / "run"),
        lambda root: load_runs(root),
        lambda root: load_runs(root, workers=3)["run"].hparams,
        lambda root: list(follow(root, idle=0)),
        lambda root: to_dataset(root, root / "dataset"),
        lambda root: find_event_files(link_and_find(root)),
    ],
)
def test_a_warning_names_the_line_of_the_caller(tmp_path, monkeypatch, call):
    if "to_dataset" in call.__code__.co_names:
        pytest.importorskip("dask")
        pytest.importorskip("pyarrow")
    monkeypatch.setattr(load, "PIECE", 0)  # so that threads read every run
    damaged = eventfiles.write(tmp_path / "run" / "tfevents.1", VERSION, *map(scalar, range(1, 9)))
    content = bytearray(damaged.read_bytes())
    content[-5] ^= 1
    damaged.write_bytes(content)
    eventfiles.write(tmp_path / "run" / "tfevents.2", VERSION, scalar(5))  # hides the steps from 5 on
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(tmp_path)
    assert len(caught) == (1 if "find_event_files" in call.__code__.co_names else 2)
    assert {(each.filename, each.lineno) for each in caught} == {(__file__, call.__code__.co_firstlineno)}
