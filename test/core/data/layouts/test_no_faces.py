"""Pictures without a face, and the places in them that a detector takes for one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from aue_crl_core.data.layouts import no_faces
from aue_crl_core.data.prepare import prepare
from aue_crl_core.errors import DatasetError


@pytest.fixture
def pictures(tmp_path, photograph):
    """Three plain pictures, and one in which the detector sees a face (a real one: the layout believes its user)."""
    root = tmp_path / "pictures"
    (root / "deeper").mkdir(parents=True)
    for name in ("a.png", "b.png", "deeper/c.png"):
        cv2.imwrite(str(root / name), np.full((80, 120, 3), 128, np.uint8))
    cv2.imwrite(str(root / "taken.png"), cv2.cvtColor(photograph, cv2.COLOR_RGB2BGR))
    return root


def test_a_picture_in_which_nothing_is_seen_has_no_box_and_no_record_has_a_label(pictures):
    records = {r.image: r for r in no_faces.read(pictures)}
    assert set(records) == {"a.png", "b.png", "deeper/c.png", "taken.png"}
    assert all(r.usable and r.label is None and r.points is None for r in records.values())
    assert records["a.png"].box is None
    assert records["taken.png"].box_source == "yunet"
    assert 100 < records["taken.png"].box.w < 250


def test_a_tenth_is_for_validation_by_name(pictures):
    for number in range(200):
        (pictures / f"{number}.png").write_bytes((pictures / "a.png").read_bytes())
    splits = [r.split for r in no_faces.read(pictures)]
    assert 8 <= splits.count("valid") <= 35
    assert splits == [r.split for r in no_faces.read(pictures)]


def test_a_damaged_picture_is_named_with_the_reason(pictures):
    (pictures / "b.png").write_bytes((pictures / "b.png").read_bytes()[:40])
    (broken,) = [r for r in no_faces.read(pictures) if not r.usable]
    assert broken.image == "b.png"
    assert broken.reason


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="must hold pictures"):
        list(no_faces.read(tmp_path))


def test_it_is_prepared_like_any_layout(pictures, tmp_path):
    pytest.importorskip("pyarrow")
    report = prepare("no-faces", pictures, tmp_path / "index.parquet", None)
    assert report.unusable == 0
    assert len(report.index.records) == 4
