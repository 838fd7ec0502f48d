"""Temperature scaling changes how sure the network is, never what it says."""

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
from aue_crl_core.training.weights.calibration import (  # noqa: E402
    calibrate,
    fit_temperature,
    risk_over_coverage,
    uncertain_below,
)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.4, 2.5))
def test_the_temperature_of_labels_drawn_at_it_is_found(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 7, generator=generator)
    labels = torch.multinomial((logits / temperature).softmax(dim=1), 1, generator=generator).squeeze(1)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize(("right", "bound"), [(True, 0.2), (False, 5.0)])
def test_it_stays_within_its_bounds(right: bool, bound: float) -> None:
    logits = torch.eye(7)
    labels = torch.arange(7) if right else (torch.arange(7) + 1) % 7
    assert fit_temperature(logits, labels) == pytest.approx(bound, rel=1e-3)


def test_calibrating_keeps_decisions_and_is_done_after_one_call(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    network = build_network(model_config("edge")).eval()
    save_network(path, network, CheckpointInfo(network.config, "fusion", metrics={"accuracy": 0.5}))
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (24, 3, 96, 96), dtype=torch.uint8, generator=generator)
    target = torch.eye(7)[torch.randint(0, 7, (24,), generator=generator)]
    batch = Sample(images, target, torch.rand(24, 68, 2, generator=generator) * 96, torch.ones(24, dtype=torch.bool))

    first = calibrate(path, [batch], "cpu")
    calibrated = load_network(path)[0]
    second = calibrate(path, [batch], "cpu")

    for branch in ("expression_branch.classifier", "fusion.classifier"):
        before, after = network.get_submodule(branch), calibrated.get_submodule(branch)
        temperature = first["expression_temperature" if branch.startswith("expression") else "fused_temperature"]
        torch.testing.assert_close(after.weight * temperature, before.weight)
        torch.testing.assert_close(after.bias * temperature, before.bias)
    at_bounds = {0.2, 5.0}
    assert all(v == pytest.approx(1, rel=0.02) or first[k] in at_bounds for k, v in second.items())
    curve = read_info(path).metrics["risk_over_coverage"]
    assert [row["coverage"] for row in curve] == sorted((row["coverage"] for row in curve), reverse=True)
    assert 0 < calibrated.config.uncertain_below < 1
    assert read_info(path).config.uncertain_below == pytest.approx(calibrated.config.uncertain_below, abs=0.02)
    assert read_info(path).metrics["accuracy"] == 0.5
    assert read_info(path).metrics["fused_temperature"] == pytest.approx(second["fused_temperature"])


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
