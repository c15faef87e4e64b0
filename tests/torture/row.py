"""A row of the table that `make torture` prints at the end."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    what: str  # "SIGKILL at a random instant"
    tried: int  # how often
    events: int  # how many were accepted in all
    lost: int  # how many of these were lost: must be 0
    note: str = ""
