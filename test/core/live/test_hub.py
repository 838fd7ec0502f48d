"""What is shown is kept for those who look, and costs nothing while nobody does."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from aue_crl_core.live import hub as hub_module
from aue_crl_core.live.hub import Hub


@pytest.fixture
def drawn(monkeypatch):
    """How often a picture was drawn, as a list that grows."""
    calls, draw = [], hub_module.draw_overlay
    monkeypatch.setattr(hub_module, "draw_overlay", lambda *a, **k: calls.append(1) or draw(*a, **k))
    return calls


def show(hub, image, faces=(), camera="front", **options):
    hub.show(camera, image, faces, (), math.nan, **options)


def pixels(hub, camera="front"):
    _, data = hub.picture(camera, 0, 0.0)
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_a_picture_is_drawn_when_somebody_asks_and_once_for_all(drawn, photograph, happy_face):
    hub = Hub()
    for _ in range(5):
        show(hub, photograph, [happy_face])
    assert drawn == []
    number, first = hub.picture("front", 0, 0.0)
    assert (number, len(drawn)) == (5, 1)
    assert hub.picture("front", 0, 0.0) == (5, first)
    assert len(drawn) == 1
    assert hub.picture("front", 5, 0.0) is None
    assert hub.picture("rear", 0, 0.0) is None


def test_large_pictures_become_smaller(photograph):
    hub = Hub()
    show(hub, np.tile(photograph, (4, 4, 1)))
    assert max(pixels(hub).shape) == 960


@pytest.mark.parametrize("way", ["of the view", "of the image", "withdrawn"])
def test_without_pixels_there_is_a_blank_with_the_face_drawn_on_it(photograph, happy_face, way):
    hub = Hub(pixels=way != "of the view")
    show(hub, photograph, [happy_face], pixels=way != "of the image")
    if way == "withdrawn":
        assert pixels(hub).std() > 20
        hub.withdraw_pixels()
    seen = pixels(hub)
    assert seen.shape[:2] == photograph.shape[:2]
    assert np.ptp(seen[400:]) < 12, "nothing of the uniform below the face"
    assert np.ptp(seen[150:340]) > 100, "but the face's frame"


def test_samples_come_in_order_and_leave_after_half_a_minute(monkeypatch, photograph):
    hub, now_s = Hub(), [100.0]
    monkeypatch.setattr(hub_module.time, "monotonic", lambda: now_s[0])
    for _ in range(50):
        show(hub, photograph)
        now_s[0] += 1
    samples = hub.since(0, 0.0)
    assert [s.number for s in samples] == list(range(20, 51))
    assert [s.number for s in hub.since(48, 0.0)] == [49, 50]
    assert hub.rate("front") == pytest.approx(1.0)
    assert hub.rate("rear") == 0


def test_a_camera_that_is_gone_leaves_no_picture(monkeypatch, photograph):
    hub, now_s = Hub(), [100.0]
    monkeypatch.setattr(hub_module.time, "monotonic", lambda: now_s[0])
    show(hub, photograph, camera="old")
    now_s[0] += 31
    show(hub, photograph, camera="new")
    assert hub.picture("old", 0, 0.0) is None
    assert hub.picture("new", 0, 0.0) is not None


def test_whoever_waits_is_woken_at_the_end():
    hub = Hub()
    hub.close()
    assert hub.since(0, 60.0) == []
    assert hub.picture("front", 0, 60.0) is None
