"""README.md and docs/: every code block runs (pages.py), every link has a target, and every public name is there."""

import inspect
import re
import subprocess
import sys

import pytest
from helpers import pages
from helpers.pages import PAGES, ROOT

import tbc
import tbc.reader
import tbc.summary
import tbc.testing

sys.path.insert(0, str(ROOT / "docs"))
from docstrings import parameters_of, rest_of

DIRECTIVES = {"{include}", "{toctree}", "{eval-rst}", "{cli-help}"}
NEEDS = {  # packages that blocks of a page need; tests/frameworks runs those blocks
    "README.md": {"torch"},
    "docs/switch.md": {"accelerate", "ignite", "jax", "keras", "lightning", "ray", "stable_baselines3", "torch"}
    | {"transformers"},
    "docs/guide.md": {"torch"},
}
BLOCKS = {page: list(pages.blocks(page)) for page in PAGES}
WITH_BLOCKS = [page for page, blocks in BLOCKS.items() if any(block.language[0] != "{" for block in blocks)]


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_every_block_runs_and_prints_what_the_page_shows(page, tmp_path):
    if page == "docs/guide.md":
        pytest.importorskip("matplotlib")
        pytest.importorskip("sklearn")
    command = [sys.executable, "-W", "error", ROOT / "tests" / "helpers" / "pages.py", page]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_passed_over(page):
    text = (ROOT / page).read_text()
    assert text.count("```") == 2 * len(BLOCKS[page])
    assert "~~~" not in text
    assert {block.language for block in BLOCKS[page]} <= {"python", "console", "text"} | DIRECTIVES
    assert [block.language for block in BLOCKS[page]].count("text") == (page == "docs/internals.md")  # a picture
    assert {package for block in BLOCKS[page] for package in block.needs} == NEEDS.get(page, set())
    assert len(re.findall("<!-- needs", text)) == sum(bool(block.needs) for block in BLOCKS[page])
    for block in BLOCKS[page]:
        if block.language == "python":
            pages.compiled(block)


def test_what_is_not_run():
    commands = [
        line[2:].split("#")[0].strip()
        for blocks in BLOCKS.values()
        for block in blocks
        if block.language == "console"
        for line in block.code.splitlines()
        if line.startswith("$ ") and pages.program_of(line[2:]) in pages.NOT_RUN
    ]
    assert set(commands) == {
        *("make demo", "make test", "pip install .", "tensorboard --logdir runs"),
        *("torchrun --nproc-per-node 2 -m tbc train.py", "TBC_PATCH_TORCH=1 accelerate launch train.py"),
    }


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.M | re.S)
    for to in re.findall(r"\]\(((?!https?:)[^)]+)\)", text):
        path, _, heading = to.partition("#")
        base = ROOT / "docs" if path.startswith("/") else (ROOT / page).parent
        target = base / path.lstrip("/") if path else ROOT / page
        assert target.exists(), to
        if heading:
            assert heading in headings(target), to


def headings(page):
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_picture_is_shown_and_small():
    shown = {
        (ROOT / page).parent / path
        for page in PAGES
        for path in re.findall(r"!\[[^]]+\]\(([^)]+)\)", (ROOT / page).read_text())
    }
    pictures = set((ROOT / "docs" / "gallery").iterdir())
    assert shown == pictures | {ROOT / "benchmarks" / "chart.png"}
    assert sum(picture.stat().st_size for picture in pictures) < 2_000_000


def public(thing):
    return [name for name in dir(thing) if not name.startswith("_")]


def test_the_reference_has_all_public_names():
    text = "\n".join((ROOT / page).read_text() for page in PAGES if page.startswith("docs/api/"))
    documented = set(re.findall(r"^\.\. (?:auto|py:)\w+:: (\S+)$", text, flags=re.M))
    documented |= {
        name.strip() for names in re.findall(r":members:(.*)$", text, flags=re.M) for name in names.split(",")
    }
    attributes = {"enabled", "file_writer"}
    methods = {f"SummaryWriter.{name}" for name in set(public(tbc.SummaryWriter)) - attributes}
    strategies = {"tags", "steps", "summary_values", "events", "event_files"}
    names = {*tbc.__all__} - {"__version__"} | {*tbc.reader.__all__} | methods | strategies
    assert names - documented == set()


def test_what_describes_a_parameter_becomes_a_term():
    for function in (tbc.SummaryWriter.add_scalar, tbc.SummaryWriter.add_embedding, tbc.reader.load_runs):
        text = inspect.getdoc(function)
        lines = rest_of(text, parameters_of(function))
        for name in re.findall(r"^(\w+): ", text, flags=re.M):
            assert f"``{name}``" in lines
    assert "``display_name``, ``description``" in rest_of(
        inspect.getdoc(tbc.SummaryWriter), parameters_of(tbc.SummaryWriter)
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("See `that`, *this one* and a_b.", ["See ``that``, *this one* and ``a_b``."]),
        ("Calls f(x, y=(1, 2))[0] * a | more", [r"Calls ``f(x, y=(1, 2))[0]`` \* a \| more"]),
        ("add_scalar does", [":py:obj:`add_scalar <tbc.SummaryWriter.add_scalar>` does"]),
        (
            "x: a number,\n  or text\ny, z: more\n",
            ["``x``", "    a number,", "    or text", "``y``, ``z``", "    more"],
        ),
        ("of the\ndirectory: some ms", ["of the", "directory: some ms"]),
        ("As here:\n\n    f(x)\n\n    g(y)", ["As here:", ".. code-block:: python", "    f(x)", "    ", "    g(y)"]),
        ("These:\n\n    uint64  length", ["These:", ".. code-block:: text", "    uint64  length"]),
        ("These:\n\n  - a_b\n  - c", ["These:", "- ``a_b``", "- c"]),
    ],
)
def test_plain_text_as_restructured_text(text, lines):
    assert [line for line in rest_of(text, {"x", "y", "z"}) if line] == lines
