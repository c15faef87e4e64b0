"""The contents of a run: scalars as arrays; other values as sequences that read a value from the file on access."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from tbc import notices

from .files import open_file, raise_error
from .records import CorruptRecordError, read_record
from .tags import nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .events import Value

FILE = 1 << 43  # a place is FILE * number of the file + offset: no file has 8 TiB, and no run a million files
SESSION_START_INFO = "_hparams_/session_start_info"  # the tag of hyperparameters
SHOWN = 3  # runs that a warning names

K = TypeVar("K")


class Named(dict[str, K]):
    """A dict by name. Its KeyError lists the most similar names."""

    what: str = "name"

    def __missing__(self, name: object) -> NoReturn:
        raise KeyError(f"no {self.what} {name!r}{nearest(name, self) if isinstance(name, str) else ''}")


class ByRun(Named[K]):
    what = "run"


class ByTag(Named[K]):
    what = "tag"


class ByKind(Named[K]):
    what = "kind"


@dataclass(frozen=True, eq=False)
class Scalars:
    """The scalars of a tag, in the order in which they were logged.

    step: int64[n]
    wall_time: float64[n], seconds since 1970
    value: float64[n]
    size: bytes of their records, hidden ones included; approximate for records of unusual form
    hidden: how many values are left out because a later event file replaces them
    """

    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    value: NDArray[np.float64]
    size: int
    hidden: int = 0

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        return f"Scalars({_extent(self)})"


@dataclass(frozen=True, eq=False)
class Values(Sequence[Any]):
    """The values of a tag that are not scalars, in the order in which they were logged.

    values[i] reads value i from its file and returns decode() of it. It raises OSError or RecordError if the file has
    changed, and ValueError if the contents do not fit the kind.

    step: int64[n]
    wall_time: float64[n], seconds since 1970
    size: bytes of their records, hidden ones included; approximate for records of unusual form
    hidden: how many values are left out because a later event file replaces them
    """

    tag: str
    kind: str
    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    size: int
    hidden: int
    _place: NDArray[np.int64]  # of each value's record: its offset in the file, plus FILE for each earlier file
    _records: Records

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        return f"Values({self.tag!r}, {self.kind!r}, {_extent(self)})"

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        from .kinds import decode

        return decode(self.message(index))

    def message(self, index: int) -> Value:
        """Return value `index` as it was logged: its content is the protobuf message. Raises as values[i] does."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self!r} has no value {index}")
        index %= len(self)
        place = int(self._place[index])
        nth = index - int(self._place.searchsorted(place))  # an event may hold several values of the tag
        values = self._records.values_at(place).get((self.tag, self.kind), [])
        if nth >= len(values):
            path, offset = self._records.where(place)
            raise CorruptRecordError(path, offset, f"the file has changed: no {self.kind} of {self.tag!r}")
        return values[nth]


class Records:
    """Read records of a run's files again, by their place."""

    def __init__(self, plugins: dict[str, str]) -> None:
        self.files: list[str] = []
        self._plugins = plugins  # by tag, see tags.plugin_of
        self._last: tuple[int, dict[tuple[str, str], list[Value]]] = (-1, {})  # the last place, and its values

    def where(self, place: int) -> tuple[str, int]:
        number, offset = divmod(place, FILE)
        return self.files[number], offset

    def values_at(self, place: int) -> dict[tuple[str, str], list[Value]]:
        """Return the values of a record, by tag and kind. Those of the last record are cached: an event of many values
        is decoded once if its values are read one after another."""
        from .events import event_of, values_of

        at, values = self._last
        if at == place:
            return values
        path, offset = self.where(place)
        with open_file(path, whole=False) as file:
            data = read_record(file, path, offset)
        event = event_of(data or b"", path, offset, raise_error)
        values = {}
        for value in values_of(event, self._plugins):
            values.setdefault((value.tag, value.kind), []).append(value)
        self._last = (place, values) if len(values) > 1 else (-1, {})  # a single value is not cached: it may be large
        return values


@dataclass(frozen=True, eq=False)
class Run:
    """The contents of a run.

    name: as in TensorBoard: its directory relative to the log directory, or "." for the log directory itself
    scalars: by tag
    values: all other kinds, by kind, then by tag: run.values["image"]["photo"][-1].image()
    """

    name: str
    scalars: dict[str, Scalars]
    values: dict[str, dict[str, Values]]
    _child_files: Sequence[str] = ()  # of the child runs that add_hparams made, in order of time

    @property
    def hparams(self) -> dict[str, Any]:
        """The hyperparameters of the run that were logged last; empty if there are none.

        torch's add_hparams writes them to a child run named by the time. If the run has none itself, these are the
        hyperparameters of its latest child run.
        """
        own = self.values.get("hparams", {}).get(SESSION_START_INFO)
        starts: Sequence[Any] = own or self._starts_below()
        return dict(starts[-1].hparams) if starts else {}

    def _starts_below(self) -> Sequence[Any]:
        from .loader import Loader

        loader = Loader(SESSION_START_INFO.__eq__, {"hparams"}, None, False, None)
        run = loader.load_run(self.name, self._child_files)
        return run.values.get("hparams", {}).get(SESSION_START_INFO, ())

    @property
    def hidden(self) -> int:
        """How many values are left out because a later event file replaces them."""
        return sum(values.hidden for _, _, values in self.all())

    def all(self) -> Iterator[tuple[str, str, Scalars | Values]]:
        """Yield (tag, kind, its Scalars or Values) of each tag and kind; scalars come first."""
        for tag, scalars in self.scalars.items():
            yield tag, "scalar", scalars
        for kind, tags in self.values.items():
            for tag, values in tags.items():
                yield tag, kind, values

    def __repr__(self) -> str:
        counts = {"scalar": len(self.scalars)} | {kind: len(tags) for kind, tags in self.values.items()}
        parts = [f"{n} {kind}" for kind, n in counts.items() if n]
        return f"Run({', '.join([repr(self.name), *parts])}{_hidden_note(self.hidden)})"


def _extent(values: Scalars | Values) -> str:
    """Return text: how many values there are, and at which steps."""
    step, n = values.step, len(values)
    steps = "" if not n else f", step {step[0]}" if n == 1 else f", steps {step.min()} to {step.max()}"
    return f"{n:,} value{'s' * (n != 1)}{steps}{_hidden_note(values.hidden)}"


def _hidden_note(n: int) -> str:
    return f", {n:,} hidden" if n else ""


@dataclass(frozen=True)
class Total:
    """The values of a tag: their number, the range of their steps, and the bytes of their records.

    first_step and last_step are the min and max; None if all values are hidden.
    """

    tag: str
    kind: str
    count: int
    first_step: int | None
    last_step: int | None
    size: int
    hidden: int


def named_by_time(runs: Iterable[str]) -> dict[str, list[str]]:
    """Return the runs that add_hparams named by the time, by parent run, each list in order of time."""
    named: dict[str, list[str]] = {}
    for run in sorted(filter(is_named_by_time, runs), key=lambda run: (float(posixpath.basename(run)), run)):
        named.setdefault(posixpath.dirname(run) or ".", []).append(run)
    return named


def is_named_by_time(run: str) -> bool:
    """Return whether a run's name ends with a str(time.time()), as torch's add_hparams names its child runs."""
    return re.fullmatch(r"\d{9,11}\.\d+", posixpath.basename(run)) is not None


def of_runs(hidden: dict[str, int]) -> str:
    """Return how many values each run hides, as text for a warning; "" if there is one run. hidden: by run."""
    names = [name for name, n in hidden.items() if n]
    some = ", ".join(f"{hidden[name]:,} of {name!r}" for name in names[:SHOWN])
    more = f", and of {len(names) - SHOWN:,} more runs" if len(names) > SHOWN else ""
    return f" ({some}{more})" if len(hidden) > 1 else ""


def warn_of_hidden(path: str, hidden: dict[str, int]) -> None:
    """Warn how many values each run leaves out. hidden: their number, by run."""
    total = sum(hidden.values())
    if not total:
        return
    values = "values are left out because a later event file of the run replaces them"
    if total == 1:
        values = "value is left out because a later event file of the run replaces it"
    notices.warn(
        f"{path}: {total:,} {values}{of_runs(hidden)}; "
        "purge=False keeps them, purge=True leaves them out without a warning",
        UserWarning,
    )
