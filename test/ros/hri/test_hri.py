"""ROS4HRI topics: what a subscriber of REP-155 gets, values after CDR."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_transport import SECOND, START_NS, MemoryTransport

from aue_crl_core import FaceAnalyzer, facs
from aue_crl_core.dynamics.readings import FaceReading
from aue_crl_core.faces.crop import apply, roll
from aue_crl_core.types import FaceBox, FacePrediction, FaceQuality
from aue_crl_ros.hri.faces import HriTopics
from aue_crl_ros.parameters.declarations import Settings
from aue_crl_ros.session.readings import Observation

pytest.importorskip("rosbags")


@pytest.fixture
def transport():
    return MemoryTransport()


def a_face(face_id="f1", **changes):
    points = np.random.default_rng(5).uniform((30, 20), (70, 70), (68, 2)).astype(np.float32)
    face = FacePrediction(
        face_id=face_id,
        box=FaceBox(30.0, 20.0, 40.0, 50.0, 0.9),
        expression="happiness",
        confidence=0.75,
        probabilities=dict.fromkeys(facs.BASIC_EXPRESSIONS, 0.0) | {"happiness": 0.75, "neutral": 0.25},
        action_units={unit: unit / 100 for unit in facs.ACTION_UNITS},
        landmarks=points,
        state="ok",
        quality=FaceQuality(50.0, 100.0, 0.96),
    )
    return replace(face, **changes)


def seen(transport, *faces, visible=facs.ACTION_UNITS, **changes):
    observation = Observation(
        camera="/left/image",
        header=transport.header(),
        stamp_ns=START_NS,
        image=np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8),
        faces=tuple(FaceReading(face, frozenset(visible)) for face in faces),
        live_ids=tuple(face.face_id for face in faces),
    )
    return replace(observation, **changes)


PER_FACE = ("roi", "landmarks", "facs", "expression", "cropped", "aligned")
PRIVATE = ("roi", "facs", "expression")


def topics_of(*ids, names=PER_FACE):
    return {f"{face_id}/{name}" for face_id in ids for name in names}


def test_a_face_has_all_its_topics_with_reliable_results_and_the_images_header(transport):
    HriTopics(transport, Settings(hri=True)).publish(seen(transport, a_face()))
    assert transport.offered() == {"tracked"} | topics_of("f1")
    assert all(t.qos.reliable and not t.qos.latched for t in transport.published)
    for name in ("tracked", *topics_of("f1")):
        (message,) = transport.sent(name)
        assert message.header == transport.header()
    assert transport.last("tracked").ids == ["f1"]


def test_topics_come_before_their_id_is_listed_and_go_with_it(transport):
    topics = HriTopics(transport, Settings(hri=True))
    topics.publish(seen(transport))
    assert transport.last("tracked").ids == []
    topics.publish(seen(transport, a_face("f1"), a_face("f2")))
    assert transport.last("tracked").ids == ["f1", "f2"]
    topics.publish(seen(transport, a_face("f2"), live_ids=("f1", "f2")))  # f1 unseen, not lost
    assert transport.last("tracked").ids == ["f1", "f2"]
    assert (len(transport.sent("f1/roi")), len(transport.sent("f2/roi"))) == (1, 2)
    topics.publish(seen(transport, a_face("f2"), ended_ids=("f1",)))
    assert transport.last("tracked").ids == ["f2"]
    assert transport.offered() == {"tracked"} | topics_of("f2")


def test_faces_of_all_cameras_are_listed_together(transport):
    topics = HriTopics(transport, Settings(hri=True))
    topics.publish(seen(transport, a_face("f1")))
    topics.publish(seen(transport, a_face("g1"), camera="/right/image"))
    assert transport.last("tracked").ids == ["f1", "g1"]
    topics.publish(seen(transport, camera="/left/image"))
    assert transport.last("tracked").ids == ["g1"]


def test_faces_of_a_camera_that_has_fallen_silent_end(transport):
    topics = HriTopics(transport, Settings(hri=True, stale_after_s=2.0))
    topics.publish(seen(transport, a_face("f1")))
    transport.time_ns += 3 * SECOND
    topics.publish(seen(transport, a_face("g1"), camera="/right/image"))
    assert transport.last("tracked").ids == ["g1"]
    topics.expire()
    assert len(transport.sent("tracked")) == 2
    transport.time_ns += 3 * SECOND
    topics.expire()
    assert transport.last("tracked").ids == []
    assert transport.last("tracked").header == transport.header(transport.time_ns, "")
    assert transport.offered() == {"tracked"}


def test_the_region_is_the_box_over_the_images_size(transport):
    HriTopics(transport, Settings(hri=True)).publish(seen(transport, a_face()))
    roi = transport.last("f1/roi")
    assert [roi.xmin, roi.ymin, roi.xmax, roi.ymax] == pytest.approx([0.15, 0.2, 0.35, 0.7])
    assert roi.c == pytest.approx(0.96)


@given(*[st.floats(-1000, 1000)] * 2, *[st.floats(0, 1000)] * 2)
def test_a_region_stays_in_the_unit_square(x, y, w, h):
    transport = MemoryTransport()
    HriTopics(transport, Settings(hri=True)).publish(seen(transport, a_face(box=FaceBox(x, y, w, h))))
    roi = transport.last("f1/roi")
    assert 0 <= roi.xmin <= roi.xmax <= 1
    assert 0 <= roi.ymin <= roi.ymax <= 1


def test_landmarks_are_over_the_images_size_and_sure_only_where_they_were_seen(transport):
    points = a_face().landmarks.copy()
    points[0] = (-5, 50)
    points[16] = (200.5, 50)
    HriTopics(transport, Settings(hri=True)).publish(seen(transport, a_face(landmarks=points)))
    message = transport.last("f1/landmarks")
    assert (message.width, message.height, len(message.landmarks)) == (200, 100, 70)
    places = np.array([(p.x, p.y) for p in message.landmarks])
    np.testing.assert_allclose(places[:68], np.clip(points / (200, 100), 0, 1), atol=1e-6)
    np.testing.assert_allclose(places[68], points[36:42].mean(axis=0) / (200, 100), atol=1e-6)
    np.testing.assert_allclose(places[69], points[42:48].mean(axis=0) / (200, 100), atol=1e-6)
    sure = [p.c for p in message.landmarks]
    assert [i for i, c in enumerate(sure) if c == 0] == [0, 16, 68, 69]
    assert {round(c, 4) for c in sure if c} == {0.96}


def test_action_units_stand_at_their_facs_codes(transport):
    visible = frozenset(facs.ACTION_UNITS) - {6}
    HriTopics(transport, Settings(hri=True)).publish(seen(transport, a_face(), visible=visible))
    message = transport.last("f1/facs")
    assert len(message.intensity) == len(message.confidence) == 99
    assert message.intensity[12] == pytest.approx(0.12)
    for code in range(99):
        assert message.intensity[code] == pytest.approx(code / 100 if code in facs.ACTION_UNITS else 0)
        assert message.confidence[code] == pytest.approx(0.96 if code in visible else 0)


def test_of_a_face_of_low_quality_nothing_is_sure(transport):
    HriTopics(transport, Settings(hri=True)).publish(seen(transport, a_face(state="low_quality")))
    message = transport.last("f1/facs")
    assert not message.intensity.any()
    assert not message.confidence.any()
    assert (transport.last("f1/expression").expression, transport.last("f1/expression").confidence) == ("happy", 0)


def test_the_expression_has_hri_msgs_name_and_a_place_in_the_circumplex(transport):
    HriTopics(transport, Settings(hri=True)).publish(seen(transport, a_face()))
    message = transport.last("f1/expression")
    assert (message.expression, message.confidence) == ("happy", pytest.approx(0.75))
    assert (message.valence, message.arousal) == (pytest.approx(0.75 * 0.81), pytest.approx(0.75 * 0.51))


def bgr_pixels(message):
    assert (message.encoding, message.is_bigendian, message.step) == ("bgr8", 0, 3 * message.width)
    return message.data.reshape(message.height, message.width, 3)


def test_the_crop_is_the_box_scaled_centred_and_black_around(transport):
    observation = seen(transport, a_face())
    HriTopics(transport, Settings(hri=True)).publish(observation)
    crop = bgr_pixels(transport.last("f1/cropped"))
    assert crop.shape == (128, 128, 3)
    inside = cv2.resize(observation.image[20:70, 30:70], (102, 128), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(crop[:, 13:115], inside[:, :, ::-1])
    assert not crop[:, :13].any()
    assert not crop[:, 115:].any()


def test_the_aligned_face_is_a_real_face_with_level_eyes(transport, photograph):
    height, width = photograph.shape[:2]
    rotation = cv2.getRotationMatrix2D((width / 2, height / 2), 25, 1)
    turned = cv2.warpAffine(photograph, rotation, (width, height))
    analyzer = FaceAnalyzer.load()
    face = max(analyzer(photograph), key=lambda face: face.box.w)
    face = replace(face, landmarks=apply(rotation, face.landmarks).astype(np.float32))
    assert abs(roll(face.landmarks)) > 0.3
    HriTopics(transport, Settings(hri=True)).publish(seen(transport, face, image=turned))
    aligned = bgr_pixels(transport.last(f"{face.face_id}/aligned"))
    assert aligned.shape == (128, 128, 3)
    (output,) = analyzer.in_boxes([aligned[:, :, ::-1]], [FaceBox(16, 16, 96, 96)])
    assert output.face.score > 0.9
    assert abs(roll(output.face.points)) < 0.1


def test_with_privacy_neither_pixels_nor_points_are_offered_and_the_rest_is(transport):
    HriTopics(transport, Settings(hri=True, privacy=True)).publish(seen(transport, a_face()))
    assert transport.offered() == {"tracked"} | topics_of("f1", names=PRIVATE)


def test_privacy_can_be_switched_while_running(transport):
    topics = HriTopics(transport, Settings(hri=True))
    topics.publish(seen(transport, a_face()))
    topics.update(Settings(hri=True, privacy=True))
    assert transport.offered() == {"tracked"} | topics_of("f1", names=PRIVATE)
    topics.publish(seen(transport, a_face()))
    assert len(transport.sent("f1/cropped")) == 1
    topics.update(Settings(hri=True))
    topics.publish(seen(transport, a_face()))
    assert len(transport.sent("f1/cropped")) == 2


def test_what_nobody_listens_to_is_not_made(transport):
    transport.audience = lambda name: int(name.endswith("roi"))
    topics = HriTopics(transport, Settings(hri=True))
    topics.publish(seen(transport, a_face("f1"), a_face("f2")))
    assert {t.name.split("/")[-1] for t in transport.published if t.sent} == {"tracked", "roi"}


def test_listeners_are_those_of_all_topics(transport):
    audience = {"/humans/faces/tracked": 2, "/humans/faces/f1/facs": 3}
    transport.audience = lambda name: audience.get(name, 0)
    topics = HriTopics(transport, Settings(hri=True))
    assert topics.listeners() == 2
    topics.publish(seen(transport, a_face()))
    assert topics.listeners() == 5
    audience.clear()
    assert topics.listeners() == 0


def test_clearing_ends_all_faces_and_closing_withdraws_all_topics(transport):
    topics = HriTopics(transport, Settings(hri=True))
    topics.publish(seen(transport, a_face()))
    topics.clear()
    assert transport.last("tracked").ids == []
    assert transport.offered() == {"tracked"}
    topics.clear()
    assert len(transport.sent("tracked")) == 2
    topics.publish(seen(transport, a_face()))
    topics.close()
    assert transport.last("tracked").ids == []
    assert transport.offered() == set()
    topics.close()


@pytest.mark.parametrize("source", ["cropped", "aligned"])
def test_of_another_nodes_faces_only_what_was_read_in_them_is_published(transport, source):
    topics = HriTopics(transport, Settings(hri=True, face_source=source))
    assert transport.offered() == set()
    transport.audience = lambda name: 0
    assert topics.listeners() == 1
    transport.audience = lambda name: 2
    face = seen(transport, a_face("abc"), camera="/humans/faces", face_id="abc", live_ids=("abc", "xyz"))
    topics.publish(face)
    assert transport.offered() == topics_of("abc", "xyz", names=("facs", "expression"))
    assert topics.listeners() == 8
    assert transport.last("abc/expression").header == transport.header()
    assert transport.last("abc/facs").intensity[25] == pytest.approx(0.25)
    topics.publish(replace(face, live_ids=("abc",), ended_ids=("xyz",)))
    assert transport.offered() == topics_of("abc", names=("facs", "expression"))
    topics.close()
    assert transport.offered() == set()
