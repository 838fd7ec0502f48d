"""A face small enough for a bag of it to be read at once."""

from __future__ import annotations

import cv2
import pytest


@pytest.fixture(scope="session")
def portrait(photograph):
    """The photograph at 256x300."""
    return cv2.resize(photograph, (256, 300), interpolation=cv2.INTER_AREA)
