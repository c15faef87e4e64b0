"""Convert tbc's docstrings, which are plain text, to the reStructuredText that Sphinx reads.

A paragraph whose lines begin with names of parameters, "step: an integer ...", describes these parameters. Indented
lines after an empty line are code, or a list if they begin with "- ". The opening comments of the files of csrc follow
the same rules.
"""

import ast
import inspect
import re
import textwrap
from contextlib import suppress

import tbc.reader

# The full name of each public object, by the name that docstrings use.
API = {name: f"tbc.{name}" for name in tbc.__all__ if name != "__version__"}
API |= {name: f"tbc.reader.{name}" for name in tbc.reader.__all__}
API |= {name: f"tbc.testing.{name}" for name in ("assert_logged", "assert_valid")}
for name in dir(tbc.SummaryWriter):
    if name.startswith("add_"):
        API[name] = API[f"SummaryWriter.{name}"] = f"tbc.SummaryWriter.{name}"

CALL = r"\((?:[^()]|\([^()]*\))*\)"
WORD = re.compile(
    rf"""(?<!\w)\*\w[^*]*\w\*(?!\w)                       # *this* is emphasized in reStructuredText, too
    |`([^`]+)`                                            # `this` is code
    |[\w.<>*/=:-]*(?:[\w>*]|="[^"]*")                     # a name_with.dots, <these>, add_*, a="b"
     (?:{CALL}|\[[^]]*\])*(?:\.\w+(?:{CALL})?)*           # called(with, this)[0].and_so.on()
    |[*|_`\\]                                             # markup in reStructuredText, to be escaped
    """,
    re.VERBOSE,
)
CODE = re.compile(r"\w_|_\w|[a-z]\.[a-zA-Z]|\w[\[(]|<\w|\w=|\w\*|(Error|Warning)$")  # the words that are code


def parameters_of(thing):
    """Return the names that a docstring may describe: parameters, or the fields and all parameters of a class."""
    names = set(getattr(thing, "__annotations__", ()))
    if inspect.isclass(thing):
        members = [member for base in thing.__mro__[:-1] for member in vars(base).values()]
        return names.union(*(parameters_of(member) for member in members if callable(member)))
    with suppress(TypeError, ValueError):  # not a function, or one without a signature
        names.update(inspect.signature(thing).parameters)
    return names


def rest_of(text, names=()):
    """Return the lines of a docstring as reStructuredText. names: of the parameters that it may describe."""
    lines = []
    for part in re.split(r"\n\n(?! )", text.strip()):
        words, _, code = part.partition("\n\n ")
        name = "(?:" + "|".join(map(re.escape, sorted(names))) + ")"
        before, *described = re.split(rf"^({name}(?:, {name})*): ", words, flags=re.M) if names else [words]
        lines += [*inline(before).splitlines(), ""]
        for several, meaning in zip(described[::2], described[1::2], strict=True):
            lines.append(", ".join(f"``{name}``" for name in several.split(", ")))
            lines += [f"    {line.strip()}" for line in inline(meaning).splitlines()]
        code = textwrap.dedent(" " + code).strip()
        if code.startswith("- "):
            lines += ["", *inline(code).splitlines()]
        elif code:
            lines += ["", f".. code-block:: {language_of(code)}", "", *(f"    {line}" for line in code.splitlines())]
        lines.append("")
    return lines


def language_of(code):
    with suppress(SyntaxError):
        ast.parse(code)
        return "python"
    return "text"


def inline(text):
    """Mark up words that are code, and link names of the API to their documentation."""

    def marked(match):
        word = match[1] or match[0]
        name = word.removeprefix("tbc.").removesuffix("()")
        is_code = match[1] or CODE.search(word)
        if name in API and (is_code or re.search("[a-z][A-Z]", name)):
            return f":py:obj:`{word} <{API[name]}>`"
        if re.match(r"\*\w", word):
            return word
        return f"``{word}``" if is_code else re.sub(r"([*|_`\\])", r"\\\1", word)

    return WORD.sub(marked, text)
