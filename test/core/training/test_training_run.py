"""A run: what it trains and leaves alone, what it survives, what it refuses."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from safetensors.torch import load_file  # noqa: E402

from aue_crl_core.checkpoint import CheckpointInfo, load_network, read_info, read_prior, save_network  # noqa: E402
from aue_crl_core.config import model_config  # noqa: E402
from aue_crl_core.errors import CheckpointError, ConfigError, DatasetError, TrainingError  # noqa: E402
from aue_crl_core.facs import prior_levels  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402
from aue_crl_core.training.config import Schedule  # noqa: E402
from aue_crl_core.training.directory.history import read_history  # noqa: E402
from aue_crl_core.training.directory.state import STATE_FILE, read_progress  # noqa: E402
from aue_crl_core.training.reporter import Silent  # noqa: E402
from aue_crl_core.training.run import train  # noqa: E402


class Interrupted(Exception):
    pass


class StopAt(Silent):
    """Interrupts a run: after an epoch of a stage, or (with `step`) amid the epoch that follows it."""

    def __init__(self, stage, epoch, step=None):
        self.at = (stage, epoch)
        self.at_step = step
        self.now = None

    def stage(self, name, epochs, steps, first_epoch):
        self.now = (name, first_epoch)

    def step(self, step, loss):
        if self.now == self.at and step == self.at_step:
            raise Interrupted

    def epoch(self, row):
        self.now = (row["stage"], row["epoch"])
        if self.now == self.at and self.at_step is None:
            raise Interrupted


class Listener(Silent):
    def __init__(self):
        self.heard = []

    def stage(self, name, epochs, steps, first_epoch):
        self.heard.append((name, first_epoch))

    def skipped(self, name):
        self.heard.append((name, "skipped"))


def changed(before: Path, after: Path) -> set[str]:
    """The two first parts of the names of all tensors that are not bit for bit the same."""
    old, new = load_file(before), load_file(after)
    assert old.keys() - {"prior.table"} == new.keys() - {"prior.table"}
    names = {n for n in new if n not in old or not torch.equal(old[n], new[n])}
    return {".".join(n.split(".")[:2]) for n in names}


def same(a: Path, b: Path) -> bool:
    one, other = load_file(a), load_file(b)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def figures(directory: Path) -> list[dict[str, str]]:
    """The history but for what depends on the machine's speed."""
    rows = read_history(directory / "metrics.csv")
    return [{k: v for k, v in row.items() if k not in ("data_wait", "seconds")} for row in rows]


def test_each_stage_changes_its_own_parts_and_not_a_bit_of_the_others(finished_run, shipped):
    expression, units, fusion = (finished_run / f"{s}.safetensors" for s in ("expression", "action_unit", "fusion"))
    assert {name.split(".")[0] for name in changed(expression, units)} == {"action_unit_branch", "prior"}
    after_fusion = changed(units, fusion)
    assert {name.split(".")[0] for name in after_fusion} == {"fusion", "expression_branch"}
    assert {name for name in after_fusion if name.startswith("expression_branch")} == {"expression_branch.classifier"}


def test_the_given_landmark_net_stays_as_it_was(finished_run, shipped):
    theirs, ours = load_file(shipped), load_file(finished_run / "fusion.safetensors")
    names = [name for name in ours if name.startswith("landmark_net.") and ours[name].is_floating_point()]
    assert len(names) > 10
    assert all(torch.equal(theirs[name].float(), ours[name]) for name in names)


def test_the_prior_is_learned_within_its_ranges_and_kept_to_the_end(finished_run):
    assert read_prior(finished_run / "expression.safetensors") is None
    learned = read_prior(finished_run / "action_unit.safetensors")
    assert (
        learned
        == read_prior(finished_run / "fusion.safetensors")
        == load_network(finished_run / "best.safetensors")[1].prior
    )
    levels = prior_levels("basic")
    for values, row in zip(learned, levels, strict=True):
        for value, level in zip(values, row, strict=True):
            assert level.low - 1e-6 <= value <= level.high + 1e-6
    starts = [[level.start for level in row] for row in levels]
    assert not torch.allclose(torch.tensor(learned), torch.tensor(starts), atol=1e-4)


def test_a_finished_run_says_what_came_out_of_it(finished_run):
    assert same(finished_run / "best.safetensors", finished_run / "fusion.safetensors")
    history = read_history(finished_run / "metrics.csv")
    assert [(r["stage"], r["epoch"]) for r in history] == [
        (stage, epoch) for stage in ("expression", "action_unit", "fusion") for epoch in ("1", "2")
    ]
    assert all(0 < float(r["data_wait"]) < 1 for r in history)
    info = read_info(finished_run / "best.safetensors")
    assert info.stage == "fusion"
    best = max((r for r in history if r["stage"] == "fusion"), key=lambda r: float(r["valid/score"]))
    assert info.metrics["epoch"] == int(best["epoch"])
    assert info.metrics["fused"] == pytest.approx(float(best["valid/fused"]))
    assert info.metrics["accuracy"] == pytest.approx(1 - info.metrics["risk_over_coverage"][0]["risk"], abs=1e-4)
    assert info.metrics["epoch"] == int(best["epoch"])
    assert not list(finished_run.glob("*unfinished*")) + list(finished_run.glob("*.part"))
    assert not (finished_run / STATE_FILE).exists()


def test_a_finished_run_has_scalars_and_plots(finished_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished_run / "tensorboard" / "fusion"))
    events.Reload()
    assert {"lr", "train/fused", "valid/mean_class_accuracy"} <= set(events.Tags()["scalars"])
    assert [e.step for e in events.Scalars("train/fused")] == [1, 2]
    for name in ("training.png", "recall.png", "prior.png"):
        assert (finished_run / "plots" / name).stat().st_size > 10_000


@pytest.mark.parametrize(
    "stop",
    [
        StopAt("action_unit", 1),
        pytest.param(StopAt("fusion", 2), marks=pytest.mark.slow),
        pytest.param(StopAt("expression", 1, step=1), marks=pytest.mark.slow),
    ],
    ids=lambda s: str(s.at),
)
def test_an_interrupted_run_resumed_ends_in_the_same_weights(
    stop, finished_run, tiny_config, tiny_index, shipped, tmp_path
):
    with pytest.raises(Interrupted):
        train(tiny_config, [tiny_index], tmp_path, landmarks=shipped, reporter=stop)
    assert read_progress(tmp_path).stage == stop.at[0]
    listener = Listener()
    train(tiny_config, [tiny_index], tmp_path, landmarks=shipped, resume=True, reporter=listener)
    assert stop.at in listener.heard
    for stage in ("expression", "action_unit", "fusion"):
        assert same(tmp_path / f"{stage}.safetensors", finished_run / f"{stage}.safetensors")
    assert figures(tmp_path) == figures(finished_run)


def test_a_run_killed_in_stage_two_goes_on_to_the_same_weights(
    finished_run, tiny_config, tiny_index, shipped, tmp_path
):
    tiny_index.write(tmp_path / "index.parquet")
    (tmp_path / "config.json").write_text(json.dumps(tiny_config.to_dict()))
    script = """
        import json, sys, torch
        from pathlib import Path
        from aue_crl_core.config import from_dict
        from aue_crl_core.data.index import DatasetIndex
        from aue_crl_core.training.config import TrainConfig
        from aue_crl_core.training.reporter import Silent
        from aue_crl_core.training.run import train
        torch.set_num_threads(1)
        class Echo(Silent):
            def epoch(self, row): print(row["stage"], row["epoch"], flush=True)
        folder, landmarks = map(Path, sys.argv[1:])
        config = from_dict(TrainConfig, json.loads((folder / "config.json").read_text()), "config")
        index = DatasetIndex.read(folder / "index.parquet")
        train(config, [index], folder / "run", landmarks=landmarks, reporter=Echo())
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), str(shipped)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as job:
        for line in job.stdout:
            if line.split() == ["action_unit", "1"]:
                break
        os.kill(job.pid, signal.SIGKILL)
    assert job.returncode == -signal.SIGKILL
    output = tmp_path / "run"
    assert read_progress(output).stage in ("action_unit", "fusion")
    train(tiny_config, [tiny_index], output, landmarks=shipped, resume=True)
    a, b = load_file(output / "fusion.safetensors"), load_file(finished_run / "fusion.safetensors")
    assert a.keys() == b.keys()
    assert max(float((a[n].float() - b[n].float()).abs().max()) for n in a) < 1e-6


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"compile": "aot_eager"}, id="compiled", marks=pytest.mark.slow),
        pytest.param({"channels_last": False}, id="channels first", marks=pytest.mark.slow),
        pytest.param({"fused_optimizer": True}, id="fused adamw"),
        pytest.param({"fused_optimizer": True, "optimizer": "sgd"}, id="fused sgd", marks=pytest.mark.slow),
    ],
)
def test_options_of_speed_change_rounding_only(options, finished_run, tiny_config, tiny_index, tmp_path):
    init = finished_run / "action_unit.safetensors"
    plain = dataclasses.replace(tiny_config, optimizer=options.get("optimizer", "adamw"))
    fast = dataclasses.replace(plain, **options)
    a, b = (
        load_file(train(config, [tiny_index], tmp_path / name, ["fusion"], init=init))
        for name, config in (("plain", plain), ("fast", fast))
    )
    assert a.keys() == b.keys()
    assert max(float((a[n].float() - b[n].float()).abs().max()) for n in a) < 1e-3


@pytest.fixture
def interrupted(tiny_config, tiny_index, tmp_path) -> Path:
    """A run that stopped after the first epoch of its first stage."""
    with pytest.raises(Interrupted):
        train(tiny_config, [tiny_index], tmp_path, ["expression"], reporter=StopAt("expression", 1))
    return tmp_path


def test_an_unfinished_run_is_not_touched_without_resume(interrupted, tiny_config, tiny_index, shipped):
    state = (interrupted / STATE_FILE).read_bytes()
    with pytest.raises(TrainingError, match=r"unfinished stage expression \(epochs done: 1\); go on with --resume"):
        train(tiny_config, [tiny_index], interrupted)
    with pytest.raises(TrainingError, match=r"which stage landmark would overwrite.*--stage expression --resume"):
        train(tiny_config, [tiny_index], interrupted, ["landmark"], resume=True)
    changed_config = dataclasses.replace(tiny_config, seed=3)
    moved = dataclasses.replace(tiny_config, workers=1, cache_dir="elsewhere", cache_max_gb=1.0)
    with pytest.raises(TrainingError, match="go on with --resume"):
        train(moved, [tiny_index], interrupted)
    with pytest.raises(TrainingError, match=r"another run: seed was 0, is 3 \(see .*run\.json\)"):
        train(changed_config, [tiny_index], interrupted, resume=True)
    fewer = dataclasses.replace(tiny_index, records=tiny_index.records[1:])
    with pytest.raises(TrainingError, match="another run: the data was"):
        train(tiny_config, [fewer], interrupted, resume=True)
    assert (interrupted / STATE_FILE).read_bytes() == state


def test_a_run_that_is_under_way_is_not_touched(finished_run, tiny_config, tiny_index):
    hold = """
        import pathlib, sys
        from aue_crl_core.training.directory.lock import locked
        with locked(pathlib.Path(sys.argv[1])):
            print("held", flush=True)
            sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(hold), str(finished_run)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(TrainingError, match="another training is under way"):
            train(tiny_config, [tiny_index], finished_run, ["expression"])


def test_a_damaged_state_is_named(interrupted, tiny_config, tiny_index):
    (interrupted / STATE_FILE).write_bytes(b"not a state")
    with pytest.raises(TrainingError, match=r"state\.safetensors must be the state of an unfinished stage.*remove it"):
        train(tiny_config, [tiny_index], interrupted, resume=True)


def test_finished_stages_are_skipped_and_best_stays_the_furthest(finished_run, tiny_config, tiny_index):
    before = (finished_run / "best.safetensors").read_bytes()
    listener = Listener()
    train(tiny_config, [tiny_index], finished_run, ["expression"], reporter=listener)
    assert listener.heard == [("expression", "skipped")]
    assert (finished_run / "best.safetensors").read_bytes() == before


def test_a_stage_needs_the_one_before_it(tiny_config, tiny_index, tmp_path):
    with pytest.raises(TrainingError, match=r"stage fusion starts from stage action_unit.*--init"):
        train(tiny_config, [tiny_index], tmp_path / "run", ["expression", "fusion"])
    assert not (tmp_path / "run").exists()


def test_a_loss_that_explodes_stops_the_run_and_spoils_nothing(tiny_config, tiny_index, tmp_path):
    wild = dataclasses.replace(tiny_config, expression=Schedule(3, 1e30))
    with pytest.raises(TrainingError, match=r"must be finite, got .*lower that stage's lr"):
        train(wild, [tiny_index], tmp_path, ["expression"])
    assert not (tmp_path / "expression.safetensors").exists()
    for path in tmp_path.glob("*.safetensors"):
        assert all(t.isfinite().all() for t in load_file(path).values() if t.is_floating_point())


def test_poisoned_weights_stop_stage_two_and_leave_stage_one(tiny_config, tiny_index, finished_run, tmp_path):
    network, info = load_network(finished_run / "expression.safetensors")
    with torch.no_grad():
        next(network.action_unit_branch.parameters()).fill_(float("nan"))
    save_network(tmp_path / "poison.safetensors", network, info)
    with pytest.raises(TrainingError, match="loss must be finite, got nan in stage action_unit, epoch 1, batch 1"):
        train(tiny_config, [tiny_index], tmp_path / "run", ["action_unit"], init=tmp_path / "poison.safetensors")
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_images_that_are_gone_are_counted_before_training(tiny_config, tiny_index, tmp_path):
    moved = dataclasses.replace(tiny_index, root=tmp_path / "moved")
    used = len(tiny_index.records)
    with pytest.raises(
        DatasetError, match=rf"{used} of {used} images .*moved any more \(the first: data/FER2013Train/"
    ):
        train(tiny_config, [moved], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_index_of_another_vocabulary_is_refused(tiny_config, tiny_index, tmp_path):
    other = dataclasses.replace(tiny_index, vocabulary="compound")
    with pytest.raises(TrainingError, match="has the compound vocabulary, the run has basic"):
        train(tiny_config, [tiny_index, other], tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (model_config("edge", "compound"), "vocabulary 'basic' to start from, got 'compound'"),
        (
            dataclasses.replace(model_config("edge"), backbone="resnet18", decoder_channels=(8, 8, 8), feature_dim=8),
            "model 'edge' to start from, got 'resnet18'",
        ),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(config, message, tiny_config, tiny_index, tmp_path):
    save_network(tmp_path / "other.safetensors", build_network(config), CheckpointInfo(config))
    with pytest.raises(CheckpointError, match=message):
        train(tiny_config, [tiny_index], tmp_path / "run", init=tmp_path / "other.safetensors")
    assert not (tmp_path / "run").exists()


def test_too_few_images_for_a_batch(tiny_config, tiny_index, tmp_path):
    large = dataclasses.replace(tiny_config, batch_size=512)
    with pytest.raises(TrainingError, match="a batch of 512 needs as many images, the index has 36"):
        train(large, [tiny_index], tmp_path)


def test_an_index_with_nothing_to_validate_on(tiny_config, tiny_index, tmp_path):
    config = dataclasses.replace(tiny_config, held_out=0.0)
    with pytest.raises(TrainingError, match=r"must have a split 'valid'.*raise held_out"):
        train(config, [tiny_index.select("train")], tmp_path)


@pytest.mark.parametrize("device", ["warp", "cuda:99" if not torch.cuda.is_available() else "xyz"])
def test_a_device_that_is_not_there(device, tiny_config, tiny_index, tmp_path):
    with pytest.raises(ConfigError, match="device must be"):
        train(tiny_config, [tiny_index], tmp_path, device=device)


def test_no_stage_is_refused(tiny_config, tiny_index, tmp_path):
    with pytest.raises(ConfigError, match="stages must name at least one"):
        train(tiny_config, [tiny_index], tmp_path, [])
