"""How Sphinx builds the site: `make docs`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hapsight import __version__  # noqa: E402

project = "hapsight"
author = "The hapsight authors"
project_copyright = author
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "tools.tutorials"]

source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
default_role = "code"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"hapsight {release}"
html_show_sourcelink = False
html_copy_source = False


def links_inside(app, docname, source):
    """Pages of the repository's root are pages of the site under names of their own."""
    for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY"):
        for up in ("../", "../../"):
            source[0] = source[0].replace(f"]({up}{name}.md", f"](/{name.lower()}.md")


def setup(app):
    """Order the links before pages are read."""
    app.connect("source-read", links_inside)
