"""Configure Sphinx, which makes pages from docs/, README.md and the docstrings: `make docs`."""

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import tbc.reader.__main__

sys.path.insert(0, str(Path(__file__).parent))
from docstrings import parameters_of, rest_of

ROOT = Path(__file__).parent.parent

project = "tbc"
copyright = "the authors of tbc"
version = release = tbc.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx_copybutton"]

html_theme = "furo"
html_title = "tbc"
html_static_path = ["_static"]
html_css_files = ["tbc.css"]
html_copy_source = html_show_sphinx = False
pygments_style, pygments_dark_style = "friendly", "github-dark"

myst_heading_anchors = 4
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
add_module_names = False
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"
nitpicky = True
smartquotes = False


def on_docstring(app, what, name, thing, options, lines):
    lines[:] = rest_of("\n".join(lines), parameters_of(thing))


def on_signature(app, what, name, thing, options, signature, answer):
    """Show the two keywords that **label stands for, and no signature of a class that users do not make.

    Such a class has private parameters, such as `_place`.
    """
    if signature and ", _" in signature:
        return "", answer
    if signature and "**label" in signature:
        star = "" if "*, " in signature else "*, "
        return signature.replace("**label", f"{star}display_name=None, description=None"), answer
    return None


def on_include(app, path, page, content):
    """Adapt the links of README.md: to pages of docs/ they stay links, of other files they become the name."""

    def link(match):
        words, to = match.groups()
        if to.startswith("docs/"):
            return f"[{words}](/{to.removeprefix('docs/')})"
        return f"`{to}`" if words.strip("`") in to else f"{words} (`{to}`)"

    content[0] = re.sub(r"(?<!!)\[([^]]*)\]\((?!https?:)([^)]+)\)", link, content[0])


class Help(SphinxDirective):
    """Show the help of tbc-reader, or of one of its commands: `{cli-help} show`."""

    optional_arguments = 1

    def run(self):
        parser = tbc.reader.__main__.parser()
        for name in self.arguments:
            (commands,) = (action for action in parser._actions if action.dest == "command")
            parser = commands.choices[name]
        text = parser.format_help()
        return [nodes.literal_block(text, text, language="text")]


class Opening(SphinxDirective):
    """Show the opening comment of a file of csrc: `.. opening:: csrc/record.h`."""

    required_arguments = 1

    def run(self):
        path = ROOT / self.arguments[0]
        self.env.note_dependency(path)
        comment = re.match(r"/\* (.*?)\*/", path.read_text(), re.S)[1]
        text = re.sub(r"^ [* ] ?", "", comment, flags=re.M)
        text = re.sub(r"^(\S.*\n)(?= )|^( .*\n)(?=\S)", r"\1\2\n", text, flags=re.M)  # empty lines around indented
        name = nodes.rubric("", "", nodes.literal(text=self.arguments[0]))
        return [name, *self.parse_text_to_nodes("\n".join(rest_of(text)))]


def setup(app):
    app.connect("autodoc-process-docstring", on_docstring)
    app.connect("autodoc-process-signature", on_signature)
    app.connect("include-read", on_include)
    app.add_directive("cli-help", Help)
    app.add_directive("opening", Opening)
