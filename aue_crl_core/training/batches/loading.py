"""From indices to batches: what a stage trains on, and what it is validated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from aue_crl_core.config import Preprocessing
from aue_crl_core.data.dataset import FaceDataset, hold_out
from aue_crl_core.data.index import DatasetIndex
from aue_crl_core.data.landmark_dataset import LANDMARK_AUGMENTATION, LandmarkDataset
from aue_crl_core.errors import DatasetError, TrainingError
from aue_crl_core.methods import METHODS, Method
from aue_crl_core.networks.network import FaceNetwork
from aue_crl_core.training.batches.evidence import ActionUnitEvidence
from aue_crl_core.training.batches.feature_cache import FeatureViews
from aue_crl_core.training.config import StageName, TrainConfig
from aue_crl_core.training.processes.processes import ALONE, Processes
from aue_crl_core.training.stages import STAGES, FeatureBatch

TrainingSet = FaceDataset | LandmarkDataset

VALIDATION_BATCH = 128


def with_validation(index: DatasetIndex, config: TrainConfig) -> DatasetIndex:
    """`index` with a `valid` split: its own, else a part of `train` (see `hold_out`).

    Raises:
        TrainingError: the index has another vocabulary than the run, or too little to hold out.
    """
    if index.vocabulary != config.vocabulary:
        raise TrainingError(
            f"the index of layout {index.layout} has the {index.vocabulary} vocabulary, the run has "
            f"{config.vocabulary}; train with vocabulary: {index.vocabulary}"
        )
    if "valid" in index.splits():
        return index
    held = hold_out(index, config.held_out, config.seed)
    if "valid" not in held.splits():
        raise TrainingError(
            f"the index of layout {index.layout} must have a split 'valid', or enough of 'train' to hold out a share "
            f"of {config.held_out}, got {dict(index.splits())}; raise held_out in --config, or add a valid split"
        )
    return held


def check_images(indices: Sequence[DatasetIndex]) -> None:
    """See that the images are still where the indices say, before hours are spent.

    Raises:
        DatasetError: an image of training or validation is gone.
    """
    for index in indices:
        used = [r for r in index.records if r.usable and r.split in ("train", "valid")]
        gone = [r for r in used if not index.path(r).is_file()]
        if gone:
            raise DatasetError(
                f"{len(gone)} of {len(used)} images of the index of layout {index.layout} are not below {index.root} "
                f"any more (the first: {gone[0].image}); put them back, or index them where they are now with: "
                f"aue-crl prepare {index.layout} ROOT --output INDEX"
            )


def check_method(method: Method, indices: Sequence[DatasetIndex]) -> None:
    """See that the indices say what a method learns from, before hours are spent.

    Raises:
        DatasetError: nobody, or one person alone, is named where it compares people; no face has points where it
            makes other faces of them.
    """
    used = [(i.root, r) for i in indices for r in i.records if r.learnable and r.split == "train"]
    people = {(root, record.subject) for root, record in used if record.subject is not None}
    if "identities" in method.needs and len(people) < 2:
        raise DatasetError(
            f"method {method.name} compares people and must have an index that names at least 2 (column subject), got "
            f"{len(people)}; take a dataset whose layout names them, such as ck-plus, kdef or mmi, or another --method"
        )
    if method.synthesis is not None and all(record.points is None for _, record in used):
        raise DatasetError(
            f"method {method.name} makes other faces of a face's points and must have an index with points, got none; "
            "make the index again with: aue-crl prepare ... --finder own (or mediapipe)"
        )


def datasets(
    stage: StageName,
    network: FaceNetwork,
    indices: Sequence[DatasetIndex],
    config: TrainConfig,
    evidence: ActionUnitEvidence | None = None,
) -> tuple[TrainingSet, TrainingSet]:
    """The training and the validation set of a stage; `evidence` for one that learns from it.

    Raises:
        DatasetError: an index without one of the splits, or nothing usable in them.
    """
    train, valid = ([index.select(split) for index in indices] for split in ("train", "valid"))
    preprocessing: Preprocessing = network.config.preprocessing
    # No stage sees the very pictures that an earlier one learned.
    seed = config.seed * len(STAGES) + list(STAGES).index(stage)
    if STAGES[stage].data == "points":
        preprocessing = replace(preprocessing, input_size=network.landmark_net.input_size)
        return (
            LandmarkDataset(train, preprocessing, LANDMARK_AUGMENTATION, seed),
            LandmarkDataset(valid, preprocessing),
        )
    odds = evidence.log_odds if evidence else None
    method = METHODS[network.config.method]
    augmentation = method.augmentation(config.augmentation)
    return (
        FaceDataset(train, preprocessing, augmentation, seed, odds, method.synthesis),
        FaceDataset(valid, preprocessing, evidence=odds),
    )


def make_loader(
    dataset: TrainingSet | FeatureViews,
    config: TrainConfig,
    device: str,
    seed: int | None,
    processes: Processes = ALONE,
) -> DataLoader:
    """Batches of one epoch, shuffled by `seed`; None: every sample, in order.

    Of several processes, each gets its rows of every shuffled batch, and every n-th batch of those in order: the
    batches are the same however many processes share them.
    """
    if seed is None:
        batches = _split(range(len(dataset)), VALIDATION_BATCH)[processes.rank :: processes.world_size]
    else:
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed)).tolist()
        whole = len(dataset) // config.batch_size * config.batch_size
        batches = [processes.rows(batch) for batch in _split(order[:whole], config.batch_size)]
    ready = not isinstance(dataset, (FaceDataset, LandmarkDataset))
    workers = 0 if ready else config.workers
    return DataLoader(
        dataset,
        batch_sampler=batches,
        generator=torch.Generator().manual_seed(seed or 0),
        num_workers=workers,
        collate_fn=_as_it_is if ready else None,
        worker_init_fn=_one_thread,
        pin_memory=device.startswith("cuda"),
        prefetch_factor=4 if workers else None,
    )


def ordered_loader(dataset: TrainingSet, batches: list[list[int]], config: TrainConfig) -> DataLoader:
    """These batches of samples, by their positions; the global random generator is left alone."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        generator=torch.Generator().manual_seed(0),
        num_workers=config.workers,
        worker_init_fn=_one_thread,
        prefetch_factor=4 if config.workers else None,
    )


def _split(order: Sequence[int], size: int) -> list[list[int]]:
    return [list(order[start : start + size]) for start in range(0, len(order), size)]


def _as_it_is(batch: FeatureBatch) -> FeatureBatch:
    return batch


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def log_frequency(dataset: TrainingSet, classes: int) -> Tensor:
    """Log of each class's share in the training data, float32 C; zeros for data without classes."""
    if not isinstance(dataset, FaceDataset):
        return torch.zeros(classes)
    counts = torch.bincount(torch.from_numpy(dataset.labels), minlength=classes).float()
    return (counts.clamp(min=1) / counts.sum()).log()
