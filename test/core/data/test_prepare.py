"""From a dataset on disk to an index, once: what is done stays done, what cannot be used is listed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("onnxruntime")

from aue_crl_core.data.finders import OwnFinder
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.prepare import NO_FACE, prepare
from aue_crl_core.errors import DatasetError


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "index" / "raf.parquet"


def _cache(output: Path) -> Path:
    return output.with_name(output.name + ".faces.jsonl")


def _image(root: Path, position: int) -> Path:
    return sorted((root / "basic/Image/original").iterdir())[position]


def test_every_image_gets_a_box_and_points_inside_of_it(prepared):
    found = [r for r in prepared.records if r.usable]
    assert len(prepared.records) == 8
    assert len(found) >= 7
    for record in found:
        low, high = record.points.min(axis=0), record.points.max(axis=0)
        assert record.points.shape == (68, 2)
        np.testing.assert_allclose([*low, *(high - low)], record.box.as_list(), atol=0.02)
        assert (record.box_source, record.points_source) == ("found", "landmark_net")


def test_what_is_returned_is_what_was_written(small_raf, output):
    report = prepare("raf-db", small_raf, output, OwnFinder)
    read = DatasetIndex.read(output)
    assert read.data_hash == report.index.data_hash
    assert read.root == small_raf.resolve()
    for mine, theirs in zip(report.index.records, read.records, strict=True):
        assert mine.image == theirs.image
        np.testing.assert_array_equal(mine.points, theirs.points)


def test_a_second_run_takes_all_from_the_cache_and_agrees(small_raf, output):
    steps = []
    first = prepare("raf-db", small_raf, output, OwnFinder, progress=lambda done, total: steps.append((done, total)))
    second = prepare("raf-db", small_raf, output, OwnFinder)
    assert steps == [(done, 8) for done in range(9)]
    assert (first.from_cache, second.from_cache) == (0, 8)
    for mine, theirs in zip(first.index.records, second.index.records, strict=True):
        np.testing.assert_allclose(mine.points, theirs.points, atol=0.01)


def test_only_a_changed_image_is_done_again(small_raf, output):
    prepare("raf-db", small_raf, output, None)
    shutil.copy(_image(small_raf, 1), _image(small_raf, 0))
    os.utime(_image(small_raf, 0), ns=(1, 1))
    assert prepare("raf-db", small_raf, output, None).from_cache == 7


def test_a_run_without_a_finder_is_no_cache_for_one_with(small_raf, output):
    assert all(r.points is None for r in prepare("raf-db", small_raf, output, None).index.records)
    report = prepare("raf-db", small_raf, output, OwnFinder)
    assert report.from_cache == 0
    assert any(r.points is not None for r in report.index.records)
    assert prepare("raf-db", small_raf, output, None).from_cache == 8


def test_the_last_line_of_a_killed_run_is_passed_over_and_spoils_no_other(small_raf, output):
    prepare("raf-db", small_raf, output, None)
    lines = _cache(output).read_text().splitlines()
    _cache(output).write_text("\n".join(lines[:4]) + "\n" + lines[4][:30])
    assert prepare("raf-db", small_raf, output, None).from_cache == 4
    assert prepare("raf-db", small_raf, output, None).from_cache == 8


@pytest.mark.parametrize("line", ["[]", "3", "{}", '{"finder": ""}', '{"image": "a", "finder": "", "asked": 1}'])
def test_cache_lines_of_another_form_are_passed_over(small_raf, output, line):
    output.parent.mkdir()
    _cache(output).write_text(line + "\n")
    assert prepare("raf-db", small_raf, output, None).from_cache == 0


def test_one_image_may_hold_several_labelled_faces(small_raf, output):
    boxes = small_raf / "basic/Annotation/boundingbox"
    boxes.mkdir(parents=True)
    box = boxes / f"{_image(small_raf, 0).stem}.txt"
    box.write_text("0 0 50 50")
    prepare("raf-db", small_raf, output, None)
    box.write_text("50 50 100 100")
    assert prepare("raf-db", small_raf, output, None).from_cache == 7


def test_problems_are_listed_with_their_reason_and_nothing_is_dropped(small_raf, output):
    gone, broken, blank = (_image(small_raf, i) for i in range(3))
    gone.unlink()
    broken.write_bytes(broken.read_bytes()[:500])
    blank.write_bytes(_white_png())
    report = prepare("raf-db", small_raf, output, OwnFinder)
    records = {Path(r.image).name: r for r in report.index.records}
    assert len(records) == 8
    assert [records[p.name].usable for p in (gone, broken, blank)] == [False, False, False]
    assert "does not exist" in records[gone.name].reason
    assert "not a whole image" in records[broken.name].reason
    assert records[blank.name].reason == NO_FACE
    assert {Path(r.image).name for r in report.problems} >= {gone.name, broken.name, blank.name}
    assert report.unusable == sum(not r.usable for r in records.values())


def _white_png() -> bytes:
    import cv2

    return cv2.imencode(".png", np.full((120, 120, 3), 255, np.uint8))[1].tobytes()


def test_an_image_that_arrives_later_is_found_then(small_raf, output):
    path = _image(small_raf, 0)
    data = path.read_bytes()
    path.unlink()
    assert prepare("raf-db", small_raf, output, None).unusable == 1
    path.write_bytes(data)
    assert prepare("raf-db", small_raf, output, None).unusable == 0


def test_a_box_of_the_layout_keeps_an_image_usable_where_no_face_is_found(fer_root, tmp_path):
    folder = tmp_path / "data/FER2013Train"
    folder.mkdir(parents=True)
    (folder / "blank.png").write_bytes(_white_png())
    (folder / "label.csv").write_text('blank.png,"(0, 0, 120, 120)",9,0,0,0,0,0,0,0,0,0\n')
    (record,) = prepare("ferplus", tmp_path, tmp_path / "i.parquet", OwnFinder).index.records
    assert (record.usable, record.reason, record.points) == (True, NO_FACE, None)
    assert record.box.as_list() == [0, 0, 120, 120]


def test_workers_change_nothing(small_raf, output, tmp_path):
    alone = prepare("raf-db", small_raf, output, None)
    together = prepare("raf-db", small_raf, tmp_path / "other.parquet", None, workers=2)
    assert together.index.records == alone.index.records


def test_a_set_of_which_nothing_can_be_used_is_an_error(small_raf, output):
    for path in (small_raf / "basic/Image/original").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match=r"no image under .* the reason for basic.* does not exist"):
        prepare("raf-db", small_raf, output, None)
    assert not output.exists()


def test_an_empty_list_is_an_error(small_raf, output):
    (small_raf / "basic/EmoLabel/list_patition_label.txt").write_text("")
    with pytest.raises(DatasetError, match="its label list is empty"):
        prepare("raf-db", small_raf, output, None)


def test_a_root_that_is_not_there_is_named(tmp_path, output):
    with pytest.raises(DatasetError, match="no such folder"):
        prepare("raf-db", tmp_path / "nowhere", output, None)


def test_a_file_where_a_folder_is_meant_is_told_what_reads_files(fer2013_root, output):
    with pytest.raises(DatasetError, match=r"got .*fer2013\.csv \(a file; files are read by fer2013, csv, parquet\)"):
        prepare("folder", fer2013_root / "fer2013.csv", output, None)


def test_the_cache_is_plain_json_lines(small_raf, output):
    prepare("raf-db", small_raf, output, OwnFinder)
    rows = [json.loads(line) for line in _cache(output).read_text().splitlines()]
    assert len(rows) == 8
    assert all(row["finder"] == "landmark_net" for row in rows)


def test_a_table_of_pixels_becomes_pictures_beside_the_index_once(fer2013_root, tmp_path):
    output = tmp_path / "index/fer.parquet"
    first = prepare("fer2013", fer2013_root / "fer2013.csv", output, None)
    assert first.index.root == tmp_path / "index/fer.images"
    assert first.index.splits() == {"train": 7, "valid": 2, "test": 2}
    assert first.unusable == 0
    second = prepare("fer2013", fer2013_root, output, None)
    assert second.from_cache == 11
    assert second.index.data_hash == first.index.data_hash == DatasetIndex.read(output).data_hash


def test_a_picture_that_is_in_two_splits_is_reported_and_left_out_of_one_only_when_asked(small_raf, output):
    train = next((small_raf / "basic/Image/original").glob("train_*"))
    shutil.copy(train, train.with_name("test_9999.jpg"))
    with (small_raf / "basic/EmoLabel/list_patition_label.txt").open("a") as lines:
        lines.write("test_9999.jpg 1\n")
    report = prepare("raf-db", small_raf, output, None)
    assert [{r.split for r in records} for records in report.duplicates] == [{"train", "test"}]
    assert report.unusable == 0
    report = prepare("raf-db", small_raf, output, None, drop_duplicates=True)
    (left_out,) = [r for r in DatasetIndex.read(output).records if not r.usable]
    assert (Path(left_out.image).name, left_out.reason) == (train.name, "the same picture is in the split 'test'")
    assert report.problems == (left_out,)
    assert len(report.duplicates) == 1


@pytest.mark.parametrize(
    ("heading", "hints"),
    [
        ("image,label", 0),
        ("image,expression", 0),
        ("image,AU12", 0),
        ("image,label,remark", 1),
        ("image,emotion", 2),
    ],
)
def test_a_table_whose_labels_are_not_found_is_told(small_raf, output, heading, hints):
    picture = next((small_raf / "basic/Image/original").glob("*.jpg"))
    cells = {"label": "happy", "expression": "happy", "emotion": "happy", "AU12": "1", "remark": "dark"}
    table = small_raf / "faces.csv"
    table.write_text(f"{heading}\n{','.join(cells.get(name, str(picture)) for name in heading.split(','))}\n")
    told = [
        "no image has a label, which train and evaluate need; a table has it in a column 'label' or 'expression'",
        f"nothing is read from the columns {heading.rpartition(',')[2]}",
    ]
    assert list(prepare("csv", table, output, None).hints) == told[len(told) - hints :]
