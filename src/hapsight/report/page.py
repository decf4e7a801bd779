"""Fill the template: one HTML text with everything inside."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import altair
import jinja2
import platformdirs
from markupsafe import Markup, escape

from hapsight.errors import StoreError
from hapsight.files import write_atomically
from hapsight.report import words
from hapsight.report.charts import BASELINE_COLOUR, MODEL_COLOUR

__all__ = ["embedded_json", "render", "vega_bundle"]

_CONTENTS: Final = "<!--contents-->"
_SECTION: Final = re.compile(r'<section[^>]* id="([^"]+)">\s*<h2>(.*?)</h2>')


def render(context: Mapping[str, Any], template: str = "template.html") -> str:
    """Write a page as text.

    Parameters
    ----------
    context
        The variables of the template. Everything is escaped but what is `markupsafe.Markup`. With ``peaks``
        true, what is said of genes is said of peaks.
    template
        Its name among this package's files.
    """
    peaks = bool(context.get("peaks"))
    page = _compiled(template, peaks).render(
        **context,
        style=Markup(_part("style.css")),
        script=Markup(_part("page.js")),
        vega=Markup(vega_bundle()),
        model_colour=MODEL_COLOUR,
        baseline_colour=BASELINE_COLOUR,
    )
    page = words.page_of_peaks(page) if peaks else page
    return page.replace(_CONTENTS, _contents(page), 1)


@cache
def _compiled(template: str, peaks: bool) -> jinja2.Template:
    """Compile a template once: pages are many."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {
        name: getattr(words, name)
        for name in ("count", "decimal", "duration", "listed", "percent", "plural", "size")
    }
    environment.filters["typed"] = _typed
    environment.filters["embedded_json"] = (
        (lambda value: embedded_json(words.spec_of_peaks(value))) if peaks else embedded_json
    )
    return environment.from_string(_part(template))


def _typed(text: str) -> Markup:
    """Words with what is to be typed between backticks: a command, a key."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _contents(page: str) -> str:
    """Links to the sections that have an id and a heading, as they stand on the page."""
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title in _SECTION.findall(page))
    return (
        f'<nav class="contents" id="contents" aria-label="Contents"><h2>Contents</h2><ol>{links}</ol></nav>'
    )


def embedded_json(value: Any) -> Markup:
    """JSON that is safe inside a ``<script>`` element: no ``<``, ``>`` or ``&`` in it.

    Raises
    ------
    ValueError
        A number is NaN or infinite, which JSON does not know.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script, of the version that altair writes for.

    Bundling takes more than a second, so the script is kept in the user's cache, where one can be written,
    behind a line with its digest.
    """
    version = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    name = f"vega-lite-{version}-vl-convert-{importlib.metadata.version('vl-convert-python')}.js"
    kept = platformdirs.user_cache_path("hapsight", appauthor=False) / "report" / name
    with contextlib.suppress(OSError, ValueError):
        digest, bundle = kept.read_text(encoding="utf-8").split("\n", 1)
        if digest == _digest(bundle):
            return bundle
    bundle = _bundled(version)
    with contextlib.suppress(OSError, StoreError):
        write_atomically(kept, f"{_digest(bundle)}\n{bundle}".encode())
    return bundle


def _bundled(version: str) -> str:
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _digest(text: str) -> str:
    return f"// {hashlib.sha256(text.encode()).hexdigest()}"


def _part(name: str) -> str:
    return files("hapsight.report").joinpath(name).read_text(encoding="utf-8")
