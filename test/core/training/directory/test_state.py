"""State, averages and history: what is written comes back, and a rerun epoch replaces its row."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from aue_crl_core.errors import TrainingError  # noqa: E402
from aue_crl_core.training.directory.history import append_row, read_history  # noqa: E402
from aue_crl_core.training.directory.state import STATE_FILE, Progress, load_state, read_progress, save_state  # noqa: E402
from aue_crl_core.training.weights.ema import WeightAverage  # noqa: E402


def parts(kind):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = kind(module.parameters())
    return module, optimizer, WeightAverage([module], 0.9)


def step(module, optimizer, average):
    torch.manual_seed(1)
    module(torch.randn(8, 3)).square().sum().backward()
    optimizer.step()
    average.update()


OPTIMIZERS = [
    pytest.param(lambda p: torch.optim.AdamW(p, lr=1e-2), id="adamw"),
    pytest.param(lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9), id="sgd"),
]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_after_loading_is_the_step_that_would_have_been(kind, tmp_path):
    module, optimizer, average = parts(kind)
    step(module, optimizer, average)
    save_state(tmp_path, Progress("fusion", 3, 0.5), {"network": module}, optimizer, average)
    other, other_optimizer, other_average = parts(kind)
    progress = load_state(tmp_path, {"network": other}, other_optimizer, other_average)
    assert (progress.stage, progress.epoch, progress.best) == ("fusion", 3, 0.5)
    for p in other.parameters():
        p.grad = None
    optimizer.zero_grad()
    step(module, optimizer, average)
    step(other, other_optimizer, other_average)
    for a, b in zip(module.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(average.averages, other_average.averages, strict=True):
        assert torch.equal(a, b)


def test_no_state_is_no_progress(tmp_path):
    assert read_progress(tmp_path) is None
    module, optimizer, average = parts(OPTIMIZERS[0].values[0])
    with pytest.raises(TrainingError, match="no state of an unfinished stage"):
        load_state(tmp_path, {"network": module}, optimizer, average)


def test_a_state_of_another_network_is_refused(tmp_path):
    module, optimizer, average = parts(OPTIMIZERS[0].values[0])
    save_state(tmp_path, Progress("fusion"), {"network": module}, optimizer, average)
    with pytest.raises(TrainingError, match="is of another network"):
        load_state(tmp_path, {"network": torch.nn.Linear(2, 2)}, optimizer, average)


def test_a_state_is_replaced_in_one_piece(tmp_path):
    module, optimizer, average = parts(OPTIMIZERS[0].values[0])
    for epoch in (1, 2):
        save_state(tmp_path, Progress("fusion", epoch), {"network": module}, optimizer, average)
    assert read_progress(tmp_path).epoch == 2
    assert [p.name for p in tmp_path.iterdir()] == [STATE_FILE]


def test_the_average_lags_and_is_applied_for_a_while_only():
    module = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(0.0)
    average = WeightAverage([module], 0.5)
    with torch.no_grad():
        module.weight.fill_(10.0)
    average.update()
    assert average.averages[0].item() == pytest.approx(9.0)
    average.steps = 1000
    with torch.no_grad():
        module.weight.fill_(1.0)
    average.update()
    assert average.averages[0].item() == pytest.approx(5.0)
    with average.applied():
        assert module.weight.item() == pytest.approx(5.0)
    assert module.weight.item() == 1.0


def test_an_epoch_trained_again_replaces_its_row(tmp_path):
    path = tmp_path / "metrics.csv"
    append_row(path, {"stage": "expression", "epoch": 2, "lr": 0.1})
    append_row(path, {"stage": "fusion", "epoch": 1, "lr": 0.2, "valid/score": 0.5})
    append_row(path, {"stage": "fusion", "epoch": 2, "lr": 0.3})
    append_row(path, {"stage": "fusion", "epoch": 1, "lr": 0.4})
    assert read_history(path) == [
        {"stage": "expression", "epoch": "2", "lr": "0.1"},
        {"stage": "fusion", "epoch": "1", "lr": "0.4"},
    ]


def test_the_parquet_file_has_the_same_rows_with_types(tmp_path):
    import pyarrow.parquet as pq

    path = tmp_path / "metrics.csv"
    append_row(path, {"stage": "action_unit", "epoch": 1, "since_best": 0, "train/prior": 0.1})
    append_row(path, {"stage": "fusion", "epoch": 1, "since_best": 0, "valid/recall/fear": 1 / 3})
    table = pq.read_table(tmp_path / "metrics.parquet")
    assert table.to_pylist() == [
        {"stage": "action_unit", "epoch": 1, "since_best": 0, "train/prior": 0.1, "valid/recall/fear": None},
        {"stage": "fusion", "epoch": 1, "since_best": 0, "train/prior": None, "valid/recall/fear": 1 / 3},
    ]
    assert [str(kind) for kind in table.schema.types] == ["string", "int32", "int32", "double", "double"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.csv", "metrics.parquet"]


def test_a_parquet_file_that_a_kill_left_behind_catches_up_with_the_next_row(tmp_path):
    import pyarrow.parquet as pq

    path = tmp_path / "metrics.csv"
    append_row(path, {"stage": "fusion", "epoch": 1, "lr": 0.1})
    older = (tmp_path / "metrics.parquet").read_bytes()
    append_row(path, {"stage": "fusion", "epoch": 2, "lr": 0.1})
    (tmp_path / "metrics.parquet").write_bytes(older)
    append_row(path, {"stage": "fusion", "epoch": 2, "lr": 0.2})
    rows = pq.read_table(tmp_path / "metrics.parquet").to_pylist()
    assert [(r["epoch"], r["lr"]) for r in rows] == [(1, 0.1), (2, 0.2)]
