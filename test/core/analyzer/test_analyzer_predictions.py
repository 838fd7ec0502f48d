"""From images to predictions, on real photographs. What the expression is, is a matter for the evaluation."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core import facs
from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.faces.crop import apply, crop_face, inverse, map_from_points
from aue_crl_core.faces.mirrored import MirroredEngine
from aue_crl_core.faces.visibility import visible_parts
from aue_crl_core.types import Frame


def test_the_face_of_a_portrait_is_found_where_it_is(hopper):
    assert hopper.face_id == "f1"
    right, left = hopper.landmarks[36:42].mean(axis=0), hopper.landmarks[42:48].mean(axis=0)
    assert np.linalg.norm(right - (223, 176)) < 25
    assert np.linalg.norm(left - (309, 176)) < 25
    assert hopper.quality.face_score > 0.7
    assert hopper.state != "low_quality"


def test_a_prediction_keeps_its_promises(hopper):
    assert list(hopper.probabilities) == list(facs.BASIC_EXPRESSIONS)
    assert sum(hopper.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert hopper.confidence == max(hopper.probabilities.values()) == hopper.probabilities[hopper.expression]
    assert list(hopper.action_units) == list(hopper.attention) == list(facs.ACTION_UNITS)
    assert all(0 <= p <= 1 for p in hopper.action_units.values())
    assert sum(hopper.attention.values()) == pytest.approx(1, abs=1e-5)
    assert hopper.landmarks.shape == (68, 2)
    assert hopper.landmarks.dtype == np.float32


def test_the_record_is_json_as_it_stands(hopper, photograph):
    record = json.loads(json.dumps(hopper.as_record(Frame(photograph, "hopper.jpg", index=3, time_s=0.12))))
    assert (record["source"], record["frame"], record["time_s"], record["face_id"]) == ("hopper.jpg", 3, 0.12, "f1")
    assert np.shape(record["landmarks"]) == (68, 2)
    assert record["state"] in ("ok", "uncertain", "low_quality")


def test_most_photographs_have_a_face_with_its_points_in_its_box(analyzer, raf_images):
    found = [analyzer(image) for image in raf_images]
    assert sum(map(bool, found)) >= len(raf_images) - 2
    for face in (face for faces in found for face in faces):
        x, y, w, h = face.box.as_list()
        low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
        assert (low >= np.array((x, y)) - 1e-2).all()
        assert (high <= np.array((x + w, y + h)) + 1e-2).all()


def test_several_faces_are_given_largest_first_and_no_more_than_asked_for(analyzer, photograph):
    small = cv2.resize(photograph, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    canvas = np.zeros((600, 800, 3), np.uint8)
    canvas[:300, :256], canvas[:, 288:] = small, photograph
    faces = analyzer(canvas)
    assert [f.face_id for f in faces] == ["f1", "f2"]
    assert faces[0].box.x > 288 > faces[1].box.x
    one = FaceAnalyzer(analyzer.engine, analyzer.detector, AnalyzerConfig(max_faces=1))
    assert [f.box.x > 288 for f in one(canvas)] == [True]


def test_images_without_a_face_give_none(analyzer, empty):
    for image in (empty, np.zeros((240, 320, 3), np.uint8), np.full((240, 320, 3), 255, np.uint8)):
        assert analyzer(image) == []


def test_a_mirrored_photograph_is_read_the_same(analyzer, photograph, hopper):
    (face,) = analyzer(np.ascontiguousarray(photograph[:, ::-1]))
    assert face.expression == hopper.expression
    for unit, probability in hopper.action_units.items():
        assert face.action_units[unit] == pytest.approx(probability, abs=0.15)  # the boxes differ by some pixels


def test_a_photograph_is_read_in_the_mirror_as_well_a_cameras_frame_is_not(analyzer, photograph, hopper):
    once = FaceAnalyzer(analyzer.engine, analyzer.detector, AnalyzerConfig(mirror_stills=False))
    (plain,) = once(photograph)
    ((frame,),) = FaceAnalyzer(analyzer.engine, analyzer.detector).process([Frame(photograph, camera="a")])
    assert frame.probabilities == pytest.approx(plain.probabilities, abs=1e-6)
    assert hopper.probabilities != pytest.approx(plain.probabilities, abs=1e-4)


def test_a_photographs_face_is_read_in_two_crops(analyzer, photograph, hopper):
    """As the landmark net frames it, and 7 % more of the picture; each in the mirror as well."""
    mirrored = MirroredEngine(analyzer.engine)
    ((face,),) = analyzer.find([photograph])
    seen, parts = [], []
    for more in (1.0, 1.07):
        preprocessing = analyzer.engine.config.preprocessing
        framed = replace(preprocessing, margin=(1 + preprocessing.margin) * more - 1)
        to_image = map_from_points(face.points, framed)
        crop = crop_face(photograph, to_image, framed.input_size).image
        points = apply(inverse(to_image), face.points).astype(np.float32)
        seen.append(mirrored.predict(crop[None], points[None]))
        parts += visible_parts([crop, crop[:, ::-1]])
    for name, told in (("probabilities", hopper.probabilities), ("action_units", hopper.action_units)):
        assert list(told.values()) == pytest.approx(np.mean([getattr(out, name)[0] for out in seen], axis=0), abs=1e-5)
    visible = (hopper.quality.eyes_visible, hopper.quality.mouth_visible)
    assert visible == pytest.approx(np.mean(parts, axis=0), abs=1e-5)


def test_photographs_and_frames_of_cameras_keep_their_places_in_one_call(analyzer, photograph, empty):
    both = FaceAnalyzer(analyzer.engine, analyzer.detector)
    still, nothing, frame = both.process([Frame(photograph), Frame(empty), Frame(photograph, camera="a")])
    assert [len(faces) for faces in (still, nothing, frame)] == [1, 0, 1]
    assert still[0].probabilities == pytest.approx(analyzer(photograph)[0].probabilities, abs=1e-6)
