"""Several processes as one: real ones, started by torchrun on this machine, that talk by gloo.

The comparisons train without what turns rounding into large steps or into other draws, in one process too: dropout,
whose masks each process draws for itself and which are not those of one process, by design; AdamW, which divides a
gradient by its own size, and so makes a whole step of one that is zero but for rounding (a bias before batch
normalisation); erased patches, whose equal values tie in max-pooling; and large learning rates.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")
yaml = pytest.importorskip("yaml")

import distributed_process  # noqa: E402

from aue_crl_core.checkpoint import CheckpointInfo, load_network, read_info, save_network  # noqa: E402
from aue_crl_core.data.finders import OwnFinder  # noqa: E402
from aue_crl_core.data.prepare import prepare  # noqa: E402
from aue_crl_core.data.transforms import Augmentation  # noqa: E402
from aue_crl_core.engines import find_weights  # noqa: E402
from aue_crl_core.errors import ConfigError  # noqa: E402
from aue_crl_core.networks import build_network  # noqa: E402
from aue_crl_core.training.batches import feature_cache, loading  # noqa: E402
from aue_crl_core.training.batches.loading import make_loader  # noqa: E402
from aue_crl_core.training.config import Schedule  # noqa: E402
from aue_crl_core.training.directory.journal import read_history  # noqa: E402
from aue_crl_core.training.processes.processes import Processes  # noqa: E402
from aue_crl_core.training.run import train  # noqa: E402

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
RANKS = (0, 1)
MARK = "AUE_CRL_TEST_RUN"


def launched(folder: Path) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", MARK: str(folder)}


@pytest.fixture(scope="module")
def material(fer_root, tiny_config, tmp_path_factory) -> Path:
    """What a run needs, in a folder: config, index (a third of the faces have points), weights without dropout."""
    folder = tmp_path_factory.mktemp("distributed")
    index = prepare("ferplus", fer_root, folder / "all.parquet", OwnFinder).index
    kept = []
    for split, count in (("train", 36), ("valid", 12)):
        kept += [r for r in index.records if r.split == split and r.usable and r.points is not None][:count]
    kept = [r if i % 3 else dataclasses.replace(r, points=None) for i, r in enumerate(kept)]
    dataclasses.replace(index, records=tuple(kept)).write(folder / "index.parquet")
    trained = load_network(find_weights("edge", "torch"))[0]  # far from there, rounding grows within a few steps
    small = dataclasses.replace(trained.config.preprocessing, input_size=64)
    torch.manual_seed(0)
    shape = dataclasses.replace(
        trained.config, preprocessing=small, dropout=0.0, knowledge="targets", intensity_units=()
    )
    network = build_network(shape)
    missing, _ = network.load_state_dict(trained.state_dict(), strict=False)
    assert missing == ["action_unit_branch.classifier.weight", "action_unit_branch.classifier.bias"]
    save_network(folder / "init.safetensors", network, CheckpointInfo(network.config))
    schedule = Schedule(2, 0.001)
    config = dataclasses.replace(
        tiny_config,
        model="mobilenet_v2",
        knowledge="targets",
        preprocessing=small,
        augmentation=Augmentation(erase=0.0),
        optimizer="sgd",
        cache_views=2,
        cache_dir=str(folder / "features"),
        landmark=Schedule(2, 0.0003),
        expression=Schedule(4, 0.0001),  # all of it learns: at more, float32 rounding grows to what is tested
        action_unit=schedule,
        fusion=Schedule(3, 0.001),
    )
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "config.yaml").write_text(yaml.safe_dump({**json.loads((folder / "config.json").read_text())}))
    return folder


@pytest.fixture(scope="module")
def two(material) -> Path:
    """`material` after two processes have done `distributed_process`."""
    command = [*TORCHRUN, str(Path(distributed_process.__file__)), str(material)]
    done = subprocess.run(command, env=launched(material), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return material


@pytest.fixture(scope="module")
def one(two) -> Path:
    """The same training by one process; returns its directory."""
    shutil.rmtree(two / "features")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "VALIDATION_BATCH", loading.VALIDATION_BATCH)
        patch.setattr(feature_cache, "BLOCK", feature_cache.BLOCK)
        distributed_process.small_portions()
        distributed_process.curve(two, two / "alone")
    return two / "alone"


@pytest.fixture(scope="module", params=RANKS)
def found(request, two) -> dict:
    """What one of two processes found."""
    return json.loads((two / f"{request.param}.json").read_text())


@pytest.mark.parametrize("stage", distributed_process.STAGE_ORDER)
def test_two_processes_draw_the_loss_curve_of_one(stage, two, one):
    """Float32 sums in another order: each figure of each epoch to 1e-4 of itself, shares of right answers exactly."""
    ours, theirs = (
        [r for r in read_history(d / "metrics.csv") if r["stage"] == stage] for d in (two / "run-of-0", one)
    )
    assert len(ours) == len(theirs) == {"expression": 4, "fusion": 3}.get(stage, 2)
    for row, expected in zip(ours, theirs, strict=True):
        names = [name for name in expected if name.startswith(("train/", "valid/"))]
        assert len(names) >= 4
        for name in names:
            exact = name.endswith(("accuracy", "score"))
            tolerance = {"abs": 1e-12} if exact else {"rel": 1e-4, "abs": 1e-6}
            assert float(row[name]) == pytest.approx(float(expected[name]), **tolerance), name
        assert row["lr"] == expected["lr"]


def test_only_the_first_process_writes(two):
    assert not (two / "run-of-1").exists()
    names = {p.name for p in (two / "run-of-0").iterdir()}
    assert {"best.safetensors", "metrics.csv", "plots", "run.json", "tensorboard"} <= names
    assert not [name for name in names if "unfinished" in name or name.startswith("state")]
    for stage in distributed_process.STAGE_ORDER:
        assert len(list((two / "run-of-0" / "tensorboard" / stage).iterdir())) == 1


def test_checkpoints_have_the_names_of_one_process(two, one):
    from safetensors.torch import load_file

    a, b = (load_file(d / "fusion.safetensors") for d in (two / "run-of-0", one))
    assert {name: t.shape for name, t in a.items()} == {name: t.shape for name, t in b.items()}
    assert (
        read_info(two / "run-of-0" / "fusion.safetensors").metrics.keys()
        == read_info(one / "fusion.safetensors").metrics.keys()
    )


@pytest.mark.parametrize("case", ["maps", "vectors", "one row each"])
def test_batch_normalisation_is_that_of_the_whole_batch(case, found):
    assert {name: value for name, value in found[case].items() if not value < 1e-4} == {}


def test_batch_normalisation_in_bf16_is_off_by_its_rounding(found):
    assert {name: value for name, value in found["bf16"].items() if not value < 0.15} == {}


def test_the_pairwise_loss_sees_the_whole_batch(found):
    assert found["pairwise"]["size"] > 1e-2
    assert found["pairwise"]["loss"] < 1e-6
    assert found["pairwise"]["gradient"] < 1e-6


@pytest.mark.parametrize("stage", distributed_process.STAGE_ORDER)
def test_the_gradient_of_a_batch_is_that_of_one_process(stage, found):
    """As far as float32 goes, over all trained parameters of the stage as one vector; rounding that turns a ReLU or the
    place of a maximum costs up to 3e-4."""
    assert found["gradients"][stage]["parameters"] > 100_000
    assert found["gradients"][stage]["loss"] < 1e-4
    assert found["gradients"][stage]["gradient"] < 1e-3


def test_the_criterion_of_a_method_sees_the_whole_batch(found):
    assert found["island"]["moved"] > 0.1
    assert found["island"]["centres"] < 1e-4
    assert found["island"]["terms"] < 1e-4
    assert found["island"]["gradient"] < 1e-2


@pytest.mark.parametrize("stage", distributed_process.STAGE_ORDER)
def test_validation_figures_are_those_of_one_process_to_the_bit(stage, found):
    alone, both = found["validation"][stage]
    assert both == alone
    assert len(both) >= 3


def test_dropout_masks_differ_between_processes(two):
    first, second = (json.loads((two / f"{rank}.json").read_text())["seeds"] for rank in RANKS)
    assert len(first) == len(second) > 0
    assert not set(first) & set(second)


def test_what_the_first_process_has_arrives(found):
    assert found["sent"] is True


def test_an_error_of_the_first_process_ends_the_others(two):
    messages = [json.loads((two / f"{rank}.json").read_text())["failure"] for rank in RANKS]
    assert messages == ["the directory is full", "process 1 ends with process 0, whose message says why"]


def command_line(material: Path, output: Path, *options: str) -> list[str]:
    """`aue-crl train` of the first stage."""
    named = {"--data": material / "index.parquet", "--config": material / "config.yaml", "--stage": "expression"}
    named |= {"--init": material / "init.safetensors", "--output": output}
    return ["-m", "aue_crl_core", "train", *(str(word) for pair in named.items() for word in pair), *options]


def pid_of(rank: int, mark: str) -> int:
    """The process that torchrun started as `rank` in the environment that carries `mark`."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            words = environ.read_bytes().split(b"\0")
        except OSError:
            continue
        if f"RANK={rank}".encode() in words and f"{MARK}={mark}".encode() in words:
            return int(environ.parent.name)
    raise AssertionError(f"no process of rank {rank}")


@pytest.fixture(scope="module")
def killed(two, tmp_path_factory) -> tuple[Path, int, str]:
    """A run of two processes, one of which was killed after the first epoch: directory, exit code, messages."""
    output = tmp_path_factory.mktemp("killed") / "run"
    if not Path("/proc/self/environ").is_file():
        pytest.skip("finding the process to kill needs Linux's /proc")
    job = subprocess.Popen(
        [*TORCHRUN, *command_line(two, output)], env=launched(output), stderr=subprocess.PIPE, text=True
    )
    while not (output / "state.safetensors").is_file():
        assert job.poll() is None, job.stderr.read()
        time.sleep(0.02)
    os.kill(pid_of(1, str(output)), signal.SIGKILL)
    messages = job.communicate(timeout=60)[1]
    return output, job.returncode, messages


def test_a_killed_process_ends_the_run_with_a_message(killed):
    output, code, messages = killed
    assert code != 0
    (line,) = [line for line in messages.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: process 0 of 2 ")
    assert "lost contact with another one" in line or "was told to end" in line
    assert re.search(r" in stage expression, epoch [2-4]; ", line)
    assert line.endswith("start again with --resume, with any number of processes")
    assert not (output / "expression.safetensors").exists()


@pytest.fixture(scope="module", params=["one process", pytest.param("two processes", marks=pytest.mark.slow)])
def resumed(request, killed, two) -> Path:
    """The directory of the killed run, finished by `request.param`."""
    output = killed[0].with_name(request.param)
    shutil.copytree(killed[0], output)
    if request.param == "one process":
        config, index = distributed_process.read(two)
        train(config, [index], output, ["expression"], resume=True, init=two / "init.safetensors")
        return output
    command = [*TORCHRUN, *command_line(two, output, "--resume")]
    done = subprocess.run(command, env=launched(output), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("expression: going on after epoch ") == 1
    assert done.stdout.count("the result is ") == 1
    return output


def test_any_number_of_processes_goes_on_to_the_same_curve(resumed, one):
    rows = read_history(resumed / "metrics.csv")
    expected = [r for r in read_history(one / "metrics.csv") if r["stage"] == "expression"]
    assert [(r["stage"], r["epoch"]) for r in rows] == [("expression", str(epoch)) for epoch in (1, 2, 3, 4)]
    for row, other in zip(rows, expected, strict=True):
        for name in ("train/expression", "valid/accuracy", "valid/score"):
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-4), name
    assert (resumed / "best.safetensors").is_file()


def test_batches_are_the_same_however_many_processes_share_them(tiny_config):
    images = torch.arange(37)

    def batches(world_size, seed):
        loaders = [make_loader(images, tiny_config, "cpu", seed, Processes(r, world_size)) for r in range(world_size)]
        loaded = [list(loader.batch_sampler) for loader in loaders]
        if seed is None:
            return sorted(chain(*loaded))
        return [list(chain(*parts)) for parts in zip(*loaded, strict=True)]

    for seed in (0, 5, None):
        assert batches(1, seed) == batches(2, seed) == batches(8, seed)
    assert len(batches(4, 0)) == 2
    assert list(chain(*batches(4, None))) == list(range(37))
    assert batches(2, 0) != batches(2, 5)


def torchrun_says(**changes: str) -> dict[str, str]:
    return {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", **changes}


def test_torchrun_says_who_this_is():
    processes = Processes.from_environment("cpu", torchrun_says())
    assert (processes.rank, processes.world_size, processes.local_rank, processes.local_world_size) == (1, 4, 1, 2)
    assert processes.several_hosts
    assert not processes.is_first
    alone = Processes.from_environment("cuda:1", {})
    assert (alone.world_size, alone.device, alone.is_first, alone.several) == (1, "cuda:1", True, False)


@pytest.mark.parametrize(
    ("device", "environment", "message"),
    [
        ("cpu", {"LOCAL_RANK": ""}, r"LOCAL_RANK must be whole numbers.*start with torchrun"),
        ("cuda:0", {}, r"device must be cpu or cuda with several processes .*, got 'cuda:0'"),
        ("cuda", {"LOCAL_WORLD_SIZE": "99"}, r"a GPU for each of the 99 processes.*--nproc-per-node"),
    ],
)
def test_what_cannot_be_started_is_named(device, environment, message):
    with pytest.raises(ConfigError, match=message):
        Processes.from_environment(device, torchrun_says(**environment))


def test_a_batch_must_be_shared_evenly():
    Processes(0, 4).check_batch_size(64)
    with pytest.raises(
        ConfigError, match=r"multiple of the 6 processes that share it, got 64; .*--batch-size 60 or 66"
    ):
        Processes(0, 6).check_batch_size(64)
    with pytest.raises(ConfigError, match=r"--batch-size 8,"):
        Processes(0, 8).check_batch_size(2)
