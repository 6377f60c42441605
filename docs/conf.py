"""Sphinx's settings for the site: pages in Markdown, whose numbers come from ``values.py``."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
sys.path[:0] = [str(ROOT), str(FOLDER)]

import values  # noqa: E402  the path has to be set first

project = "rl-or-bc"
author = copyright = "The rl-or-bc authors"
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"rl-or-bc {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}
napoleon_custom_sections = ["Source"]
napoleon_use_ivar = True
napoleon_use_rtype = False
toc_object_entries = False


def setup(app: Sphinx) -> None:
    """Fill in the pages, and show formulas without a script."""
    app.connect("source-read", fill_in)
    app.connect("builder-inited", lambda app: values.draw(FOLDER / "_static" / "drawn"))
    inline, block = mathml(as_block=False), mathml(as_block=True)
    app.add_html_math_renderer("mathml", (inline, None), (block, None))


def fill_in(app: Sphinx, name: str, source: list[str]) -> None:
    """Fill in the numbers of a page."""
    try:
        source[0] = values.fill(source[0])
    except Exception as error:
        raise RuntimeError(f"docs/{name}.md: {type(error).__name__}: {error}") from error


def mathml(as_block: bool) -> Callable[[HTML5Translator, Any], None]:
    """A writer of formulas as MathML, which browsers draw themselves."""

    def visit(translator: HTML5Translator, node: nodes.Element) -> None:
        written = tex2mathml(node.astext(), as_block=as_block)
        translator.body.append(f'<div class="formula">{written}</div>' if as_block else written)
        raise nodes.SkipNode

    return visit
