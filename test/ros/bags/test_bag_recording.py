"""The expressions of a bag, read again for a report."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("rosbags")

from sample_bags import MESSAGES, PERIOD, bag, decoded, jpeg, small, stamps, write

from aue_crl_core import facs
from aue_crl_core.errors import BagError
from aue_crl_ros.bags.recording import read_bag

ARRAY = "aue_crl/msg/FaceExpressionArray"


def test_a_camera_is_a_film_and_its_faces_are_those_of_the_messages(tmp_path, portrait):
    sky = np.full_like(portrait, 90)
    images = [(s, jpeg(image, s)) for s, image in zip(stamps(3), (portrait, portrait, sky), strict=True)]
    write(tmp_path / "in", {"/cam/compressed": ("sensor_msgs/msg/CompressedImage", images)})
    assert bag(tmp_path / "in", tmp_path / "out") == 0
    (film,) = read_bag(tmp_path / "out").films
    assert (film.source, film.frames, film.empty) == ("/cam/compressed", 3, 1)
    assert film.end_s == pytest.approx(2 * PERIOD * 1e-9)
    (track,) = film.tracks
    messages = [message for _, message in decoded(tmp_path / "out", "/aue_crl/expressions")]
    face = messages[0].faces[0]
    assert track.probabilities[0] == pytest.approx(face.probabilities)
    assert facs.BASIC_EXPRESSIONS[track.labels[0]] == face.expression
    assert track.units[0][0] == pytest.approx(face.action_units[0].probability)
    said = {unit.code: unit.intensity for unit in face.action_units if unit.visible}
    assert track.intensities[0] == pytest.approx([said.get(u, math.nan) for u in facs.ACTION_UNITS], nan_ok=True)
    assert not math.isnan(said[12])


def test_a_bag_without_expressions_says_what_adds_them(tmp_path, portrait):
    with pytest.raises(BagError, match=r"got none; `aue-crl bag .*in OUT` adds it"):
        read_bag(write(tmp_path / "in", small(portrait)))


def test_a_damaged_message_is_named(tmp_path):
    whole = MESSAGES.new("std_msgs/msg/String", data="no faces")
    cut = MESSAGES.serialize("std_msgs/msg/String", whole)
    with pytest.raises(BagError, match=f"/faces at .* must be a {ARRAY}"):
        read_bag(write(tmp_path / "in", {"/faces": (ARRAY, [(1, cut)])}))
