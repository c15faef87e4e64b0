"""What was logged in a run: scalars as arrays, everything else as lists that read a value when it is asked for."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from . import notices
from .files import open_file, raise_error
from .records import CorruptRecordError, read_record
from .tags import nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .events import Value

FILE = 1 << 43  # bytes; no file is longer, and no run has a million files
SESSION_START_INFO = "_hparams_/session_start_info"  # the tag of hyperparameters
SHOWN = 3  # runs that a warning names

K = TypeVar("K")


class Named(dict[str, K]):
    """A dict by name. Its KeyError names the nearest names."""

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
    """The scalars of a tag, in the order they were logged in.

    step: int64[n]
    wall_time: float64[n], seconds since 1970
    value: float64[n]
    size: of their records, in bytes; also of those that are hidden. Approximate for records of unusual form
    hidden: how many values are left out, since a later event file replaces them
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
    """The values of a tag that are not scalars, in the order they were logged in: values[i] is read, and decoded as
    kinds.decode has it, when it is asked for. Raises OSError or RecordError if the file is not what it was.

    step: int64[n]
    wall_time: float64[n], seconds since 1970
    size: of their records, in bytes; also of those that are hidden. Approximate for records of unusual form
    hidden: how many values are left out, since a later event file replaces them
    """

    tag: str
    kind: str
    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    size: int
    hidden: int
    _place: NDArray[np.int64]  # of the record: its offset in the file, plus FILE for each file before it
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
        """The value as it was logged: its content is the protobuf message."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self!r} has no value {index}")
        index %= len(self)
        place = int(self._place[index])
        nth = index - int(self._place.searchsorted(place))  # of the event, which may hold several
        values = self._records.values_at(place).get((self.tag, self.kind), [])
        if nth >= len(values):
            path, offset = self._records.where(place)
            raise CorruptRecordError(path, offset, f"no {self.kind} of {self.tag!r}, which was there,")
        return values[nth]


class Records:
    """The records of a run's files, to be read again."""

    def __init__(self, plugins: dict[str, str]) -> None:
        self.files: list[str] = []
        self._plugins = plugins  # of tags, see tags.plugin_of
        self._last: tuple[int, dict[tuple[str, str], list[Value]]] = (-1, {})  # a place, and values_at it

    def where(self, place: int) -> tuple[str, int]:
        number, offset = divmod(place, FILE)
        return self.files[number], offset

    def values_at(self, place: int) -> dict[tuple[str, str], list[Value]]:
        """The values of a record, by tag and kind. An event of many values is decoded once, if they are asked for in
        turn."""
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
        self._last = (place, values) if len(values) > 1 else (-1, {})  # a single one may be large
        return values


@dataclass(frozen=True, eq=False)
class Run:
    """What is in a run.

    name: as TensorBoard has it: the directory as seen from the log directory, "." for that itself
    scalars: by tag
    values: everything else, by kind, then by tag: run.values["image"]["photo"][-1].image()
    """

    name: str
    scalars: dict[str, Scalars]
    values: dict[str, dict[str, Values]]
    _child_files: Sequence[str] = ()  # of the runs below that add_hparams has made, in order of time

    @property
    def hparams(self) -> dict[str, Any]:
        """The hyperparameters of the run, as logged last; empty if there are none. torch's add_hparams puts them into a
        run below, named by the time: if the run has none of its own, they are those of the latest such run."""
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
        """How many values are left out, since a later event file replaces them."""
        return sum(values.hidden for _, _, values in self.all())

    def all(self) -> Iterator[tuple[str, str, Scalars | Values]]:
        """Iterate over the tags: each with its kind and what is under it. The scalars come first."""
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
    """Return how many values there are, at which steps."""
    step, n = values.step, len(values)
    steps = "" if not n else f", step {step[0]}" if n == 1 else f", steps {step.min()} to {step.max()}"
    return f"{n:,} value{'s' * (n != 1)}{steps}{_hidden_note(values.hidden)}"


def _hidden_note(n: int) -> str:
    return f", {n:,} hidden" if n else ""


@dataclass(frozen=True)
class Total:
    """How many values are under a tag, from which to which step, and how many bytes their records have. first_step and
    last_step are None if all are hidden."""

    tag: str
    kind: str
    count: int
    first_step: int | None
    last_step: int | None
    size: int
    hidden: int


def named_by_time(runs: Iterable[str]) -> dict[str, list[str]]:
    """Return the runs that add_hparams has named by the time, in its order, by the run that they are directly below."""
    named: dict[str, list[str]] = {}
    for run in sorted(filter(is_named_by_time, runs), key=lambda run: (float(posixpath.basename(run)), run)):
        named.setdefault(posixpath.dirname(run) or ".", []).append(run)
    return named


def is_named_by_time(run: str) -> bool:
    """Return whether the name of a run is str(time.time()), as that of a run of torch's add_hparams."""
    return re.fullmatch(r"\d{9,11}\.\d+", posixpath.basename(run)) is not None


def of_runs(hidden: dict[str, int]) -> str:
    """Return words that say of which runs values are hidden, if there are several runs."""
    names = [name for name, n in hidden.items() if n]
    some = ", ".join(f"{hidden[name]:,} of {name!r}" for name in names[:SHOWN])
    more = f", and of {len(names) - SHOWN:,} more runs" if len(names) > SHOWN else ""
    return f" ({some}{more})" if len(hidden) > 1 else ""


def warn_of_hidden(path: str, hidden: dict[str, int]) -> None:
    """Warn of values that are left out: how many, and of which runs."""
    total = sum(hidden.values())
    if not total:
        return
    values = "values are left out, since a later event file of the run replaces them"
    if total == 1:
        values = "value is left out, since a later event file of the run replaces it"
    notices.warn(
        f"{path}: {total:,} {values}{of_runs(hidden)}; "
        "purge=False keeps them, purge=True leaves them out without a warning",
        UserWarning,
    )
