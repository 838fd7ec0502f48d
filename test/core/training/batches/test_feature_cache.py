"""Frozen features on disk: what they are made of, what makes them void, and that a killed run goes on with them."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from safetensors.torch import load_file  # noqa: E402

from aue_crl_core.checkpoint import load_network  # noqa: E402
from aue_crl_core.config import model_config  # noqa: E402
from aue_crl_core.data.transforms import Augmentation  # noqa: E402
from aue_crl_core.errors import ConfigError, TrainingError  # noqa: E402
from aue_crl_core.knowledge import LearnablePrior  # noqa: E402
from aue_crl_core.training.batches import feature_cache  # noqa: E402
from aue_crl_core.training.batches.feature_cache import (  # noqa: E402
    CachePlan,
    FeatureCache,
    check_size,
    make_room,
    pays,
)
from aue_crl_core.training.batches.features import Maker, cached_sets  # noqa: E402
from aue_crl_core.training.batches.loading import datasets, make_loader  # noqa: E402
from aue_crl_core.training.config import Schedule  # noqa: E402
from aue_crl_core.training.loop import batch_inputs, validate  # noqa: E402
from aue_crl_core.training.reporter import Silent  # noqa: E402
from aue_crl_core.training.run import train  # noqa: E402
from aue_crl_core.training.stages import STAGES, Setting  # noqa: E402

FUSION = STAGES["fusion"]


class Stopped(Exception):
    pass


@pytest.fixture
def config(tiny_config):
    return dataclasses.replace(tiny_config, cache_views=2, fusion=Schedule(3, 1e-3))


@pytest.fixture
def network(shipped):
    return load_network(shipped)[0]


@pytest.fixture
def sets(network, tiny_index, config):
    return datasets("fusion", network, [tiny_index], config)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 8 images, so that 36 make several."""
    monkeypatch.setattr(feature_cache, "BLOCK", 8)


def plan_of(network, tiny_index, config, train_set=None):
    train_set = train_set or datasets("fusion", network, [tiny_index], config)[0]
    return Maker(FUSION, network, "cpu", config).plan("train", train_set, config.cache_views, "float16")


@pytest.mark.parametrize("name", ["action_unit", "fusion"])
def test_a_view_holds_the_features_of_the_pictures_of_that_epoch(name, network, tiny_index, config, tmp_path):
    stage, sets = STAGES[name], datasets(name, network, [tiny_index], config)
    views, _ = cached_sets(tmp_path, Maker(stage, network, "cpu", config), *sets)
    source = sets[0]
    for epoch, view in ((0, 0), (1, 1), (2, 0)):
        views.set_epoch(epoch)
        (cached,) = make_loader(views, dataclasses.replace(config, batch_size=len(views)), "cpu", 5)
        source.set_epoch(view)
        (fresh,) = make_loader(source, dataclasses.replace(config, batch_size=len(views)), "cpu", 5)
        with torch.inference_mode():
            inputs, batch = batch_inputs(network, stage, config, fresh, "cpu")
        assert torch.equal(cached.target, batch.target)
        for kept, expected in zip(cached.inputs, inputs, strict=True):
            assert kept.dtype == torch.float16
            torch.testing.assert_close(kept.float(), expected, rtol=1e-3, atol=1e-4)


def test_views_differ(network, sets, config, tmp_path):
    views, _ = cached_sets(tmp_path, Maker(FUSION, network, "cpu", config), *sets)
    features = []
    for epoch in (0, 1):
        views.set_epoch(epoch)
        features.append(views.__getitems__([0, 1])[0][0])
    assert not torch.allclose(*features, rtol=0.05)


@pytest.mark.parametrize("name", ["action_unit", "fusion"])
def test_validation_scores_the_same_from_the_cache(name, network, tiny_index, config, tmp_path):
    stage, sets = STAGES[name], datasets(name, network, [tiny_index], config)
    _, cached = cached_sets(tmp_path, Maker(stage, network, "cpu", config), *sets)
    setting = Setting(config, LearnablePrior("basic"), torch.zeros(7))
    figures = [validate(network, stage, setting, make_loader(s, config, "cpu", None), "cpu") for s in (sets[1], cached)]
    assert figures[0] == figures[1]


def test_what_is_trained_and_how_images_are_labelled_leaves_the_cache_valid(network, tiny_index, config):
    before = plan_of(network, tiny_index, config).folder
    with torch.no_grad():
        network.fusion.classifier.weight.zero_()
        network.expression_branch.classifier.bias.zero_()
    relabelled = [dataclasses.replace(r, label=3, votes=None) for r in tiny_index.records]
    other = dataclasses.replace(tiny_index, records=tuple(relabelled))
    assert plan_of(network, other, config).folder == before


@pytest.mark.parametrize("part", ["backbone", "expression_branch.reduce", "action_unit_branch", "landmark_net"])
def test_other_frozen_weights_are_another_cache(part, network, tiny_index, config):
    before = plan_of(network, tiny_index, config).folder
    with torch.no_grad():
        next(network.get_submodule(part).parameters()).view(-1)[0] += 1e-3
    assert plan_of(network, tiny_index, config).folder != before


def test_frozen_statistics_count_as_weights(network, tiny_index, config):
    before = plan_of(network, tiny_index, config).folder
    next(b for n, b in network.backbone.named_buffers() if n.endswith("running_mean"))[0] += 1e-3
    assert plan_of(network, tiny_index, config).folder != before


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"augmentation": Augmentation(flip=0.25)},
        {"precision": "bf16"},
        {"cache_views": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_are_another_cache(change, network, tiny_index, config):
    other = dataclasses.replace(config, **change)
    assert plan_of(network, tiny_index, config).folder != plan_of(network, tiny_index, other).folder


def test_another_crop_is_another_cache(network, tiny_index, config):
    before = plan_of(network, tiny_index, config).folder
    network.config = dataclasses.replace(
        network.config, preprocessing=dataclasses.replace(network.config.preprocessing, margin=0.5)
    )
    assert plan_of(network, tiny_index, config).folder != before


def test_other_images_boxes_or_points_are_another_cache(network, tiny_index, config):
    before = plan_of(network, tiny_index, config).folder
    first, *rest = tiny_index.records
    pointed = dataclasses.replace(first, points=np.full((68, 2), 20, dtype=np.float32))
    moved = dataclasses.replace(first, box=dataclasses.replace(first.box, x=first.box.x + 1))
    variants = [(pointed, *rest), (moved, *rest), tuple(rest), (*rest, first)]
    folders = {
        plan_of(network, dataclasses.replace(tiny_index, records=records), config).folder for records in variants
    }
    assert len(folders) == 4
    assert before not in folders


def test_a_file_written_anew_is_another_image(network, tiny_index, config, tmp_path):
    for record in tiny_index.records:
        target = tmp_path / record.image
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(tiny_index.path(record).read_bytes())
    copy = dataclasses.replace(tiny_index, root=tmp_path)
    before = plan_of(network, copy, config).folder
    assert plan_of(network, copy, config).folder == before
    os.utime(tmp_path / copy.records[0].image, (1e9, 1e9))
    assert plan_of(network, copy, config).folder != before


def test_a_cache_that_was_being_filled_goes_on_to_the_same_bits(network, sets, config, small_blocks, tmp_path):
    source = sets[0]
    done = []

    def stop_at_the_third(number, total):
        done.append(number)
        if number == 3:
            raise Stopped

    maker = Maker(FUSION, network, "cpu", config)
    plan = maker.plan("train", source, 1, "float16")
    assert plan.blocks == -(-len(source) // 8) > 4
    whole = FeatureCache(tmp_path / "whole", plan)
    maker.fill(whole, 0, source)
    assert whole.missing(0) == []

    with pytest.raises(Stopped):
        dataclasses.replace(maker, on_block=stop_at_the_third).fill(FeatureCache(tmp_path / "part", plan), 0, source)
    again = FeatureCache(tmp_path / "part", plan)
    assert again.missing(0) == list(range(3, plan.blocks))
    dataclasses.replace(maker, on_block=lambda number, total: done.append((number, total))).fill(again, 0, source)
    assert done == [1, 2, 3, *((n + 1, plan.blocks - 3) for n in range(plan.blocks - 3))]
    everything = list(range(len(source)))
    assert np.array_equal(again.read(0, everything), whole.read(0, everything))
    assert whole.read(0, everything).any(axis=1).all()


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


@pytest.fixture
def run_fusion(finished_run, tiny_index):
    """Train stage fusion from the finished run's stage two, in a directory."""

    def run(config, output, **options):
        return train(config, [tiny_index], output, ["fusion"], init=finished_run / "action_unit.safetensors", **options)

    return run


class FillStops(Silent):
    """Interrupts a run while it computes features."""

    def __init__(self, at):
        self.left = at

    def features(self, done, total):
        self.left -= 1
        if not self.left:
            raise Stopped


def test_a_cached_run_is_the_uncached_one_while_views_are_fresh(run_fusion, config, tmp_path):
    heard = []
    for name, views in (("cached", 2), ("fresh", 0)):
        reporter = Silent()
        reporter.epoch = heard.append
        run_fusion(dataclasses.replace(config, cache_views=views), tmp_path / name, reporter=reporter)
    cached, fresh = heard[:3], heard[3:]
    for a, b in zip(cached[:2], fresh[:2], strict=True):
        assert a["train/fused"] == pytest.approx(b["train/fused"], rel=2e-3)
    assert cached[2]["train/fused"] != pytest.approx(fresh[2]["train/fused"], rel=2e-3)
    assert not (tmp_path / "cached" / "features").exists()


def test_a_run_interrupted_amid_its_features_ends_as_one_that_was_not(run_fusion, config, small_blocks, tmp_path):
    whole = run_fusion(config, tmp_path / "whole")
    with pytest.raises(Stopped):
        run_fusion(config, tmp_path / "part", reporter=FillStops(9))
    assert len(list((tmp_path / "part" / "features").iterdir())) == 2
    resumed = run_fusion(config, tmp_path / "part", resume=True)
    a, b = load_file(whole), load_file(resumed)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_cache_in_a_place_of_its_own_serves_the_next_run(run_fusion, config, tmp_path):
    class Count(Silent):
        blocks = 0

        def features(self, done, total):
            self.blocks += 1

    placed = dataclasses.replace(config, cache_dir=str(tmp_path / "caches"))
    first, second, third = Count(), Count(), Count()
    run_fusion(placed, tmp_path / "one", reporter=first)
    run_fusion(placed, tmp_path / "two", reporter=second)
    run_fusion(dataclasses.replace(placed, seed=1), tmp_path / "three", reporter=third)
    assert (first.blocks, second.blocks, third.blocks) == (3, 0, 2)  # validation pictures do not depend on the seed
    a, b = (load_file(tmp_path / name / "fusion.safetensors") for name in ("one", "two"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_killed_amid_its_features_goes_on_with_them(
    run_fusion, config, finished_run, tiny_index, small_blocks, tmp_path
):
    tiny_index.write(tmp_path / "index.parquet")
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    script = """
        import json, sys, time, torch
        from pathlib import Path
        from aue_crl_core.config import from_dict
        from aue_crl_core.data.index import DatasetIndex
        from aue_crl_core.training.batches import feature_cache
        from aue_crl_core.training.config import TrainConfig
        from aue_crl_core.training.reporter import Silent
        from aue_crl_core.training.run import train
        torch.set_num_threads(1)
        feature_cache.BLOCK = 8
        class Echo(Silent):
            def features(self, done, total):
                print("block", flush=True)
                time.sleep(0.2)
        folder, init = map(Path, sys.argv[1:])
        config = from_dict(TrainConfig, json.loads((folder / "config.json").read_text()), "config")
        index = DatasetIndex.read(folder / "index.parquet")
        train(config, [index], folder / "run", ["fusion"], init=init, reporter=Echo())
    """
    init = finished_run / "action_unit.safetensors"
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), str(init)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as job:
        for _ in range(3):
            job.stdout.readline()
        os.kill(job.pid, signal.SIGKILL)
    assert job.returncode == -signal.SIGKILL
    (partly,) = (tmp_path / "run" / "features").glob("fusion-train-*/done.npy")
    left = int((np.load(partly) == 0).sum())
    assert 0 < left < np.load(partly).size
    blocks = []

    class Count(Silent):
        def features(self, done, total):
            blocks.append(total)

    resumed = run_fusion(config, tmp_path / "run", resume=True, reporter=Count())
    assert len(blocks) == left
    a, b = load_file(run_fusion(config, tmp_path / "whole")), load_file(resumed)
    assert max(float((a[n].float() - b[n].float()).abs().max()) for n in a) < 1e-6
