"""The picture for people: faces with box, points and label, and a panel a face with expression and action unit bars.

Where there is no free room beside the faces, the canvas gets a column of panels on its right instead.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np

from aue_crl_core import facs
from aue_crl_core.config import require
from aue_crl_core.media.drawing.panel import PanelStyle, draw_panel, panel_size, panel_styles
from aue_crl_core.media.drawing.shapes import (
    Colour,
    corners,
    dashed_rectangle,
    fill_rounded,
    polyline,
    put_text,
    text_mask,
)
from aue_crl_core.types import FaceBox, FacePrediction, Image

PanelPlace = Literal["auto", "inside", "beside", "none"]

BASIC_COLOURS: Final[dict[str, Colour]] = {
    "surprise": (255, 165, 60),
    "fear": (187, 140, 255),
    "disgust": (126, 211, 96),
    "happiness": (255, 215, 70),
    "sadness": (98, 168, 255),
    "anger": (255, 98, 92),
    "neutral": (214, 222, 232),
}
UNSURE: Final[Colour] = (168, 174, 182)
_DARK: Final[Colour] = (16, 18, 22)
_COLUMN: Final[Colour] = (24, 27, 32)
_LINE: Final[Colour] = (240, 250, 255)

_REFERENCE_SIDE: Final = 480
"""The image's short side, px, at which a unit of the drawing is one pixel; smaller images are enlarged to it."""
_LONGEST_ENLARGED_SIDE: Final = 1920
_MOST_INSIDE: Final = 8
"""Panels inside the picture at most; further faces have their label only."""


def label_colour(label: str, labels: Sequence[str]) -> Colour:
    """The colour of one of a model's labels."""
    if label in BASIC_COLOURS:
        return BASIC_COLOURS[label]
    hue = labels.index(label) / len(labels) if label in labels else 0.0
    red, green, blue = (round(255 * v) for v in colorsys.hsv_to_rgb(hue, 0.55, 1.0))
    return red, green, blue


def expression_colour(face: FacePrediction) -> Colour:
    """The colour of a face's marks: its expression's, or grey when the state is not "ok"."""
    return label_colour(face.expression, list(face.probabilities)) if face.state == "ok" else UNSURE


def overlay_scale_for(image: Image) -> float:
    """How much `draw_overlay` enlarges an image by default: to a short side of 480 px, a long one of 1920 at most."""
    height, width = image.shape[:2]
    return max(1.0, min(_REFERENCE_SIDE / min(height, width), _LONGEST_ENLARGED_SIDE / max(height, width)))


def draw_overlay(
    image: Image,
    predictions: Sequence[FacePrediction],
    *,
    points: bool = True,
    panels: PanelPlace = "auto",
    overlay_scale: float | None = None,
) -> Image:
    """Draw predictions on a copy of the image.

    Faces that are not "ok" are grey and dashed and say why. The result may be larger than the image: small images are
    enlarged so that the text is legible, and a column of panels may be added on the right. Its size depends only on
    the image's size and `overlay_scale`, except with `panels="auto"`, where it depends on the faces too.

    Args:
        image: HxWx3 uint8 RGB.
        predictions: boxes and landmarks in pixels of `image`.
        points: draw the 68 points as contours.
        panels: "inside" the picture next to each face, "beside" it in a column, "none", or "auto": inside where panels
            with all action units find room without covering a face, else beside.
        overlay_scale: the factor by which the picture is enlarged, above 0; None: `overlay_scale_for(image)`.

    Returns:
        H'xW'x3 uint8 RGB; the picture is its top left part.

    Raises:
        ConfigError: `panels` or `overlay_scale` out of range.
    """
    require(panels in ("auto", "inside", "beside", "none"), "panels", "be auto, inside, beside or none", panels)
    require(overlay_scale is None or overlay_scale > 0, "overlay_scale", "be above 0", overlay_scale)
    scale = overlay_scale_for(image) if overlay_scale is None else overlay_scale
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    canvas = image.copy()
    if scale != 1:
        canvas = np.repeat(image, 2, axis=0) if image.size == 3 else image  # OpenCV 4.5.4 takes no 1x1x3
        canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    unit = max(1.0, (min(height, width) / _REFERENCE_SIDE) ** 0.85)
    boxes = [_scaled(face.box, scale) for face in predictions]

    for face, box in zip(predictions, boxes, strict=True):
        _draw_face(canvas, face, box, scale, unit, points)
    if panels in ("auto", "inside"):
        places = _places_inside(predictions, boxes, width, height, unit)
        whole = [p.hidden == 0 and (p.style.strip or not p.face.action_units) for p in places]
        free = len(places) == len(predictions) and all(whole)
        if panels == "inside" or free:
            for place in places:
                colour = expression_colour(place.face)
                draw_panel(canvas, place.face, colour, (place.x, place.y), place.style, unit)
            panels = "none"
    for face, box in zip(predictions, boxes, strict=True):
        _draw_label(canvas, face, box, width, unit)
    return canvas if panels == "none" else _with_column(canvas, predictions, unit)


@dataclass(frozen=True, slots=True)
class _Place:
    """A panel's corner on the canvas, and `hidden`: the area of faces and other panels under it, px squared."""

    face: FacePrediction
    style: PanelStyle
    x: int
    y: int
    hidden: float


def _scaled(box: FaceBox, scale: float) -> FaceBox:
    shift = 0.5 * scale - 0.5
    return FaceBox(box.x * scale + shift, box.y * scale + shift, box.w * scale, box.h * scale, box.score)


def _draw_face(canvas: Image, face: FacePrediction, box: FaceBox, scale: float, unit: float, points: bool) -> None:
    colour = expression_colour(face)
    rect = _inside(box, width=canvas.shape[1], height=canvas.shape[0], margin=2 * unit)
    size = min(1.0, max(box.w, box.h) / (160 * unit))
    thin, thick = max(1, round(unit * size)), max(2, round(3 * unit * size))
    if points:
        drawn = face.landmarks.astype(np.float64) * scale + (0.5 * scale - 0.5)
        _draw_contours(canvas, drawn, _LINE if face.state == "ok" else UNSURE, thin)
    if face.state == "ok":
        for line_colour, thickness in ((_DARK, thick + 2), (colour, thick)):
            corners(canvas, rect, 0.2 * min(box.w, box.h), line_colour, thickness)
    else:
        for line_colour, thickness in ((_DARK, thin + 3), (colour, thin + 1)):
            dashed_rectangle(canvas, rect, 7 * unit, line_colour, thickness)


def _inside(box: FaceBox, width: int, height: int, margin: float) -> tuple[float, float, float, float]:
    """The part of the box that lies on the picture, as (x, y, w, h), so that its frame is seen; of a box beside it, a
    pixel at the edge."""
    x, y = max(margin, min(box.x, width - margin - 1)), max(margin, min(box.y, height - margin - 1))
    return x, y, max(1.0, min(width - margin, box.x + box.w) - x), max(1.0, min(height - margin, box.y + box.h) - y)


def _draw_contours(canvas: Image, points: np.ndarray, colour: Colour, thickness: int) -> None:
    """The nine lines of a face, light on a dark edge, let through so that the face stays visible."""
    height, width = canvas.shape[:2]
    low = np.clip(np.floor(points.min(axis=0)) - 4 * thickness, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)) + 4 * thickness, 0, (width, height)).astype(int)
    region = canvas[low[1] : high[1], low[0] : high[0]]
    if region.size == 0:
        return
    marked = region.copy()
    edge = 2 if min(region.shape[:2]) >= 140 else 1
    for line_colour, line in ((_DARK, thickness + edge), (colour, thickness)):
        for indices, closed in facs.FACE_CONTOURS:
            polyline(marked, points[list(indices)] - low, line_colour, line, closed=closed)
    region[...] = cv2.addWeighted(marked, 0.7, region, 0.3, 0)


def _label(face: FacePrediction) -> str:
    if face.state == "low_quality":
        return f"{face.face_id}  {face.caveat}"
    doubt = "?" if face.state == "uncertain" else ""
    return f"{face.face_id}  {face.expression}{doubt} {face.confidence:.0%}"


def _draw_label(canvas: Image, face: FacePrediction, box: FaceBox, width: int, unit: float) -> None:
    """The chip on top of the box; inside its upper edge where there is no room above."""
    size = max(8.0, 9 * unit * min(1.0, max(0.8, box.w / 160)))
    text = _label(face)
    w, h = text_mask(text, size, bold=True).shape[1] + round(1.6 * size), round(2.2 * size)
    x = round(min(max(box.x - unit, 0), max(0, width - w)))
    y = round(box.y - h - 3 * unit) if box.y - h - 3 * unit >= 0 else round(max(0.0, box.y) + 3 * unit)
    fill_rounded(canvas[:, :width], (x, y, w, h), round(0.6 * size), expression_colour(face), 0.94)
    put_text(canvas[:, :width], text, (x + 0.8 * size, y + h / 2), size, _DARK, bold=True)


def _places_inside(
    predictions: Sequence[FacePrediction], boxes: Sequence[FaceBox], width: int, height: int, unit: float
) -> list[_Place]:
    """A panel for each of the largest faces: in the richest style that hides nothing, else in the smallest one."""
    largest = sorted(range(len(boxes)), key=lambda i: -boxes[i].w * boxes[i].h)[:_MOST_INSIDE]
    places: list[_Place] = []
    for style in panel_styles(predictions):
        places = _places_in_style([(predictions[i], boxes[i]) for i in largest], boxes, style, width, height, unit)
        if len(places) == len(largest) and all(place.hidden == 0 for place in places):
            break
    return places


def _places_in_style(
    faces: Sequence[tuple[FacePrediction, FaceBox]],
    boxes: Sequence[FaceBox],
    style: PanelStyle,
    width: int,
    height: int,
    unit: float,
) -> list[_Place]:
    """Where each panel hides least of `boxes`, their labels and the panels before it; none where it is too large."""
    gap, label = round(8 * unit), round(24 * unit)
    taken = [(box.x, box.y - label, box.w, box.h + label) for box in boxes]
    places = []
    for face, box in faces:
        w, h = panel_size(style, len(face.probabilities), unit)
        if w + 2 * gap > width or h + 2 * gap > height:
            continue
        right, left, centre = box.x + box.w + gap, box.x - w - gap, box.x + (box.w - w) / 2
        above, below, bottom = box.y - label - gap - h, box.y + box.h + gap, box.y + box.h - h
        tries = [(right, box.y), (left, box.y), (right, bottom), (left, bottom), (centre, below), (centre, above)]
        kept = [(round(min(max(x, gap), width - w - gap)), round(min(max(y, gap), height - h - gap))) for x, y in tries]
        hidden = [sum(_overlap((x, y, w, h), other) for other in taken) for x, y in kept]
        x, y = kept[hidden.index(min(hidden))]
        places.append(_Place(face, style, x, y, min(hidden)))
        taken.append((x, y, w, h))
    return places


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0.0, w) * max(0.0, h)


def _with_column(canvas: Image, predictions: Sequence[FacePrediction], unit: float) -> Image:
    """The canvas with a column of panels on its right, in the richest style in which all (else the first few) fit."""
    gap, height = round(8 * unit), canvas.shape[0]
    count = len(predictions[0].probabilities) if predictions else 0
    *_, style = styles = panel_styles(predictions)
    for candidate in styles:
        if len(predictions) * (panel_size(candidate, count, unit)[1] + gap) + gap <= height:
            style = candidate
            break
    w, h = panel_size(style, count, unit)
    column = np.full((height, w + 2 * gap, 3), _COLUMN, np.uint8)
    shown = min(len(predictions), max(1, (height - gap) // (h + gap)))
    for position, face in enumerate(predictions[:shown]):
        draw_panel(column, face, expression_colour(face), (gap, gap + position * (h + gap)), style, unit)
    return np.concatenate([canvas, column], axis=1)
