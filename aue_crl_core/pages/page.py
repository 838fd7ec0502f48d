"""Pages for a browser, each one file that needs nothing else: text, tables, figures that can be saved, pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2

from aue_crl_core.errors import OutputError
from aue_crl_core.media.reading.pixels import swap_red_blue
from aue_crl_core.types import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HERE: Final = Path(__file__).parent
_SOFT: Final = ' class="soft"'
_PIXELS_AN_INCH: Final = 96
_LEAST_WIDTH: Final = 720
"""Pixels: a narrow screen scrolls a wide figure, so that its text can be read."""
_JPEG_QUALITY: Final = 82


@dataclass(frozen=True)
class Table:
    """Cells as text: the first column names the row, a None row is a rule, `strong` rows stand out."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...] | None, ...]
    strong: frozenset[int] = frozenset()


class Page:
    """Filled from top to bottom; `write` makes the file. All text is plain and escaped here."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = [f"<h1>{escape(title)}</h1>"]

    def heading(self, text: str, level: int = 2) -> None:
        """A heading; 2: of a section."""
        self._parts.append(f"<h{level}>{escape(text)}</h{level}>")

    def text(self, text: str, soft: bool = False) -> None:
        """A paragraph; `soft`: a remark."""
        self._parts.append(f"<p{_SOFT if soft else ''}>{escape(text)}</p>")

    def table(self, table: Table, folded: str = "") -> None:
        """The rows of a table (its title is for a heading); `folded`: closed, under these words, until it is opened."""
        lines, rule = [_row(table.header, "th")], False
        for i, row in enumerate(table.rows):
            if row is None:
                rule = True
                continue
            kinds = " ".join(kind for kind, on in (("strong", i in table.strong), ("rule", rule)) if on)
            lines.append(_row(row, "td", kinds))
            rule = False
        cells = "".join(lines)
        whole = f'<div class="wide"><table>{cells}</table></div>'
        self._parts.append(f"<details><summary>{escape(folded)}</summary>{whole}</details>" if folded else whole)

    def figure(self, figure: Figure, name: str, caption: str = "") -> None:
        """A figure, drawn as SVG, that a reader can save under `name` as SVG or PNG."""
        width = round(figure.get_figwidth() * _PIXELS_AN_INCH)
        style = f"min-width:{_LEAST_WIDTH if width > _LEAST_WIDTH else 0}px;max-width:{width}px"
        image = f'<img src="{_svg_url(figure)}" alt="{escape(caption or name)}" style="{style}">'
        words = f'<span>{escape(caption)}</span><span class="save"></span>'
        self._parts.append(
            f'<figure class="drawn" id="{escape(name)}"><div class="wide">{image}</div>'
            f'<figcaption style="max-width:{width}px">{words}</figcaption></figure>'
        )

    def pictures(self, pictures: Iterable[tuple[Image, str]]) -> None:
        """Small pictures in rows, each (HxWx3 uint8 RGB) with what is to be said of it."""
        cells = (
            f'<figure><img src="{_jpeg_url(image)}" alt=""><figcaption>{escape(text)}</figcaption></figure>'
            for image, text in pictures
        )
        self._parts += ['<div class="pictures">', *cells, "</div>"]

    def html(self) -> str:
        """The page."""
        style, script = ((_HERE / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
        body = "\n".join(self._parts)
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(self._title)}</title>\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>\n{style}</style>\n</head>\n'
            f"<body>\n{body}\n<script>\n{script}</script>\n</body>\n</html>\n"
        )


def write_whole(path: Path, text: str) -> None:
    """Write a text file in one step; missing folders are made, an old file is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def _row(cells: Sequence[str], tag: str, kinds: str = "") -> str:
    opened = f'<tr class="{kinds}">' if kinds else "<tr>"
    return opened + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>\n"


def _svg_url(figure: Figure) -> str:
    """With text as text, and the same bytes each time."""
    import matplotlib as mpl

    file = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "aue_crl"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return _data_url("image/svg+xml", file.getvalue())


def _jpeg_url(image: Image) -> str:
    data = cv2.imencode(".jpg", swap_red_blue(image), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return _data_url("image/jpeg", data.tobytes())


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
