"""What frozen parts make of every image, kept on disk, so that a stage that sees nothing else trains without them.

A cache is a folder: `features.npy` (views x images x values), `done.npy` (views x blocks, one byte each: 1 when the
block's features are on disk) and `about.json`, which says what the features were made of. The folder's name carries a
hash of that: other weights, images, points, pre-processing, augmentation, seed or precision are another cache. View v
of an image is the picture that it would be in epoch v; epoch e trains on view e modulo the number of views.

A block is computed in one batch and marked after it was written, so a run that was killed goes on with the block that
it was at, to the same bits; the processes of a host share the blocks out. Each host fills a cache of its own, because
memory maps of one file on several hosts do not see each other's pages.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor
from torch.utils.data import Dataset

from aue_crl_core.config import ModelConfig
from aue_crl_core.errors import ConfigError, TrainingError
from aue_crl_core.training.config import TrainConfig
from aue_crl_core.training.stages import FeatureBatch, Stage

FORMAT: Final = 1
BLOCK: Final = 128
"""Images a block: the unit that is computed, written and marked at once."""
_FEATURES, _DONE, _ABOUT = "features.npy", "done.npy", "about.json"

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CachePlan:
    """A cache before it exists: its size, and what its features are made of."""

    name: str
    views: int
    images: int
    width: int
    dtype: str
    made_of: dict[str, str]

    @property
    def folder(self) -> str:
        """The cache's folder below the caches' directory."""
        text = json.dumps([FORMAT, self.views, self.images, self.width, self.dtype, self.made_of], sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def size(self) -> int:
        """Bytes on disk when full, but for a few kilobytes."""
        return cache_bytes(self.views, self.images, self.width, self.dtype)

    @property
    def blocks(self) -> int:
        """Blocks a view."""
        return -(-self.images // BLOCK)

    def positions(self, block: int) -> list[int]:
        """The images of a block."""
        return list(range(block * BLOCK, min((block + 1) * BLOCK, self.images)))


def cache_bytes(views: int, images: int, width: int, dtype: str) -> int:
    """Bytes of the features of `images` images in `views` views of `width` values each."""
    return views * images * width * np.dtype(dtype).itemsize


def check_size(config: TrainConfig, network: ModelConfig, stage: Stage, images: int) -> None:
    """See that the cache of a stage will be allowed, before hours are spent.

    Raises:
        ConfigError: its features need more than `cache_max_gb`; the message says how many views would fit.
    """
    if not pays(config, stage) or stage.input_shapes is None:
        return
    one = cache_bytes(1, images, values_per_image(stage.input_shapes(network)), "float16")
    limit = config.cache_max_gb * 1e9
    if one * config.cache_views > limit:
        raise ConfigError(
            f"cache_max_gb must be at least {one * config.cache_views / 1e9:.3g} for cache_views {config.cache_views} "
            f"of {images} images, got {config.cache_max_gb:g}; raise it, or set cache_views to at most "
            f"{int(limit // one)} (0: no cache)"
        )


def pays(config: TrainConfig, stage: Stage) -> bool:
    """Whether the stage's features are to be kept, and would be used more than once."""
    return stage.name in config.cache_stages and 0 < config.cache_views < getattr(config, stage.name).epochs


class FeatureCache:
    """The features of one set of images on disk.

    Raises:
        TrainingError: the disk is too small.
    """

    def __init__(self, directory: Path, plan: CachePlan) -> None:
        self.plan = plan
        folder = directory / plan.folder
        if not _is_whole(folder, plan):
            shutil.rmtree(folder, ignore_errors=True)
            _create(folder, plan)
        os.utime(folder / _ABOUT)
        self._features = np.load(folder / _FEATURES, mmap_mode="r+")
        self._done = np.load(folder / _DONE, mmap_mode="r+")

    def missing(self, view: int) -> list[int]:
        """The blocks of a view that are not on disk yet."""
        return np.flatnonzero(self._done[view] == 0).tolist()

    def write(self, view: int, block: int, values: np.ndarray) -> None:
        """Put the features of a block, float R x width, on disk, then mark it.

        Raises:
            TrainingError: a value that is not finite in the cache's type.
        """
        start = block * BLOCK
        with np.errstate(over="ignore"):
            kept = values.astype(self._features.dtype)
        if not np.isfinite(kept).all():
            raise TrainingError(
                f"frozen features must be finite in {self.plan.dtype}, got {np.abs(values).max():.4g} at most; "
                "train the stages before again, or set cache_views: 0 in --config"
            )
        self._features[view, start : start + len(kept)] = kept
        self._features.flush()
        self._done[view, block] = 1
        self._done.flush()

    def read(self, view: int, positions: list[int]) -> np.ndarray:
        """Features of some images, len(positions) x width, in the cache's type."""
        return self._features[view, positions]


def _is_whole(folder: Path, plan: CachePlan) -> bool:
    """Whether the folder is a cache of this plan, full or not."""
    try:
        about = json.loads((folder / _ABOUT).read_text())
        features = np.load(folder / _FEATURES, mmap_mode="r")
        done = np.load(folder / _DONE, mmap_mode="r")
    except (OSError, ValueError):
        return False
    shape = (plan.views, plan.images, plan.width)
    return (
        about == _about(plan)
        and (features.shape, features.dtype) == (shape, np.dtype(plan.dtype))
        and (done.shape, done.dtype) == ((plan.views, plan.blocks), np.uint8)
    )


def _about(plan: CachePlan) -> dict[str, Any]:
    return {"format": FORMAT, "made_of": plan.made_of, "views": plan.views, "images": plan.images}


def _create(folder: Path, plan: CachePlan) -> None:
    """An empty cache, in one piece."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if plan.size > free:
        raise TrainingError(
            f"the feature cache needs {plan.size / 1e9:.3g} GB in {folder.parent}, which has {free / 1e9:.3g} GB free; "
            "free some, name another cache_dir, or lower cache_views (0: no cache)"
        )
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    open_memmap(part / _FEATURES, "w+", plan.dtype, (plan.views, plan.images, plan.width)).flush()
    open_memmap(part / _DONE, "w+", np.uint8, (plan.views, plan.blocks)).flush()
    (part / _ABOUT).write_text(json.dumps(_about(plan), indent=1) + "\n")
    try:
        part.rename(folder)
    except OSError:
        shutil.rmtree(part)
        if not _is_whole(folder, plan):  # else another process was faster
            raise


def make_room(directory: Path, plans: list[CachePlan], limit_gb: float) -> list[str]:
    """Remove the caches used longest ago until `plans` fit below the limit; returns the folders removed.

    A process that still reads one keeps it until it ends.
    """
    names = {plan.folder for plan in plans}
    others = [about.parent for about in directory.glob(f"*/{_ABOUT}") if about.parent.name not in names]
    others.sort(key=lambda folder: (folder / _ABOUT).stat().st_mtime)
    sizes = {folder: (folder / _FEATURES).stat().st_size for folder in others if (folder / _FEATURES).is_file()}
    total = sum(sizes.values()) + sum(plan.size for plan in plans)
    removed = []
    for folder in others:
        if total <= limit_gb * 1e9:
            break
        total -= sizes.get(folder, 0)
        shutil.rmtree(folder)
        removed.append(folder.name)
    return removed


class FeatureViews(Dataset[FeatureBatch]):
    """A cache as a data set of batches; a view is filled by `fill` when `set_epoch` first comes to it."""

    def __init__(self, cache: FeatureCache, shapes: Shapes, targets: Tensor, fill: Callable[[int], None]) -> None:
        self._cache, self._shapes, self._targets, self._fill = cache, shapes, targets, fill
        self._view = 0

    def __len__(self) -> int:
        return len(self._targets)

    def set_epoch(self, epoch: int, size: None = None) -> None:
        """Choose the view; the crops' side is that of the pre-processing."""
        self._view = epoch % self._cache.plan.views
        self._fill(self._view)

    def __getitems__(self, positions: list[int]) -> FeatureBatch:
        rows = torch.from_numpy(self._cache.read(self._view, positions))
        parts = rows.split([int(np.prod(shape)) for shape in self._shapes], dim=1)
        inputs = tuple(part.unflatten(1, shape) for part, shape in zip(parts, self._shapes, strict=True))
        return FeatureBatch(inputs, self._targets[positions])


def values_per_image(shapes: Shapes) -> int:
    """Values an image: those of all its inputs."""
    return sum(int(np.prod(shape)) for shape in shapes)
