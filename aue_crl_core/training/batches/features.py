"""What fills a feature cache: a stage's frozen parts, run over its images once a view."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aue_crl_core.data.dataset import FaceDataset, Sample
from aue_crl_core.errors import ConfigError
from aue_crl_core.networks.network import FaceNetwork
from aue_crl_core.training.batches.feature_cache import (
    CachePlan,
    FeatureCache,
    FeatureViews,
    Shapes,
    make_room,
    values_per_image,
)
from aue_crl_core.training.batches.loading import ordered_loader
from aue_crl_core.training.config import TrainConfig
from aue_crl_core.training.loop import autocast, batch_inputs, resolve_precision
from aue_crl_core.training.processes.processes import ALONE, Processes
from aue_crl_core.training.stages import Stage


@dataclass(frozen=True)
class Maker:
    """What makes features: a stage's frozen parts on a device; `on_block(done, total)` hears of every block of ours."""

    stage: Stage
    network: FaceNetwork
    device: str
    config: TrainConfig
    on_block: Callable[[int, int], None] = lambda done, total: None
    processes: Processes = ALONE

    def plan(self, name: str, source: FaceDataset, views: int, dtype: str) -> CachePlan:
        """The cache that `source` would have."""
        made_of = {
            **source.fingerprint(),
            "network": json.dumps(self.network.config.to_dict(), sort_keys=True),
            "weights": _weights_hash(self.network, self.stage.trained),
            "precision": resolve_precision(self.device, self.config.precision),
        }
        return CachePlan(f"{self.stage.name}-{name}", views, len(source), values_per_image(self.shapes), dtype, made_of)

    @property
    def shapes(self) -> Shapes:
        """The shapes of one image's inputs."""
        if self.stage.input_shapes is None:
            raise ConfigError(f"stage must be one whose inputs can be cached, got {self.stage.name}")
        return self.stage.input_shapes(self.network.config)

    @torch.inference_mode()
    def fill(self, cache: FeatureCache, view: int, source: FaceDataset) -> None:
        """Compute this process's share of the blocks of a view that are missing, and wait for the others'; puts the
        network into evaluation mode."""
        here = self.processes
        missing = [b for b in cache.missing(view) if b % here.local_world_size == here.local_rank]
        if missing:
            self._compute(cache, view, missing, source)
        here.wait()

    def _compute(self, cache: FeatureCache, view: int, missing: list[int], source: FaceDataset) -> None:
        self.network.eval()
        source.set_epoch(view)
        loader = ordered_loader(source, [cache.plan.positions(block) for block in missing], self.config)
        for number, (block, batch) in enumerate(zip(missing, loader, strict=True)):
            cache.write(view, block, self._features(batch))
            self.on_block(number + 1, len(missing))

    def _features(self, sample: Sample) -> np.ndarray:
        with autocast(self.device, self.config.precision):
            inputs, _ = batch_inputs(self.network, self.stage, self.config, sample, self.device)
        return torch.cat([part.float().flatten(1) for part in inputs], dim=1).cpu().numpy()


def cached_sets(
    directory: Path, maker: Maker, train_set: FaceDataset, valid_set: FaceDataset
) -> tuple[FeatureViews, FeatureViews]:
    """Both sets of a stage behind caches in `directory`: `cache_views` views in float16, and validation's in float32.

    Raises:
        TrainingError: the disk is too small, or features that are not finite.
    """
    config = maker.config
    exact = dataclasses.replace(maker, config=dataclasses.replace(config, precision="fp32"))
    train_plan = maker.plan("train", train_set, config.cache_views, "float16")
    valid_plan = exact.plan("valid", valid_set, 1, "float32")
    if maker.processes.is_first_here:
        make_room(directory, [train_plan, valid_plan], config.cache_max_gb)
        for plan in (train_plan, valid_plan):
            FeatureCache(directory, plan)
    maker.processes.wait()
    sets = []
    for making, plan, source in ((maker, train_plan, train_set), (exact, valid_plan, valid_set)):
        cache = FeatureCache(directory, plan)

        def fill(view: int, making: Maker = making, cache: FeatureCache = cache, source: FaceDataset = source) -> None:
            making.fill(cache, view, source)

        sets.append(FeatureViews(cache, maker.shapes, source.targets, fill))
    train_views, valid_views = sets
    valid_views.set_epoch(0)
    return train_views, valid_views


def _weights_hash(network: FaceNetwork, trained: tuple[str, ...]) -> str:
    """A hash of all tensors but those of the trained parts."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if name.startswith(tuple(f"{part}." for part in trained)):
            continue
        digest.update(name.encode())
        digest.update(_raw(tensor))
    return digest.hexdigest()


def _raw(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy()).reshape(-1).view(np.uint8)
