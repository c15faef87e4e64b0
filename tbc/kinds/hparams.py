"""Encode hyperparameters for TensorBoard's HPARAMS tab: three values with no data, and a message in their metadata."""

from __future__ import annotations

import json
import math
import numbers
import os
import re
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from tbc import convert
from tbc.proto import HParamsPluginData, Summary

EXPERIMENT, SESSION_START, SESSION_END = (
    "_hparams_/experiment",
    "_hparams_/session_start_info",
    "_hparams_/session_end_info",
)
STATUS = ("unknown", "success", "failure", "running")
TYPES: dict[type, tuple[str, str]] = {  # the name of the type in the messages, and the field that holds a value
    str: ("DATA_TYPE_STRING", "string_value"),
    bool: ("DATA_TYPE_BOOL", "bool_value"),
    float: ("DATA_TYPE_FLOAT64", "number_value"),
}
LARGEST = 2**1023  # any smaller int fits into a float

ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")  # left out, as it differs from run to run
NOTHING_BUT_AN_ADDRESS = re.compile(r"<.* at 0x[0-9A-Fa-f]+>", re.DOTALL)

Simple = str | bool | float


def flatten(hparams: Mapping[str, Any]) -> Iterator[tuple[str, Simple]]:
    """Yield (name, value) of every hyperparameter that is not None.

    Numbers become floats; bools and text stay as they are; an array or a tensor of one element becomes its value.
    A mapping within becomes several hyperparameters, their names joined with slashes. Sequences, sets and longer arrays
    become JSON. Everything else becomes text: functions and classes their qualified name, other objects what str()
    returns, without addresses. Names that are not text become text in the same way.

    A number that is not finite stays a float here; an event holds its text.

    Raises ValueError for a value whose text is only an address, a container that contains itself, and a tensor without
    data; TypeError for a name whose text is only an address.
    """
    return ((name, value) for name, value in _flat(hparams, "", (id(hparams),)) if value is not None)


def _flat(hparams: Mapping[Any, Any], prefix: str, around: tuple[int, ...]) -> Iterator[tuple[str, Simple | None]]:
    """around: the ids of the containers that hold this one."""
    for key, value in hparams.items():
        name = prefix + key_text(key)
        if isinstance(value, Mapping) and value:
            yield from _flat(value, name + "/", _enter(name, value, around))
        else:
            yield name, None if value is None else _simple(name, value, around)


def key_text(key: Any) -> str:
    """Return the name of a hyperparameter or a metric as text. Raises TypeError if its text is only an address."""
    if isinstance(key, bytes):
        return key.decode()  # torch's writer has protobuf decode it
    text = str.__str__(key) if isinstance(key, str) else _text(key)
    if text is None:
        raise TypeError(
            f"the name of a hyperparameter or a metric must be text, got {key!r} of type {type(key).__name__}"
        )
    return text


def _simple(name: str, value: Any, around: tuple[int, ...] = ()) -> Simple:
    plain = _plain(name, value, around)
    if plain is None or isinstance(plain, (list, dict)):
        return json.dumps(plain)
    return plain if isinstance(plain, (str, bool)) else float(plain)


def _plain(name: str, value: Any, around: tuple[int, ...]) -> Any:
    """Return a value that JSON can hold: None, bool, str, number, list or dict."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # the plain text of a str Enum or a numpy.str_
    if isinstance(value, os.PathLike) and not isinstance(value, type):
        return os.fsdecode(value)
    if type(value) is int:
        return value if abs(value) < LARGEST else str(value)
    if isinstance(value, numbers.Number):
        return _number(value)
    if not isinstance(value, (Enum, bytes, bytearray, memoryview, type)):
        within = _enter(name, value, around)
        if isinstance(value, Mapping):
            return {key_text(key): _plain(name, element, within) for key, element in value.items()}
        if isinstance(value, (Sequence, KeysView, ValuesView, ItemsView)):
            return [_plain(name, element, within) for element in value]
        if isinstance(value, Set):
            return sorted((_plain(name, element, within) for element in value), key=repr)
        if convert.is_torch(value) or hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
            return _plain(name, _elements(name, value), within)
    text = _text(value)
    if text is None:
        raise ValueError(
            f"hyperparameter {name!r} must be a number, a bool, text, None, a sequence, mapping or array of them, or "
            f"an object that str() describes, got {value!r} of type {type(value).__name__}"
        )
    return text


def _enter(name: str, container: Any, around: tuple[int, ...]) -> tuple[int, ...]:
    if id(container) in around:
        raise ValueError(f"hyperparameter {name!r} contains itself: a {type(container).__name__} within itself")
    return *around, id(container)


def _number(value: Any) -> Any:
    """Return a number that is not an int as a float, or as text if it is not real or too large."""
    try:
        number = convert.scalar(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)
    return number if math.isfinite(number) or math.isnan(number) or value == number else str(value)


def _elements(name: str, value: Any) -> Any:
    """Return the only element of an array, or the elements as nested lists."""
    try:
        array = convert.array(value)
    except (NotImplementedError, TypeError, ValueError) as error:
        kind = type(value).__name__
        raise ValueError(f"hyperparameter {name!r} is a {kind} whose values cannot be read: {error}") from error
    if array.dtype.kind in "mM":
        array = array.astype(str)
    return array.item() if array.size == 1 else array.tolist()


def _text(value: Any) -> str | None:
    """Return the str() of a value without addresses, or a qualified name; None if the text is only an address."""
    if isinstance(value, (type, FunctionType, BuiltinFunctionType, MethodType)):
        module = getattr(value, "__module__", None)
        return value.__qualname__ if module in (None, "builtins") else f"{module}.{value.__qualname__}"
    text = bytes.__repr__(value) if isinstance(value, bytes) else str(value)
    return None if NOTHING_BUT_AN_ADDRESS.fullmatch(text) else ADDRESS.sub("", text)


def summaries(
    hparams: Mapping[str, Any],
    metrics: Mapping[str, Any],
    domains: Mapping[str, Iterable[Any]] | None = None,
    start_time: float | None = None,
    end_time: float | None = None,
    status: str = "success",
) -> tuple[Any, Any, Any]:
    """Return the Summary messages of the experiment, the start and the end of the session.

    metrics: only the names are used. domains: name -> list of all the values that a hyperparameter may have; None in a
    list is skipped. start_time, end_time: seconds since 1970. status: "unknown", "success", "failure" or "running".

    Raises what `flatten` raises; TypeError if an argument is not a mapping, or a domain is not a list, has values of
    another type than its hyperparameter, or no hyperparameter; ValueError for a name given twice and another status.
    """
    domains = {} if domains is None or (isinstance(domains, list) and not domains) else domains  # [] as in torch
    mappings = ("hparam_dict", hparams), ("metric_dict", metrics), ("hparam_domain_discrete", domains)
    for argument, mapping in mappings:
        if not isinstance(mapping, Mapping):
            raise TypeError(
                f"{argument} must be a dict, got {mapping!r} of type {type(mapping).__name__} "
                "(vars() makes a dict of a namespace, dataclasses.asdict() of a dataclass)"
            )
    if status not in STATUS:
        raise ValueError(f"status must be one of {', '.join(STATUS)}, got {status!r}")
    values: dict[str, Simple | None] = {}
    for name, value in _flat(hparams, "", (id(hparams),)):
        if name in values:
            raise ValueError(f"there are two hyperparameters {name!r}")
        values[name] = value
    choices = {key_text(name): domain for name, domain in domains.items()}
    for name in choices:
        if name not in values:
            raise TypeError(f"hparam_domain_discrete has {name!r}, but the hyperparameters are {sorted(values)}")
        if values[name] is None:
            _domain(name, choices[name], None)
    experiment = HParamsPluginData(experiment={})
    start = HParamsPluginData(session_start_info={"start_time_secs": start_time})
    end = HParamsPluginData(session_end_info={"end_time_secs": end_time, "status": f"STATUS_{status.upper()}"})
    for name, value in values.items():
        if value is None:
            continue
        kind, _, _ = _stored(value)
        _set(start.session_start_info.hparams[name], value)
        info = experiment.experiment.hparam_infos.add(name=name, type=kind)
        if name in choices:
            for element in _domain(name, choices[name], value):
                _set(info.domain_discrete.values.add(), element)
    for tag in metrics:
        experiment.experiment.metric_infos.add().name.tag = key_text(tag)
    return _summary(EXPERIMENT, experiment), _summary(SESSION_START, start), _summary(SESSION_END, end)


def _domain(name: str, domain: Any, value: Simple | None) -> list[Simple]:
    """Return the elements of a domain. Raises TypeError if their type is not that of the value; None fits any type."""
    elements = [_simple(name, element) for element in domain if element is not None] if isinstance(domain, list) else []
    kinds = set(map(type, elements if value is None else [value, *elements]))
    if kinds == {bool, float} and type(value) is not bool:
        elements, kinds = [float(element) for element in elements], {float}
    if not isinstance(domain, list) or len(kinds) > 1:
        raise TypeError(f"hparam_domain_discrete[{name!r}] must be a list of values like {value!r}, got {domain!r}")
    return elements


def _stored(value: Simple) -> tuple[str, str, Simple]:
    """Return the names of the type and the field in the messages, and the content of the field.

    A number that is not finite becomes text, since TensorBoard does not show it as a number.
    """
    if isinstance(value, float) and not math.isfinite(value):
        value = str(value)
    return *TYPES[type(value)], value


def _set(message: Any, value: Simple) -> None:
    _, field, stored = _stored(value)
    setattr(message, field, stored)


def _summary(tag: str, data: Any) -> Any:
    result = Summary()
    value = result.value.add(tag=tag)
    value.metadata.plugin_data.plugin_name = "hparams"
    value.metadata.plugin_data.content = data.SerializeToString()
    return result
