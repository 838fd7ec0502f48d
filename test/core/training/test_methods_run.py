"""A training run of another method: the same loop, resumed to the bit, and what it asks of an index."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import load_file  # noqa: E402

from aue_crl_core.config import Preprocessing  # noqa: E402
from aue_crl_core.data.transforms import Augmentation  # noqa: E402
from aue_crl_core.errors import ConfigError, DatasetError  # noqa: E402
from aue_crl_core.methods import METHODS  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402
from aue_crl_core.training.batches.loading import check_method, datasets, make_loader  # noqa: E402
from aue_crl_core.training.directory.history import read_history  # noqa: E402
from aue_crl_core.training.directory.state import STATE_FILE  # noqa: E402
from aue_crl_core.training.reporter import Silent  # noqa: E402
from aue_crl_core.training.run import train  # noqa: E402
from aue_crl_core.training.weights.imagenet import trunk_weights  # noqa: E402


class Interrupted(Exception):
    pass


class StopAfterAnEpoch(Silent):
    def epoch(self, row):
        raise Interrupted


@pytest.fixture(scope="module")
def config(tiny_config):
    """Two epochs of island loss, the first on small crops."""
    schedule = dataclasses.replace(tiny_config.expression, small_epochs=1, small_size=32)
    small = Preprocessing(input_size=64)
    return dataclasses.replace(tiny_config, method="island", preprocessing=small, expression=schedule)


@pytest.fixture(scope="module")
def lacking(tiny_index):
    """The tiny index without a picture of anger and of sadness to train on."""
    kept = [r for r in tiny_index.records if r.split == "valid" or r.label not in (4, 5)]
    return dataclasses.replace(tiny_index, records=tuple(kept))


@pytest.fixture(scope="module")
def whole(config, lacking, shipped, tmp_path_factory):
    output = tmp_path_factory.mktemp("island") / "whole"
    return train(config, [lacking], output, landmarks=shipped)


def test_a_class_without_pictures_leaves_all_figures_finite(whole):
    rows = read_history(whole.parent / "metrics.csv")
    terms = [float(row[f"train/{name}"]) for row in rows for name in ("expression", "center", "island")]
    assert np.isfinite(terms).all()
    assert all(tensor.isfinite().all() for tensor in load_file(whole).values())


def test_the_landmark_net_is_the_one_that_was_given_and_the_rest_has_learned(whole, shipped):
    ours, theirs = load_file(whole), load_file(shipped)
    assert {name.split(".")[0] for name in ours} == {"backbone", "head", "landmark_net", "temperature", "bias"}
    points = [name for name in ours if name.startswith("landmark_net.")]
    assert all(torch.equal(ours[name], theirs[name]) for name in points)
    assert ours["temperature"] != 1


def test_a_run_resumed_has_the_same_weights_and_centres(whole, config, lacking, shipped, tmp_path):
    with pytest.raises(Interrupted):
        train(config, [lacking], tmp_path, landmarks=shipped, reporter=StopAfterAnEpoch())
    assert load_file(tmp_path / STATE_FILE)["criterion/centres.centres"].shape == (7, 256)
    resumed = load_file(train(config, [lacking], tmp_path, landmarks=shipped, resume=True))
    expected = load_file(whole)
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[name], expected[name]) for name in resumed)


def with_people(index):
    """Every second face is one of two people's."""
    named = (dataclasses.replace(r, subject=f"p{i % 4}") if i % 2 else r for i, r in enumerate(index.records))
    return dataclasses.replace(index, records=tuple(named))


def test_a_batch_says_who_is_on_it(tiny_index, config):
    network, named = build_network(config.network()), with_people(tiny_index)
    train_set, valid_set = datasets("expression", network, [named], config)
    batch = next(iter(make_loader(valid_set, config, "cpu", None)))
    assert batch.identity.dtype == torch.int64
    assert set(batch.identity.tolist()) == {-1, 0, 1}
    subjects = [r.subject for r in named.records if r.split == "train"]
    for i in range(6):
        assert (train_set[i].identity == -1) == (subjects[i] is None)
    elsewhere = dataclasses.replace(named, root=named.root / ".." / named.root.name)
    both = datasets("expression", network, [named, elsewhere], config)[1]
    assert {int(both[i].identity) for i in range(len(both))} == {-1, 0, 1, 2, 3}  # of another dataset: others


def test_a_method_that_compares_people_must_be_told_who_they_are(tiny_index):
    compares = dataclasses.replace(METHODS["softmax"], name="ia_cnn", needs=frozenset({"identities"}))
    check_method(compares, [with_people(tiny_index)])
    with pytest.raises(
        DatasetError, match=r"method ia_cnn compares people .* names at least 2 \(column subject\), got 0"
    ):
        check_method(compares, [tiny_index])
    alone = tuple(dataclasses.replace(r, subject="me") for r in tiny_index.records)
    with pytest.raises(DatasetError, match="got 1"):
        check_method(compares, [dataclasses.replace(tiny_index, records=alone)])


def unflipped(augmentation):
    return dataclasses.replace(augmentation, flip=0)


def darker(crop, points, rng):
    assert points.shape == (68, 2)
    return crop // 2


def test_new_faces_are_made_of_those_with_points_only(tiny_index, config, monkeypatch):
    dark = dataclasses.replace(METHODS["island"], synthesis=darker, augmentation=unflipped)
    monkeypatch.setitem(METHODS, "island", dark)
    with pytest.raises(DatasetError, match="must have an index with points, got none"):
        check_method(dark, [tiny_index])
    first, *others = tiny_index.records
    points = np.random.default_rng(0).uniform(8, 40, (68, 2)).astype(np.float32)
    pointed = dataclasses.replace(tiny_index, records=(dataclasses.replace(first, points=points), *others))
    check_method(dark, [pointed])
    still = Augmentation(rotation_deg=0, shift=0, scale=0, flip=1, grey=0, soften=0, light=0, erase=0)
    network, config = build_network(config.network()), dataclasses.replace(config, augmentation=still)
    made, _ = datasets("expression", network, [pointed], config)
    monkeypatch.setitem(METHODS, "island", dataclasses.replace(dark, synthesis=None))
    plain, _ = datasets("expression", network, [pointed], config)
    assert torch.equal(made[0].image, plain[0].image // 2)
    assert torch.equal(made[1].image, plain[1].image)


def test_imagenet_weights_start_no_trunk_of_a_methods_own(config, monkeypatch):
    own = dataclasses.replace(METHODS["island"], whole=lambda config: None)
    imagenet = dataclasses.replace(config, model="mobilenet_v2").network()
    assert trunk_weights(imagenet).name.startswith("MobileNet_V2")
    monkeypatch.setitem(METHODS, "island", own)
    with pytest.raises(ConfigError, match="method island brings a trunk of its own; choose another --method"):
        trunk_weights(imagenet)
