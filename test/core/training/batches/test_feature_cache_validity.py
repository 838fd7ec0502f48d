"""What makes a cache of frozen features void, and what leaves it valid."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from aue_crl_core.data.transforms import Augmentation  # noqa: E402
from aue_crl_core.training.batches.features import Maker  # noqa: E402
from aue_crl_core.training.batches.loading import datasets  # noqa: E402
from aue_crl_core.training.stages import STAGES  # noqa: E402

FUSION = STAGES["fusion"]


def plan_of(network, tiny_index, config, train_set=None):
    train_set = train_set or datasets("fusion", network, [tiny_index], config)[0]
    return Maker(FUSION, network, "cpu", config).plan("train", train_set, config.cache_views, "float16")


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
