"""A dataset of eight real photographs that a test may spoil, and its index."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import POINTS, Place, pixels_text, points_text, write

from aue_crl_core.data.finders import OwnFinder
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.prepare import prepare
from aue_crl_core.media.reading.pixels import save_image


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


@pytest.fixture
def fer2013_root(tmp_path: Path) -> Path:
    """FER-2013's table: the seven emotions for training, two of each test."""
    rows = [f"{label},{pixels_text(label)},Training" for label in range(7)]
    rows += [f"{label},{pixels_text(10 + label)},PublicTest" for label in (3, 6)]
    rows += [f"{label},{pixels_text(20 + label)},PrivateTest" for label in (0, 4)]
    write(tmp_path / "fer/fer2013.csv", "emotion,pixels,Usage\n" + "\n".join(rows) + "\n")
    return tmp_path / "fer"


@pytest.fixture
def affectnet_root(tmp_path: Path, place: Place) -> Path:
    """AffectNet: the labels 0-7 as 0.jpg-7.jpg in both parts, valence 0.5 and arousal -0.25, all stored as text."""
    root = tmp_path / "affectnet"
    for part in ("train_set", "val_set"):
        (root / part / "annotations").mkdir(parents=True)
        for label in range(8):
            place(root / part / "images" / f"{label}.jpg")
            values = {
                "exp": np.array(str(label)),
                "val": np.array("0.5"),
                "aro": np.array("-0.25"),
                "lnd": POINTS.ravel(),
            }
            for kind, value in values.items():
                np.save(root / part / "annotations" / f"{label}_{kind}.npy", value)
    return root


@pytest.fixture
def ck_plus_root(tmp_path: Path, place: Place) -> Path:
    """CK+: S005/001 disgusted with AUs 9 and 17, S010/002 contempt with AU 14, S010/003 with AU 12 and no emotion,
    S011/001 happy without FACS codes, S011/002 without labels; three frames each, landmarks for S005."""
    root = tmp_path / "ck"
    labels = {
        "S005/001": (3, "   9.0000000e+00   4.0000000e+00\n   1.7000000e+01   0.0000000e+00\n"),
        "S010/002": (2, "14 2\n"),
        "S010/003": (None, "12 0\n"),
        "S011/001": (5, None),
        "S011/002": (None, None),
    }
    for sequence, (emotion, facs) in labels.items():
        frames = [f"{sequence.replace('/', '_')}_{number:08}" for number in (1, 2, 11)]
        for frame in frames:
            place(root / "cohn-kanade-images" / sequence / f"{frame}.png")
        (root / "Emotion" / sequence).mkdir(parents=True)
        if emotion is not None:
            write(root / "Emotion" / sequence / f"{frames[-1]}_emotion.txt", f"   {emotion}.0000000e+00\n")
        if facs is not None:
            write(root / "FACS" / sequence / f"{frames[-1]}_facs.txt", facs)
    write(root / "Landmarks/S005/001/S005_001_00000011_landmarks.txt", points_text())
    return root


@pytest.fixture
def kdef_root(tmp_path: Path, place: Place) -> Path:
    """KDEF: a woman in both sessions and a man, all seven expressions seen straight, and one profile."""
    for folder in ("AF01", "BF01", "AM02"):
        for code in ("AF", "AN", "DI", "HA", "NE", "SA", "SU"):
            place(tmp_path / "kdef/KDEF" / folder / f"{folder}{code}S.JPG")
    place(tmp_path / "kdef/KDEF/AF01/AF01HAFL.JPG")
    return tmp_path / "kdef"


@pytest.fixture
def jaffe_root(tmp_path: Path, photograph: np.ndarray) -> Path:
    """JAFFE: seven pictures of KA, one of YM."""
    names = ["KA.AN1.39", "KA.DI1.42", "KA.FE1.45", "KA.HA1.29", "KA.NE1.26", "KA.SA1.33", "KA.SU1.36", "YM.HA1.52"]
    for name in names:
        save_image(tmp_path / "jaffe" / f"{name}.tiff", photograph[:256, :256])
    return tmp_path / "jaffe"
