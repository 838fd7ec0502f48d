"""Epochs and validation: what is scored, and what may not be a number."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from aue_crl_core.checkpoint import load_network  # noqa: E402
from aue_crl_core.config import Preprocessing  # noqa: E402
from aue_crl_core.errors import TrainingError  # noqa: E402
from aue_crl_core.knowledge import LearnablePrior  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402
from aue_crl_core.training.batches.loading import datasets, log_frequency, make_loader  # noqa: E402
from aue_crl_core.training.loop import Waiting, autocast, normalise, validate  # noqa: E402
from aue_crl_core.training.memory import keep_freed_memory  # noqa: E402
from aue_crl_core.training.stages import STAGES, Setting  # noqa: E402
from aue_crl_core.training.stages.landmark import normalised_point_error  # noqa: E402


def test_normalisation_is_of_rgb_in_unit_range():
    preprocessing = Preprocessing(mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    images = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    assert normalise(images, preprocessing)[:, :, 0, 0].tolist() == [[1.0, 1.0, 0.0]] * 2


def test_bf16_only_where_asked_for():
    x = torch.ones(2, 2)
    with autocast("cpu", "fp32"):
        assert (x @ x).dtype == torch.float32
    with autocast("cpu", "bf16"):
        assert (x @ x).dtype == torch.bfloat16


def test_images_lie_in_memory_as_asked_for():
    images = torch.zeros((2, 3, 4, 4), dtype=torch.uint8)
    assert normalise(images, Preprocessing()).is_contiguous(memory_format=torch.channels_last)
    assert normalise(images, Preprocessing(), channels_last=False).is_contiguous()


def test_waiting_is_the_time_that_the_loader_takes():
    def slow():
        for number in range(3):
            time.sleep(0.02)
            yield number

    idle, busy = Waiting(slow()), Waiting(range(3))
    assert idle.share == 0
    assert list(idle) == [0, 1, 2]
    assert idle.share > 0.5
    for _ in busy:
        time.sleep(0.02)
    assert busy.share < 0.5


@pytest.fixture
def stage_parts(tiny_index, tiny_config, shipped):
    network = load_network(shipped)[0]
    _, valid = datasets("fusion", network, [tiny_index], tiny_config)
    setting = Setting(tiny_config, LearnablePrior("basic"), torch.zeros(7))
    return network, valid, setting, make_loader(valid, tiny_config, "cpu", None)


@pytest.mark.parametrize("name", ["expression", "fusion"])
def test_validation_scores_the_head_of_its_stage(name, stage_parts):
    network, valid, setting, loader = stage_parts
    head = network.expression_branch.classifier if name == "expression" else network.fusion.classifier
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.bias[3] = 1.0
    figures = validate(network, STAGES[name], setting, loader, "cpu")
    happy = float((valid.labels == 3).mean())
    assert figures["accuracy"] == pytest.approx(happy)
    assert figures["score"] == pytest.approx((happy + figures["mean_class_accuracy"]) / 2)
    assert not network.training


@pytest.mark.parametrize("name", ["expression", "action_unit", "fusion"])
def test_weights_that_became_nan_in_the_last_step_are_noticed(name, stage_parts):
    network, _, setting, loader = stage_parts
    with torch.no_grad():
        for path in STAGES[name].trained:
            for parameter in network.get_submodule(path).parameters():
                parameter.fill_(float("nan"))
    with pytest.raises(TrainingError, match=f"of stage {name} must be finite"):
        validate(network, STAGES[name], setting, loader, "cpu")


def test_the_landmark_stage_is_measured_on_faces_and_on_what_is_none_apart(tiny_index, tiny_config, shipped):
    network = load_network(shipped)[0]
    points = np.random.default_rng(0).uniform(8, 40, (68, 2)).astype(np.float32)
    records = tuple(dataclasses.replace(r, points=points) for r in tiny_index.records)
    valid = datasets("landmark", network, [dataclasses.replace(tiny_index, records=records)], tiny_config)[1]
    setting = Setting(tiny_config, LearnablePrior("basic"), torch.zeros(7))
    faces = [valid[i] for i in range(4)]
    none = [s._replace(target=torch.zeros(1), has_points=torch.tensor(False), points=s.points * 0) for s in faces[:2]]
    batches = [type(faces[0])(*map(torch.stack, zip(*rows, strict=True))) for rows in (faces, none)]
    with torch.no_grad():
        network.landmark_net.face.weight.zero_()
        network.landmark_net.face.bias.fill_(1.0)
    figures = validate(network, STAGES["landmark"], setting, batches, "cpu")
    alone = validate(network, STAGES["landmark"], setting, batches[:1], "cpu")
    assert figures["point_error"] == pytest.approx(alone["point_error"])
    assert (figures["missed"], figures["false_faces"]) == (0, 1)
    assert "false_faces" not in alone
    assert figures["loss"] == pytest.approx(figures["points"] + figures["face"])


@pytest.mark.parametrize("name", list(STAGES))
def test_a_stage_opens_its_parts_only(name, stage_parts):
    network, _, setting, _ = stage_parts
    if STAGES[name].knowledge == "odds":
        network = build_network(dataclasses.replace(network.config, knowledge="odds"))
    weights, prior = STAGES[name].prepare(network, setting.prior, training=True)
    opened = {n for n, p in network.named_parameters() if p.requires_grad}
    kept = ("backbone.stem.", "backbone.stage1.") if STAGES[name].keeps_stem else ()
    theirs = {n for n, _ in network.named_parameters() if n.startswith(STAGES[name].trained)}
    assert opened == {n for n in theirs if not n.startswith(kept)}
    assert len(weights) == len(opened)
    assert bool(prior) == setting.prior.table.requires_grad == (name == "action_unit")
    training = {n for n, m in network.named_modules() if m.training}
    assert training
    assert all(n.startswith(STAGES[name].trained) and not n.startswith(kept) for n in training)


def test_frequencies_are_those_of_the_training_labels(tiny_index, tiny_config, shipped):
    network = load_network(shipped)[0]
    train_set, _ = datasets("expression", network, [tiny_index], tiny_config)
    shares = log_frequency(train_set, 7).exp()
    for label in range(7):
        count = int((train_set.labels == label).sum())
        assert float(shares[label]) == pytest.approx(max(count, 1) / len(train_set))


def test_point_error_is_in_eye_distances():
    truth = torch.zeros(1, 68, 2)
    truth[0, 45, 0] = 10.0
    guess = truth + torch.tensor([3.0, 4.0])
    assert normalised_point_error(guess, truth).tolist() == [pytest.approx([0.5] * 68)]


def test_the_batches_of_an_epoch_are_drawn_by_its_seed(tiny_index, tiny_config, shipped):
    network = load_network(shipped)[0]
    train_set, _ = datasets("expression", network, [tiny_index], tiny_config)

    def targets(seed):
        return torch.cat([s.target for s in make_loader(train_set, tiny_config, "cpu", seed)])

    assert torch.equal(targets(1), targets(1))
    assert not torch.equal(targets(1), targets(2))


def test_keeping_freed_memory_says_whether_it_took():
    import platform

    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


def test_no_stage_sees_the_pictures_that_another_learned(tiny_index, tiny_config, shipped):
    network = load_network(shipped)[0]
    first, again, later = (
        datasets(stage, network, [tiny_index], tiny_config)[0][0] for stage in ("expression", "expression", "fusion")
    )
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, later.image)
