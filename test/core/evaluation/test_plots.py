"""Plots: what they draw is what the numbers say, and pyplot's global state stays untouched."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from aue_crl_core.evaluation.metrics import ExpressionMetrics, compute

pytest.importorskip("matplotlib")
from aue_crl_core.evaluation import plots


@pytest.fixture
def result() -> ExpressionMetrics:
    """4 calm images: 3 right, 1 without a face. 2 glad: 1 right, 1 taken for calm. No sad one."""
    rows = np.array([[0.8, 0.1, 0.1]] * 3 + [[np.nan] * 3] + [[0.1, 0.8, 0.1], [0.8, 0.1, 0.1]])
    return compute([0, 0, 0, 0, 1, 1], rows, ("calm", "glad", "sad"))


def test_confusion_shows_shares_counts_and_missed_faces(result: ExpressionMetrics) -> None:
    axes = plots.plot_confusion(result, "title").axes[0]
    assert [t.get_text() for t in axes.texts] == ["75 %", "3", "25 %", "1", "50 %", "1", "50 %", "1"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["calm", "glad", "sad", "no face found"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["calm (4)", "glad (2)", "sad (0)"]
    shares = axes.images[0].get_array()
    assert shares.sum(axis=1).tolist() == [1, 1, 0]


def test_confusion_has_no_extra_column_when_every_face_was_found() -> None:
    everyone = compute([0, 1], np.eye(2), ("calm", "glad"))
    axes = plots.plot_confusion(everyone, "title").axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["calm", "glad"]


def test_recall_bars_have_the_height_of_the_recall(result: ExpressionMetrics) -> None:
    axes = plots.plot_recall({"one": result, "two": result}, "title").axes[0]
    assert [bar.get_height() for bar in axes.patches] == [75, 50, 0] * 2
    assert [t.get_text() for t in axes.texts] == ["75", "50", "-"] * 2


def test_reliability_bars_are_accuracy_over_confidence(result: ExpressionMetrics) -> None:
    upper, lower = plots.plot_reliability(result, "title").axes
    (bar,) = upper.patches
    assert bar.get_x() <= 0.8 < bar.get_x() + bar.get_width()
    assert bar.get_height() == pytest.approx(0.8), "4 of 5 predictions are right"
    assert sum(b.get_height() for b in lower.patches) == 5
    assert "0.0 %" in upper.get_title()


def test_metrics_and_report_need_neither_matplotlib_nor_torch_and_plots_no_pyplot() -> None:
    code = (
        "import sys; import aue_crl_core.evaluation.report; "
        "assert not {'torch', 'matplotlib', 'pandas'} & set(sys.modules); "
        "import aue_crl_core.evaluation.plots; assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
