"""Add the tag, or the keyword that was probably meant, to an exception's message; raise the first of several."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

VARKEYWORDS = 0x08  # the bit of code.co_flags that is set if there is a **keywords parameter
LABEL = ("display_name", "description")  # the keywords that **label stands for
PLAIN = frozenset({AssertionError, AttributeError, NotImplementedError, OverflowError, RuntimeError})
PLAIN |= {TypeError, ValueError}  # exactly these: str() of one is its first argument, so a new one replaces the message


def explained(method: Method) -> Method:
    """Wrap a method of SummaryWriter: exceptions of PLAIN types name the tag, and suggest a keyword for an unknown one.

    The type of an exception stays. The wrapper adds some 0.05 us to each call. add_scalar, add_scalars, add_metrics and
    add_text, which take less than 1 us, have no wrapper: they name the tag in errors of the value, step and walltime.
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
    """Put the tag and the key before the message of an exception of a PLAIN type, unless the message starts with them.

    A tag or key that is not a str is left out.
    """
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
    """Call every function, even if one raises an Exception; then raise the first. KeyboardInterrupt ends it at once."""
    errors: list[BaseException] = []
    for function in functions:
        try:
            function()
        except Exception as error:
            errors.append(error)
    raise_first(errors)


def raise_first(errors: list[BaseException]) -> None:
    """Raise the first exception, if there is one, and empty the list.

    The frames of the exception's traceback refer to the list. If the list still held the exception, that cycle would
    keep all that the frames hold, such as the pixels of an image, until the garbage collector runs.
    """
    first = errors[0] if errors else None
    errors.clear()
    try:
        if first is not None:
            raise first
    finally:
        del first
