"""One run of a comparison, from its training to its predictions: the test split is opened when the epoch is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from aue_crl_core.checkpoint import load_network
from aue_crl_core.comparison.plan import Trial
from aue_crl_core.comparison.predictions import About, Predictions
from aue_crl_core.data.dataset import FaceDataset
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.networks.network import FaceNetwork
from aue_crl_core.training.batches.loading import make_loader
from aue_crl_core.training.directory.history import HISTORY_FILE, read_history
from aue_crl_core.training.loop import normalise
from aue_crl_core.training.reporter import Reporter
from aue_crl_core.training.run import train
from aue_crl_core.training.stages.stage import sample_points


def run_trial(trial: Trial, data: Sequence[DatasetIndex], reporter: Reporter | None = None) -> None:
    """Train what is left to train of a run, then write what its best epoch says of the test faces.

    Raises:
        AueCrlError: as `train`.
    """
    checkpoint = train(
        trial.config,
        data,
        trial.directory,
        trial.stages,
        resume=True,
        init=trial.init,
        landmarks=trial.landmarks,
        device=trial.device,
        reporter=reporter,
    )
    predict(trial, checkpoint, data).write(trial.predictions)


def predict(trial: Trial, checkpoint: Path, data: Sequence[DatasetIndex]) -> Predictions:
    """What a checkpoint says of the usable, labelled faces of the trial's split, on the crops that validation has."""
    tested = [index.select(trial.split) for index in data if trial.split in index.splits()]
    network, info = load_network(checkpoint, trial.device)
    faces = FaceDataset(tested, info.config.preprocessing)
    records = [(index.layout, r) for index in tested for r in index.records if r.learnable]
    rows = []
    with torch.inference_mode():
        for sample in make_loader(faces, trial.config, trial.device, None):
            sample = type(sample)(*(tensor.to(trial.device) for tensor in sample))
            images = normalise(sample.image, info.config.preprocessing)
            logits = network(images, sample_points(network, images, sample)).fused_logits
            rows.append(logits.float().softmax(dim=1).cpu().numpy())
    return Predictions(
        _about(trial, network.cpu()),
        faces.classes,
        tuple(layout for layout, _ in records),
        tuple(record.image for _, record in records),
        faces.labels,
        np.concatenate(rows),
    )


def _about(trial: Trial, network: FaceNetwork) -> About:
    history = read_history(trial.directory / HISTORY_FILE)
    best = {row["stage"]: row for row in history if row["since_best"] == "0"}
    figures = {
        name.removeprefix("valid/"): float(value)
        for name, value in best[trial.stages[-1]].items()
        if name.startswith("valid/")
    }
    parameters, multiply_adds = cost(network)
    return About(
        method=trial.config.method,
        seed=trial.config.seed,
        start=trial.init or "random weights",
        epochs={stage: sum(row["stage"] == stage for row in history) for stage in trial.stages},
        kept={stage: int(best[stage]["epoch"]) for stage in trial.stages},
        valid=figures,
        seconds=sum(float(row["seconds"]) for row in history),
        parameters=parameters,
        multiply_adds=multiply_adds,
    )


def cost(network: FaceNetwork) -> tuple[int, int]:
    """Parameters of a network on the CPU, and multiply-adds of its convolutions and matrix products for one face, both
    without the landmark net."""
    parameters = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("landmark_net."))
    size = network.config.preprocessing.input_size
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, size, size), torch.full((1, 68, 2), size / 2))
    return parameters, counter.get_total_flops() // 2
