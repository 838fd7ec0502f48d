"""Which runs there are, how epochs are shared, and when a directory holds another comparison."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

import torch

from aue_crl_core.comparison.plan import check_split, open_comparison, read_comparison, shared, trials
from aue_crl_core.errors import ConfigError, DatasetError, TrainingError
from aue_crl_core.methods import METHODS


def test_every_method_has_its_first_seed_before_any_has_its_second(config, tmp_path):
    planned = trials(tmp_path, config, ["softmax", "island"], 2, 3, "test")
    assert [each.name for each in planned] == ["softmax seed 0", "island seed 0", "softmax seed 1", "island seed 1"]
    last = planned[-1]
    assert last.directory == tmp_path / "runs" / "island" / "seed-1"
    assert last.log == tmp_path / "runs" / "island" / "seed-1.log"
    assert last.predictions == tmp_path / "predictions" / "island" / "seed-1.parquet"
    assert (last.config.method, last.config.seed, last.epochs) == ("island", 1, {"expression": 3})


def test_all_else_is_the_same_in_all_runs(config, tmp_path):
    one, *others = trials(tmp_path, config, ["softmax", "center", "island"], 2, 3, "test")
    for other in others:
        assert dataclasses.replace(other.config, method="softmax", seed=0) == one.config


def test_a_method_with_a_trunk_of_its_own_starts_at_random(config, tmp_path, monkeypatch):
    own = dataclasses.replace(METHODS["island"], whole=lambda _: torch.nn.Identity())
    monkeypatch.setitem(METHODS, "island", own)
    planned = trials(tmp_path, config, ["softmax", "island"], 1, 3, "test", "imagenet")
    assert [each.init for each in planned] == ["imagenet", None]


@pytest.mark.parametrize(
    ("model", "epochs"),
    [("mobilenet_v2", {"expression": 9, "joint": 3}), ("resnet18", {"expression": 9, "action_unit": 2, "fusion": 1})],
)
def test_the_stages_of_aue_crl_share_the_epochs_that_others_have(model, epochs, config, tmp_path):
    own = dataclasses.replace(config, model=model, preprocessing=None)
    (trial,) = trials(tmp_path, own, ["aue_crl"], 1, 12, "test")
    assert trial.epochs == epochs
    assert trial.stages == tuple(epochs)


@given(st.integers(1, 200), st.lists(st.integers(1, 50), min_size=1, max_size=3))
def test_no_epoch_is_lost_in_sharing_and_no_stage_left_without(total, weights):
    if total < len(weights):
        with pytest.raises(ConfigError, match="--epochs must be at least"):
            shared(total, weights)
        return
    shares = shared(total, weights)
    assert sum(shares) == total
    assert min(shares) >= 1


@pytest.mark.parametrize(
    ("seeds", "split", "message"),
    [(0, "test", "--seeds must be at least 1"), (1, "valid", "--split must be one that nothing is chosen on")],
)
def test_what_makes_no_comparison_is_refused(seeds, split, message, config, tmp_path):
    with pytest.raises(ConfigError, match=message):
        trials(tmp_path, config, ["softmax"], seeds, 2, split)


def test_an_index_without_the_split_is_refused_before_hours_are_spent(index):
    check_split([index], "test")
    with pytest.raises(DatasetError, match=r"faces of the split 'holiday' .*ferplus: .*'train': 32"):
        check_split([index], "holiday")


def test_methods_may_be_added_and_nothing_else_changed(config, index, tmp_path):
    open_comparison(tmp_path, config, [index], {"softmax": "Softmax"}, 2, "test", None)
    about = open_comparison(tmp_path, config, [index], {"island": "IL"}, 2, "test", None)
    assert about["methods"] == {"softmax": "Softmax", "island": "IL"}
    assert about == read_comparison(tmp_path)
    more_workers = dataclasses.replace(config, workers=3)
    assert open_comparison(tmp_path, more_workers, [index], {}, 2, "test", None) == about
    changed = dataclasses.replace(config, batch_size=8)
    with pytest.raises(TrainingError, match="another comparison: batch_size was 16, is 8; epochs was 2, is 3"):
        open_comparison(tmp_path, changed, [index], {}, 3, "test", None)
    assert read_comparison(tmp_path) == about


@pytest.mark.parametrize(
    ("text", "message"), [(None, "make one with: aue-crl compare"), ("[]", "JSON object"), ("{}", "got no config")]
)
def test_a_directory_without_a_comparison_says_so(text, message, tmp_path):
    if text is not None:
        (tmp_path / "comparison.json").write_text(text)
    with pytest.raises(TrainingError, match=message):
        read_comparison(tmp_path)
