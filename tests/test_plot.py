"""Curves and bars drawn in a terminal."""

import math
import re
import time
import unicodedata
from fractions import Fraction

import numpy as np
import pytest
from helpers.oracle import INT64
from hypothesis import given
from hypothesis import strategies as st

from tbc.reader.plot import bars, curve

numbers = st.floats() | st.sampled_from([0.0, 0.1, 1e300, -1e300, 1.7976931348623157e308, 5e-324, math.nan, math.inf])
points = st.lists(st.tuples(st.integers(*INT64) | st.integers(0, 100), numbers), max_size=300)
sizes = {"width": st.integers(1, 200), "height": st.integers(1, 30), "ascii": st.booleans()}


def chart(lines, height):
    """Return the lines of a chart without axes and labels."""
    return [re.split(" [┤│+|]", line, maxsplit=1)[1] for line in lines[:height]]


def dots(lines, height):
    """Yield (column, row) of each dot of a chart in braille."""
    for row, line in enumerate(chart(lines, height)):
        for column, character in enumerate(line):
            for x, y, bit in [(0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 0, 3), (1, 1, 4), (1, 2, 5), (0, 3, 6), (1, 3, 7)]:
                if character != " " and ord(character) - 0x2800 >> bit & 1:
                    yield 2 * column + x, 4 * row + y


def labels(lines):
    """Return {row: label}."""
    return {row: line.split(" ┤")[0].strip().replace(",", "") for row, line in enumerate(lines) if "┤" in line}


def is_narrow(line):
    return all(unicodedata.east_asian_width(character) not in "WF" for character in line)


@given(points, *sizes.values())
def test_any_points_fill_the_lines(points, width, height, ascii):
    lines = curve([step for step, _ in points], [value for _, value in points], width, height, ascii=ascii)
    assert {len(line) for line in lines} == {max(width, 40)}
    assert all(map(is_narrow, lines))
    assert not ascii or all(map(str.isascii, lines))
    finite = [value for _, value in points if math.isfinite(value)]
    if finite:
        top, *_, bottom = chart(lines, max(height, 2))
        assert min(finite) == max(finite) or (not top.isspace() and not bottom.isspace())
    left_out = len(points) - len(finite)
    assert not left_out or lines[-1].strip() == f"{left_out:,} of {len(points):,} values are NaN or infinite"


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=1000, unique=True).map(sorted),
    st.integers(2, 20),
)
def test_what_rises_is_drawn_rising(values, height):
    lines = curve(range(len(values)), values, height=height)
    tops = {}
    for x, y in dots(lines, height):
        tops[x] = min(y, tops.get(x, y))
    assert sorted(tops) == list(range(max(tops) + 1))  # without a gap
    assert [tops[x] for x in sorted(tops)] == sorted(tops.values(), reverse=True)
    assert min(tops.values()) == 0


@given(st.floats(-1e300, 1e300), st.floats(0, 1e300) | st.floats(0, 1) | st.just(0), st.integers(3, 40))
def test_labels_are_round_and_where_their_values_are(low, extent, height):
    high = low + extent
    found = labels(curve([0, 1], [low, high], height=height))
    if low == high:
        assert [float(text) for text in found.values()] == [pytest.approx(low, rel=1e-5)]
        return
    assert 1 <= len(found) <= max(5, height / 2)
    span = Fraction(high) - Fraction(low)
    for row, text in found.items():
        unit = (Fraction(high) - Fraction(text)) / span
        assert abs(unit * height - row - Fraction(1, 2)) <= 1
        digits = text.partition("e")[0].replace(".", "").strip("-0")
        assert len(digits) <= 3 or extent < abs(float(text)) / 50


def test_steps_in_any_order_and_of_any_size():
    assert curve([3, 1, 2], [9, 1, 4]) == curve([1, 2, 3], [1, 4, 9])
    lines = curve(INT64, [0, 1])
    assert lines[-1].split() == ["-9,223,372,036,854,775,808", "9,223,372,036,854,775,807"]
    near = [2**62 + step for step in range(70)]  # as floats they would all be equal
    assert chart(curve(near, range(70)), 15) == chart(curve(range(70), range(70)), 15)


def test_a_point():
    lines = curve([5], [3.25], height=5)
    assert labels(lines) == {2: "3.25"}
    assert len(list(dots(lines, 5))) == 1
    assert lines[-1].split() == ["5"]


def test_nothing():
    assert curve([], []) == ["no values to draw".ljust(72)]
    assert [line.strip() for line in curve([1], [math.nan])] == [
        "no values to draw",
        "1 of 1 values are NaN or infinite",
    ]


@pytest.mark.parametrize("ascii", [False, True])
def test_a_spike_of_a_million_points_is_seen(ascii):
    values = np.random.default_rng(0).normal(size=1_000_000)
    values[123_456] = 100
    started = time.perf_counter()
    lines = curve(np.arange(1_000_000), values, ascii=ascii)
    assert time.perf_counter() - started < 5  # it takes a tenth of that
    top = chart(lines, 15)[0]
    assert len(top.strip()) == 1
    assert abs(top.index(top.strip()) / len(top) - 0.123) < 0.02
    bottom = "".join(chart(lines, 15)[-3:])
    assert {"*", ":"} <= set(bottom) if ascii else "⣿" not in bottom  # a line in a dotted area


PARABOLA = """\
   │                                ⢀⡠⠔⠊
   │                             ⣀⠤⠊⠁
10 ┤                         ⣀⠤⠒⠉
   │                    ⣀⡠⠔⠊⠉
   │              ⣀⡠⠤⠔⠒⠉
 0 ┤⣀⣀⣀⣀⣀⠤⠤⠤⠤⠤⠒⠒⠉⠉
   └────────────────────────────────────
    0                                 40
"""
IN_ASCII = """\
   |                                 ***
   |                             ****
10 +                         ****
   |                     ****
   |              *******
 0 +**************
   +------------------------------------
    0                                 40
"""


def test_a_curve_looks_like_this():
    for ascii in (False, True):
        lines = curve(range(0, 50, 10), [0, 1, 4, 9, 16], width=40, height=6, ascii=ascii)
        assert "".join(line.rstrip() + "\n" for line in lines) == (IN_ASCII if ascii else PARABOLA)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 3e-4], ["0.0003", "0.0002", "0.0001", "0.0000"]),
        ([0, 1.2e6], ["1.0e6", "0.5e6", "0"]),
        ([-1e308, 1e308], ["1e308", "0", "-1e308"]),
        ([1.7e9, 1.7e9 + 4], ["1700000004", "1700000002", "1700000000"]),
        ([-2e-9, 2e-9], ["2e-9", "0", "-2e-9"]),
        ([-250, 250], ["200", "0", "-200"]),
    ],
)
def test_labels_look_like_this(values, expected):
    lines = curve([0, 1], values, height=9)
    assert list(labels(lines).values()) == expected


@given(
    st.lists(st.tuples(st.text(st.characters(codec="ascii", exclude_characters="#")), numbers), max_size=30),
    st.integers(1, 99),
)
def test_any_bars_fill_the_lines(rows, width):
    names, counts = [name for name, _ in rows], [count for _, count in rows]
    for ascii in (False, True):
        lines = bars(names, counts, width, ascii=ascii)
        assert {len(line) for line in lines} <= {max(width, 40)}
        lengths = [line.count("#" if ascii else "█") for line in lines]
        finite = {count: length for count, length in zip(counts, lengths, strict=True) if math.isfinite(count)}
        assert [finite[count] for count in sorted(finite)] == sorted(finite.values())


def test_bars_look_like_this():
    lines = bars(["-1.0", "0.0", "1.0", "2.0"], [10, 20, 0.01, 0], 40)
    assert lines == [
        "-1.0 ███████████████                  10",
        " 0.0 ██████████████████████████████   20",
        " 1.0 ▏                              0.01",
        " 2.0                                   0",
    ]
