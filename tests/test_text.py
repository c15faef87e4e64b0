"""add_text: any text is read back, under torch's tag."""

import tempfile
from enum import Enum

import numpy as np
import pytest
from helpers.oracle import only_value, steps, tags
from hypothesis import given
from hypothesis import strategies as st

import tbc


@given(tags, st.text(alphabet=st.characters(exclude_categories=["Cs"])), steps)
def test_text_is_read_back(tag, text, step):
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_text(tag, text, step)
        event, value = only_value(log_dir)
    assert (event.step, value.tag) == (step, tag + "/text_summary")
    assert (value.metadata.plugin_data.plugin_name, value.metadata.plugin_data.content) == ("text", b"")
    assert (value.tensor.dtype, [dim.size for dim in value.tensor.tensor_shape.dim]) == (7, [1])
    assert list(value.tensor.string_val) == [text.encode()]


class Mine(str, Enum):
    NOTE = "note"


@pytest.mark.parametrize("text", [np.str_("note"), Mine.NOTE])
def test_subclasses_of_str(log_dir, text):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_text("t", text)
    assert list(only_value(log_dir)[1].tensor.string_val) == [b"note"]


def test_long_text(log_dir):
    text = "long " * 1_000_000
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_text("t", text)
    assert only_value(log_dir)[1].tensor.string_val[0].decode() == text


@pytest.mark.parametrize(
    ("arguments", "error"),
    [(("t", 3), TypeError), (("t", None), TypeError), (("t", b"x"), TypeError), ((None, "x"), TypeError)]
    + [(("t", "\ud800"), UnicodeEncodeError), (("t", "x", 2**63), ValueError)],
)
def test_bad_input_is_told_at_once_and_writes_nothing(log_dir, arguments, error):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error):
            writer.add_text(*arguments)
        writer.add_text("fine", "x")
    assert only_value(log_dir)[1].tag == "fine/text_summary"
