"""Helps to test programs that log (assertions, a fixture) and programs that read (hypothesis strategies).

    from tbc.testing import assert_logged, assert_valid

    def test_training(tmp_path):
        train(log_dir=tmp_path, epochs=3)
        assert_valid(tmp_path)
        assert_logged(tmp_path, "loss/train", steps=range(3))

With `pytest_plugins = ["tbc.testing"]` in conftest.py, all tests can use the fixture `log_dir`: a directory that
assert_valid checks after the test.

The strategies need hypothesis, which they import when called: pip install 'tbc[testing]'.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from tbc.reader.series import Scalars, Values


def assert_valid(path: str | os.PathLike[str], *, strict: bool = False) -> None:
    """Raise AssertionError unless there are event files at or below `path`, and verify finds no error in them.

    The check is that of `python -m tbc.reader verify`; the message lists the findings that raise.

    strict: True also raises for warnings, such as steps that go back. Infos, such as repeated steps, never raise.
    """
    from tbc.reader.verifying import verify

    __tracebackhide__ = True  # pytest shows the caller's line
    severities = ("error", "warning") if strict else ("error",)
    wrong = [finding for report in verify(path) for finding in report.findings if finding.severity in severities]
    if wrong:
        lines = [f"{finding.severity}: {finding.path}: {finding.message}" for finding in wrong]
        raise AssertionError("\n".join(["event files are not valid:", *lines]))


@overload
def assert_logged(  # type: ignore[overload-overlap]
    path: str | os.PathLike[str],
    tag: str,
    *,
    steps: Iterable[int] | None = None,
    values: Sequence[float] | None = None,
    run: str = ".",
    kind: Literal["scalar"] = "scalar",
    rtol: float = 1e-6,
    atol: float = 0.0,
) -> Scalars: ...
@overload
def assert_logged(
    path: str | os.PathLike[str],
    tag: str,
    *,
    steps: Iterable[int] | None = None,
    values: Sequence[Any] | None = None,
    run: str = ".",
    kind: str,
    rtol: float = 1e-6,
    atol: float = 0.0,
) -> Values: ...
def assert_logged(
    path: str | os.PathLike[str],
    tag: str,
    *,
    steps: Iterable[int] | None = None,
    values: Sequence[Any] | None = None,
    run: str = ".",
    kind: str = "scalar",
    rtol: float = 1e-6,
    atol: float = 0.0,
) -> Scalars | Values:
    """Raise AssertionError unless `tag` was logged below `path`; return the series, for further checks.

    Steps and values that TensorBoard hides after a restart are included.

    steps: the expected steps, in the order of the files, each as often as it was logged
    values: the expected values. Scalars are compared within the tolerances, since they are stored as float32 by
        default; values of other kinds are compared with ==
    run: the directory, relative to `path`; by default `path` itself
    kind: one of tbc.reader.KINDS
    rtol, atol: the tolerances, as in numpy.isclose
    """
    from tbc.reader.load import load_runs
    from tbc.reader.tags import KINDS

    __tracebackhide__ = True  # pytest shows the caller's line
    runs = load_runs(path, purge=False, progress=False)
    if run not in runs:
        raise AssertionError(f"{os.fspath(path)}: there is no run {run!r}; run= must be one of: {_some(runs)}")
    if kind not in KINDS:
        raise ValueError(f"a kind must be one of {', '.join(KINDS)}, got {kind!r}")
    found: Mapping[str, Scalars | Values]
    found = runs[run].scalars if kind == "scalar" else runs[run].values.get(kind, {})
    if tag not in found:
        raise AssertionError(f"{os.fspath(path)}: run {run!r} has no {kind} {tag!r}; it has: {_some(found)}")
    series = found[tag]
    if steps is not None and series.step.tolist() != list(steps):
        raise AssertionError(f"{tag!r} was logged at steps {series.step.tolist()}, expected {list(steps)}")
    if values is not None:
        _assert_values(tag, series, values, rtol, atol)
    return series


def _some(names: Iterable[str]) -> str:
    """Return up to ten of the names, for a message."""
    several = sorted(names)
    return (
        ", ".join(map(repr, several[:10])) + (f" and {len(several) - 10} more" if len(several) > 10 else "") or "none"
    )


def _assert_values(tag: str, series: Scalars | Values, values: Sequence[Any], rtol: float, atol: float) -> None:
    import numpy as np

    from tbc.reader.series import Scalars

    __tracebackhide__ = True
    logged = series.value.tolist() if isinstance(series, Scalars) else list(series)
    if len(logged) != len(values):
        raise AssertionError(f"{tag!r} was logged {len(logged)} times, expected {len(values)}")
    for step, one, expected in zip(series.step.tolist(), logged, values, strict=True):
        same = np.isclose(one, expected, rtol, atol, equal_nan=True) if isinstance(one, float) else one == expected
        if not np.all(same):
            raise AssertionError(f"{tag!r} is {one!r} at step {step}, expected {expected!r}")


try:
    import pytest
except ImportError:  # without pytest, nothing can use the fixture
    pass
else:

    @pytest.fixture
    def log_dir(tmp_path: Path) -> Iterator[Path]:
        """Yields a directory to log to, which does not exist yet; calls assert_valid on it after the test."""
        yield tmp_path / "logs"
        assert_valid(tmp_path / "logs")


INT64 = (-(2**63), 2**63 - 1)


def tags() -> SearchStrategy[str]:
    """Generates tags: common ones, and unusual ones (empty, long, in any script, with control characters)."""
    from hypothesis import strategies as st

    odd = ["", " ", "/", "a//b", "\x00", "\n\x1b[31m", "тег", "损失", "🔥" * 200, "x" * 20_000]
    any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    return st.sampled_from(["loss", "loss/train", "loss/test", "weights"]) | any_text | st.sampled_from(odd)


def steps() -> SearchStrategy[int]:
    """Generates steps: any signed 64-bit integer; small ones and the limits are frequent."""
    from hypothesis import strategies as st

    return st.integers(0, 20) | st.integers(*INT64) | st.sampled_from([*INT64, -1, 2**31, 2**53 + 1])


def summary_values(kinds: Iterable[str] | None = None) -> SearchStrategy[Any]:
    """Generates values of a Summary (tbc.proto.Summary.Value) as torch, TensorFlow, tensorboardX and tbc store them.

    The content of images, sounds and graphs is random bytes.

    kinds: some of tbc.reader.KINDS, but none that only events have, such as "graph"; by default all. Raises ValueError
    for others.
    """
    from hypothesis import strategies as st

    from tbc.proto import Summary

    contents = _contents()
    wanted = sorted(contents) if kinds is None else list(kinds)
    for kind in wanted:
        if kind not in contents:
            raise ValueError(f"a kind must be one of {', '.join(contents)}, got {kind!r}")
    content = st.sampled_from(wanted).flatmap(contents.__getitem__)
    return st.builds(lambda tag, content: Summary.Value(tag=tag, **content), tags(), content)


def _contents() -> dict[str, SearchStrategy[dict[str, Any]]]:
    """Return, for each kind, a strategy for the fields of a Summary.Value, without the tag."""
    from hypothesis import strategies as st

    fields = st.fixed_dictionaries
    floats, doubles, blob = st.floats(width=32), st.floats(), st.binary(max_size=40)

    def tensor(dtypes: list[int], **values: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
        return fields({"dtype": st.sampled_from(dtypes), **values})

    def of_plugin(name: str, tensors: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
        """Generate tensors with or without metadata: TensorFlow 1 stores metadata with a tag's first value only."""
        metadata = st.just({"plugin_data": {"plugin_name": name, "content": b""}}) | st.none()
        return fields({"tensor": tensors, "metadata": metadata})

    strings = tensor([7], string_val=st.lists(blob, min_size=1, max_size=3))
    matrix = tensor([1], tensor_content=st.binary(min_size=48, max_size=48))
    numbers = st.one_of(
        tensor([1], float_val=st.lists(floats, max_size=2)),
        tensor([2], double_val=st.lists(doubles, max_size=2)),
        tensor([1, 2], tensor_content=st.binary(max_size=9)),
        tensor([3, 4, 6], int_val=st.lists(st.integers(-100, 100), max_size=2)),
        tensor([19, 14], half_val=st.lists(st.integers(0, 0x7BFF), max_size=2)),
    )
    limits_and_counts = {name: st.lists(doubles, max_size=3) for name in ("bucket_limit", "bucket")}
    histogram = fields({"num": doubles, **limits_and_counts})
    image = fields({"width": st.integers(0, 99), "height": st.integers(0, 99), "encoded_image_string": blob})
    audio = fields({"sample_rate": floats, "encoded_audio_string": blob})
    return {
        "scalar": fields({"simple_value": floats}) | of_plugin("scalars", numbers),
        "histogram": fields({"histo": histogram}) | of_plugin("histograms", matrix),
        "image": fields({"image": image}) | of_plugin("images", strings),
        "audio": fields({"audio": audio}) | of_plugin("audio", strings),
        "text": of_plugin("text", strings),
        "pr_curve": of_plugin("pr_curves", matrix),
        "mesh": of_plugin("mesh", matrix),
        "custom_scalars": of_plugin("custom_scalars", strings),
        "hparams": of_plugin("hparams", st.none()),
        "keras_model": of_plugin("graph_keras_model", strings),
        "tensor": of_plugin("", numbers | strings),
        "empty": st.just({}),
    }


def events(kinds: Iterable[str] | None = None) -> SearchStrategy[Any]:
    """Generates events (tbc.proto.Event) with a step, a wall time and a summary of up to three values.

    kinds: the kinds of the values, as in summary_values. None generates all kinds, and also events that have a graph, a
    session log or the metadata of a run instead of a summary, or no content.
    """
    from hypothesis import strategies as st

    from tbc.proto import Event

    fields: Any = st.fixed_dictionaries
    what = fields({"summary": fields({"value": st.lists(summary_values(kinds), max_size=3)})})
    if kinds is None:
        what |= fields({"graph_def": st.binary(max_size=40)}) | st.just({})
        what |= fields({"session_log": fields({"status": st.integers(0, 3)})})
        what |= fields({"tagged_run_metadata": fields({"tag": tags(), "run_metadata": st.binary(max_size=9)})})
    wall_times = st.floats(1e9, 2e9) | st.floats(allow_nan=False, allow_infinity=False)
    return st.builds(lambda step, time, what: Event(step=step, wall_time=time, **what), steps(), wall_times, what)


def event_files(kinds: Iterable[str] | None = None, max_events: int = 20) -> SearchStrategy[bytes]:
    """Generates the bytes of complete event files: the record with the version, then up to max_events events."""
    from hypothesis import strategies as st

    from tbc.proto import Event
    from tbc.reader.records import frame

    first = Event(wall_time=1e9, file_version="brain.Event:2")
    some = st.lists(events(kinds), max_size=max_events)
    return some.map(lambda events: b"".join(frame(event.SerializeToString()) for event in [first, *events]))
