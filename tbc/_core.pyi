from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat, SupportsInt, TypeVar

_Step = SupportsInt | str | bytes | None
_Walltime = SupportsFloat | None
_Text = str | bytes | None
_Moments = tuple[float, float, float, float, float]
_Array = tuple[Any, str]

TENSOR_DTYPES: dict[str, int]

_Answer = TypeVar("_Answer")

ON_DISK_ERROR: tuple[str, ...]

class LargeBytes:
    def __new__(cls, size: int = 0) -> LargeBytes: ...
    def add(self, part: bytes) -> None: ...
    def __len__(self) -> int: ...

def check_label(tag: _Text, display_name: _Text = None, description: _Text = None) -> None: ...
def stamp(
    step: _Step, walltime: _Walltime, *, tag: _Text = None, names: tuple[str, str] = ("global_step", "walltime")
) -> tuple[int, float]: ...
def crc32c(data: bytes | bytearray | memoryview, path: str | None = None) -> int: ...
def crc32c_paths() -> list[str]: ...
def frame(data: bytes) -> bytes: ...
def default_edges() -> list[float]: ...
def count(values: Any, dtype: str) -> tuple[_Moments, int, bytes]: ...
def count_between(values: Any, dtype: str, edges: Any) -> bytes: ...
def count_pr_curve(
    predictions: _Array, labels: _Array, weights: _Array | None, thresholds: int
) -> tuple[bytes, bytes, int, int]: ...
def tsv(values: Any) -> bytes: ...
def tile(out: Any, images: Any, dtype: str, in_double: bool = False) -> None: ...
def set_queue_limit(limit: int) -> None: ...
def leave() -> None: ...
def before_fork() -> None: ...
def after_fork_in_parent() -> None: ...

class EventEncoder:
    def version(self, step: _Step = None) -> None: ...
    def session_start(self, step: _Step) -> None: ...
    def scalar(
        self,
        tag: _Text,
        value: float,
        step: _Step = None,
        walltime: _Walltime = None,
        new_style: bool = False,
        double_precision: bool = False,
        display_name: _Text = None,
        description: _Text = None,
    ) -> None: ...
    def scalars(self, scalars: dict[str, float], step: _Step = None, walltime: _Walltime = None) -> None: ...
    def histogram(
        self,
        tag: _Text,
        values: Any,
        dtype: str,
        step: _Step = None,
        walltime: _Walltime = None,
        display_name: _Text = None,
        description: _Text = None,
    ) -> int: ...
    def histogram_raw(
        self,
        tag: _Text,
        moments: Sequence[float],
        limits: Any,
        counts: Any,
        step: _Step = None,
        walltime: _Walltime = None,
        display_name: _Text = None,
        description: _Text = None,
    ) -> None: ...
    def image(
        self,
        tag: _Text,
        height: int,
        width: int,
        colorspace: int,
        file: bytes | LargeBytes,
        step: _Step = None,
        walltime: _Walltime = None,
        display_name: _Text = None,
        description: _Text = None,
    ) -> None: ...
    def images(
        self,
        tag: _Text,
        height: int,
        width: int,
        files: Sequence[bytes | LargeBytes],
        step: _Step = None,
        walltime: _Walltime = None,
        display_name: _Text = None,
        description: _Text = None,
    ) -> None: ...
    def audio(
        self,
        tag: _Text,
        sample_rate: float,
        channels: int,
        frames: int,
        size: int,
        fill: Callable[[memoryview], _Answer],
        step: _Step = None,
        walltime: _Walltime = None,
        display_name: _Text = None,
        description: _Text = None,
    ) -> _Answer | None: ...
    def text(
        self,
        tag: _Text,
        text: str,
        step: _Step = None,
        walltime: _Walltime = None,
        display_name: _Text = None,
        description: _Text = None,
    ) -> None: ...
    def tensor(
        self,
        tag: _Text,
        array: Any,
        dtype: str,
        step: _Step = None,
        walltime: _Walltime = None,
        display_name: _Text = None,
        description: _Text = None,
    ) -> None: ...
    def pr_curve(
        self,
        tag: _Text,
        rows: bytes,
        step: _Step = None,
        walltime: _Walltime = None,
        display_name: _Text = None,
        description: _Text = None,
    ) -> None: ...
    def summary(self, summary: bytes, step: _Step = None, walltime: _Walltime = None) -> None: ...

class EventBuffer(EventEncoder):
    def __bytes__(self) -> bytes: ...

class EventRelay(EventBuffer):
    def relay(self, event: bytes) -> None: ...

class BaseEventFile(EventEncoder):
    def event(self, event: bytes, wait: bool = True) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def path(self) -> str: ...
    def create(self, directory: bytes, suffix: bytes, on_disk_error: str, linger_ms: int, later: bool) -> None: ...
    def attach(self, fd: int, path: str, linger_ms: int, on_disk_error: str = "raise") -> None: ...
    def raw_stats(self) -> tuple[int, int, int, int, int, int]: ...
    def reserve(self, size: int) -> Reservation: ...
    def reopen(self) -> bool: ...
    def warn_once(self, what: str) -> None: ...
    def flush(self, *, sync: bool = False) -> None: ...
    def close(self) -> None: ...

class Reservation:
    def release(self) -> None: ...
    @property
    def dropped(self) -> bool: ...
    def __enter__(self) -> Reservation: ...
    def __exit__(self, *_: object) -> None: ...

def hand_over(job: Any, reservation: Reservation | None, unfinished: set[Any], queue: Any) -> None: ...

class BaseFileWriter:
    _event_file: Any
    def _is_overridden(self) -> bool: ...

class BaseSummaryWriter:
    enabled: bool
    file_writer: Any
    _runs: dict[str, dict[str, Any]]
    def _encoder(self, writer: Any = None) -> Any: ...
    def add_scalar(
        self,
        tag: _Text,
        scalar_value: Any,
        global_step: _Step = None,
        walltime: _Walltime = None,
        new_style: bool = False,
        double_precision: bool = False,
        *,
        display_name: _Text = None,
        description: _Text = None,
    ) -> None: ...
    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: _Step = None,
        walltime: _Walltime = None,
        *,
        separate_runs: bool = True,
        display_name: _Text = None,
        description: _Text = None,
    ) -> None: ...
    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: _Step = None,
        walltime: _Walltime = None,
        *,
        display_name: _Text = None,
        description: _Text = None,
    ) -> None: ...
