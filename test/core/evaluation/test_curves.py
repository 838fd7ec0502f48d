"""Curves of a run and the prior's heat map: what they draw is what the history and the table say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError

pytest.importorskip("matplotlib")
from aue_crl_core.evaluation.curves import EpochFigures, plot_recall_history, plot_training_curves
from aue_crl_core.evaluation.prior_plot import plot_prior

BASIC = facs.BASIC_EXPRESSIONS


def scored(stage: str, epoch: int, recall: dict[str, float]) -> EpochFigures:
    mean = float(np.mean(list(recall.values())))
    valid = {f"recall/{name}": value for name, value in recall.items()}
    valid |= {"accuracy": mean / 2, "mean_class_accuracy": mean, "score": mean * 0.75, stage: 2.2 / epoch}
    return EpochFigures(stage, epoch, {stage: 2 / epoch}, valid)


def history() -> list[EpochFigures]:
    """Three epochs of expression, the second of which is the best; two of action_unit; one of fusion."""
    rows = [scored("expression", e, {"anger": a, "fear": 0.2}) for e, a in ((1, 0.2), (2, 0.8), (3, 0.6))]
    rows += [
        EpochFigures("action_unit", e, {"action_unit": 0.1 / e, "prior": 0.3}, {"action_unit": 0.2}) for e in (1, 2)
    ]
    return [*rows, scored("fusion", 1, {"anger": 0.5, "fear": 0.4})]


def panel(figure, title: str):
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == title)


def test_every_loss_term_of_every_stage_has_its_own_scale():
    figure = plot_training_curves(history(), "edge")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    terms = ["expression: expression", "action unit: action unit", "action unit: prior", "fusion: fusion"]
    assert titles == [*terms, "expression", "fusion"]
    train, valid = panel(figure, terms[0]).lines
    assert train.get_ydata().tolist() == [2, 1, 2 / 3]
    assert valid.get_ydata().tolist() == pytest.approx([2.2, 1.1, 2.2 / 3])
    assert (train.get_linestyle(), valid.get_linestyle()) == ("-", "--")
    assert len(panel(figure, terms[2]).lines) == 1, "not validated, no second line"


def test_a_star_marks_the_epoch_that_was_kept():
    axes = panel(plot_training_curves(history()), "expression")
    accuracy, mean, star = axes.lines
    assert accuracy.get_ydata().tolist() == pytest.approx([10, 25, 20])
    assert mean.get_ydata().tolist() == pytest.approx([20, 50, 40])
    assert (star.get_marker(), star.get_xdata()[0], star.get_ydata()[0]) == ("*", 2, pytest.approx(50))


def test_a_run_that_classified_nothing_yet_has_no_accuracies():
    figure = plot_training_curves([EpochFigures("landmark", 1, {"points": 1.0}, {"point_error": 0.1})])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["landmark: points"]


def test_curves_need_an_epoch():
    with pytest.raises(ConfigError, match="at least one epoch"):
        plot_training_curves([])
    with pytest.raises(ConfigError, match="an epoch with the recall of a class"):
        plot_recall_history([EpochFigures("landmark", 1, {"points": 1.0})], BASIC, "title")


def test_recall_has_a_line_a_class_that_is_there_and_a_label_at_its_end():
    figure = plot_recall_history(history(), BASIC, "title")
    assert [axes.get_title() for axes in figure.axes] == ["stage expression", "stage fusion"]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(lines) == {"anger", "fear", "mean"}
    assert lines["anger"].get_ydata().tolist() == pytest.approx([20, 80, 60])
    assert {text.get_text() for text in figure.axes[0].texts} == {"anger 60", "fear 20", "mean 40"}


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_labels_of_lines_that_end_together_do_not_lie_on_each_other(value: float):
    classes = facs.COMPOUND_EXPRESSIONS
    figure = plot_recall_history([scored("fusion", 1, dict.fromkeys(classes, value))], classes, "title")
    figure.canvas.draw()
    # The box of an annotation holds its arrow too; the text's own box is what must be free.
    renderer = figure.canvas.get_renderer()
    own = [super(type(text), text).get_window_extent(renderer) for text in figure.axes[0].texts]
    assert len(own) == len(classes) + 1
    assert not any(a.overlaps(b) for a, b in itertools.combinations(own, 2))
    whole = figure.bbox
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in own)


def test_eleven_classes_are_told_apart_without_colour_names():
    classes = facs.COMPOUND_EXPRESSIONS
    figure = plot_recall_history([scored("fusion", 1, dict.fromkeys(classes, 0.5))], classes, "title")
    looks = [(line.get_color(), str(line.get_linestyle())) for line in figure.axes[0].lines]
    assert len(set(looks)) == len(classes) + 1


@pytest.mark.parametrize("vocabulary", ["basic", "compound"])
def test_the_prior_shows_every_entry_and_what_changed(vocabulary: facs.VocabularyName):
    start = np.array([[level.start for level in row] for row in facs.prior_levels(vocabulary)])
    table = start.copy()
    table[1, 2] += 0.12
    table[0, 4] -= 0.07
    upper, lower = plot_prior(table, start, facs.expressions(vocabulary), facs.ACTION_UNITS).axes[:2]
    assert np.array_equal(upper.images[0].get_array(), table)
    assert np.allclose(lower.images[0].get_array(), table - start)
    assert len(upper.texts) == len(lower.texts) == table.size
    assert sorted(text.get_text() for text in lower.texts if text.get_text() != "0") == ["+12", "-7"]
    assert lower.get_xticklabels()[0].get_text() == "AU 1 inner brow raiser"
    assert [text.get_text() for text in upper.get_yticklabels()] == list(facs.expressions(vocabulary))
    primary = int((start == facs.PRIMARY.start).sum())
    frames = [patch for patch in upper.patches if patch.get_linestyle() == "-"]
    assert len(frames) == primary


def test_small_changes_of_the_prior_are_not_shown_as_large_ones():
    start = np.full((7, 17), 0.1)
    lower = plot_prior(start + 0.004, start, BASIC, facs.ACTION_UNITS).axes[1]
    assert {text.get_text() for text in lower.texts} == {"+0.4"}
    assert lower.images[0].get_clim() == (-0.02, 0.02)


def test_a_prior_of_another_vocabulary_is_refused():
    with pytest.raises(ConfigError, match=r"table must be 7x17, got \(11, 17\)"):
        plot_prior(np.zeros((11, 17)), np.zeros((7, 17)), BASIC, facs.ACTION_UNITS)
    with pytest.raises(ConfigError, match=r"start must be 7x17, got \(7, 16\)"):
        plot_prior(np.zeros((7, 17)), np.zeros((7, 16)), BASIC, facs.ACTION_UNITS)
