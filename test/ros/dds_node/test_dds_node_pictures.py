"""What the running node publishes of faces besides its own messages: ROS4HRI topics and the debug image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")
pytest.importorskip("yaml")

from node_bench import COMPRESSED, IMAGE, steps_of_a_tenth

from aue_crl_core import facs

FAMILIAR = {"neutral": "neutral", "happiness": "happy", "disgust": "disgusted"}


def test_the_faces_are_ros4hri_topics(camera, hear, results, eventually, portrait):
    tracked = hear("/humans/faces/tracked", "hri_msgs/msg/IdsList")
    hri = camera("hri", clock=steps_of_a_tenth())
    _, got = hri.show(portrait, results)
    (face,) = got.faces
    kinds = {
        "roi": "hri_msgs/msg/NormalizedRegionOfInterest2D",
        "landmarks": "hri_msgs/msg/FacialLandmarks",
        "facs": "hri_msgs/msg/FacialActionUnits",
        "expression": "hri_msgs/msg/Expression",
        "cropped": IMAGE,
        "aligned": IMAGE,
    }
    heard = {name: hear(f"/humans/faces/{face.face_id}/{name}", kind) for name, kind in kinds.items()}

    def all_heard():
        hri.show(portrait, results)
        return all(heard.values())

    assert eventually(all_heard)
    _, got = hri.show(portrait, results)
    (face,) = got.faces
    assert eventually(lambda: all(messages[-1].header == got.header for messages in heard.values()))
    last = {name: messages[-1] for name, messages in heard.items()}

    headers = []

    def it_is_the_only_face():  # once those of the tests before are gone
        headers.append(hri.show(portrait, results)[1].header)
        return any([ids.ids for ids in tracked if ids.header == header] == [[face.face_id]] for header in headers)

    assert eventually(it_is_the_only_face)
    assert last["expression"].expression == FAMILIAR[face.expression]
    assert last["expression"].confidence == pytest.approx(face.confidence)
    assert last["facs"].intensity[12] == pytest.approx(face.action_units[facs.ACTION_UNITS.index(12)].probability)
    assert last["facs"].confidence[3] == 0
    assert last["roi"].xmin == pytest.approx(face.box.x_offset / 320, abs=1 / 320)
    assert (last["landmarks"].width, last["landmarks"].height) == (320, 375)
    assert (last["cropped"].width, last["cropped"].height, last["aligned"].width) == (128, 128, 128)


def test_the_debug_image_is_a_picture_of_the_image(camera, hear, results, eventually, portrait):
    pictures = hear("/robot/aue_crl/debug_image/compressed", COMPRESSED)
    value = camera("value")

    def drawn():
        sent, _ = value.show(portrait, results)
        return [sent for picture in pictures if picture.header == sent.header]

    assert eventually(drawn)
    picture = cv2.imdecode(np.asarray(pictures[-1].data), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert picture.shape[1] / picture.shape[0] == pytest.approx(320 / 375, abs=0.01)
    changed = np.abs(cv2.resize(picture, (320, 375)).astype(int) - portrait).max(axis=2) > 60
    assert 0.005 < changed.mean() < 0.6
