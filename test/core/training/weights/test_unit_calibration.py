"""Action units as people see them: what they coded sets how much evidence and prior weigh, and nothing else changes."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.checkpoint import CheckpointInfo, load_network, save_network  # noqa: E402
from aue_crl_core.engines import find_weights  # noqa: E402
from aue_crl_core.errors import ConfigError, DatasetError  # noqa: E402
from aue_crl_core.facs import ACTION_UNITS  # noqa: E402
from aue_crl_core.knowledge import PriorOdds  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402
from aue_crl_core.training.weights import unit_calibration  # noqa: E402
from aue_crl_core.training.weights.unit_calibration import (  # noqa: E402
    UnitCorrection,
    calibrate_units,
    correct_units,
    fit_unit,
)

PRIOR = PriorOdds("basic").table[:, ACTION_UNITS.index(4)]


def _faces(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    expressions = torch.randn(count, 7, generator=generator).mul(3).softmax(dim=1)
    return torch.randn(count, generator=generator) * 3, expressions


def test_the_weights_that_people_coded_by_are_found_again():
    evidence, expressions = _faces(20_000)
    prior = torch.logit(expressions @ torch.sigmoid(1.2 * torch.logit(PRIOR)))
    shares = torch.sigmoid(0.4 * evidence + prior + 1.5)
    codes = (torch.rand(len(shares), generator=torch.Generator().manual_seed(1)) < shares).double()
    found = fit_unit(evidence, expressions, PRIOR, codes)
    assert found[:3] == pytest.approx((0.4, 1.2, 1.5), abs=0.1)
    assert found.faces == len(codes)
    assert found.seen == codes.sum()


def test_a_few_codes_hardly_change_what_was_known():
    evidence, expressions = _faces(4)
    found = fit_unit(evidence, expressions, PRIOR, torch.ones(4))
    assert found[:2] == pytest.approx((1, 1), abs=0.3)
    assert 0 < found.offset < 4


def test_undecided_codes_ask_for_a_half():
    evidence, expressions = _faces(5_000)
    found = fit_unit(evidence, expressions, PRIOR, torch.full((5_000,), 0.5))
    said = found.evidence * evidence + torch.logit(expressions @ torch.sigmoid(found.prior * torch.logit(PRIOR)))
    assert torch.sigmoid(said + found.offset).mean() == pytest.approx(0.5, abs=0.05)


@pytest.fixture
def shipped():
    return load_network(find_weights("edge", "torch"))[0].eval()


def test_a_correction_is_that_of_the_formula_and_of_its_au_alone(shipped):
    torch.manual_seed(0)
    images, points = torch.randn(3, 3, 96, 96), torch.rand(3, 68, 2) * 96
    correction, column = UnitCorrection(0.5, 1.5, 1.0, 60, 30), ACTION_UNITS.index(4)
    odds = torch.logit(shipped.prior_odds.table[:, column].clone())
    with torch.no_grad():
        before = shipped(images, points)
        expressions = before.expression_logits.softmax(dim=1)
        said = torch.logit(before.action_unit_probabilities[:, column])
        evidence = said - torch.logit(expressions @ torch.sigmoid(odds))
        correct_units(shipped, {4: correction})
        after = shipped(images, points)
    wanted = 0.5 * evidence + torch.logit(expressions @ torch.sigmoid(1.5 * odds)) + 1.0
    torch.testing.assert_close(torch.logit(after.action_unit_probabilities[:, column]), wanted, atol=1e-3, rtol=1e-3)
    others = [i for i in range(17) if i != column]
    torch.testing.assert_close(
        after.action_unit_probabilities[:, others], before.action_unit_probabilities[:, others], atol=0, rtol=0
    )
    for name in ("expression_logits", "fused_logits", "attention", "intensities"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name), atol=0, rtol=0)


@pytest.fixture
def checkpoint(tmp_path):
    from aue_crl_core.checkpoint import combine

    path = tmp_path / "mine.safetensors"
    combine(find_weights("edge", "torch"), None, path)
    return path


def test_codes_of_a_checkpoints_faces_make_it_say_the_au_more_often(tiny_index, tiny_config, checkpoint, monkeypatch):
    """All faces coded as showing AU 17 but a few; AU 1 is coded on too few to count."""
    monkeypatch.setattr(unit_calibration, "LEAST_CODED", 4)
    used = [r for r in tiny_index.records if r.split in ("train", "valid")]
    codes = {r.image: {17: float(n >= 5), **({1: 1.0} if n < 3 else {})} for n, r in enumerate(used)}
    codes["an image that is in no index"] = {17: 0.0}
    before = load_network(checkpoint)[0]
    found = calibrate_units(checkpoint, [tiny_index], codes, tiny_config, "cpu")
    assert set(found) == {17}
    assert found[17].faces == len(used)
    assert found[17].seen == len(used) - 5
    assert found[17].offset > 1
    after, info = load_network(checkpoint)
    column = ACTION_UNITS.index(17)
    assert info.metrics["unit_corrections"] == {"AU17": [pytest.approx(v, abs=1e-3) for v in found[17][:3]]}
    bias = before.action_unit_branch.evidence.classifier.bias[column] * found[17].evidence + found[17].offset
    assert after.action_unit_branch.evidence.classifier.bias[column].item() == pytest.approx(bias.item(), abs=1e-4)


def test_too_few_codes_change_no_answer(tiny_index, tiny_config, checkpoint):
    before = load_network(checkpoint)[0].state_dict()
    one = {tiny_index.records[0].image: {4: 1.0}}
    assert calibrate_units(checkpoint, [tiny_index], one, tiny_config, "cpu") == {}
    after = load_network(checkpoint)[0].state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_codes_of_other_images_are_refused_and_change_nothing(tiny_index, tiny_config, checkpoint):
    content = checkpoint.read_bytes()
    with pytest.raises(DatasetError, match=r"no coded image \(another\.png, \.\.\.\) is in splits train and valid"):
        calibrate_units(checkpoint, [tiny_index], {"another.png": {4: 1.0}}, tiny_config, "cpu")
    assert checkpoint.read_bytes() == content


def test_a_network_without_evidence_has_nothing_to_weigh(tiny_index, tiny_config, tmp_path):
    network = build_network(dataclasses.replace(tiny_config, knowledge="targets").network()).eval()
    path = tmp_path / "paper.safetensors"
    save_network(path, network, CheckpointInfo(network.config, "fusion"))
    with pytest.raises(ConfigError, match=r"paper\.safetensors is of a network without evidence"):
        calibrate_units(path, [tiny_index], {tiny_index.records[0].image: {4: 1.0}}, tiny_config, "cpu")


def test_what_a_distance_tells_for_certain_needs_no_coder(tiny_index, tiny_config, checkpoint, monkeypatch):
    monkeypatch.setattr(unit_calibration, "LEAST_CODED", 4)
    codes = {r.image: {25: float(n % 2), 4: float(n % 2)} for n, r in enumerate(tiny_index.records)}
    assert set(calibrate_units(checkpoint, [tiny_index], codes, tiny_config, "cpu")) == {4}


def test_images_of_the_test_split_are_never_used(tiny_index, tiny_config, checkpoint, monkeypatch):
    monkeypatch.setattr(unit_calibration, "LEAST_CODED", 1)
    hidden = dataclasses.replace(
        tiny_index, records=tuple(dataclasses.replace(r, split="test") for r in tiny_index.records)
    )
    codes = {r.image: {4: float(n % 2)} for n, r in enumerate(hidden.records)}
    with pytest.raises(DatasetError, match="no coded image"):
        calibrate_units(checkpoint, [hidden], codes, tiny_config, "cpu")
