"""The report's pages: HTML files that hold all they show, for Snakemake's report and to be opened by themselves.

Snakemake's report shows such a file as a data URI in a frame, and Chromium shows nothing if that is longer than 2 MB.
So a page has at most `MOST_BYTES`: pictures are JPEGs, and the first of `QUALITIES` is taken at which it fits.
"""

import base64
from collections.abc import Callable
from functools import cache
from pathlib import Path

import jinja2

MOST_BYTES = 1_500_000
QUALITIES = (85, 70, 50, 30, 15)


class PageError(ValueError):
    """A page holds more than a browser shows."""


def data_uri(content: bytes, kind: str) -> str:
    """Put a picture, `kind` "jpeg", "png" or "gif", into the text of a page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def render(template: str, fill: Callable[[int], dict]) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        Name of a template of this folder, without its suffix.
    fill : function
        Returns what the template shows, for a quality of JPEGs.

    Raises
    ------
    PageError
        It does not fit at any quality.
    """
    for quality in QUALITIES:
        page = _templates().get_template(f"{template}.html").render(fill(quality))
        if len(page.encode("utf-8")) <= MOST_BYTES:
            return page
    raise PageError(f"the page '{template}' has {len(page):,} bytes, but browsers show {MOST_BYTES:,} at most")


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"number": _number, "percent": _percent}
    return environment


def _number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"
