"""user_project/ stands for a user's project: `make lint` runs type checkers on it, with tbc's installed types."""

import inspect
import re
from pathlib import Path

import tbc.summary
import tbc.testing


def public_names():
    yield from (*tbc.__all__, *tbc.reader.__all__, *tbc.summary.__all__)
    yield from (name for name in dir(tbc.SummaryWriter) if name.startswith("add_"))
    yield from (
        name for name, of in vars(tbc.testing).items() if inspect.isfunction(of) and of.__module__ == "tbc.testing"
    )


def test_it_uses_every_public_name():
    code = "".join(path.read_text() for path in sorted(Path(__file__).with_name("user_project").glob("*.py")))
    assert not [name for name in public_names() if not name.startswith("_") and not re.search(rf"\b{name}\b", code)]
