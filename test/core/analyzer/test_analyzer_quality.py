"""What is said of a face's pose, sharpness and state, and the limits that decide on it."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.errors import ConfigError


def test_a_tilted_head_is_known_as_one(analyzer, photograph):
    """The picture turned counterclockwise: the head tilts to its own right shoulder."""
    turn = cv2.getRotationMatrix2D((256, 200), 10, 1)
    tilted = cv2.warpAffine(photograph, turn, (512, 600), borderMode=cv2.BORDER_REPLICATE)
    (straight,), (face,) = analyzer(photograph), analyzer(tilted)
    assert abs(straight.quality.yaw) < 0.2
    assert abs(straight.quality.pitch) < 0.3
    assert face.quality.roll - straight.quality.roll == pytest.approx(np.radians(10), abs=0.08)
    assert face.quality.yaw == pytest.approx(straight.quality.yaw, abs=0.15)


@pytest.mark.parametrize(
    ("name", "value", "state"),
    [
        ("min_face_px", 1e4, "low_quality"),
        ("min_sharpness", 1e6, "low_quality"),
        ("sure_face_score", 1.0, "low_quality"),
        ("max_yaw_deg", 0.001, "low_quality"),
        ("max_pitch_deg", 0.001, "low_quality"),
        ("min_mouth_visible", 1.0, "low_quality"),
        ("uncertain_below", 1.0, "uncertain"),
        ("uncertain_below", 0.0, "ok"),
    ],
)
def test_the_state_follows_the_limits(analyzer, photograph, name, value, state):
    config = dataclasses.replace(AnalyzerConfig(), **{name: value})
    (face,) = FaceAnalyzer(analyzer.engine, analyzer.detector, config)(photograph)
    assert face.state == state


def test_the_weights_say_what_is_uncertain_unless_the_user_does(analyzer, photograph):
    class Doubtful:
        """The same engine, whose weights' validation asks for certainty."""

        def __getattr__(self, name):
            return getattr(analyzer.engine, name)

        config = dataclasses.replace(analyzer.engine.config, uncertain_below=1.0)

    (face,) = FaceAnalyzer(Doubtful(), analyzer.detector)(photograph)
    assert face.state == "uncertain"
    (face,) = FaceAnalyzer(Doubtful(), analyzer.detector, AnalyzerConfig(uncertain_below=0.0))(photograph)
    assert face.state == "ok"


def test_a_blurred_face_is_less_sharp(analyzer, hopper, photograph):
    (blurred,) = analyzer(cv2.GaussianBlur(photograph, (0, 0), 4))
    assert blurred.quality.sharpness < 0.3 * hopper.quality.sharpness
    assert blurred.quality.size_px == pytest.approx(hopper.quality.size_px, rel=0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_faces", 0),
        ("detect_every", 0),
        ("lost_after_s", 0),
        ("lost_after_s", float("inf")),
        ("min_face_score", 1.5),
        ("uncertain_below", float("nan")),
        ("min_face_px", -1),
        ("min_sharpness", float("nan")),
        ("max_yaw_deg", 0),
        ("max_pitch_deg", 181),
        ("min_mouth_visible", 1.5),
    ],
)
def test_settings_are_checked(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be"):
        AnalyzerConfig(**{name: value})
