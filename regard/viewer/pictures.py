"""Files of pictures, and how they are shown where Python runs."""

from __future__ import annotations

import base64
import html
import io
import sys
import tempfile
import warnings
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from regard.errors import RegardError
from regard.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from regard.viewer.page.build import Page

DPI, MOST_PIXELS = 140, 16_000  # along a side
MOST_FRAMED = 16 << 20  # bytes of a page that a notebook keeps
FRAME = (
    'sandbox="allow-scripts allow-downloads" title="attention" loading="lazy" '
    'style="width: 100%; height: 760px; border: 0"'
)
STYLE = "<style>body { font-family: sans-serif; margin: 2em } h1 { font-size: 1.2em } img { max-width: 100% }</style>"


@dataclass(frozen=True)
class Shown:
    """What can be shown, as a file, in a notebook and in a browser.

    Arguments:
        title: of a page that holds the picture alone.
        picture: draws it.
        page: makes a page that is more than the picture.
    """

    title: str
    picture: Callable[[], Figure]
    page: Callable[[], Page] | None = None

    def write(self, path: str | Path) -> Path:
        """Writes the picture, or the page.

        Raises:
            RegardError: the path ends in nothing of what there is.
        """
        path, kind = Path(path), kind_of(path)
        content = self.html() if kind == "html" else drawn(self.picture(), kind)
        with atomic_write(path, binary=True) as file:
            file.write(content)
        return path

    def html(self) -> bytes:
        """The page, or one with the picture inside."""
        if self.page is not None:
            return self.page().html()
        head = html.escape(self.title)
        page = f'<!doctype html><meta charset="utf-8"><title>{head}</title>{STYLE}<h1>{head}</h1>{self._inline()}'
        return page.encode()

    def show(self) -> None:
        """Displays it in the notebook, or in a browser where Python runs in none.

        Raises:
            RegardError: there is no browser, or nothing to be drawn.
        """
        if _in_notebook():
            import_module("IPython.display").display(self)
            return
        content = self.html()
        with tempfile.NamedTemporaryFile(prefix="regard-", suffix=".html", delete=False) as file:
            file.write(content)
        if not webbrowser.open(Path(file.name).as_uri()):
            Path(file.name).unlink()
            raise RegardError("there is neither a notebook nor a browser to show it in; write it: .save('page.html')")

    def _repr_html_(self) -> str:
        """What a notebook shows: the page in a frame of its own, or the picture."""
        return self._inline() if self.page is None else framed_or_why(self.page)

    def _repr_png_(self) -> bytes | None:
        """The same where there is no browser."""
        try:
            return drawn(self.picture(), "png")
        except RegardError:
            return None

    def _inline(self) -> str:
        source = base64.b64encode(drawn(self.picture(), "png")).decode()
        return f'<img alt="attention" src="data:image/png;base64,{source}">\n'


def kind_of(path: str | Path) -> str:
    """What a picture is to be written as: "png", "svg", "pdf" or "html".

    Raises:
        RegardError: the path ends in something else.
    """
    name = Path(path).name
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf", "html", "htm"):
        raise RegardError(f"path must end in .png, .svg, .pdf or .html, got '{name}'")
    return "html" if kind == "htm" else kind


def drawn(figure: Figure, kind: str) -> bytes:
    """The file of a figure. The text of an SVG stays text."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    dpi = min(DPI, MOST_PIXELS / max(figure.get_size_inches()))
    with rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(Glyph|Matplotlib currently does not support)")  # see fonts.py
        figure.savefig(buffer, format=kind, dpi=dpi, bbox_inches="tight")
    return buffer.getvalue()


def framed_or_why(make: Callable[[], Page]) -> str:
    """A page in a frame of its own; where there can be none, why not."""
    try:
        return framed(make())
    except RegardError as error:
        return f"<p>{html.escape(str(error))}</p>"


def framed(made: Page) -> str:
    """A page inside another: nothing of it reaches what is around it. One that is large is written into a file."""
    content = made.html()
    if len(content) > MOST_FRAMED:
        raise RegardError(
            f"a page of {len(content) >> 20} MiB is too large for a notebook; write it with .save('page.html')"
        )
    source = html.escape(content.decode(), quote=True)
    return f'<iframe {FRAME} srcdoc="{source}"></iframe>'


def _in_notebook() -> bool:
    """Whether a kernel of Jupyter runs this, which others have started."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None
