"""Sets that arrived in part: what is missing is listed, counted and explained; the rest is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_trees import POINTS, points_text, write

pytest.importorskip("pyarrow")

from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.layouts.table import LayoutOptions
from aue_crl_core.data.prepare import prepare
from aue_crl_core.errors import DatasetError


@pytest.fixture
def csv_root(tmp_path, place) -> Path:
    """A table of four photographs, with AUs."""
    names = [place(tmp_path / "own/pictures" / f"{i}.jpg").name for i in range(4)]
    rows = "".join(f"pictures/{name},happy,{i % 2}\n" for i, name in enumerate(names))
    return write(tmp_path / "own/faces.csv", "image,label,AU12\n" + rows)


@pytest.fixture
def raf_tree(tmp_path, place) -> Path:
    """RAF-DB compound: the eleven classes, with official boxes."""
    root = tmp_path / "raf"
    for i in range(11):
        place(root / f"compound/Image/original/train_{i:05}.jpg")
        write(root / f"compound/Annotation/boundingbox/train_{i:05}_boundingbox.txt", "100 50 400 400\n")
    lines = "".join(f"train_{i:05}.jpg {i + 1}\n" for i in range(11))
    write(root / "compound/EmoLabel/list_patition_label.txt", lines)
    return root


@pytest.fixture(params=["raf-db-compound", "sfew", "mmi", "expw", "bp4d", "csv"])
def dataset(request) -> tuple[str, Path]:
    """Layout and ROOT; SFEW has the lists without which nobody knows what is missing."""
    name = {"raf-db-compound": "raf_tree"}.get(request.param, f"{request.param}_root")
    root = request.getfixturevalue(name)
    if request.param == "sfew":
        for part, listing in (("Train", "id_train_list.txt"), ("Val", "id_val_list.txt")):
            ids = [f"{path.parent.name}/{path.stem}" for path in images_of(root / part)]
            write(root / "list_experiment" / listing, "\n".join(ids))
    return request.param, root


def images_of(root: Path) -> list[Path]:
    folder = root.parent if root.is_file() else root
    return sorted(p for p in folder.rglob("*") if p.suffix in (".jpg", ".png"))


def test_whole_it_is_used_as_a_whole(dataset, tmp_path):
    layout, root = dataset
    report = prepare(layout, root, tmp_path / "i.parquet", None)
    assert report.unusable == 0
    assert (report.problems, report.hints) == ((), ())
    assert {report.index.path(r) for r in report.index.records} == set(images_of(root))
    read = DatasetIndex.read(tmp_path / "i.parquet")
    assert [r.action_units for r in read.records] == [r.action_units for r in report.index.records]
    assert read.root == (root.parent if root.is_file() else root).resolve()


def test_missing_empty_and_cut_images_are_listed_with_their_reason(dataset, tmp_path):
    layout, root = dataset
    gone, empty, cut = images_of(root)[-3:]
    gone.unlink()
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:3000])
    report = prepare(layout, root, tmp_path / "i.parquet", None)
    found = {record.reason.replace(str(report.index.path(record)), "it").split(";")[0] for record in report.problems}
    assert found == {
        "it does not exist",
        "it is empty (0 bytes)",
        "it is not a whole image: it ends before its end-of-image marker",
    }
    assert report.unusable == len(report.problems) == 3
    assert report.hints[0].startswith(f"1 of the {len(report.index.records)} images that the labels name are not there")


def test_images_that_are_still_packed_are_explained(dataset, tmp_path):
    layout, root = dataset
    first, *others = images_of(root)
    for path in others:
        path.unlink()
    ((root.parent if root.is_file() else root) / "images.zip").write_bytes(b"PK")
    report = prepare(layout, root, tmp_path / "i.parquet", None)
    assert "images that the labels name are not there" in report.hints[0]
    assert "lie there: images.zip; unpack them and run the same command again" in report.hints[1]
    first.unlink()
    with pytest.raises(DatasetError, match=r"can be used; the reason for .* does not exist.*not there .*images\.zip"):
        prepare(layout, root, tmp_path / "j.parquet", None)


def test_official_points_are_kept_but_the_image_is_looked_at_all_the_same(sfew_root, tmp_path):
    landmarks = sfew_root / "Train/Annotations/Landmarks_68_FAN"
    for name in ("Sad/Film_Sad_0001", "Fear/Film_Fear_0001"):
        write(landmarks / f"{name}.txt", points_text())
    (sfew_root / "Train/Fear/Film_Fear_0001.png").write_bytes(b"")
    report = prepare("sfew", sfew_root, tmp_path / "i.parquet", None)
    records = {r.image: r for r in report.index.records}
    np.testing.assert_allclose(records["Train/Sad/Film_Sad_0001.png"].points, POINTS, atol=1e-3)
    assert records["Train/Sad/Film_Sad_0001.png"].points_source == "layout"
    assert "0 bytes" in records["Train/Fear/Film_Fear_0001.png"].reason


def test_official_points_and_boxes_are_used_and_what_is_missing_is_found(sfew_root, tmp_path):
    pytest.importorskip("onnxruntime")
    from aue_crl_core.data.finders import OwnFinder

    write(sfew_root / "Train/Annotations/Landmarks_68_FAN/Sad/Film_Sad_0001.txt", points_text())
    report = prepare("sfew", sfew_root, tmp_path / "i.parquet", OwnFinder)
    assert sorted(r.points_source for r in report.index.records) == ["landmark_net"] * 13 + ["layout"]
    assert {r.box_source for r in report.index.records} == {"found", "layout"}


def test_options_reach_the_layout_and_the_index(csv_root, mmi_root, tmp_path):
    csv_root.write_text("image,label\npictures/0.jpg,sadly angry\n")
    options = LayoutOptions(vocabulary="compound")
    index = prepare("csv", csv_root, tmp_path / "i.parquet", None, options=options).index
    assert (index.vocabulary, index.records[0].label) == ("compound", 3)
    index = prepare("mmi", mmi_root, tmp_path / "j.parquet", None, options=LayoutOptions(fold=1)).index
    assert {r.subject for r in index.select("test").records} == {"S000", "S001"}
