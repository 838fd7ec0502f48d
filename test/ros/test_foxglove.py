"""config/foxglove.json shows what the node publishes: every path in it is followed through the messages' fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rosbags")

from rosbags.interfaces import Nodetype

from aue_crl_ros.messages.interfaces import typestore

LAYOUT = Path(__file__).parents[2] / "config" / "foxglove.json"
TOPICS = {
    "/aue_crl/expressions": "aue_crl/msg/FaceExpressionArray",
    "/aue_crl/events": "aue_crl/msg/ExpressionEvent",
    "/aue_crl/debug_image/compressed": "sensor_msgs/msg/CompressedImage",
    "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
}


def texts(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, (dict, list)):
        for part in node.values() if isinstance(node, dict) else node:
            yield from texts(part)


def field_type(kind: str, name: str) -> str:
    """The type of a message's field; of a list, that of its elements. `KeyError` where there is none."""
    node, detail = dict(typestore().fielddefs[kind][1])[name]
    if node in (Nodetype.SEQUENCE, Nodetype.ARRAY):
        node, detail = detail[0]
    return detail if node is Nodetype.NAME else detail[0]


def leads_to(path: str) -> str:
    """The type at the end of `/topic.field[0].field[:]{field==4}.field`."""
    topic, *fields = re.split(r"\.(?![^{]*})", path)
    kind = TOPICS[topic]
    for step in fields:
        name, asked = re.fullmatch(r"(\w+)(?:\[[\d:]+\])?(?:\{(\w+)==\d+\})?", step).groups()
        kind = field_type(kind, name)
        if asked:
            field_type(kind, asked)
    return kind


@pytest.mark.parametrize("path", sorted(text for text in texts(json.loads(LAYOUT.read_text())) if text[:1] == "/"))
def test_every_path_of_the_layout_leads_to_a_field(path):
    assert leads_to(path)


@pytest.mark.parametrize("path", ["/aue_crl/gone", "/aue_crl/events.gone", "/aue_crl/expressions.faces[0].box.gone"])
def test_a_path_that_leads_nowhere_is_found(path):
    with pytest.raises(KeyError):
        leads_to(path)
