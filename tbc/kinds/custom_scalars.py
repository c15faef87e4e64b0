"""Encode layouts of TensorBoard's CUSTOM SCALARS tab: which curves share a chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tbc.proto import Layout, Summary

TAG = "custom_scalars__config__"


def summary(layout: Mapping[str, Any]) -> Any:
    """Return the Summary message of {category: {chart: [kind, tags]}}.

    kind: "Margin" for a chart with three tags: a value, its lower and its upper bound. Any other kind is "Multiline",
    as in torch, and its tags are regular expressions. tags: a list of str, or one str. A title may be bytes, or None
    for "", as in torch.

    Raises TypeError for another nesting, or tags or titles that are not text; AssertionError if a margin chart has
    not three tags.
    """
    message = Layout()
    for title, charts in _items(layout, "a layout"):
        category = message.category.add(title=_title(title, "a layout"))
        for name, chart in _items(charts, f"category {title!r}"):
            kind, tags = _chart(chart, name)
            if kind == "Margin" and len(tags) != 3:
                raise AssertionError(f"margin chart {name!r} needs 3 tags (value, lower, upper), got {tags!r}")
            added = category.chart.add(title=_title(name, f"category {title!r}"))
            if kind == "Margin":
                value, lower, upper = tags
                added.margin.series.add(value=value, lower=lower, upper=upper)
            else:
                added.multiline.tag.extend(tags)
                added.multiline.SetInParent()
    result = Summary()
    value = result.value.add(tag=TAG)
    value.metadata.plugin_data.plugin_name = "custom_scalars"
    value.tensor.dtype = 7  # DT_STRING
    value.tensor.tensor_shape.SetInParent()  # a scalar
    value.tensor.string_val.append(message.SerializeToString())
    return result


def of_one_chart(kind: str, tags: Any, category: str, title: str) -> dict[str, Any]:
    """Return the layout with this chart only. Raises TypeError for titles that are not text."""
    for name, text in (("category", category), ("title", title)):
        if not isinstance(text, (str, bytes, type(None))):
            raise TypeError(f"{name} must be a str, got {text!r} of type {type(text).__name__}")
    return {category: {title: [kind, tags]}}


def _items(mapping: Any, name: str) -> Any:
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{name} must be a dict, got {mapping!r}")
    return mapping.items()


def _title(title: Any, where: str) -> Any:
    if not isinstance(title, (str, bytes, type(None))):
        raise TypeError(f"the titles in {where} must be str, got {title!r}")
    return title


def _chart(chart: Any, name: str) -> tuple[str, list[Any]]:
    if not isinstance(chart, (list, tuple)) or len(chart) < 2:
        raise TypeError(f"chart {name!r} must be a list of its kind and its tags, got {chart!r}")
    kind, tags = chart[:2]
    if kind == "Margin" and (isinstance(tags, Mapping) or not hasattr(tags, "__getitem__")):
        raise TypeError(f"the tags of margin chart {name!r} must be a list of three str, in order, got {tags!r}")
    if tags is None and kind != "Margin":
        tags = []
    try:
        tags = [tags] if isinstance(tags, (str, bytes)) else list(tags)
    except TypeError:  # not iterable, or an array without dimensions
        tags = [tags]
    if not all(isinstance(tag, (str, bytes)) for tag in tags):
        raise TypeError(f"the tags of chart {name!r} must be a list of str, got {chart[1]!r}")
    return kind, tags
