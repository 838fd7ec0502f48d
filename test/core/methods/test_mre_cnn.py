"""MRE-CNN: where the regions lie, what is cut from them, and how the experts vote."""

from __future__ import annotations

import inspect
import io

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aue_crl_core.config import ModelConfig  # noqa: E402
from aue_crl_core.methods.mre_cnn import MARGIN, REGIONS, RegionEnsemble, region_boxes, vote  # noqa: E402

CHANNELS = (4, 6, 8, 10)


def _inputs(batch: int) -> tuple:
    draw = torch.Generator().manual_seed(batch)
    pyramid = tuple(torch.randn(batch, c, 24 // 2**i, 24 // 2**i, generator=draw) for i, c in enumerate(CHANNELS))
    return pyramid, torch.rand(batch, 68, 2, generator=draw) * 96, torch.zeros(batch, 3, 96, 96)


def test_the_vote_is_the_weighted_mean_of_the_experts_probabilities():
    sure, unsure = torch.tensor([3.0, 0.0]).log(), torch.zeros(2)
    logits = torch.stack([sure.clamp(min=-50), unsure, -sure.clamp(min=-50)])[None]
    probabilities = vote(logits, torch.tensor([4.0, 2.0, 1.0]).log()).exp()
    torch.testing.assert_close(probabilities, torch.tensor([[4 / 7 + 2 / 14, 2 / 14 + 1 / 7]]))


def test_the_gradient_of_the_vote():
    logits = torch.randn(2, 3, 4, dtype=torch.double, requires_grad=True)
    scores = torch.randn(3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(vote, (logits, scores))


def test_regions_are_squares_around_their_points():
    points = torch.full((2, 68, 2), 5.0)
    points[1, 48:68] = torch.tensor([40.0, 70.0])
    points[1, 48], points[1, 54] = torch.tensor([30.0, 68.0]), torch.tensor([50.0, 72.0])
    left, top, right, bottom = region_boxes(points)[1, list(REGIONS).index("mouth")].tolist()
    assert (left + right) / 2 == pytest.approx(40.5), "pixel 40 reaches from 40 to 41"
    assert (top + bottom) / 2 == pytest.approx(70.5)
    assert right - left == pytest.approx(bottom - top) == pytest.approx(20 * (1 + MARGIN))
    width, height = (region_boxes(points)[0, :, 2:] - region_boxes(points)[0, :, :2]).unbind(-1)
    assert (width > 1).all(), "points that coincide leave a region, too"
    torch.testing.assert_close(width, height)


def test_each_expert_sees_its_own_region_of_its_own_face():
    """A bright cell under the mouth of the second face reaches that face's mouth expert alone."""
    head = RegionEnsemble(ModelConfig(feature_dim=8), CHANNELS)
    points = torch.full((3, 68, 2), 20.0)
    points[:, 48:68] = torch.tensor([76.0, 76.0])
    maps = torch.zeros(3, 6, 12, 12)
    maps[1, :, 9, 9] = 1.0
    seen = [crops.flatten(1).sum(dim=1) > 0 for crops in head._crops(maps, points)]
    assert torch.stack(seen).tolist() == [[False] * 3, [False] * 3, [False, True, False]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_onnxruntime_votes_alike_at_any_batch():
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    torch.manual_seed(0)

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = RegionEnsemble(ModelConfig(feature_dim=8), CHANNELS)

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return self.head(inputs[:4], inputs[4], inputs[4]).logits

    network = Logits().eval()

    def flat(batch: int) -> tuple[torch.Tensor, ...]:
        pyramid, points, _ = _inputs(batch)
        return (*pyramid, points)

    file, names = io.BytesIO(), ["c2", "c3", "c4", "c5", "points"]
    legacy = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    axes = {name: {0: "batch"} for name in (*names, "logits")}
    torch.onnx.export(
        network,
        flat(2),
        file,
        input_names=names,
        output_names=["logits"],
        dynamic_axes=axes,
        opset_version=17,
        **legacy,
    )
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for batch in (1, 5):
        used = {node.name for node in session.get_inputs()}
        feed = {name: value.numpy() for name, value in zip(names, flat(batch), strict=True) if name in used}
        with torch.no_grad():
            expected = network(*flat(batch)).numpy()
        np.testing.assert_allclose(session.run(None, feed)[0], expected, atol=1e-4)


def test_it_learns_fifty_faces_by_heart(learned_by_heart):
    assert learned_by_heart("mre_cnn", 40)[0] >= 0.9


def test_two_faces_are_enough_under_autocast():
    head = RegionEnsemble(ModelConfig(feature_dim=8), CHANNELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = head(*_inputs(2))
    output.logits.sum().backward()
    assert output.logits.shape == (2, 7)
    assert output.feature.shape == (2, 24)
    assert output.logits.dtype == torch.float32
