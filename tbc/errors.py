"""Adds to exceptions the tag and the keyword that was probably meant, and raises the first of several."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

VARKEYWORDS = 0x08  # of code.co_flags: there is a **keywords
LABEL = ("display_name", "description")  # the keywords that **label stands for
PLAIN = frozenset({AssertionError, AttributeError, NotImplementedError, OverflowError, RuntimeError})
PLAIN |= {TypeError, ValueError}  # the str() of each of these is its first argument


def explained(method: Method) -> Method:
    """Make the exceptions of a method of SummaryWriter name the tag, and suggest a keyword for an unknown one.

    The type of an exception stays. The wrapper adds some 0.05 us to each call. add_scalar, add_scalars, add_metrics and
    add_text, which take less than 1 us, have no wrapper and name the tag themselves.
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
    """Put the tag and the key, if they are text, before the message of an exception, unless they are there already."""
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
    """Raise the TypeError of a call with a keyword that the method does not take, and suggest a similar keyword."""
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

    A list that held the exception, and is itself held by the exception's traceback, would be a cycle: all that the
    frames hold, such as the pixels of an image, would stay in memory until the garbage collector runs.
    """
    first = errors[0] if errors else None
    errors.clear()
    try:
        if first is not None:
            raise first
    finally:
        del first
