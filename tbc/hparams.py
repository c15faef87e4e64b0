"""Hyperparameters, as TensorBoard's HPARAMS tab takes them: messages in the metadata of values without content."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tbc import convert
from tbc.proto import HParamsPluginData, Summary

EXPERIMENT, SESSION_START, SESSION_END = (
    "_hparams_/experiment",
    "_hparams_/session_start_info",
    "_hparams_/session_end_info",
)
STATUS = ("unknown", "success", "failure", "running")
TYPES: dict[type, tuple[str, str]] = {  # names in the messages: of the type, and of the field of a value
    str: ("DATA_TYPE_STRING", "string_value"),
    bool: ("DATA_TYPE_BOOL", "bool_value"),
    float: ("DATA_TYPE_FLOAT64", "number_value"),
}
LARGEST = 2**1023  # an int that is a float, surely

Simple = str | bool | float


def flatten(hparams: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Simple]]:
    """(name, value) of every hyperparameter that has one.

    Numbers become floats, bools and text stay what they are, and so does what is an array or a tensor of one element;
    None is left out. The names in a mapping within are joined with slashes. Sequences, longer arrays, paths, and
    numbers that are not finite (which TensorBoard would leave out) become text. Raises ValueError for other values, and
    TypeError for a name that is not text.
    """
    for name, value in hparams.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a hyperparameter must be a str, got {name!r}")
        if isinstance(value, Mapping) and value:
            yield from flatten(value, prefix + name + "/")
        elif value is not None:
            yield prefix + name, _simple(prefix + name, value)


def _simple(name: str, value: Any) -> Simple:
    plain = _plain(name, value)
    if plain is None or isinstance(plain, (list, dict)):
        return json.dumps(plain)
    if isinstance(plain, (str, bool)):
        return plain
    return float(plain) if math.isfinite(plain) else str(float(plain))


def _plain(name: str, value: Any) -> Any:
    """As JSON has it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # of an Enum or of numpy: the text alone
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(name, element) for key, element in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_plain(name, element) for element in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(name, element) for element in value), key=repr)
    if type(value) is int:
        return value if abs(value) < LARGEST else str(value)
    try:
        if isinstance(value, bytes):  # which could be a number's
            raise TypeError("bytes are no hyperparameter")
        if convert.is_number(value):
            return convert.scalar(value)
        array = convert.array(value)
    except (NotImplementedError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"hyperparameter {name!r} must be a number, a bool, text, None, or a sequence, mapping or array of them, "
            f"got {value!r} of type {type(value).__name__}"
        ) from error
    return _plain(name, array.item() if array.size == 1 else array.tolist())


def summaries(
    hparams: Mapping[str, Any],
    metrics: Mapping[str, Any],
    domains: Mapping[str, Iterable[Any]] | None = None,
    start_time: float | None = None,
    end_time: float | None = None,
    status: str = "success",
) -> tuple[Any, Any, Any]:
    """The Summary messages of the experiment, the start and the end of the session.

    metrics: only the names count. domains: name -> list of all the values that a hyperparameter may have.
    start_time, end_time: seconds since 1970. status: "unknown", "success", "failure" or "running".
    Raises as `flatten`; TypeError for what is no mapping and for a domain that is no list of values of the same type;
    ValueError for another status.
    """
    for argument, mapping in (("hparam_dict", hparams), ("metric_dict", metrics), ("domains", domains or {})):
        if not isinstance(mapping, Mapping):
            raise TypeError(f"{argument} must be a dict, got {mapping!r} of type {type(mapping).__name__}")
    if status not in STATUS:
        raise ValueError(f"status must be one of {', '.join(STATUS)}, got {status!r}")
    values: dict[str, Simple] = {}
    for name, value in flatten(hparams):
        if name in values:
            raise ValueError(f"there are two hyperparameters {name!r}")
        values[name] = value
    experiment = HParamsPluginData(experiment={})
    start = HParamsPluginData(session_start_info={"start_time_secs": start_time})
    end = HParamsPluginData(session_end_info={"end_time_secs": end_time, "status": f"STATUS_{status.upper()}"})
    for name, value in values.items():
        _set(start.session_start_info.hparams[name], value)
        info = experiment.experiment.hparam_infos.add(name=name, type=TYPES[type(value)][0])
        if domains and name in domains:
            for element in _domain(name, domains[name], value):
                _set(info.domain_discrete.values.add(), element)
    for name in domains or {}:
        if name not in values:
            raise TypeError(f"hparam_domain_discrete has {name!r}, which is no hyperparameter: {sorted(values)}")
    for tag in metrics:
        if not isinstance(tag, str):
            raise TypeError(f"the tag of a metric must be a str, got {tag!r}")
        experiment.experiment.metric_infos.add().name.tag = tag
    return _summary(EXPERIMENT, experiment), _summary(SESSION_START, start), _summary(SESSION_END, end)


def _domain(name: str, domain: Any, value: Simple) -> list[Simple]:
    elements = [_simple(name, element) for element in domain] if isinstance(domain, list) else []
    if type(value) is float:
        elements = [float(element) if isinstance(element, bool) else element for element in elements]
    if not isinstance(domain, list) or not all(type(element) is type(value) for element in elements):
        raise TypeError(f"hparam_domain_discrete[{name!r}] must be a list of values like {value!r}, got {domain!r}")
    return elements


def _set(message: Any, value: Simple) -> None:
    setattr(message, TYPES[type(value)][1], value)


def _summary(tag: str, data: Any) -> Any:
    result = Summary()
    value = result.value.add(tag=tag)
    value.metadata.plugin_data.plugin_name = "hparams"
    value.metadata.plugin_data.content = data.SerializeToString()
    return result
