"""`aue-crl bag`: everything that was in the bag, byte for byte, and the expressions of its images."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("rosbags")

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from sample_bags import MESSAGES, START, bag, decoded, jpeg, raw, read, stamps, write

from aue_crl_core import facs
from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_ros.bags.recording import read_bag

DELAY = 3_000_000
FRAMES = 6
LATCHED = Qos(
    QosHistory.KEEP_LAST,
    1,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    QosTime(5, 0),
    QosTime(9223372036, 854775807),
    QosLiveliness.AUTOMATIC,
    QosTime(9223372036, 854775807),
    False,
)


@pytest.fixture(scope="module")
def topics(portrait):
    """A raw camera, a compressed one that sees the same mirrored and no face in its third image, and text."""
    views = [np.roll(portrait, i, axis=1) for i in range(FRAMES)]
    notes = [(s + 7, MESSAGES.new("std_msgs/msg/String", data=f"note {s}")) for s in stamps(FRAMES)]
    mirrored = [v[:, ::-1] for v in views]
    mirrored[2] = np.full_like(portrait, 90)
    return {
        "/head/image": (
            "sensor_msgs/msg/Image",
            [(s + DELAY, raw(v, s)) for s, v in zip(stamps(FRAMES), views, strict=True)],
        ),
        "/left/image/compressed": (
            "sensor_msgs/msg/CompressedImage",
            [(s + 2 * DELAY, jpeg(v, s)) for s, v in zip(stamps(FRAMES), mirrored, strict=True)],
        ),
        "/notes": ("std_msgs/msg/String", notes),
    }


@pytest.fixture(scope="module", params=["sqlite3", "mcap"])
def storage(request):
    return request.param


@pytest.fixture(scope="module")
def before_and_after(tmp_path_factory, topics, storage):
    folder = tmp_path_factory.mktemp(storage)
    source = write(folder / "in", topics, storage, qos=[LATCHED])
    assert bag(source, folder / "out") == 0
    return source, folder / "out"


def test_every_message_is_there_unchanged(before_and_after):
    (old, old_connections, custom), (new, new_connections, new_custom) = map(read, before_and_after)
    assert set(new) - set(old) == {"/aue_crl/expressions", "/aue_crl/events", "/aue_crl/model"}
    for topic, messages in old.items():
        assert new[topic] == messages
        was, now = old_connections[topic], new_connections[topic]
        assert (was.msgtype, was.msgdef, was.digest, was.ext) == (now.msgtype, now.msgdef, now.digest, now.ext)
    assert custom == new_custom == {"robot": "pepper"}


def test_the_storage_is_the_same(before_and_after, storage):
    suffix = {"sqlite3": ".db3", "mcap": ".mcap"}[storage]
    assert [p.name for p in before_and_after[1].glob(f"*{suffix}")] == [f"out{suffix}"]
    assert sorted(p.name for p in before_and_after[1].parent.iterdir()) == ["in", "out"]


def test_every_image_has_its_expressions_at_its_own_time(before_and_after):
    found = decoded(before_and_after[1], "/aue_crl/expressions")
    assert [(t, m.camera) for t, m in found] == [
        entry
        for s in stamps(FRAMES)
        for entry in ((s + DELAY, "/head/image"), (s + 2 * DELAY, "/left/image/compressed"))
    ]
    for s, (_, message) in zip(sorted(stamps(FRAMES) * 2), found, strict=True):
        assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == s
        assert message.header.frame_id == ("eye" if message.camera == "/head/image" else "left")
        assert (message.image_width, message.image_height, message.dropped_frames) == (256, 300, 0)
        assert math.isnan(message.latency)


def test_the_faces_are_those_that_the_analyzer_sees(before_and_after, portrait):
    found = [m for _, m in decoded(before_and_after[1], "/aue_crl/expressions")]
    expected = FaceAnalyzer.load(threads=1, config=AnalyzerConfig(mirror_stills=False))(portrait)[0]
    faces = [m.faces for m in found if m.camera == "/head/image"]
    assert [len(f) for f in faces] == [1] * FRAMES
    assert {f[0].face_id for f in faces} == {"f1"}
    first = faces[0][0]
    assert first.expression == expected.expression
    assert first.confidence == pytest.approx(expected.confidence, abs=1e-3)
    assert first.box.x_offset == pytest.approx(expected.box.x, abs=2)
    assert [unit.code for unit in first.action_units] == list(facs.ACTION_UNITS)
    probabilities = [unit.probability for unit in first.action_units]
    np.testing.assert_allclose(probabilities, list(expected.action_units.values()), atol=1e-3)
    others = [m.faces for m in found if m.camera == "/left/image/compressed"]
    assert [len(f) for f in others] == [1, 1, 0, 1, 1, 1]
    assert {f[0].face_id for f in others if f} == {"g1"}


def test_in_private_the_faces_have_no_points(before_and_after, tmp_path):
    (tmp_path / "private.yaml").write_text("/**: {ros__parameters: {privacy: true}}")
    assert bag(before_and_after[0], tmp_path / "out", "--params-file", tmp_path / "private.yaml") == 0
    faces = [face for _, m in decoded(tmp_path / "out", "/aue_crl/expressions") for face in m.faces]
    assert {len(face.landmarks) for face in faces} == {0}
    assert read_bag(tmp_path / "out").private
    assert not read_bag(before_and_after[1]).private


def test_events_stand_at_the_images_that_showed_them(before_and_after):
    found = decoded(before_and_after[1], "/aue_crl/events")
    assert {m.face_id for _, m in found if m.phase == m.BEGAN} == {"f1", "g1"}
    offsets = {"/head/image": DELAY, "/left/image/compressed": 2 * DELAY}
    for timestamp, message in found:
        stamp = message.header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == timestamp - offsets[message.camera]


def test_the_model_is_described_once_latched_and_first(before_and_after):
    ((timestamp, model),) = decoded(before_and_after[1], "/aue_crl/model")
    assert timestamp == START + 7
    assert list(model.expressions) == list(facs.BASIC_EXPRESSIONS)
    assert model.weights == "edge"
    _, connections, _ = read(before_and_after[1])
    (qos,) = connections["/aue_crl/model"].ext.offered_qos_profiles
    assert (qos.durability, qos.reliability, qos.depth) == (QosDurability.TRANSIENT_LOCAL, QosReliability.RELIABLE, 1)
