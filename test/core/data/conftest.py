"""A dataset of eight real photographs that a test may spoil, and its index."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dataset_trees import Place, write

from aue_crl_core.data.finders import OwnFinder
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.prepare import prepare


def _copy(raf_root: Path, target: Path) -> Path:
    labels = "basic/EmoLabel/list_patition_label.txt"
    lines = (raf_root / labels).read_text().splitlines()[:8]
    (target / labels).parent.mkdir(parents=True)
    (target / labels).write_text("\n".join(lines) + "\n")
    images = target / "basic/Image/original"
    images.mkdir(parents=True)
    for line in lines:
        shutil.copy(raf_root / "basic/Image/original" / line.split()[0], images)
    return target


@pytest.fixture
def small_raf(raf_root: Path, tmp_path: Path) -> Path:
    """Eight photographs in the RAF-DB layout, this test's own."""
    return _copy(raf_root, tmp_path / "raf")


@pytest.fixture(scope="session")
def prepared(raf_root: Path, tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    """The index of such a set, with points; not to be spoiled."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("prepared")
    return prepare("raf-db", _copy(raf_root, folder / "raf"), folder / "raf.parquet", OwnFinder).index


@pytest.fixture
def place(photograph_path: Path) -> Place:
    """See `Place`."""

    def put(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(photograph_path, path))

    return put


@pytest.fixture
def sfew_root(tmp_path: Path, place: Place) -> Path:
    """SFEW 2.0: one photograph of each class in each part."""
    for part in ("Train", "Val"):
        for name in ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"):
            place(tmp_path / "sfew" / part / name / f"Film_{name}_0001.png")
    return tmp_path / "sfew"


@pytest.fixture
def mmi_root(tmp_path: Path, place: Place) -> Path:
    """MMI: the six labels 0-5 on six clips; fold 0 tests the last two, fold 1 the first two."""
    base = tmp_path / "mmi/Select_Frames"
    ids = [f"S{i:03}/frame_{i}" for i in range(6)]
    for label, name in enumerate(ids):
        place(base / "Imgs_chosen" / f"{name}.jpg")
        write(base / "Emotions_chosen" / f"{name}.txt", f"{label}\n")
    for fold, test in ((0, ids[4:]), (1, ids[:2])):
        train = [name for name in ids if name not in test]
        write(base / f"list/id_train_list_crossval{fold}.txt", "\n".join(train) + "\n")
        write(base / f"list/id_val_list_crossval{fold}.txt", "\n".join(test) + "\n")
    return tmp_path / "mmi"


@pytest.fixture
def expw_root(tmp_path: Path, place: Place) -> Path:
    """ExpW: every label once, the first two on one photograph."""
    root = tmp_path / "expw"
    lines = []
    for label in range(7):
        name = f"angry_actor_{max(label, 1)}.jpg"
        place(root / "data/image/origin" / name)
        lines.append(f"{name} {0 if label else 1} 40 {100 + label} {300 + label} 260 {60 + label}.5 {label}")
    write(root / "data/label/label.lst", "\n".join(lines) + "\n")
    return root


@pytest.fixture
def bp4d_root(tmp_path: Path, place: Place) -> Path:
    """BP4D's own layout: a person of each fold (F001, M011, F007), two coded frames each."""
    root = tmp_path / "bp4d"
    codes = [1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 23, 24]
    for person in ("F001", "M011", "F007"):
        for number in (7, 8):
            place(root / "2D+3D" / person / "T1" / f"{number:04}.jpg")
        rows = [",".join(map(str, (0, *codes)))]
        rows.append(",".join(map(str, (7, *(1 if code in (6, 12, 14) else 0 for code in codes)))))
        rows.append(",".join(map(str, (8, *(9 if code in (1, 5) else int(code == 4) for code in codes)))))
        write(root / "AUCoding/AU_OCC" / f"{person}_T1.csv", "\n".join(rows) + "\n")
    return root
