"""The composed network: its size, its outputs, and who learns."""

from __future__ import annotations

import dataclasses
from typing import get_args

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from small_network import SMALL  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from aue_crl_core.config import ModelName, Preprocessing, model_config  # noqa: E402
from aue_crl_core.errors import ConfigError, ImageError  # noqa: E402
from aue_crl_core.networks import AueCrl, build_network  # noqa: E402
from aue_crl_core.networks.layers import GroupedLinear  # noqa: E402

NEAREST = dataclasses.replace(SMALL, backbone="edge", decoder_upsampling="nearest", region_pool=3)


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _on_paper(name: str) -> AueCrl:
    with torch.device("meta"):
        return build_network(model_config(name)).eval()


def _multiply_adds(network: AueCrl, *, with_own_points: bool) -> int:
    size = network.config.preprocessing.input_size
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, size, size), None if with_own_points else torch.empty(1, 68, 2))
    return counter.get_total_flops() // 2


@pytest.fixture(scope="module")
def crops(photograph) -> torch.Tensor:
    """Four different 64x64 crops of the portrait's face, normalised RGB."""
    corners = [(170, 60), (190, 70), (160, 90), (200, 50)]
    faces = [cv2.resize(photograph[y : y + 220, x : x + 220], (64, 64)) for x, y in corners]
    scaled = np.stack(faces).astype(np.float32) / 255
    mean, std = np.float32(SMALL.preprocessing.mean), np.float32(SMALL.preprocessing.std)
    return torch.from_numpy((scaled - mean) / std).permute(0, 3, 1, 2).contiguous()


@pytest.fixture
def points() -> torch.Tensor:
    return torch.rand(4, 68, 2, generator=torch.Generator().manual_seed(0)) * 64


def test_the_papers_network_has_the_papers_size():
    """REFERENCE's 478.2 M hold an unused ImageNet classifier (2048 x 7 + 7) and the prior table (7 x 17) too."""
    network = _on_paper("resnet101")
    assert round((_count(network) - _count(network.landmark_net) + 2048 * 7 + 7 + 7 * 17) / 1e6, 1) == 478.2
    regions = network.action_unit_branch.region_linear
    assert isinstance(regions, GroupedLinear)
    assert regions.weight.shape == (34, 36864, 256)
    assert round(_count(regions) / 1e6, 1) == 320.9


def test_the_papers_network_costs_23_84_billion_multiply_adds_a_face():
    assert round(_multiply_adds(_on_paper("resnet101"), with_own_points=False) / 1e9, 2) == 23.84


def test_the_edge_network_fits_a_robot():
    network = _on_paper("edge")
    assert _count(network.landmark_net) < 1.1e6
    assert _count(network) <= 12e6
    assert _multiply_adds(network, with_own_points=True) <= 0.35e9


@pytest.mark.parametrize("name", get_args(ModelName))
@pytest.mark.parametrize(("vocabulary", "classes"), [("basic", 7), ("compound", 11)])
def test_every_model_has_the_promised_outputs(name, vocabulary, classes):
    config = model_config(name, vocabulary)
    size = config.preprocessing.input_size
    with torch.device("meta"):
        network = build_network(config).eval()
        images = torch.empty(3, 3, size, size)
        output = network(images)
        assert network.expression_only(images).shape == (3, classes)
    assert {field: tuple(value.shape) for field, value in output._asdict().items()} == {
        "expression_logits": (3, classes),
        "fused_logits": (3, classes),
        "action_unit_probabilities": (3, 17),
        "attention": (3, 17),
        "points": (3, 68, 2),
        "intensities": (3, 0),
    }


def test_intensities_are_a_reading_of_the_evidences_layer_and_change_nothing_else():
    config = dataclasses.replace(SMALL, knowledge="odds")
    network = build_network(config).eval()
    images, points = torch.rand(2, 3, 64, 64), torch.rand(2, 68, 2) * 64
    before = network(images, points)
    assert before.intensities.shape == (2, 0)
    network.tell_intensities((12, 25), torch.zeros(2, config.evidence_dim), torch.tensor([0.0, 9.0]))
    after = network(images, points)
    torch.testing.assert_close(after.intensities, torch.tensor([[2.5, 5.0], [2.5, 5.0]]), atol=1e-3, rtol=0)
    assert all(torch.equal(a, b) for a, b in zip(after[:-1], before[:-1], strict=True))
    assert network.config.intensity_units == (12, 25)
    again = build_network(network.config)
    again.load_state_dict(network.state_dict())
    assert not [name for name, _ in again.named_parameters() if "intensity" in name], "no stage trains them"


def test_a_network_whose_knowledge_is_targets_tells_no_intensities():
    with pytest.raises(ConfigError, match="intensity_units must be empty"):
        build_network(NEAREST).tell_intensities((12,), torch.zeros(1, NEAREST.evidence_dim), torch.zeros(1))


def test_the_parts_are_named_as_the_stages_name_them():
    assert [name for name, _ in build_network(NEAREST).named_children()] == [
        "backbone",
        "expression_branch",
        "action_unit_branch",
        "fusion",
        "landmark_net",
    ]


@pytest.mark.parametrize("config", [SMALL, NEAREST], ids=["resnet", "edge"])
def test_a_batch_gives_what_its_faces_give_alone(config, crops, points):
    network = build_network(config).eval()
    with torch.no_grad():
        together = network(crops, points)
        for i in range(4):
            alone = network(crops[i : i + 1], points[i : i + 1])
            for field in together._fields:
                torch.testing.assert_close(getattr(together, field)[i : i + 1], getattr(alone, field))


def test_given_points_are_used_and_returned_and_missing_ones_are_found(crops, points):
    network = build_network(NEAREST).eval()
    with torch.no_grad():
        given = network(crops, points)
        found = network(crops)
        again = network(crops, found.points)
    assert torch.equal(given.points, points)
    assert not torch.equal(given.action_unit_probabilities, found.action_unit_probabilities)
    assert torch.equal(again.action_unit_probabilities, found.action_unit_probabilities)


def test_points_do_not_touch_the_expression_branch(crops, points):
    network = build_network(NEAREST).eval()
    with torch.no_grad():
        logits = network(crops, points).expression_logits
        assert torch.equal(logits, network(crops, points.flip(0)).expression_logits)
        assert torch.equal(logits, network.expression_only(crops))


@pytest.mark.parametrize("size", [64, 96, 224])
def test_own_points_are_in_input_pixels_at_any_input_size(size, photograph):
    """The landmark net sees the face at its own size; the middle of its picture is the middle of ours."""
    network = build_network(dataclasses.replace(NEAREST, preprocessing=Preprocessing(input_size=size))).eval()
    own = network.landmark_net.input_size
    face = torch.from_numpy(cv2.resize(photograph[60:280, 170:390], (size, size))).permute(2, 0, 1)[None] / 255.0
    seen = torch.nn.functional.interpolate(face, size=(own, own), mode="bilinear", align_corners=False)
    with torch.no_grad():
        expected = network.landmark_net(seen)[0]
        found = network.find_points(face)
    torch.testing.assert_close((found + 0.5) / size, (expected + 0.5) / own)


def test_the_landmark_net_stays_frozen_while_the_rest_trains(crops):
    network = build_network(NEAREST).train()
    assert network.fusion.training
    assert not any(module.training for module in network.landmark_net.modules())
    before = {name: value.clone() for name, value in network.landmark_net.state_dict().items()}
    output = network(crops)
    assert not output.points.requires_grad
    sum(value.sum() for value in output[:4]).backward()
    assert all(parameter.grad is None for parameter in network.landmark_net.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.landmark_net.state_dict().items())


def test_gradients_reach_only_the_parts_that_a_loss_depends_on(crops, points):
    network = build_network(NEAREST).train()

    def learning(loss: torch.Tensor) -> set[str]:
        network.zero_grad(set_to_none=True)
        loss.backward()
        return {name for name, part in network.named_children() if any(p.grad is not None for p in part.parameters())}

    assert learning(network.expression_only(crops).sum()) == {"backbone", "expression_branch"}
    assert learning(network(crops, points).action_unit_probabilities.sum()) == {"backbone", "action_unit_branch"}
    everything = {"backbone", "expression_branch", "action_unit_branch", "fusion"}
    assert learning(network(crops, points).fused_logits.square().sum()) == everything


def test_every_parameter_but_the_landmark_nets_learns_from_the_whole_output(crops, points):
    network = build_network(SMALL).train()
    output = network(crops, points)
    sum(value.square().sum() for value in output[:4]).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert all(name.startswith("landmark_net.") for name in without)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 96, 96), r"images must be Bx3x64x64 .*, got \(2, 3, 96, 96\)"),
        ((2, 1, 64, 64), r"got \(2, 1, 64, 64\)"),
        ((3, 64, 64), r"got \(3, 64, 64\)"),
    ],
)
def test_images_of_another_shape_are_refused(shape, message):
    network = build_network(NEAREST).eval()
    with pytest.raises(ImageError, match=message):
        network(torch.zeros(shape))
    with pytest.raises(ImageError, match=message):
        network.expression_only(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 68, 2), (2, 66, 2), (2, 68, 3), (2, 136)])
def test_points_of_another_shape_are_refused(shape):
    with pytest.raises(ImageError, match="points must be 2x68x2, got"):
        build_network(NEAREST).eval()(torch.zeros(2, 3, 64, 64), torch.zeros(shape))


def test_the_prior_and_the_evidence_add_up_as_log_odds(crops, points):
    network = build_network(dataclasses.replace(SMALL, knowledge="odds")).eval()
    out = network(crops, points)
    pyramid = network.backbone(crops)
    feature, logits = network.expression_branch(pyramid)
    evidence = network.action_unit_branch(pyramid, points, feature).logits
    prior = torch.logit(logits.softmax(dim=1) @ network.prior_odds.table)
    torch.testing.assert_close(torch.logit(out.action_unit_probabilities), evidence + prior, rtol=1e-3, atol=1e-3)


def test_the_paper_s_form_has_no_prior_inside(crops, points):
    network = build_network(SMALL).eval()
    assert network.prior_odds is None
    assert not any("prior" in name for name in network.state_dict())
