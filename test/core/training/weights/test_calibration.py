"""Calibration makes the answers as likely as they are right, and of each class as often as it comes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from aue_crl_core.checkpoint import CheckpointInfo, load_network, read_info, save_network  # noqa: E402
from aue_crl_core.config import model_config  # noqa: E402
from aue_crl_core.data.dataset import Sample  # noqa: E402
from aue_crl_core.networks.build import build_network  # noqa: E402
from aue_crl_core.training.loop import normalise  # noqa: E402
from aue_crl_core.training.weights.calibration import (  # noqa: E402
    calibrate,
    fit_correction,
    risk_over_coverage,
    uncertain_below,
)


def _drawn(logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.multinomial(logits.softmax(dim=1), 1, generator=generator).squeeze(1)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.4, 2.5), st.lists(st.floats(-1, 1), min_size=7, max_size=7))
def test_the_correction_of_labels_drawn_at_it_is_found(temperature: float, bias: list[float]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 7, generator=generator)
    truth = torch.tensor(bias)
    labels = _drawn(logits / temperature + truth, generator)
    found = fit_correction(logits, labels, torch.zeros(7))
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    torch.testing.assert_close(found.bias - found.bias.mean(), truth - truth.mean(), atol=0.15, rtol=0)


def test_rare_classes_are_favoured_as_much_as_training_meant_it() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.6, 0.3, 0.1])
    evidence = torch.randn(20_000, 3, generator=generator)
    labels = _drawn(evidence + shares.log(), generator)
    plain = fit_correction(evidence, labels, torch.zeros(3)).bias
    balanced = fit_correction(evidence, labels, shares.log()).bias
    torch.testing.assert_close(plain - plain.mean(), shares.log() - shares.log().mean(), atol=0.1, rtol=0)
    torch.testing.assert_close(balanced - balanced.mean(), torch.zeros(3), atol=0.1, rtol=0)


def test_a_class_that_nobody_shows_keeps_nearly_its_own_bias() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(400, 3, generator=generator)
    logits[:, 2] -= 2
    labels = _drawn(logits[:, :2], generator)
    assert -4 < float(fit_correction(logits, labels, torch.zeros(3)).bias[2]) < -1


@pytest.mark.parametrize(("right", "bound"), [(True, 0.2), (False, 5.0)])
def test_the_temperature_stays_within_its_bounds(right: bool, bound: float) -> None:
    logits = torch.eye(7)
    labels = torch.arange(7) if right else (torch.arange(7) + 1) % 7
    assert fit_correction(logits, labels, torch.zeros(7)).temperature == pytest.approx(bound, rel=1e-3)


def test_a_checkpoint_is_corrected_in_its_classifiers_and_a_second_call_finds_nothing_more(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    network = build_network(model_config("edge")).eval()
    save_network(path, network, CheckpointInfo(network.config, "fusion", metrics={"accuracy": 0.5, "epoch": 8}))
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (24, 3, 96, 96), dtype=torch.uint8, generator=generator)
    points = torch.rand(24, 68, 2, generator=generator) * 96
    said = network(normalise(images, network.config.preprocessing), points)
    target = torch.eye(7)[_drawn((said.fused_logits - said.fused_logits.mean(dim=0)).detach() * 5, generator)]
    loader = [Sample(images, target, points, torch.ones(24, dtype=torch.bool))] * 20

    first = calibrate(path, loader, "cpu", torch.zeros(7))
    calibrated = load_network(path)[0]
    second = calibrate(path, loader, "cpu", torch.zeros(7))
    again = load_network(path)[0]

    for name, branch in (("expression", "expression_branch.classifier"), ("fused", "fusion.classifier")):
        before, after = network.get_submodule(branch), calibrated.get_submodule(branch)
        temperature, bias = getattr(first, name)
        torch.testing.assert_close(after.weight * temperature, before.weight)
        torch.testing.assert_close(after.bias, before.bias / temperature + bias)
    inputs = normalise(images, network.config.preprocessing), points
    before, after, last = (net(*inputs).fused_logits.softmax(dim=1) for net in (network, calibrated, again))
    assert float((after - before).detach().abs().max()) > 0.1
    torch.testing.assert_close(last, after, atol=0.03, rtol=0)
    metrics = read_info(path).metrics
    curve = metrics["risk_over_coverage"]
    assert [row["coverage"] for row in curve] == sorted((row["coverage"] for row in curve), reverse=True)
    assert 0 < calibrated.config.uncertain_below < 1
    assert read_info(path).config.uncertain_below == pytest.approx(again.config.uncertain_below)
    assert metrics["epoch"] == 8
    assert {name: metrics[name] for name in second.after} == second.after
    assert first.faces == 480
    assert first.before["accuracy"] <= first.after["accuracy"]
    assert first.after == pytest.approx(second.before)
    labels = target.argmax(dim=1)
    assert first.after["accuracy"] == pytest.approx(float((after.argmax(dim=1) == labels).double().mean()))
    assert first.after["recall/neutral"] == pytest.approx(
        float((after.argmax(dim=1)[labels == 6] == 6).double().mean())
    )
    assert metrics["risk_over_coverage"][0]["risk"] == pytest.approx(1 - second.after["accuracy"], abs=1e-4)
    assert metrics["fused_temperature"] == pytest.approx(second.fused.temperature)
    assert metrics["fused_bias"] == pytest.approx(second.fused.bias.tolist(), abs=1e-4)


CONFIDENCES = torch.tensor([0.9, 0.2, 0.8, 0.3, 0.7])
RIGHT = torch.tensor([True, False, True, True, False])


@pytest.mark.parametrize(
    ("risk", "confidence"),
    [(0.0, 0.8), (0.2, 0.8), (0.3, 0.3), (0.34, 0.3), (0.4, 0.2), (1.0, 0.2)],
)
def test_answers_are_relied_on_down_to_where_the_risk_is_still_kept(risk: float, confidence: float) -> None:
    assert uncertain_below(CONFIDENCES, RIGHT, risk) == pytest.approx(confidence)


def test_where_even_the_surest_are_wrong_only_the_surest_is_relied_on() -> None:
    assert uncertain_below(CONFIDENCES, torch.zeros(5, dtype=torch.bool), 0.1) == pytest.approx(0.9)


def test_the_curve_says_how_many_of_the_surest_are_wrong() -> None:
    rows = {row["coverage"]: row for row in risk_over_coverage(CONFIDENCES, RIGHT)}
    assert rows[1.0] == {"coverage": 1.0, "risk": 0.4, "confidence": pytest.approx(0.2)}
    assert rows[0.6] == {"coverage": 0.6, "risk": pytest.approx(1 / 3, abs=1e-3), "confidence": pytest.approx(0.7)}
