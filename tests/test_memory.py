"""Out of memory: a call raises MemoryError or succeeds, and the writer stays usable."""

import sys

import pytest
from torture import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the shim is made for glibc")


def test_every_allocation_of_every_call():
    row = memory.nth_malloc(len(memory.CALLS))
    assert row.tried > 2 * len(memory.CALLS)
    assert row.lost == 0


def test_every_allocation_of_a_load():
    row = memory.loading(20)
    assert row.tried > 80
    assert row.lost == 0
