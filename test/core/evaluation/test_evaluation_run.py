"""Evaluation goes the robot's way: every labelled image counts, found or not."""

from __future__ import annotations

import dataclasses

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("pyarrow")

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.data.prepare import prepare
from aue_crl_core.errors import ConfigError, DatasetError
from aue_crl_core.evaluation.run import evaluate
from aue_crl_core.facs import ACTION_UNITS
from aue_crl_core.types import FaceBox


@pytest.fixture(scope="module")
def analyzer():
    return FaceAnalyzer.load(threads=1)


@pytest.fixture(scope="module")
def photographs(raf_root, tmp_path_factory):
    """Six photographs without boxes."""
    index = prepare("raf-db", raf_root, tmp_path_factory.mktemp("index") / "raf.parquet", None).index
    return dataclasses.replace(index, records=index.select("test").records[:6])


@pytest.fixture(scope="module")
def thumbnails(fer_root, tmp_path_factory):
    """The usable ones of FER+'s validation part, with the boxes of the dataset."""
    index = prepare("ferplus", fer_root, tmp_path_factory.mktemp("index") / "fer.parquet", None).index
    return index.select("valid")


def with_blank(index, tmp_path):
    """The same records; the first one's image shows no face, the last one's is gone."""
    import shutil

    import cv2
    import numpy as np

    for record in index.records[:-1]:
        (tmp_path / record.image).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(index.path(record), tmp_path / record.image)
    cv2.imwrite(str(tmp_path / index.records[0].image), np.full((200, 200, 3), 128, np.uint8))
    return dataclasses.replace(index, root=tmp_path)


def test_every_labelled_image_is_scored_by_both_heads(analyzer, thumbnails):
    calls = []
    result = evaluate(analyzer, thumbnails, progress=lambda done, total: calls.append((done, total)))
    labelled = [r for r in thumbnails.records if r.label is not None]
    assert set(result.heads) == {"fused", "expression"}
    assert {m.n for m in result.heads.values()} == {len(labelled)}
    assert result.problems == ()
    assert calls[-1] == (len(labelled), len(labelled))


def test_the_figures_are_those_of_the_analyzer(analyzer, photographs):
    from aue_crl_core.media.reading.pixels import load_image

    right = 0
    for record in photographs.records:
        faces = analyzer(load_image(photographs.path(record)))
        right += bool(faces) and faces[0].expression == photographs.classes[record.label]
    assert evaluate(analyzer, photographs).heads["fused"].accuracy == pytest.approx(right / 6)


def test_images_without_a_face_and_images_that_are_gone_are_errors(analyzer, photographs, tmp_path):
    result = evaluate(analyzer, with_blank(photographs, tmp_path))
    metrics = result.heads["fused"]
    assert (metrics.n, metrics.n_missed) == (6, 2)
    reasons = dict(result.problems)
    assert reasons[photographs.records[0].image] == "no face found"
    assert "does not exist" in reasons[photographs.records[-1].image]


def test_boxes_of_prepare_are_used_only_when_asked_for(analyzer, photographs, tmp_path):
    box = FaceBox(40, 40, 120, 120)
    boxed = tuple(dataclasses.replace(r, box=box, box_source="found") for r in photographs.records)
    index = with_blank(dataclasses.replace(photographs, records=boxed), tmp_path)
    assert evaluate(analyzer, index, "auto").heads["fused"].n_missed == 2
    assert evaluate(analyzer, index, "index").heads["fused"].n_missed == 1
    given = tuple(dataclasses.replace(r, box_source="layout") for r in boxed)
    index = dataclasses.replace(index, records=given)
    assert evaluate(analyzer, index, "auto").heads["fused"].n_missed == 1
    assert evaluate(analyzer, index, "detect").heads["fused"].n_missed == 2


def test_another_vocabulary_is_refused(analyzer, photographs):
    other = dataclasses.replace(photographs, vocabulary="compound")
    with pytest.raises(
        DatasetError, match=r"must know the index's 11 classes .*got 7: .*weights of vocabulary compound"
    ):
        evaluate(analyzer, other)


def test_a_dataset_that_moved_is_named(analyzer, photographs, tmp_path):
    moved = dataclasses.replace(photographs, root=tmp_path / "gone")
    with pytest.raises(DatasetError, match=r"none of the 6 images could be read, the first because .* with --root"):
        evaluate(analyzer, moved)


def test_a_split_without_labels_is_refused(analyzer, photographs):
    bare = tuple(dataclasses.replace(r, label=None) for r in photographs.records)
    with pytest.raises(DatasetError, match="no labelled image"):
        evaluate(analyzer, dataclasses.replace(photographs, records=bare))


def test_another_box_source_is_refused(analyzer, photographs):
    with pytest.raises(ConfigError, match="boxes must be one of auto, index, detect, got 'all'"):
        evaluate(analyzer, photographs, "all")


def coded(index, **row):
    """The same records with AU 12 and 25 labelled as seen in the first half, the rest of the units unlabelled."""
    half = len(index.records) // 2
    units = [tuple(int(i < half) if unit in (12, 25) else -1 for unit in ACTION_UNITS) for i in range(2 * half)]
    records = zip(index.records, units, strict=True)
    return dataclasses.replace(
        index, records=tuple(dataclasses.replace(r, action_units=code, **row) for r, code in records)
    )


def test_action_unit_labels_are_scored_beside_the_expressions(analyzer, photographs):
    from aue_crl_core.media.reading.pixels import load_image

    index = coded(photographs)
    result = evaluate(analyzer, index)
    assert [unit.unit for unit in result.action_units.units] == [12, 25]
    assert result.action_units.n == 6
    assert result.heads == evaluate(analyzer, photographs).heads
    seen = sum(analyzer(load_image(index.path(r)))[0].action_units[12] >= 0.5 for r in index.records[:3])
    assert result.action_units.units[0].recall == pytest.approx(seen / 3)


def test_an_index_with_action_unit_labels_only(analyzer, photographs):
    index = dataclasses.replace(coded(photographs, label=None), vocabulary="compound")
    result = evaluate(analyzer, index)
    assert result.heads == {}
    assert result.action_units == evaluate(analyzer, coded(photographs)).action_units


def test_a_frame_without_a_face_shows_no_action_unit(analyzer, photographs, tmp_path):
    result = evaluate(analyzer, with_blank(coded(photographs), tmp_path))
    assert result.action_units.n_missed == 2


def test_without_action_unit_labels_there_are_no_such_metrics(analyzer, photographs):
    assert evaluate(analyzer, photographs).action_units is None
