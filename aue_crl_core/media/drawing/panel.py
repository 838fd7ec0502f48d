"""One face's numbers as a small panel: expression bars, a strip of 17 action unit bars, and the strongest by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from aue_crl_core import facs
from aue_crl_core.media.drawing.shapes import Colour, fill_rounded, polyline, put_text, text_mask
from aue_crl_core.types import FacePrediction, Image

_BACKGROUND: Final[Colour] = (20, 23, 28)
_TRACK: Final[Colour] = (58, 64, 73)
_BAR: Final[Colour] = (128, 139, 153)
_TEXT: Final[Colour] = (246, 248, 250)
_FAINT: Final[Colour] = (160, 168, 178)
_AMBER: Final[Colour] = (255, 196, 92)

_PRESENT: Final = 0.5
_SIZE, _SMALL = 7.5, 6.0
_PADDING, _HEADER, _ROW, _STRIP, _GAP = 9.0, 18.0, 14.0, 46.0, 7.0
_SLOT: Final = 14.0
_VALUE_WIDTH: Final = 30.0


@dataclass(frozen=True, slots=True)
class PanelStyle:
    """What a panel shows: the likeliest `expressions` (None: all, in label order), the action unit `strip`, and the
    strongest units by name (`names` of them).
    """

    expressions: int | None
    strip: bool
    names: int


PANEL_STYLES: Final = (
    PanelStyle(None, True, 3),
    PanelStyle(3, True, 0),
    PanelStyle(2, True, 0),
    PanelStyle(1, True, 0),
    PanelStyle(1, False, 0),
)
"""From rich to small; all are equally wide."""


def panel_styles(faces: Iterable[FacePrediction]) -> tuple[PanelStyle, ...]:
    """`PANEL_STYLES`, for faces of a network that says nothing of action units without the parts that show them."""
    if any(face.action_units for face in faces):
        return PANEL_STYLES
    return tuple(replace(style, strip=False, names=0) for style in PANEL_STYLES)


def panel_size(style: PanelStyle, classes: int, unit: float) -> tuple[int, int]:
    """Width and height in pixels for so many classes, whatever their values, so that panels don't jump."""
    rows = classes if style.expressions is None else min(style.expressions, classes)
    height = 2 * _PADDING + _HEADER + rows * _ROW
    height += (_GAP + _STRIP) * style.strip + (_GAP + style.names * _ROW) * (style.names > 0)
    return round((2 * _PADDING + len(facs.ACTION_UNITS) * _SLOT) * unit), round(height * unit)


def draw_panel(
    image: Image, face: FacePrediction, colour: Colour, at: tuple[int, int], style: PanelStyle, unit: float
) -> None:
    """Draw the panel of `face` into the image, its top left corner at `at`; `colour` accents what matters."""
    width, height = panel_size(style, len(face.probabilities), unit)
    x, y = at
    fill_rounded(image, (x, y, width, height), round(7 * unit), _BACKGROUND, 0.86)
    left, right = x + _PADDING * unit, x + width - _PADDING * unit
    top = y + _PADDING * unit
    _header(image, face, colour, left, right, top + 0.35 * _HEADER * unit, unit)
    top += _HEADER * unit
    top = _expression_rows(image, face, colour, left, right, top, style, unit)
    if style.strip:
        _strip(image, face, colour, left, right, top + _GAP * unit, unit)
        top += (_GAP + _STRIP) * unit
    if style.names:
        _named_units(image, face, colour, left, right, top + _GAP * unit, style.names, unit)


def _header(
    image: Image, face: FacePrediction, colour: Colour, left: float, right: float, y: float, unit: float
) -> None:
    side = round(8 * unit)
    fill_rounded(image, (round(left), round(y - side / 2), side, side), side // 2, colour)
    put_text(image, face.face_id, (left + 13 * unit, y), _SIZE * unit, _TEXT, bold=True)
    if face.state != "ok":
        put_text(image, face.caveat, (right, y), _SIZE * unit, _AMBER, align="right", bold=True)


def _expression_rows(
    image: Image,
    face: FacePrediction,
    colour: Colour,
    left: float,
    right: float,
    top: float,
    style: PanelStyle,
    unit: float,
) -> float:
    rows = list(face.probabilities.items())
    name_width = max((text_mask(name, _SIZE).shape[1] for name, _ in rows), default=0)
    if style.expressions is not None:
        rows = sorted(rows, key=lambda row: -row[1])[: style.expressions]
    bar_left, bar_right = left + (name_width + 8) * unit, right - _VALUE_WIDTH * unit
    for name, value in rows:
        y, first = top + 0.5 * _ROW * unit, name == face.expression
        put_text(image, name, (left, y), _SIZE * unit, _TEXT if first else _FAINT, bold=first)
        bar(image, bar_left, bar_right, y, 5 * unit, value, colour if first else _BAR)
        put_text(image, f"{value:.0%}", (right, y), _SIZE * unit, _TEXT if first else _FAINT, align="right", bold=first)
        top += _ROW * unit
    return top


def bar(image: Image, left: float, right: float, y: float, thickness: float, value: float, colour: Colour) -> None:
    """A round-ended bar from `left` to `right` about the line `y`, filled for `value` in [0, 1]."""
    height = max(2, round(thickness))
    x, w, y = round(left), round(right - left), round(y - thickness / 2)
    fill_rounded(image, (x, y, w, height), height // 2, _TRACK)
    filled = round(w * min(max(value, 0.0), 1.0))
    fill_rounded(image, (x, y, filled, height), height // 2, colour)


def _strip(
    image: Image, face: FacePrediction, colour: Colour, left: float, right: float, top: float, unit: float
) -> None:
    """Upright bars in FACS order with their codes below; those from 0.5 up in the accent colour; a line marks 0.5."""
    slot, height = (right - left) / len(facs.ACTION_UNITS), (_STRIP - 13) * unit
    thickness = max(2, round(0.5 * slot))
    for position, unit_code in enumerate(facs.ACTION_UNITS):
        value = min(max(face.action_units.get(unit_code, 0.0), 0.0), 1.0)
        present = value >= _PRESENT
        centre = left + (position + 0.5) * slot
        x = round(centre - thickness / 2)
        fill_rounded(image, (x, round(top), thickness, round(height)), thickness // 2, _TRACK)
        filled = round(height * value)
        fill_rounded(
            image,
            (x, round(top) + round(height) - filled, thickness, filled),
            thickness // 2,
            colour if present else _BAR,
        )
        put_text(
            image,
            str(unit_code),
            (centre, top + height + 8 * unit),
            _SMALL * unit,
            _TEXT if present else _FAINT,
            align="centre",
        )
    middle = top + height / 2
    polyline(image, np.array([[left, middle], [right, middle]]), _TRACK, 1)


def _named_units(
    image: Image, face: FacePrediction, colour: Colour, left: float, right: float, top: float, count: int, unit: float
) -> None:
    strongest = sorted(face.action_units.items(), key=lambda item: -item[1])[:count]
    for unit_code, value in strongest:
        y, present = top + 0.5 * _ROW * unit, value >= _PRESENT
        text = _TEXT if present else _FAINT
        put_text(image, f"AU{unit_code}", (left, y), _SIZE * unit, colour if present else _FAINT, bold=present)
        put_text(image, facs.ACTION_UNIT_NAMES.get(unit_code, ""), (left + 36 * unit, y), _SIZE * unit, text)
        put_text(image, f"{value:.0%}", (right, y), _SIZE * unit, text, align="right")
        top += _ROW * unit
