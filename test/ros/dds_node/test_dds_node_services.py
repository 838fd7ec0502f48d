"""The running node's services: a neutral face is learned and forgotten while the camera goes on."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")
pytest.importorskip("yaml")

from dds_client import Client
from node_bench import steps_of_a_tenth


def test_a_neutral_face_is_learned_and_forgotten_by_service(camera, results, domain, eventually, portrait):
    neutral = camera("neutral", clock=steps_of_a_tenth())
    learn = Client(domain, "/robot/aue_crl/calibrate_neutral", "aue_crl/srv/CalibrateNeutral")
    forget = Client(domain, "/robot/aue_crl/forget_neutral", "aue_crl/srv/ForgetNeutral")
    assert eventually(lambda: learn.available() and forget.available())

    def calibrated():
        _, got = neutral.show(portrait, results)
        (face,) = got.faces
        return face.calibrated

    def answer(client):
        """The next answer; the camera goes on meanwhile."""
        got = []

        def come():
            calibrated()
            got.extend(client.answers())
            return got

        assert eventually(come)
        ((_, message),) = got
        return message

    _, got = neutral.show(portrait, results)
    (face,) = got.faces
    learn.send(1, face_id="nobody", duration=0.0)
    refused = answer(learn)
    assert (refused.success, refused.frames) == (False, 0)
    assert re.fullmatch(rf"no face 'nobody' is followed; those that are: .*\b{face.face_id}\b.*", refused.message)
    learn.send(2, face_id=face.face_id, duration=0.2)
    learned = answer(learn)
    assert (learned.success, learned.frames >= 2) == (True, True), learned.message
    assert calibrated()
    forget.send(1, face_id=face.face_id)
    forgot = answer(forget)
    assert (forgot.success, forgot.message) == (True, f"forgot {face.face_id}")
    assert not calibrated()
    forget.send(2, face_id="")
    assert not answer(forget).success
