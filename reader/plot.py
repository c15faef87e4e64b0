"""Draw curves and bars for a terminal, as lines of text.

A curve is drawn in braille characters, which have two columns and four rows of dots.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Dots = npt.NDArray[np.bool_]

NARROWEST = 40  # characters; the min width: with the longest labels, there is still room for a chart
CROWD = 3  # points in a column of dots, on average; with more, a line through all points is unreadable
BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # of a braille character, by row and column
SLACK = Decimal("1e-9")  # of a step between labels: a float may miss a round number, as 3e-4 is less than 0.0003
PLAIN = 7  # characters; if all numbers are this short, none is written with an exponent


def curve(
    steps: Sequence[int] | Ints,
    values: Sequence[float] | Floats,
    width: int = 72,
    height: int = 15,
    *,
    ascii: bool = False,
) -> list[str]:
    """Return a line chart of values[n] over steps[n], as lines of `width` characters.

    width: less than 40 counts as 40. height: rows of the chart, less than 2 counts as 2; two more lines have the axis
    and the steps. ascii: use only ASCII characters, in place of braille.

    With more than CROWD points in a column, on average, each column shows the range of its values as dots, so that no
    spike is lost, and their mean as a line. NaN and infinities are left out; then one more line has their number.
    """
    width, height = max(width, NARROWEST), max(height, 2)
    x, y = np.asarray(steps, np.int64), np.asarray(values, np.float64)
    finite = np.isfinite(y)
    order = np.argsort(x[finite], kind="stable")
    number, x, y = len(y), x[finite][order], y[finite][order]
    notes = [f"{number - len(y):,} of {number:,} values are NaN or infinite"] if len(y) < number else []
    if not len(y):
        return [line.ljust(width) for line in ("no values to draw", *notes)]

    across, down = (1, 1) if ascii else (2, 4)
    labels = _labels(float(y.min()), float(y.max()), height, down)
    margin = max(map(len, labels.values())) + 2
    line, area = _draw(_unit_of_steps(x), 1 - _unit(y), (width - margin) * across, height * down)
    tick, side, corner, floor = "+|+-" if ascii else "┤│└─"
    lines = [
        f"{labels.get(row, ''):>{margin - 2}} {tick if row in labels else side}{text}"
        for row, text in enumerate(_text(line, area, ascii))
    ]
    lines.append(corner.rjust(margin) + floor * (width - margin))
    lines.append(_span(int(x[0]), int(x[-1]), width - margin).rjust(width))
    return [*lines, *(note.ljust(width) for note in notes)]


def _unit(y: Floats) -> Floats:
    """Scale numbers to 0 (min) to 1 (max); return 0.5 for all if they are equal."""
    y = np.ldexp(y, -np.frexp(np.abs(y).max())[1])  # to below 1, as the difference of large values may be infinite
    low, high = y.min(), y.max()
    return (y - low) / (high - low) if low < high else np.full_like(y, 0.5)


def _unit_of_steps(x: Ints) -> Floats:
    """Scale sorted steps to 0 to 1. The differences are uint64, as an int64 may be too small for them."""
    return _unit((x.view(np.uint64) - x[:1].view(np.uint64)).astype(np.float64))


def _nearest(unit: Floats, dots: int) -> Ints:
    """Return the nearest of `dots` positions for numbers from 0 to 1."""
    return np.floor(unit * (dots - 1) + 0.5).astype(np.int64)


def _draw(x: Floats, y: Floats, columns: int, rows: int) -> tuple[Dots, Dots]:
    """Return the dots of the line and of the range, each bool[rows, columns]. x and y are from 0 to 1, x is sorted.

    y goes down: 0 is the top row. With few points the range is part of the line.
    """
    line, area = np.zeros((2, rows, columns), np.bool_)
    column = _nearest(x, columns)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    ends = np.append(starts[1:], len(x)) - 1
    low, high = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
    if len(x) > CROWD * len(starts):
        span = area
        enter = leave = np.clip(np.add.reduceat(y, starts) / (ends - starts + 1), low, high)
    else:
        span = line
        enter, leave = y[starts], y[ends]
    to_row = [_nearest(each, rows).tolist() for each in (low, high, enter, leave)]
    before = None
    for at, top, bottom, first, last in zip(column[starts].tolist(), *to_row, strict=True):
        span[top : bottom + 1, at] = True
        y0, x0 = before or (first, at)
        dots = np.linspace((y0, x0), (first, at), max(abs(first - y0), at - x0) + 1) + 0.5
        line[tuple(dots.astype(np.int64).T)] = True
        before = last, at
    return line, area


def _text(line: Dots, area: Dots, ascii: bool) -> list[str]:
    if ascii:
        return ["".join(row) for row in np.where(line, "*", np.where(area, ":", " ")).tolist()]
    rows, columns = line.shape
    # Every second dot of the range, so that the line stays visible.
    checks = np.indices(line.shape).sum(0) % 2 == 0
    cells = (line | area & checks).reshape(rows // 4, 4, columns // 2, 2)
    codes = np.einsum("rdca,da->rc", cells, BITS)
    return ["".join(chr(0x2800 + code) if code else " " for code in row) for row in codes.tolist()]


def _labels(low: float, high: float, height: int, down: int) -> dict[int, str]:
    """Return labels by row: round numbers, some three rows apart; of equal values one label. down: dots of a row"""
    if low == high:
        return {height // 2: f"{low:.6g}"}
    with localcontext(Context(prec=40)):
        span = Decimal(high) - Decimal(low)
        ticks, decimals = list[Decimal](), 0
        top = span.adjusted()
        for exponent, digit in product(range(top + 1, top - 3, -1), (5, 2, 1)):
            step = Decimal(digit).scaleb(exponent)
            if len(ticks) > 1 and step * height < 3 * span:
                break
            first = (Decimal(low) / step - SLACK).to_integral_value(ROUND_CEILING)
            last = (Decimal(high) / step + SLACK).to_integral_value(ROUND_FLOOR)
            ticks = [step * (first + i) for i in range(int(last - first) + 1)]
            decimals = -exponent
        places = [float((Decimal(high) - tick) / span) for tick in ticks]
        rows = _nearest(np.array(places), height * down) // down
        return dict(zip(rows.tolist(), _texts(ticks, decimals), strict=True))


def _texts(ticks: list[Decimal], decimals: int) -> list[str]:
    """Format numbers with the same number of decimals: all plain or, where that is long, all with an exponent."""
    plain = [f"{tick:,.{max(decimals, 0)}f}" for tick in ticks]
    top = max(tick.adjusted() for tick in ticks if tick)
    short = [f"{tick.scaleb(-top):.{max(top + decimals, 0)}f}e{top}" if tick else "0" for tick in ticks]
    return short if max(map(len, plain)) > max(PLAIN, *map(len, short)) else plain


def _span(first: int, last: int, width: int) -> str:
    """Return the line below the chart: its first and last step, rounded if they do not fit, or the only one."""
    if first == last:
        return f"{first:,}".center(width)
    for form in (",", "", ".4g"):
        left, right = format(first, form), format(last, form)
        if len(left) + len(right) < width:
            break
    return f"{left} {right:>{width - len(left) - 1}}"


def bars(labels: Sequence[str], counts: Sequence[float] | Floats, width: int = 72, *, ascii: bool = False) -> list[str]:
    """Return a line of `width` characters (at least 40) for each of counts[n]: its label, a bar and the count.

    A long label is cut. The max count has the longest bar; negative counts, NaN and infinities have none.
    """
    width = max(width, NARROWEST)
    y = np.asarray(counts, np.float64)
    texts = [f"{count:,.0f}" if abs(count) < 1e9 and count.is_integer() else f"{count:.4g}" for count in y.tolist()]
    tail = max(map(len, texts), default=0)
    margin = min(max(map(len, labels), default=0), width // 2)
    room = width - margin - tail - 2
    y = np.where(np.isfinite(y), y, 0).clip(0)
    eighths = np.ceil(y / (y.max(initial=0) or 1) * (room * 8)).astype(np.int64).tolist()
    full, parts = ("#", "       ") if ascii else ("█", "▏▎▍▌▋▊▉")
    filled = [full * (n // 8) + (parts[n % 8 - 1] if n % 8 else "") for n in eighths]
    return [
        f"{label[:margin]:>{margin}} {bar:<{room}} {text:>{tail}}"
        for label, bar, text in zip(labels, filled, texts, strict=True)
    ]
