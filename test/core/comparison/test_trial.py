"""One run: trained as any other, gone on with where it stopped, tested when its epoch is chosen and not before."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tensorboard")

import torch

from aue_crl_core.checkpoint import load_network
from aue_crl_core.comparison.predictions import Predictions
from aue_crl_core.comparison.trial import cost, predict, run_trial
from aue_crl_core.config import model_config
from aue_crl_core.data.dataset import FaceDataset
from aue_crl_core.networks import build_network
from aue_crl_core.training.directory.history import read_history
from aue_crl_core.training.reporter import Silent

_watched: dict[str, Path] = {}
_early: list[str] = []


def _listen(event: str, arguments: tuple) -> None:
    """Note a watched file that is opened while another one, which should be there by then, is not."""
    if event == "open" and isinstance(arguments[0], (str, Path)):
        needed = _watched.get(str(arguments[0]))
        if needed is not None and not needed.is_file():
            _early.append(str(arguments[0]))


class Killed(Silent):
    """Ends a run after its first epoch, as Ctrl-C does."""

    def epoch(self, row):
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(trial, index):
    """The trial, which was interrupted once; its test faces are watched."""
    sys.addaudithook(_listen)
    tested = [index.path(record) for record in index.records if record.split == "test"]
    _watched.update({str(path): trial.directory / "expression.safetensors" for path in tested})
    with pytest.raises(KeyboardInterrupt):
        run_trial(trial, [index], Killed())
    assert not trial.done
    before = read_history(trial.directory / "metrics.csv")
    run_trial(trial, [index])
    _watched.clear()
    return trial, before


def test_an_interrupted_run_goes_on_after_its_last_epoch(finished):
    trial, before = finished
    history = read_history(trial.directory / "metrics.csv")
    assert history[:1] == before
    assert [row["epoch"] for row in history] == ["1", "2"]
    assert trial.done


def test_no_test_face_is_opened_before_the_epoch_is_chosen(finished, index):
    assert _early == []
    first = next(record for record in index.records if record.split == "test")
    _watched[str(index.path(first))] = Path("nowhere")
    index.path(first).read_bytes()
    _watched.clear()
    assert _early, "the watch sees what is opened"


def test_the_predictions_are_those_of_the_kept_epoch_on_the_test_faces(finished, index):
    trial, _ = finished
    written = Predictions.read(trial.predictions)
    records = [record for record in index.records if record.split == "test"]
    assert written.images == tuple(record.image for record in records)
    assert written.labels.tolist() == [record.label for record in records]
    network, info = load_network(trial.directory / "expression.safetensors")
    preprocessing = info.config.preprocessing
    sample = FaceDataset([index.select("test")], preprocessing)[3]
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    with torch.inference_mode():
        logits = network((sample.image[None] / 255 - mean) / std).fused_logits[0]
    np.testing.assert_allclose(written.probabilities[3], logits.softmax(dim=0), atol=1e-4)
    kept = read_history(trial.directory / "metrics.csv")[written.about.kept["expression"] - 1]
    assert written.about.valid["score"] == float(kept["valid/score"])
    assert (written.about.method, written.about.seed, written.about.start) == ("softmax", 0, "random weights")
    assert written.about.epochs == {"expression": 2}


def test_a_finished_run_is_tested_again_without_training(finished, index):
    trial, _ = finished
    checkpoint = trial.directory / "expression.safetensors"
    before = checkpoint.stat().st_mtime_ns
    old = Predictions.read(trial.predictions)
    trial.predictions.unlink()
    run_trial(trial, [index])
    assert checkpoint.stat().st_mtime_ns == before
    np.testing.assert_array_equal(Predictions.read(trial.predictions).probabilities, old.probabilities)


def test_an_index_that_is_trained_on_only_needs_no_test_split(finished, index):
    trial, _ = finished
    both = [index.select("train"), index]
    assert len(predict(trial, trial.directory / "expression.safetensors", both).labels) == 12


def test_the_cost_of_a_face_is_that_of_trunk_and_head():
    network = build_network(dataclasses.replace(model_config("edge"), method="softmax")).eval()
    parts = [network.backbone, network.head]
    layers = [m for part in parts for m in part.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    counted = []
    for layer in layers:
        layer.register_forward_hook(lambda m, _, out: counted.append(out.numel() * m.weight[0].numel()))
    parameters, multiply_adds = cost(network)
    assert parameters == sum(p.numel() for part in parts for p in part.parameters())
    assert len(counted) == len(layers)
    assert multiply_adds == sum(counted)
