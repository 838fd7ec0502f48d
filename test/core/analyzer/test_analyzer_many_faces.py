"""Many faces, people who cross, a face that leaves and comes back."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.types import Frame, Image


def _head(analyzer: FaceAnalyzer, image: Image, side: int = 130) -> Image:
    """The largest face of a photograph with hair and chin, its box `side` px."""
    box = analyzer(image)[0].box
    x, y = max(0, round(box.x - 0.35 * box.w)), max(0, round(box.y - 0.45 * box.h))
    head = image[y : round(box.y + 1.2 * box.h), x : round(box.x + 1.35 * box.w)]
    return cv2.resize(head, None, fx=side / box.w, fy=side / box.w, interpolation=cv2.INTER_AREA)


def _held(canvas: Image, head: Image, x: float, y: float) -> None:
    """Paste an oval of `head` with its middle at (x, y)."""
    rows, columns = np.mgrid[-1 : 1 : head.shape[0] * 1j, -1 : 1 : head.shape[1] * 1j]
    oval = rows**2 + columns**2 < 1
    top, left = round(y - head.shape[0] / 2), round(x - head.shape[1] / 2)
    place = canvas[top : top + head.shape[0], left : left + head.shape[1]]
    place[oval] = head[oval]


def _room() -> Image:
    rng = np.random.default_rng(0)
    return cv2.GaussianBlur(rng.integers(60, 180, (480, 640, 3)).astype(np.uint8), (0, 0), 2)


@pytest.fixture(scope="module")
def heads(analyzer, raf_images):
    """Of people who look into the camera."""
    faces = [image for image in raf_images if len(found := analyzer(image)) == 1 and abs(found[0].quality.yaw) < 0.4]
    return [_head(analyzer, image) for image in faces[:4]]


def test_two_people_who_cross_keep_their_ids(analyzer, heads):
    step = 8  # pixels a frame, each
    kept = 0
    for behind, before in pairwise(heads):
        tracking, began, ended = FaceAnalyzer(analyzer.engine, analyzer.detector), {}, {}
        for number in range(400 // step):
            frame = _room()
            _held(frame, behind, 520 - step * number, 250)
            _held(frame, before, 120 + step * number, 230)
            ended = {f.face_id: f.box.x for f in tracking.process([Frame(frame, time_s=number / 30, camera="door")])[0]}
            began = began if len(began) == 2 else ended
        kept += sorted(began, key=began.__getitem__) == sorted(ended, key=ended.__getitem__, reverse=True)
    assert kept >= len(heads) - 2  # of len(heads) - 1 crossings


def test_a_face_that_is_away_for_less_than_a_second_comes_back_under_its_id(analyzer, heads):
    tracking, ids = FaceAnalyzer(analyzer.engine, analyzer.detector), []
    for number in range(60):
        frame = _room()
        if not 10 <= number < 34:  # away for 0.8 s
            _held(frame, heads[0], 250 + 2 * number, 240)
        ids.append([face.face_id for face in tracking.process([Frame(frame, time_s=number / 30, camera="desk")])[0]])
    assert ids[9] == ["f1"]
    assert ids[20] == []
    assert ids[-1] == ["f1"]


def test_a_poster_of_sixty_four_faces(analyzer, photograph):
    head = cv2.resize(_head(analyzer, photograph), (150, 190), interpolation=cv2.INTER_AREA)
    poster = np.tile(head, (8, 8, 1))
    every = FaceAnalyzer(analyzer.engine, analyzer.detector, AnalyzerConfig(max_faces=64))
    found = every(poster)
    assert len(found) == 64
    cells = {(int((f.box.y + f.box.h / 2) // 190), int((f.box.x + f.box.w / 2) // 150)) for f in found}
    assert len(cells) == 64
    assert len(analyzer(poster)) == analyzer.config.max_faces


def test_small_faces_are_followed_and_called_of_low_quality(analyzer, photograph):
    head = _head(analyzer, photograph, 26)
    tracking, seen = FaceAnalyzer(analyzer.engine, analyzer.detector), []
    for number in range(20):
        frame = np.full((480, 640, 3), 120, np.uint8)
        _held(frame, head, 200 + number, 200)
        seen.append(tracking.process([Frame(frame, time_s=number / 30, camera="hall")])[0])
    assert {face.face_id for faces in seen for face in faces} == {"f1"}
    assert sum(len(faces) for faces in seen) >= 18
    strict = FaceAnalyzer(analyzer.engine, analyzer.detector, AnalyzerConfig(min_face_px=40))
    assert [face.state for face in strict(frame)] == ["low_quality"]
