"""The report: files on disk, the ablation side by side, and published rows only where they are comparable."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError
from aue_crl_core.evaluation import report
from aue_crl_core.evaluation.au_metrics import ActionUnitMetrics, compute_action_units
from aue_crl_core.evaluation.metrics import ExpressionMetrics, compute

RAF_TEST_IMAGES = (329, 74, 160, 1185, 478, 162, 680)


def scored(per_class: tuple[int, ...], wrong: int, missed: int = 0) -> ExpressionMetrics:
    """The first `missed` images of each class have no face, the next `wrong` are taken for the class after theirs."""
    labels = np.repeat(np.arange(7), per_class)
    rows = np.eye(7)[labels] * 0.9 + 0.1 / 7
    for c in range(7):
        images = np.flatnonzero(labels == c)
        rows[images[:missed]] = np.nan
        rows[images[missed : missed + wrong]] = np.roll(np.eye(7)[c] * 0.9 + 0.1 / 7, 1)
    return compute(labels, rows, facs.BASIC_EXPRESSIONS)


@pytest.fixture
def heads() -> dict[str, ExpressionMetrics]:
    """Fused gets 1 of 10 wrong per class, the expression stage alone 3; one face in each class is not found."""
    return {"fused": scored((10,) * 7, 1, 1), "expression": scored((10,) * 7, 3, 1)}


def printed(*arguments: object, width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(report.terminal_table(*arguments))
    return capture.get()


def cells(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.strip(" |*").startswith(name)]
    return line.strip()[len(name) :].split()


def test_the_ablation_stands_side_by_side(heads: dict[str, ExpressionMetrics]) -> None:
    text = printed(heads, "edge on a folder")
    assert "edge on a folder" in text
    assert cells(text, "surprise") == ["10", "60.0", "80.0", "+20.0"]
    assert cells(text, "mean class accuracy") == ["70", "60.0", "80.0", "+20.0"]
    assert cells(text, "accuracy") == ["70", "60.0", "80.0", "+20.0"]
    assert cells(text, "calibration error (ECE)")[0] == "63"
    assert cells(text, "no face found (errors)") == ["7"]


def test_classes_that_the_data_lacks_are_named_and_take_no_part_in_the_mean(heads) -> None:
    two = {head: scored((10, 0, 0, 20, 0, 0, 0), wrong) for head, wrong in (("fused", 1), ("expression", 3))}
    note = "No image of fear, disgust, sadness, anger, neutral: mean class accuracy is that of the other 2."
    assert note in " ".join(printed(two, "a folder").split())
    assert cells(printed(two, "a folder"), "mean class accuracy")[2] == f"{100 * (0.9 + 0.95) / 2:.1f}"
    assert "No image of" not in printed(heads, "a folder")


def test_published_rows_stand_beside_ours_in_one_column_order() -> None:
    heads = {"fused": scored(RAF_TEST_IMAGES, 7), "expression": scored(RAF_TEST_IMAGES, 37)}
    text = printed(heads, "RAF-DB", "raf-db")
    header = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "average"]
    assert [cells(line, "recall, %") for line in text.splitlines() if "average" in line] == [header]
    assert cells(text, "AUE-CRL") == ["80.5", "67.6", "68.9", "94.1", "85.8", "83.6", "86.4", "81.0"]
    recall = heads["expression"].per_class_recall
    ours = [f"{100 * recall[name]:.1f}" for name in header[:-1]]
    assert cells(text, "our expression") == [*ours, f"{100 * heads['expression'].mean_class_accuracy:.1f}"]
    assert cells(text, "our expression")[2] == "50.0", "fear: 37 of 74 are wrong"
    assert "Protocol: RAF-DB basic, test part, 7 classes" in text
    assert "Published rows: as listed by Pu et al., ICRA 2021" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


@pytest.mark.parametrize(
    ("protocol", "line"),
    [
        ("raf-db", "it scores 3068 images, this evaluation 70"),
        ("ferplus", "it has 8 classes (with contempt), this evaluation 7"),
        ("folder", "Protocol: folder, 7 classes, 70 images. No published results are known here for 'folder'"),
        ("raf-db-compound", "No published results are known here for 'raf-db-compound': nothing to compare with."),
        (None, "No protocol named, none compared."),
    ],
)
def test_another_protocol_is_refused_in_one_line(
    heads: dict[str, ExpressionMetrics], protocol: str | None, line: str
) -> None:
    text = printed(heads, "title", protocol, width=300)
    (found,) = [each for each in text.splitlines() if line in each]
    assert found == found.strip()
    assert "AUE-CRL" not in text
    assert "VGG13" not in text


def test_another_split_of_the_same_size_gets_no_published_rows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    heads = {"fused": scored(RAF_TEST_IMAGES, 7)}
    path = report.write_report(tmp_path, heads, "title", "raf-db", split="valid")
    text = (tmp_path / "report.md").read_text()
    assert "Protocol: raf-db, split valid, 7 classes, 3068 images. Not comparable" in text
    assert "it scores the split 'test', this evaluation 'valid'" in text
    assert "WSLGRN" not in text
    assert json.loads(path.read_text())["split"] == "valid"
    report.write_report(tmp_path, heads, "title", "raf-db", split="test")
    assert "| WSLGRN | 75.3 | 56.9 | 63.5 |" in (tmp_path / "report.md").read_text()


def test_a_network_that_is_not_fused_yet_is_reported_alone(heads: dict[str, ExpressionMetrics]) -> None:
    text = printed({"expression": heads["expression"]}, "stage one")
    assert cells(text, "fear") == ["10", "60.0"]
    assert "change" not in text


def test_the_files_of_a_report(heads: dict[str, ExpressionMetrics], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = report.write_report(tmp_path / "new" / "report", heads, "edge", "raf-db", {"weights": "edge.safetensors"})
    assert {p.name for p in path.parent.iterdir()} == {
        "metrics.json",
        "report.html",
        "report.md",
        "confusion.png",
        "recall.png",
        "calibration.png",
    }
    values = json.loads(path.read_text())
    assert {key: values[key] for key in heads["fused"].to_dict()} == heads["fused"].to_dict()
    assert values["heads"] == {head: metrics.to_dict() for head, metrics in heads.items()}
    assert values["head"] == "fused"
    assert values["provenance"] == {"weights": "edge.safetensors"}
    for name in ("confusion", "recall", "calibration"):
        image = cv2.imread(str(path.with_name(f"{name}.png")))
        assert image.shape[0] > 300
        assert image.std() > 10, "the plot is not blank"


def test_the_markdown_holds_the_tables_and_the_refusal(heads: dict[str, ExpressionMetrics], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.write_report(tmp_path, heads, "edge on some data", "raf-db", {"data_hash": "00ff"})
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("# edge on some data\n")
    assert "| **mean class accuracy** | **70** | **60.0** | **80.0** | **+20.0** |" in text
    assert "Not comparable with the published one (RAF-DB basic, test part, 7 classes)" in text
    assert "- data_hash: `00ff`" in text


def test_the_page_holds_the_same_and_its_plots(heads: dict[str, ExpressionMetrics], tmp_path: Path, read_page) -> None:
    pytest.importorskip("matplotlib")
    report.write_report(tmp_path, heads, "edge on some data", "raf-db", {"data_hash": "00ff"})
    page = read_page(tmp_path / "report.html")
    assert ["mean class accuracy", "70", "60.0", "80.0", "+20.0"] in page.tables[0]
    assert page.tables[-1][-1] == ["data_hash", "00ff"]
    assert "Not comparable with the published one (RAF-DB basic, test part, 7 classes)" in page.text
    assert list(page.figures) == ["confusion", "recall", "calibration"]


def test_no_face_found_in_any_image_still_gives_a_report(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    nothing = compute(np.arange(7), np.full((7, 7), np.nan), facs.BASIC_EXPRESSIONS)
    path = report.write_report(tmp_path, {"fused": nothing}, "empty")
    assert json.loads(path.read_text())["ece"] is None
    assert cells(printed({"fused": nothing}, "empty"), "calibration error (ECE)") == ["0", "-"]


def test_heads_must_be_of_one_evaluation(heads: dict[str, ExpressionMetrics]) -> None:
    with pytest.raises(ConfigError, match="must hold 'fused' or exactly one head, got \\[\\]"):
        report.primary_head({})
    with pytest.raises(ConfigError, match="got \\['expression', 'other'\\]"):
        report.primary_head({"expression": heads["expression"], "other": heads["fused"]})
    with pytest.raises(ConfigError, match="scored on the same images"):
        report.primary_head({"fused": heads["fused"], "expression": scored((9,) * 7, 1)})


@pytest.fixture
def units() -> ActionUnitMetrics:
    """AU 1 no better than chance on four images, AU 12 all right; nothing else is labelled."""
    labels = np.full((4, 17), -1)
    said = np.zeros((4, 17))
    labels[:, 0], said[:, 0] = [1, 1, 0, 0], [0.9, 0.1, 0.8, 0.2]
    labels[:, 8], said[:, 8] = [1, 0, 0, 0], [0.9, 0.1, 0.1, 0.2]
    return compute_action_units(labels, said)


def test_action_units_follow_the_expressions(heads: dict[str, ExpressionMetrics], units: ActionUnitMetrics) -> None:
    text = printed(heads, "edge on a table", None, units, width=120)
    assert cells(text, "AU 1 inner brow raiser") == ["4", "50.0", "50.0", "50.0", "50.0", "50.0"]
    assert cells(text, "AU 12 lip corner puller") == ["4", "25.0", "100.0", "100.0", "100.0", "100.0"]
    assert cells(text, "mean class accuracy")[0] == "70"
    (line,) = [line for line in text.splitlines() if line.split()[:1] == ["mean"] and "class" not in line]
    assert line.split()[1:] == ["4", "37.5", "75.0", "75.0"]


def test_the_report_of_both(heads: dict[str, ExpressionMetrics], units: ActionUnitMetrics, tmp_path: Path) -> None:
    read = json.loads(report.write_report(tmp_path, heads, "title", action_units=units).read_text())
    assert read["mean_class_accuracy"] == pytest.approx(0.8)
    assert read["action_units"]["mean_f1"] == pytest.approx(0.75)
    assert "## Action units" in (tmp_path / "report.md").read_text()


def test_without_expression_labels_there_are_action_units_only(units: ActionUnitMetrics, tmp_path: Path) -> None:
    text = printed({}, "edge on bp4d", "bp4d", units, width=120)
    assert "Action units: edge on bp4d" in text
    assert "No image has an expression label" in text
    read = json.loads(report.write_report(tmp_path, {}, "edge on bp4d", "bp4d", None, units).read_text())
    assert (read["n"], read["n_missed"], read["heads"], read["head"]) == (4, 0, {}, None)
    assert "accuracy" not in read
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "report.html", "report.md"]
    assert "png" not in (tmp_path / "report.md").read_text()


def test_nothing_at_all_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exactly one head"):
        report.write_report(tmp_path, {}, "title")


def test_a_report_without_action_units_says_null(heads: dict[str, ExpressionMetrics], tmp_path: Path) -> None:
    assert json.loads(report.write_report(tmp_path, heads, "title").read_text())["action_units"] is None
