"""Exceptions: which tag they are about, which keyword was meant, and which of several is raised."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

VARKEYWORDS = 0x08  # of code.co_flags: there is a **keywords
LABEL = ("display_name", "description")  # of the keywords that **label stands for
PLAIN = frozenset({AssertionError, AttributeError, NotImplementedError, OverflowError, RuntimeError})
PLAIN |= {TypeError, ValueError}  # their str() is their first argument


def explained(method: Method) -> Method:
    """Make the exceptions of a method of SummaryWriter name its tag, and suggest the keyword that was meant.

    The type of an exception stays. A call without an exception costs nothing but the call itself, some 0.05 us, so
    add_scalar, add_scalars, add_metrics and add_text, which take less than 1 us, do this by themselves.
    """

    @functools.wraps(method)
    def call(*arguments: Any, **keywords: Any) -> Any:
        try:
            return method(*arguments, **keywords)
        except Exception as error:
            _explain(error, method, arguments, keywords)
            raise

    return call  # type: ignore[return-value]


def name(error: Exception, tag: Any, key: Any = None) -> None:
    """Put the tag and the key in front of the message of an exception, if they are text and not there yet."""
    prefix = "".join(f"{part!r}: " for part in (tag, key) if isinstance(part, str))
    if type(error) in PLAIN and not str(error).startswith(prefix):
        error.args = (prefix + str(error),)


def _explain(error: Exception, method: Callable[..., Any], arguments: tuple[Any, ...], keywords: Any) -> None:
    import inspect

    parameters = inspect.signature(method).parameters
    known = [*parameters, *(LABEL if "label" in parameters else ())]
    unknown = [keyword for keyword in keywords if keyword not in known]
    if unknown and type(error) is TypeError:
        error.args = (_unknown(method, unknown[0], known),)
    if "tag" in parameters:
        given = dict(zip(parameters, arguments, strict=False)) | keywords
        name(error, given.get("tag", parameters["tag"].default))


def check_keywords(method: Any, keywords: Collection[str]) -> None:
    """Raise TypeError for a keyword that a method does not take, as the call would, with the one that was meant."""
    code = getattr(method, "__code__", None)
    if code is None or code.co_flags & VARKEYWORDS:
        return
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    for keyword in keywords:
        if keyword not in known:
            raise TypeError(_unknown(method, keyword, known))


def _unknown(method: Any, keyword: str, known: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(keyword, known, 1, 0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{method.__qualname__}() got an unexpected keyword argument {keyword!r}{hint}"


def call_all(functions: Iterable[Callable[[], None]]) -> None:
    """Call every function, even if one raises; then raise the first exception."""
    errors: list[BaseException] = []
    for function in functions:
        try:
            function()
        except Exception as error:
            errors.append(error)
    raise_first(errors)


def raise_first(errors: list[BaseException]) -> None:
    """Raise the first exception, if there is one, and empty the list.

    The exception must not be in a list that its own traceback holds: that cycle would keep all that the frames hold,
    such as the pixels of an image, until the garbage collector runs.
    """
    first = errors[0] if errors else None
    errors.clear()
    try:
        if first is not None:
            raise first
    finally:
        del first
