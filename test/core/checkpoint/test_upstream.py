"""Checkpoints of the authors' code: every tensor finds its place, and nothing but tensors is read."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from upstream_tensors import in_their_names  # noqa: E402

from aue_crl_core.checkpoint import load_network, read_info, read_prior  # noqa: E402
from aue_crl_core.checkpoint.upstream import (  # noqa: E402
    CROPS,
    convert,
    expected_tensors,
    import_upstream,
    read_state_dict,
    save_imported,
    upstream_config,
)
from aue_crl_core.cli.main import main  # noqa: E402
from aue_crl_core.config import ModelConfig  # noqa: E402
from aue_crl_core.engines import find_weights  # noqa: E402
from aue_crl_core.errors import CheckpointError  # noqa: E402
from aue_crl_core.knowledge import LearnablePrior  # noqa: E402
from aue_crl_core.networks.build import build_network  # noqa: E402

SMALL = ModelConfig(
    backbone="resnet18",
    preprocessing=dataclasses.replace(CROPS["box"], input_size=64),
    feature_dim=8,
    decoder_channels=(8, 8, 4),
    region_size=4,
    region_channels=4,
    region_dim=4,
    fusion_dim=6,
    upstream_region_order=True,
)


@pytest.fixture
def network():
    """A narrow network of their shape with random weights and statistics."""
    torch.manual_seed(0)
    network = build_network(SMALL)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point() and not name.startswith("landmark_net"):
                tensor.copy_(torch.rand_like(tensor) + 0.1 if "running_var" in name else torch.randn_like(tensor) * 0.2)
    return network.eval()


@pytest.fixture
def tensors(network):
    """The same as their state dict of a network that went through all stages."""
    theirs = {name: tensor.clone() for name, tensor in in_their_names(network).items()}
    counted = {name: torch.tensor(3) for name in theirs if name.endswith("num_batches_tracked")}
    return {**theirs, **counted, "PriorKnowledgeTable": LearnablePrior("basic").table.detach().clone()}


def _without(tensors, *prefixes):
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(prefixes)}


def test_every_tensor_finds_its_place(network, tensors):
    count = len(tensors)
    state, report = convert(tensors, SMALL, "X.pkl")
    expected = {n: t for n, t in network.state_dict().items() if not n.startswith("landmark_net.")}
    assert state.keys() == expected.keys() | {"prior.table"}
    assert all(torch.equal(state[n], t) for n, t in expected.items() if "num_batches" not in n)
    assert report.used == count
    assert (report.unused, report.unknown, report.fresh, report.clamped) == ((), (), (), 0)
    assert tensors == {}


def test_their_network_has_936_tensors_besides_the_prior_and_the_classifier_that_it_never_uses():
    shapes = expected_tensors(ModelConfig())
    assert len(shapes) == 936
    assert shapes["Crop_Net_2.33.0.weight"] == (256, 64 * 24 * 24)
    weights = sum(s.numel() for n, s in shapes.items() if n.endswith(("weight", "bias")))
    assert weights + 7 * 17 + 7 * 2048 + 7 == 478_153_182


def test_the_written_checkpoint_is_one_of_ours(network, tensors, tmp_path):
    state, report = convert(tensors, SMALL, "X.pkl")
    landmarks = find_weights("edge", "torch")
    save_imported(tmp_path / "y.safetensors", state, SMALL, report, landmarks)
    loaded, info = load_network(tmp_path / "y.safetensors")
    images, points = torch.randn(2, 3, 64, 64), torch.rand(2, 68, 2) * 64
    with torch.no_grad():
        for ours, expected in zip(loaded(images, points), network(images, points), strict=True):
            assert torch.equal(ours, expected)
    assert info.config == SMALL
    assert (info.stage, info.license) == ("fusion", "unknown")
    edge = load_network(landmarks)[0].landmark_net.state_dict()
    assert all(torch.equal(tensor, edge[name]) for name, tensor in loaded.landmark_net.state_dict().items())
    assert torch.equal(torch.tensor(read_prior(tmp_path / "y.safetensors")), LearnablePrior("basic").table)


def test_half_precision_and_odd_strides_are_made_plain(tensors, tmp_path):
    name = "reduce_dim_em.0.weight"
    tensors[name] = tensors[name].to(memory_format=torch.channels_last).half()
    expected = tensors[name].float()
    state, report = convert(tensors, SMALL, "X.pkl")
    save_imported(tmp_path / "y.safetensors", state, SMALL, report, find_weights("edge", "torch"))
    assert torch.equal(load_network(tmp_path / "y.safetensors")[0].expression_branch.reduce[0].weight, expected)


@pytest.mark.parametrize(
    ("untouched", "stage"),
    [((), "fusion"), (("fc_",), "action_unit"), (("fc_", "deconv"), "expression")],
)
def test_counters_of_batches_tell_the_stage(tensors, untouched, stage):
    for name, tensor in tensors.items():
        if name.startswith(untouched) and name.endswith("num_batches_tracked"):
            tensors[name] = torch.zeros_like(tensor)
    state, report = convert(tensors, SMALL, "X.pkl")
    assert report.stage == stage
    assert ("prior.table" in state) == (stage != "expression")


def test_a_file_without_counters_says_nothing_of_its_stage(tensors):
    old = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    state, report = convert(old, SMALL, "X.pkl")
    assert report.stage == ""
    assert state["fusion.unit_norm.num_batches_tracked"].item() == 0


def test_the_prior_is_brought_into_the_range_that_their_forward_pass_sees(tensors):
    tensors["PriorKnowledgeTable"][0, 0] = 1.25
    tensors["PriorKnowledgeTable"][0, 2] = -0.5
    state, report = convert(tensors, SMALL, "X.pkl")
    assert report.clamped == 2
    assert (state["prior.table"][0, 0].item(), state["prior.table"][0, 2].item()) == (1.0, 0.0)


def test_what_is_left_out_is_named(tensors):
    tensors |= {"backbone.fc.weight": torch.zeros(7, 2048), "pred_au_fuse_3.0.bias": torch.zeros(17)}
    tensors["my_head.weight"] = torch.zeros(2)
    report = convert(tensors, SMALL, "X.pkl")[1]
    assert report.unused == ("backbone.fc.weight", "pred_au_fuse_3.0.bias")
    assert report.unknown == ("my_head.weight",)


def test_absent_parts_are_refused_unless_asked_for(tensors, network):
    first = _without(tensors, "deconv", "reduce_dim_1", "reduce_dim_2", "reduce_dim_3", "Crop_Net", "pred_au", "fc_")
    first.pop("pred_em_fuse_3.weight")
    first.pop("pred_em_fuse_3.bias")
    with pytest.raises(CheckpointError, match="no tensor of action_unit_branch and fusion: "):
        convert(dict(first), SMALL, "X.pkl")
    state, report = convert(first, SMALL, "X.pkl", partial=True)
    assert report.fresh == ("action_unit_branch", "fusion")
    assert report.stage == "expression"
    loaded = build_network(SMALL)
    assert not loaded.load_state_dict(state, strict=False).unexpected_keys
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(loaded.eval().expression_only(images), network.expression_only(images))


def test_a_missing_tensor_is_named_and_nothing_is_lost(tensors):
    tensors.pop("Crop_Net_2.7.0.bias")
    count = len(tensors)
    with pytest.raises(CheckpointError, match=r"Crop_Net_2\.7\.0\.bias must be \(4,\), floating point, got none"):
        convert(tensors, SMALL, "X.pkl")
    assert len(tensors) == count


@pytest.mark.parametrize(
    ("name", "odd", "message"),
    [
        ("pred_au.0.weight", torch.zeros(12, 136), r"pred_au\.0\.weight must be \(17, 136\).*got \(12, 136\)"),
        (
            "pred_au.0.bias",
            torch.zeros(17, dtype=torch.int64),
            r"must be \(17,\), floating point, got .* torch.int64",
        ),
        ("backbone.bn1.num_batches_tracked", torch.tensor(0.5), r"must be \(\), whole number, got .* torch.float32"),
        ("pred_au.0.bias", torch.full((17,), torch.nan), r"pred_au\.0\.bias must be finite"),
        ("PriorKnowledgeTable", torch.zeros(7, 12), r"PriorKnowledgeTable must be \(7, 17\).*got \(7, 12\)"),
    ],
)
def test_an_odd_tensor_is_refused(tensors, name, odd, message):
    tensors[name] = odd
    with pytest.raises(CheckpointError, match=message):
        convert(tensors, SMALL, "X.pkl")


def _heads(classes, width=1024):
    return {
        "backbone.conv1.weight": torch.zeros(64, 3, 7, 7),
        "pred_em.weight": torch.zeros(classes, 1024),
        "fc_em_fuse_3.1.weight": torch.zeros(width, 1024),
    }


def test_class_count_and_fusion_width_tell_the_configuration():
    basic = upstream_config(_heads(7), "X.pkl", CROPS["box"])
    assert basic == ModelConfig(preprocessing=CROPS["box"], upstream_region_order=True)
    compound = upstream_config(_heads(11, 512), "X.pkl", CROPS["points"])
    assert (compound.vocabulary, compound.attention, compound.fusion_dim) == ("compound", "sigmoid", 512)
    assert compound.preprocessing.margin == 0.15


def test_another_network_is_refused():
    with pytest.raises(CheckpointError, match=r"it lacks backbone\.conv1\.weight and pred_em\.weight"):
        upstream_config({"conv1.weight": torch.zeros(1)}, "X.pkl", CROPS["box"])
    with pytest.raises(CheckpointError, match=r"7 rows \(basic\) or 11 \(compound\), got 8"):
        upstream_config(_heads(8), "X.pkl", CROPS["box"])


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "as torch 1.3 wrote it"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    ],
    ids=["bare", "state_dict", "DataParallel"],
)
def test_forms_of_file(tmp_path, zipped, wrap):
    state = {"pred_em.weight": torch.randn(7, 3), "PriorKnowledgeTable": torch.nn.Parameter(torch.randn(7, 17))}
    torch.save(wrap(state), tmp_path / "x.pkl", _use_new_zipfile_serialization=zipped)
    read = read_state_dict(tmp_path / "x.pkl")
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in state.items())


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_program_is_not_run(tmp_path, zipped, capsys):
    sprung = tmp_path / "sprung"
    torch.save({"pred_em.weight": Trap(sprung)}, tmp_path / "x.pkl", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"tensors and nothing else.*torch\.save\(model\.state_dict\(\)"):
        import_upstream(tmp_path / "x.pkl")
    with pytest.raises(SystemExit) as exit_:
        main(["import-upstream", str(tmp_path / "x.pkl"), "--output", str(tmp_path / "y.safetensors")])
    assert exit_.value.code == 2
    assert "tensors and nothing else" in capsys.readouterr().err
    assert not sprung.exists()


@pytest.mark.parametrize("content", [b"", b"no pickle at all", b"PK\x03\x04 a broken zip", b"\x80\x02}q\x00."])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.pkl must"):
        import_upstream(tmp_path / "x.pkl")


def test_a_cut_file_is_refused(tmp_path):
    torch.save({"pred_em.weight": torch.zeros(7, 1024)}, tmp_path / "x.pkl")
    whole = (tmp_path / "x.pkl").read_bytes()
    (tmp_path / "x.pkl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="tensors and nothing else"):
        import_upstream(tmp_path / "x.pkl")


def test_a_whole_model_or_a_list_is_refused(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "x.pkl")
    with pytest.raises(CheckpointError, match="got a list"):
        import_upstream(tmp_path / "x.pkl")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pkl")
    with pytest.raises(CheckpointError, match="tensors and nothing else"):
        import_upstream(tmp_path / "x.pkl")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        import_upstream(tmp_path / "absent.pkl")


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--crop", "square"], "--crop must be one of box, points"), (["--output", "y.onnx"], "end in .safetensors")],
)
def test_options_are_checked(options, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["import-upstream", "x.pkl", "--output", "y.safetensors", *options])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_the_licence_of_what_is_imported_is_not_ours(tensors, tmp_path):
    state, report = convert(tensors, SMALL, "X.pkl")
    save_imported(tmp_path / "y.safetensors", state, SMALL, report, find_weights("edge", "torch"))
    assert read_info(tmp_path / "y.safetensors").license == "unknown"
