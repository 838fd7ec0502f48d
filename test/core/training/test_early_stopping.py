"""Early stopping: decided on validation, counted through an interruption, and never the default."""

from __future__ import annotations

import dataclasses
import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from safetensors.torch import load_file  # noqa: E402

from aue_crl_core.checkpoint import load_network, read_info  # noqa: E402
from aue_crl_core.training.config import Schedule, TrainConfig  # noqa: E402
from aue_crl_core.training.directory.history import read_history  # noqa: E402
from aue_crl_core.training.directory.state import read_progress  # noqa: E402
from aue_crl_core.training.reporter import Silent  # noqa: E402
from aue_crl_core.training.run import train  # noqa: E402


class Interrupted(Exception):
    pass


class Watch(Silent):
    """Remembers how each stage ended; interrupts the run after `stop_after` epochs of one."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.ended: dict[str, tuple[int, bool]] = {}
        self._stop_after = stop_after

    def epoch(self, row: dict) -> None:
        if row["epoch"] == self._stop_after:
            raise Interrupted

    def finished(self, name: str, epochs: int, early: bool) -> None:
        self.ended[name] = (epochs, early)


def test_a_stage_ends_when_its_patience_does():
    schedule = Schedule(10, 1.0, patience=2)
    assert [schedule.is_over(5, since) for since in (0, 1, 2, 3)] == [False, False, True, True]
    assert schedule.is_over(10, 0)
    assert not any(Schedule(10, 1.0).is_over(epochs, epochs) for epochs in range(10))


def test_patience_waits_for_the_full_size():
    schedule = Schedule(12, 1.0, patience=3, small_epochs=6)
    assert [epochs for epochs in range(13) if schedule.is_over(epochs, 9)] == [9, 10, 11, 12]


def test_no_stage_stops_early_unless_asked_to():
    config = TrainConfig()
    assert {getattr(config, s).patience for s in ("landmark", "expression", "action_unit", "fusion")} == {0}


@pytest.fixture(scope="module")
def standstill(tiny_config) -> TrainConfig:
    """A step so small that no epoch after the first is better (float32 rounds it away), and a patience of two."""
    return dataclasses.replace(tiny_config, ema=0.0, expression=Schedule(9, 1e-30, patience=2))


@pytest.fixture(scope="module")
def stopped(standstill, tiny_index, shipped, tmp_path_factory):
    output = tmp_path_factory.mktemp("stopped")
    watch = Watch()
    train(standstill, [tiny_index], output, ["expression"], init=shipped, reporter=watch)
    return output, watch


def test_a_stage_that_gets_no_better_is_stopped_and_says_so(stopped):
    output, watch = stopped
    rows = read_history(output / "metrics.csv")
    best = max(range(len(rows)), key=lambda i: float(rows[i]["valid/score"]))
    assert len(rows) == best + 3 < 9
    assert [r["since_best"] for r in rows[best:]] == ["0", "1", "2"]
    assert watch.ended == {"expression": (len(rows), True)}
    assert read_info(output / "expression.safetensors").metrics["epoch"] == best + 1


def test_best_and_last_epoch_are_both_there_to_load(stopped):
    output, _ = stopped
    rows = read_history(output / "metrics.csv")
    last, info = load_network(output / "expression.last.safetensors")
    assert info.metrics["epoch"] == len(rows)
    assert info.metrics["score"] == float(rows[-1]["valid/score"])
    best = load_network(output / "expression.safetensors")[0]
    batches = [name for name in last.state_dict() if name.endswith("num_batches_tracked") and "backbone" in name]
    counted = {int(last.state_dict()[n]) - int(best.state_dict()[n]) for n in batches}
    assert counted == {2 * 2}, "two epochs of two steps later"


@pytest.mark.parametrize("epoch", [*(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2)), 3])
def test_an_interrupted_count_goes_on_where_it_was(epoch, stopped, standstill, tiny_index, shipped, tmp_path):
    whole, _ = stopped
    length = len(read_history(whole / "metrics.csv"))
    assert length >= 3
    with pytest.raises(Interrupted):
        train(standstill, [tiny_index], tmp_path, ["expression"], init=shipped, reporter=Watch(epoch))
    before = read_progress(tmp_path)
    assert before.epoch == epoch
    watch = Watch()
    train(standstill, [tiny_index], tmp_path, ["expression"], init=shipped, resume=True, reporter=watch)
    assert watch.ended == {"expression": (length, True)}
    for name in ("expression.safetensors", "expression.last.safetensors"):
        a, b = load_file(whole / name), load_file(tmp_path / name)
        assert all(torch.equal(a[key], b[key]) for key in a)
        assert read_info(whole / name).metrics == read_info(tmp_path / name).metrics


def test_a_run_from_before_a_setting_existed_can_go_on(stopped, standstill, tiny_index, shipped):
    output, _ = stopped
    about = json.loads((output / "run.json").read_text())
    del about["config"]["fusion"]["patience"]
    (output / "run.json").write_text(json.dumps(about))
    train(standstill, [tiny_index], output, ["expression"], init=shipped)
