"""Episodes as an ELAN annotation file (EAF 3.0): a tier a face for its expressions, and one for each action unit."""

from __future__ import annotations

import mimetypes
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from aue_crl_core import __version__
from aue_crl_core.recordings.episodes import Episode

_SCHEMA: Final = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
_TYPE: Final = "aue_crl"
NOTE: Final = (
    "as aue-crl report wrote it; ELAN leaves this line out when it saves, and no report replaces the file then"
)
"""Stands in the file's head."""


def eaf(found: Sequence[Episode], media: Path | None = None) -> str:
    """The text of an .eaf file of one film's episodes.

    Times are whole milliseconds of the film; a tier is called `FACE expression` or `FACE AU12`, its annotations never
    overlap, and their value is the expression or the unit. `media` is the film that ELAN opens beside it, if it is
    known.
    """
    root = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": f"aue_crl {__version__}",
            "DATE": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": _INSTANCE,
            "xsi:noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    header = ET.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    if media is not None:
        kind = mimetypes.guess_type(media.name)[0] or "unknown"
        ET.SubElement(header, "MEDIA_DESCRIPTOR", {"MEDIA_URL": media.resolve().as_uri(), "MIME_TYPE": kind})
    times = {ms: f"ts{i}" for i, ms in enumerate(sorted({ms for e in found for ms in _milliseconds(e)}), start=1)}
    order = ET.SubElement(root, "TIME_ORDER")
    for ms, slot in times.items():
        ET.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot, "TIME_VALUE": str(ms)})
    tiers: dict[tuple[str, int], list[Episode]] = {}
    for episode in found:
        tiers.setdefault((episode.face_id, episode.action_unit), []).append(episode)
    number = 0
    for (face_id, unit), inside in sorted(tiers.items()):
        name = f"{face_id} AU{unit}" if unit else f"{face_id} expression"
        tier = ET.SubElement(
            root,
            "TIER",
            {"TIER_ID": name, "PARTICIPANT": face_id, "LINGUISTIC_TYPE_REF": _TYPE, "ANNOTATOR": "aue_crl"},
        )
        for episode in inside:
            number += 1
            began, ended = (times[ms] for ms in _milliseconds(episode))
            places = {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": began, "TIME_SLOT_REF2": ended}
            annotation = ET.SubElement(ET.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", places)
            ET.SubElement(annotation, "ANNOTATION_VALUE").text = episode.what
    kind = {"LINGUISTIC_TYPE_ID": _TYPE, "TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false"}
    ET.SubElement(root, "LINGUISTIC_TYPE", kind)
    root.insert(0, ET.Comment(NOTE))
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True).decode() + "\n"


def _milliseconds(episode: Episode) -> tuple[int, int]:
    return max(0, round(1000 * episode.began_s)), max(0, round(1000 * episode.ended_s))
