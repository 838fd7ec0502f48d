"""Frozen features are those of the pictures of their epoch, and score as the pictures do."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from aue_crl_core.knowledge import LearnablePrior  # noqa: E402
from aue_crl_core.training.batches.features import Maker, cached_sets  # noqa: E402
from aue_crl_core.training.batches.loading import datasets, make_loader  # noqa: E402
from aue_crl_core.training.loop import batch_inputs, validate  # noqa: E402
from aue_crl_core.training.stages import STAGES, Setting  # noqa: E402

FUSION = STAGES["fusion"]


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
