"""The settings of a run, and every YAML that ships."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("yaml")

from aue_crl_core.config import from_dict, model_config
from aue_crl_core.data.transforms import Augmentation
from aue_crl_core.errors import ConfigError
from aue_crl_core.training.config import Schedule, TrainConfig, make_config, read_config

SHIPPED = sorted((Path(__file__).parents[3] / "config" / "train").glob("*.yaml"))


def test_configurations_ship():
    assert "edge.yaml" in [path.name for path in SHIPPED]
    assert "paper.yaml" in [path.name for path in SHIPPED]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_every_shipped_configuration_loads_and_says_something(path):
    config = make_config(path)
    assert config.to_dict() != TrainConfig().to_dict()
    assert set(read_config(path)) <= set(config.to_dict())


def test_the_papers_schedule_falls_by_ten_after_epochs_15_and_30():
    paper = make_config(SHIPPED[[p.name for p in SHIPPED].index("paper.yaml")])
    assert (paper.model, paper.optimizer, paper.momentum, paper.batch_size) == ("resnet101", "sgd", 0.9, 64)
    for schedule in (paper.expression, paper.action_unit, paper.fusion):
        assert schedule.epochs == 40
        rates = [schedule.lr * schedule.factor(epoch) for epoch in (0, 14.99, 15, 29.99, 30, 39.99)]
        assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])


schedules = st.builds(
    Schedule,
    epochs=st.integers(1, 100),
    lr=st.floats(1e-6, 10),
    kind=st.sampled_from(["cosine", "step"]),
    warmup=st.floats(0, 5),
    milestones=st.lists(st.integers(1, 99), max_size=3).map(tuple),
    small_epochs=st.integers(0, 50),
    small_size=st.sampled_from([32, 64, 96]),
    patience=st.integers(0, 20),
)
configs = st.builds(
    TrainConfig,
    model=st.sampled_from(["resnet101", "edge"]),
    vocabulary=st.sampled_from(["basic", "compound"]),
    expression=schedules,
    fusion=schedules,
    batch_size=st.integers(2, 512),
    ema=st.floats(0, 0.999),
    seed=st.integers(0, 2**31),
    augmentation=st.builds(Augmentation, flip=st.floats(0, 1), scale=st.floats(0, 0.9)),
)


@given(configs)
def test_a_configuration_survives_plain_values(config):
    import json

    assert from_dict(TrainConfig, json.loads(json.dumps(config.to_dict())), "run.json") == config


@given(schedules, st.floats(0, 1))
def test_the_learning_rate_stays_within_its_peak(schedule, part):
    assert 0 < schedule.factor(part * schedule.epochs) <= 1


def test_a_cosine_rises_over_the_warmup_and_ends_at_a_hundredth():
    schedule = Schedule(10, 1.0, warmup=2)
    assert [schedule.factor(e) for e in (0, 1, 2)] == pytest.approx([0.01, 0.5, 1.0])
    assert schedule.factor(10) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch: 3", r"unknown keys \['batch'\]; known are \['action_unit'"),
        ("batch_size: 1", "batch_size must be at least 2"),
        ("batch_size: many", "batch_size must be a whole number, got 'many'"),
        ("batch_size: true", "batch_size must be a whole number, got True"),
        ("model: vgg", "model must be one of resnet101, resnet50, resnet18, mobilenet_v2, edge, got 'vgg'"),
        ("vocabulary: french", "vocabulary must be one of basic, compound"),
        ("pairwise_form: other", "pairwise_form must be one of corrected, upstream"),
        ("cache_views: -1", "cache_views must be at least 0, got -1"),
        ("cache_dir: 3", "cache_dir must be the name of a folder, got 3"),
        ("cache_max_gb: 0.0", "cache_max_gb must be positive"),
        ("compile: yes", "compile must be one of none, inductor, aot_eager, got True"),
        ("channels_last: 1", "channels_last must be true or false, got 1"),
        ("expression: 5", r"expression must be a mapping of names to values, got 5"),
        ("expression: {epochs: 5}", "missing 1 required positional argument: 'lr'"),
        ("expression: {epochs: 5, lr: 1e-3}", r"lr must be a finite number \(in YAML write 1.0e-3"),
        ("expression: {epochs: 5, lr: .nan}", "lr must be a finite number"),
        ("expression: {epochs: 5, lr: 0.1, milestones: 3}", "milestones must be a list, got 3"),
        ("expression: {epochs: 0, lr: 0.1}", "epochs must be at least 1, got 0"),
        ("expression: {epochs: 5, lr: 0.1, patience: -1}", "patience must be at least 0 epochs"),
        ("expression: {epochs: 5, lr: 0.1, patience: 1.5}", "patience must be a whole number, got 1.5"),
        ("augmentation: {flip: 2}", r"flip must be a probability in \[0, 1\], got 2"),
        ("momentum: 1.0", r"momentum must be in \[0, 1\)"),
        ("- 3", "must hold 'name: value' lines, got list"),
        ("a: [", "must be YAML"),
    ],
)
def test_a_wrong_setting_is_named_with_its_bound(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        make_config(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"--config must name a YAML file, got .*none\.yaml \(no such file\)"):
        make_config(tmp_path / "none.yaml")


def test_options_win_over_the_file_and_none_leaves_it(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("seed: 4\nbatch_size: 8\n")
    config = make_config(path, seed=7, batch_size=None)
    assert (config.seed, config.batch_size) == (7, 8)


def test_fusion_width_and_crop_replace_those_of_the_model(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("model: resnet18\nfusion_dim: 512\npreprocessing: { align: false }\n")
    network = make_config(file).network()
    assert (network.fusion_dim, network.preprocessing.align, network.preprocessing.input_size) == (512, False, 224)
    assert TrainConfig().network() == model_config("edge")


@pytest.mark.parametrize("width", [0, 2.5, "wide"])
def test_the_fusion_width_is_a_whole_number(width):
    with pytest.raises(ConfigError, match="fusion_dim must be a whole number of at least 1"):
        TrainConfig(fusion_dim=width)
