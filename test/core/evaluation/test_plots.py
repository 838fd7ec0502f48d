"""Plots: what they draw is what the numbers say, and pyplot's global state stays untouched."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError
from aue_crl_core.evaluation.metrics import ExpressionMetrics, compute

pytest.importorskip("matplotlib")
from aue_crl_core.evaluation import plots


@dataclass(frozen=True)
class Epoch:
    stage: str
    epoch: int
    train_loss: float
    valid_loss: float | None = None
    mean_class_accuracy: float | None = None


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


def test_training_curves_give_each_stage_its_own_loss_axis() -> None:
    history = [Epoch("expression", e, 2 / e, 2.2 / e, 0.1 * e) for e in (1, 2, 3)]
    history += [Epoch("action_unit", e, 0.05 / e) for e in (1, 2)]
    history += [Epoch("fusion", 1, 0.4, 0.6, 0.45)]
    below, *stages = plots.plot_training_curves(history, "edge").axes
    assert [axes.get_title() for axes in stages] == ["stage: expression", "stage: action_unit", "stage: fusion"]
    assert stages[0].lines[0].get_ydata().tolist() == [2, 1, 2 / 3]
    assert len(stages[1].lines) == 1, "no validation loss, no second line"
    labels = [text.get_text() for text in below.get_legend().get_texts()]
    assert labels == ["expression (best 30.0 %)", "fusion (best 45.0 %)"]
    fusion = next(line for line in below.lines if line.get_label() == labels[1])
    assert fusion.get_xdata().tolist() == [6], "epochs run on from stage to stage"


def test_training_curves_need_an_epoch() -> None:
    with pytest.raises(ConfigError, match="at least one epoch"):
        plots.plot_training_curves([])


@pytest.mark.parametrize("vocabulary", ["basic", "compound"])
def test_prior_shows_every_entry(vocabulary: facs.VocabularyName) -> None:
    table = [[level.start for level in row] for row in facs.prior_levels(vocabulary)]
    axes = plots.plot_prior(table, facs.expressions(vocabulary), facs.ACTION_UNITS).axes[0]
    assert np.array_equal(axes.images[0].get_array(), table)
    assert len(axes.texts) == len(facs.expressions(vocabulary)) * 17
    assert axes.get_xticklabels()[0].get_text() == "inner brow raiser 1"


def test_prior_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"table must be 7x17, got \(11, 17\)"):
        plots.plot_prior(np.zeros((11, 17)), facs.BASIC_EXPRESSIONS, facs.ACTION_UNITS)


def test_metrics_and_report_need_neither_matplotlib_nor_torch_and_plots_no_pyplot() -> None:
    code = (
        "import sys; import aue_crl_core.evaluation.report; "
        "assert not {'torch', 'matplotlib', 'pandas'} & set(sys.modules); "
        "import aue_crl_core.evaluation.plots; assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
