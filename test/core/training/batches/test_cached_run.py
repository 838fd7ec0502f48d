"""A run from frozen features is the run that it would have been, and one that was killed goes on with them."""

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

from aue_crl_core.training.batches import feature_cache  # noqa: E402
from aue_crl_core.training.batches.feature_cache import FeatureCache  # noqa: E402
from aue_crl_core.training.batches.features import Maker  # noqa: E402
from aue_crl_core.training.reporter import Silent  # noqa: E402
from aue_crl_core.training.run import train  # noqa: E402
from aue_crl_core.training.stages import STAGES  # noqa: E402

FUSION = STAGES["fusion"]


class Stopped(Exception):
    pass


class FillStops(Silent):
    """Interrupts a run while it computes features."""

    def __init__(self, at):
        self.left = at

    def features(self, done, total):
        self.left -= 1
        if not self.left:
            raise Stopped


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 8 images, so that 36 make several."""
    monkeypatch.setattr(feature_cache, "BLOCK", 8)


@pytest.fixture
def run_fusion(finished_run, tiny_index):
    """Train stage fusion from the finished run's stage two, in a directory."""

    def run(config, output, **options):
        return train(config, [tiny_index], output, ["fusion"], init=finished_run / "action_unit.safetensors", **options)

    return run


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


@pytest.mark.slow
def test_a_run_interrupted_amid_its_features_ends_as_one_that_was_not(run_fusion, config, small_blocks, tmp_path):
    whole = run_fusion(config, tmp_path / "whole")
    with pytest.raises(Stopped):
        run_fusion(config, tmp_path / "part", reporter=FillStops(9))
    assert len(list((tmp_path / "part" / "features").iterdir())) == 2
    resumed = run_fusion(config, tmp_path / "part", resume=True)
    a, b = load_file(whole), load_file(resumed)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
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


@pytest.mark.slow
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
