"""Frozen features on disk: what is marked as written, what is made anew, what the disk has room for."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from aue_crl_core.config import model_config
from aue_crl_core.errors import ConfigError, TrainingError
from aue_crl_core.training.batches.feature_cache import CachePlan, FeatureCache, check_size, make_room, pays
from aue_crl_core.training.config import Schedule
from aue_crl_core.training.run import train
from aue_crl_core.training.stages import STAGES

FUSION = STAGES["fusion"]


def plan_for(images=300, name="fusion-train", views=2, width=3):
    return CachePlan(name, views, images, width, "float32", {"weights": f"{images}"})


def test_a_block_is_marked_when_it_is_written(tmp_path):
    cache = FeatureCache(tmp_path, plan_for())
    assert cache.missing(1) == [0, 1, 2]
    values = np.arange(44 * 3, dtype=np.float32).reshape(44, 3)
    cache.write(1, 2, values)
    again = FeatureCache(tmp_path, plan_for())
    assert (again.missing(0), again.missing(1)) == ([0, 1, 2], [0, 1])
    assert np.array_equal(again.read(1, [257, 256, 299]), values[[1, 0, 43]])


def test_values_that_do_not_fit_are_refused_and_not_marked(tmp_path):
    plan = dataclasses.replace(plan_for(), dtype="float16")
    cache = FeatureCache(tmp_path, plan)
    with pytest.raises(TrainingError, match=r"must be finite in float16, got 7e\+04 at most.*cache_views: 0"):
        cache.write(0, 0, np.full((128, 3), 7e4))
    assert cache.missing(0) == [0, 1, 2]


@pytest.mark.parametrize("name", ["features.npy", "done.npy", "about.json"])
def test_a_damaged_cache_is_made_anew(name, tmp_path):
    plan = plan_for()
    FeatureCache(tmp_path, plan).write(0, 0, np.ones((128, 3)))
    damaged = tmp_path / plan.folder / name
    damaged.write_bytes(damaged.read_bytes()[:40])
    assert FeatureCache(tmp_path, plan).missing(0) == [0, 1, 2]
    assert sorted(p.name for p in tmp_path.iterdir()) == [plan.folder]


def test_a_disk_that_is_too_small_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"needs 1\.2e\+06 GB in .* GB free; .*lower cache_views"):
        FeatureCache(tmp_path, plan_for(images=10**14 // 2, width=3, views=2))
    assert list(tmp_path.iterdir()) == []


def test_the_caches_used_longest_ago_make_room(tmp_path):
    old, recent, mine = (plan_for(images=n) for n in (301, 302, 303))
    for age, plan in ((200, old), (100, recent), (300, mine)):
        FeatureCache(tmp_path, plan)
        os.utime(tmp_path / plan.folder / "about.json", (1e9 - age, 1e9 - age))
    assert make_room(tmp_path, [mine], 1) == []
    assert make_room(tmp_path, [mine], (recent.size + mine.size + 1000) / 1e9) == [old.folder]
    assert make_room(tmp_path, [mine], mine.size / 1e9) == [recent.folder]
    assert [p.name for p in tmp_path.iterdir()] == [mine.folder]


def test_a_cache_beyond_its_limit_is_refused_before_any_work(config, tiny_index, shipped, tmp_path):
    small = dataclasses.replace(config, cache_max_gb=0.00015)
    message = r"cache_max_gb must be at least 0\.0001\d+ for cache_views 2 of 3\d images.*cache_views to at most 1 \(0"
    with pytest.raises(ConfigError, match=message):
        train(small, [tiny_index], tmp_path / "run", landmarks=shipped)
    assert not (tmp_path / "run").exists()


def test_size_is_that_of_the_paper_network(tiny_config):
    config = dataclasses.replace(tiny_config, cache_views=8, cache_max_gb=1.9, fusion=Schedule(40, 1e-2))
    with pytest.raises(ConfigError, match=r"at least 1\.91 for cache_views 8 of 12271 images, got 1\.9"):
        check_size(config, model_config("resnet101"), FUSION, 12271)


@pytest.mark.parametrize(
    ("stage", "views", "epochs", "expected"),
    [
        ("fusion", 2, 3, True),
        ("fusion", 3, 3, False),
        ("fusion", 0, 3, False),
        ("action_unit", 2, 3, True),
        ("action_unit", 3, 3, False),
        ("expression", 2, 3, False),
    ],
)
def test_a_cache_pays_where_features_are_used_again(stage, views, epochs, expected, tiny_config):
    stages = ("action_unit", "fusion")
    config = dataclasses.replace(tiny_config, cache_views=views, cache_stages=stages, **{stage: Schedule(epochs, 1e-3)})
    assert pays(config, STAGES[stage]) is expected


def test_stage_action_unit_is_cached_only_where_asked_for(tiny_config):
    config = dataclasses.replace(tiny_config, cache_views=2, action_unit=Schedule(3, 1e-3))
    assert not pays(config, STAGES["action_unit"])
    with pytest.raises(ConfigError, match="cache_stages must be among action_unit, fusion, got"):
        dataclasses.replace(config, cache_stages=("expression",))
