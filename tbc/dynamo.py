"""Keep torch.compile out of tbc.

Dynamo, the front end of torch.compile, traces the Python code that a compiled function or hook calls. It skips torch's
own writer, which lies below torch/utils. It must skip tbc, too: tracing would take seconds, and fails in some numpy
calls. A call of tbc is then a graph break, as a call of torch's writer is, and runs as plain Python. Dynamo would still
trace slow code of other packages that tbc calls; `untraced` prevents that.

The rules belong to torch._dynamo, which torch.compile imports late. So a hook waits for that import.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any, TypeVar

from tbc.import_hooks import after_import

Function = TypeVar("Function", bound=Callable[..., Any])


def skip_tbc() -> None:
    """Make dynamo skip tbc's Python code, as soon as torch._dynamo is imported."""
    after_import("torch._dynamo.trace_rules", _add)


def _add(trace_rules: ModuleType) -> None:
    with suppress(Exception):  # `add` is not public. Without it tbc still logs, but dynamo traces it.
        for package in ("tbc", "tbc.reader"):  # In an editable install the reader lies elsewhere.
            trace_rules.add(package)


def untraced(function: Function) -> Function:
    """Make dynamo trace nothing that `function` calls, other packages' code included.

    Skipping tbc is not enough: below a skipped frame dynamo still traces matplotlib, which takes half a minute.
    """
    disabled: Any = None

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        nonlocal disabled
        disable = getattr(sys.modules.get("torch._dynamo"), "disable", None)
        if disable is None:  # not imported, or another thread is importing it
            return function(*arguments, **keywords)
        if disabled is None:
            disabled = disable(function)
        return disabled(*arguments, **keywords)

    return call  # type: ignore[return-value]
