"""Intensities: a second reading of the evidence's layer, fitted to how strong the face mesh shows the action units."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.checkpoint import CheckpointInfo, load_network, save_network  # noqa: E402
from aue_crl_core.checkpoint.export import export_onnx, largest_difference  # noqa: E402
from aue_crl_core.config import model_config  # noqa: E402
from aue_crl_core.data.au_evidence import INTENSITY_UNITS  # noqa: E402
from aue_crl_core.data.face_mesh import BLENDSHAPES, DISTANCES  # noqa: E402
from aue_crl_core.engines.onnx import OnnxEngine  # noqa: E402
from aue_crl_core.media.reading.pixels import load_image  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402
from aue_crl_core.training.batches.evidence import unit_strengths  # noqa: E402
from aue_crl_core.training.weights import intensity  # noqa: E402
from aue_crl_core.training.weights.intensity import fit_intensities, fit_reading  # noqa: E402


def test_a_logistic_map_is_found_again():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(20_000, 6, generator=generator) + 0.5
    weight, bias = torch.randn(2, 6, generator=generator), torch.tensor([0.5, -1.0])
    found, offset = fit_reading(hidden, torch.sigmoid(hidden @ weight.T + bias))
    torch.testing.assert_close(found, weight, atol=0.05, rtol=0)
    torch.testing.assert_close(offset, bias, atol=0.1, rtol=0)


def test_what_says_nothing_gets_no_weight_and_the_mean_is_said():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.cat([torch.zeros(400, 1), torch.rand(400, 3, generator=generator)], dim=1)
    shown = torch.full((400, 1), 0.2)
    weight, bias = fit_reading(hidden, shown)
    assert weight.abs().max() < 0.01
    assert torch.sigmoid(hidden @ weight.T + bias).mean() == pytest.approx(0.2, abs=1e-3)


@pytest.fixture
def index(tiny_index):
    """Real faces, half of them neutral, with measurements of which a smile is the only one that differs."""
    rng = np.random.default_rng(0)
    smile = [BLENDSHAPES.index(f"mouthSmile{side}") for side in ("Left", "Right")]
    neutral = tiny_index.classes.index("neutral")

    def measured(position, record):
        shapes = np.full(len(BLENDSHAPES), 0.01)
        shapes[smile] = 0.0 if position % 2 else rng.uniform(0.1, 1)
        label = neutral if position % 2 else record.label
        return dataclasses.replace(
            record,
            label=label,
            votes=None,
            blendshapes=tuple(shapes),
            mesh_distances=tuple(rng.uniform(0.1, 0.2, len(DISTANCES))),
        )

    records = [r for r in tiny_index.records if r.split in ("train", "valid")]
    twice = [*records, *records]
    return dataclasses.replace(tiny_index, records=tuple(map(measured, range(len(twice)), twice)))


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    network = build_network(dataclasses.replace(model_config("edge"), knowledge="odds", dropout=0)).eval()
    path = tmp_path / "edge.safetensors"
    save_network(path, network, CheckpointInfo(network.config, "joint"))
    return path


def test_the_network_tells_what_the_mesh_shows_and_all_else_stays(
    checkpoint, index, tiny_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(intensity, "_LEAST_FACES", 20)
    before, _ = load_network(checkpoint)
    fit = fit_intensities(checkpoint, [index], tiny_config, "cpu")
    after, info = load_network(checkpoint)
    assert after.config.intensity_units == INTENSITY_UNITS
    assert set(fit.concordance) == set(INTENSITY_UNITS)
    assert info.metrics["intensity_concordance"]["12"] == pytest.approx(fit.concordance[12], abs=1e-3)
    kept = after.state_dict()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in before.state_dict().items())
    images = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        old, new = before(images), after(images)
    assert all(torch.equal(a, b) for a, b in zip(old[:-1], new[:-1], strict=True))
    assert new.intensities.shape == (2, len(INTENSITY_UNITS))
    export_onnx(checkpoint, tmp_path / "edge.onnx")
    pictures = [load_image(index.path(record)) for record in index.records[:3]]
    assert largest_difference(checkpoint, tmp_path / "edge.onnx", pictures) < 1e-4
    engine = OnnxEngine(tmp_path / "edge.onnx")
    said = engine.predict(np.zeros((3, 96, 96, 3), np.uint8), np.full((3, 68, 2), 48, np.float32))
    assert said.intensities.shape == (3, len(INTENSITY_UNITS))
    assert ((said.intensities >= 0) & (said.intensities <= 5)).all()


def test_a_few_faces_are_not_enough_to_change_what_weights_know(checkpoint, index, tiny_config):
    written = checkpoint.read_bytes()
    assert fit_intensities(checkpoint, [index], tiny_config, "cpu") is None
    assert checkpoint.read_bytes() == written


def test_without_a_face_mesh_there_is_nothing_to_learn_from(checkpoint, tiny_index, tiny_config):
    assert unit_strengths([tiny_index]) == {}
    assert fit_intensities(checkpoint, [tiny_index], tiny_config, "cpu") is None


def test_strengths_are_told_of_the_eleven_and_measured_against_neutral_faces(index):
    shown = unit_strengths([index])
    rows = np.array([*shown.values()])
    assert rows.shape[1] == 17
    assert np.isnan(rows).sum(axis=1).tolist() == [6] * len(rows)
    few = dataclasses.replace(index, records=tuple(r for r in index.records if index.classes[r.label] != "neutral"))
    assert unit_strengths([few]) == {}, "without neutral faces there is no zero"
