from collections.abc import Callable

from numpy.typing import ArrayLike

MORE: int
DAMAGED: int
ODD: int
LARGE: int

class Column: ...

class Scan:
    def __new__(cls, first_step: int, last_step: int, purges: bool) -> Scan: ...
    def add_series(self, is_scalar: bool, is_lasting: bool) -> int: ...
    def add_row(self, series: int, step: int, wall_time: float, cell: float, size: int) -> None: ...
    def purge(self, step: int) -> None: ...
    def columns(self, series: int) -> tuple[ArrayLike, ArrayLike, ArrayLike, int, int]: ...
    def records(
        self,
        resolve_key: Callable[[bytes, int, bytes], int],
        buffer: bytes | bytearray | memoryview,
        start: int,
        end: int,
        offset: int,
        large: int,
    ) -> tuple[int, int]: ...

def peek(
    buffer: bytes | bytearray | memoryview, start: int, end: int, length: int
) -> tuple[int, float, bytes, int, bytes | None] | None: ...
