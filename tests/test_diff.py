import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tbc
from tbc.reader.diff import Difference, compare
from tbc.reader.load import Run, Scalars, load_runs


def run_with(name="r", **tags):
    """Each tag a list of (step, value)."""
    scalars = {}
    for tag, points in tags.items():
        step, value = zip(*points, strict=True)
        scalars[tag] = Scalars(np.array(step), np.zeros(len(step)), np.array(value, float), 0)
    return {name: Run(name, scalars, {})}


def test_what_is_the_same():
    points = [(0, 1.0), (1, math.nan), (2, math.inf), (3, -math.inf)]
    assert list(compare(run_with(loss=points), run_with(loss=points))) == []
    assert list(compare({}, {})) == []


def test_what_is_missing():
    a, b = run_with(loss=[(3, 1.0), (4, 2.0)]), run_with(accuracy=[(0, 0.5)])
    assert list(compare(a, b)) == [
        Difference("r", "accuracy", "missing", 1, 0, None, 0.5),
        Difference("r", "loss", "missing", 2, 3, 1.0, None),
    ]
    assert [difference.run for difference in compare(a, run_with("other", loss=[(3, 1.0)]))] == ["other", "r"]


def test_steps_of_one_side():
    a, b = run_with(loss=[(1, 1.0), (2, 2.0)]), run_with(loss=[(2, 2.0), (5, 5.0), (9, 9.0)])
    assert list(compare(a, b)) == [Difference("r", "loss", "steps", 3, 1, 1.0, None)]
    assert list(compare(b, a)) == [Difference("r", "loss", "steps", 3, 1, None, 1.0)]


def test_the_worst_value_is_told():
    a = run_with(loss=[(1, 1.0), (2, 2.0), (3, 3.0)])
    b = run_with(loss=[(1, 1.1), (2, 2.5), (3, 3.0)])
    assert list(compare(a, b)) == [Difference("r", "loss", "values", 2, 2, 2.0, 2.5)]
    assert list(compare(a, b, atol=0.2)) == [Difference("r", "loss", "values", 1, 2, 2.0, 2.5)]
    assert list(compare(a, b, rtol=0.25)) == []


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_far_from_every_number(odd):
    a, b = run_with(loss=[(1, 1.0), (2, 0.0)]), run_with(loss=[(1, 2.0), (2, odd)])
    for first, second in ((a, b), (b, a)):
        (difference,) = compare(first, second, atol=0.5)
        assert (difference.what, difference.count, difference.step) == ("values", 2, 2)


def test_a_step_that_was_logged_several_times():
    a = run_with(loss=[(5, 1.0), (1, 7.0), (5, 2.0), (5, 2.0)])
    assert list(compare(a, run_with(loss=[(1, 7.0), (5, 1.0), (5, 2.0), (5, 2.0)]))) == []
    assert list(compare(a, run_with(loss=[(5, 2.0), (1, 7.0), (5, 1.0), (5, 2.0)]))) == [
        Difference("r", "loss", "values", 2, 5, 1.0, 2.0)
    ]
    assert list(compare(a, run_with(loss=[(1, 7.0), (5, 1.0)]))) == [Difference("r", "loss", "steps", 2, 5, 2.0, None)]


def test_a_run_that_was_logged_without_steps(tmp_path):
    for name, factor in (("a", 1), ("b", 2)):
        with tbc.SummaryWriter(tmp_path / name) as writer:
            for value in range(5):
                writer.add_scalar("loss", value * factor if value < 4 else 9)
    a, b = (load_runs(tmp_path / name, purge=False) for name in "ab")
    assert list(compare(a, b)) == [Difference(".", "loss", "values", 3, 0, 3.0, 6.0)]


def test_tolerances_that_are_none():
    for tolerance in (-1, math.nan):
        with pytest.raises(ValueError, match="a tolerance must be 0 or more"):
            list(compare({}, {}, rtol=tolerance))


POINTS = st.dictionaries(st.integers(0, 6), st.floats(-2, 2, width=16), min_size=1)


@given(POINTS, POINTS, st.sampled_from([0, 0.1, 0.5]), st.sampled_from([0, 0.1, 0.5]))
def test_as_a_loop_has_it(a, b, rtol, atol):
    found = {d.what: d.count for d in compare(run_with(x=a.items()), run_with(x=b.items()), rtol=rtol, atol=atol)}
    expected = {
        "steps": len(a.keys() ^ b.keys()),
        "values": sum(abs(a[step] - b[step]) > atol + rtol * abs(b[step]) for step in a.keys() & b.keys()),
    }
    assert found == {what: n for what, n in expected.items() if n}


def test_two_trainings(tmp_path):
    for name, last in (("a", 0.5), ("b", 0.75)):
        with tbc.SummaryWriter(tmp_path / name) as writer:
            for step in range(10):
                writer.add_scalar("loss", last if step == 9 else 1.0, step)
    a, b = load_runs(tmp_path / "a"), load_runs(tmp_path / "b")
    assert list(compare(a, a)) == []
    assert list(compare(a, b)) == [Difference(".", "loss", "values", 1, 9, 0.5, 0.75)]
