"""A line of the table that `make torture` ends with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    what: str  # "SIGKILL at a random instant"
    tried: int  # how often
    events: int  # that were acknowledged, all told
    lost: int  # of these: must be 0
    note: str = ""
