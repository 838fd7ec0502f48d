"""DCNN-DA: training faces are turned and lit anew, and the features of a class are drawn together.

Lin, Hong, Zhou & Li turn faces in 3D and light them. Here the depth of 18 of the 68 points comes from the average face
(`faces.pose`), the face is turned by moving the triangles between them, and light falls on it as on an ellipsoid. Of
their cluster loss only the purpose was to be had, to make features compact: it is taken as the squared distance of
features to the mean of their class in the batch. Angles, light and weight are choices made here.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from aue_crl_core.config import ModelConfig
from aue_crl_core.faces.pose import SHAPE, depths, head_pose
from aue_crl_core.facs import MIRRORED_POINTS
from aue_crl_core.methods.heads import PooledHead
from aue_crl_core.methods.method import HeadOutput, Method, MethodBatch
from aue_crl_core.types import Image, Points

WEIGHT: Final = 0.01
SHARE: Final = 0.5
"""How many training faces are turned, and how many are lit anew."""
YAW: Final = math.radians(30)
PITCH: Final = math.radians(15)
"""The largest turns."""
FURTHEST: Final = math.radians(40)
"""The largest yaw, with that of the photograph."""
AZIMUTH: Final = math.radians(75)
ELEVATION: Final = math.radians(45)
"""The furthest places of the light."""

_AMBIENT: Final = 0.4
"""Share of the light that comes from everywhere."""
_HEAD: Final = 1.3
"""Radii of the ellipsoid, in half sides of the points' box."""
_RIM: Final = 0.95
_AROUND: Final = 0.6
"""How far beyond the points the picture gives way, in sides of their box."""

_RING: Final = ((-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0))
"""Nodes 68 to 75 of the mesh, around those of `SHAPE` (by their numbers), in half sides of the ring."""
_MIRRORED: Final = (*MIRRORED_POINTS, 70, 69, 68, 75, 74, 73, 72, 71)
_RIGHT_HALF: Final = (
    *((0, 4, 36), (0, 4, 75), (0, 36, 69), (0, 68, 69), (0, 68, 75), (4, 8, 48), (4, 8, 73), (4, 36, 48)),
    *((4, 73, 74), (4, 74, 75), (8, 33, 48), (27, 28, 39), (27, 39, 69), (28, 29, 39), (29, 30, 31), (29, 31, 39)),
    *((30, 31, 33), (31, 33, 48), (31, 36, 39), (31, 36, 48), (36, 39, 69)),
)
_NODES: Final = {node: i for i, node in enumerate((*SHAPE, *range(68, 76)))}
_TRIANGLES: Final = np.array(
    [
        [_NODES[node] for node in triangle]
        for right in _RIGHT_HALF
        for triangle in (right, tuple(_MIRRORED[node] for node in right))
    ]
)
_SUBPIXEL_BITS: Final = 4


def turned(image: Image, points: Points, yaw: float, pitch: float) -> Image:
    """The face turned by `yaw` to its own left and raised by `pitch`, in radians (as `faces.pose.HeadPose`).

    `image` SxSx3 uint8, `points` 68x2 in its pixels. What comes to light stretches from what was seen; the picture
    beyond the face stays. The image itself where the points show no face (see `depths`).
    """
    depth = depths(points)
    if depth is None:
        return image
    seen = points[list(SHAPE)].astype(np.float64)
    middle = seen.mean(axis=0)
    x, y = (seen - middle).T
    y, away = y * math.cos(pitch) + depth * math.sin(pitch), depth * math.cos(pitch) - y * math.sin(pitch)
    x, away = x * math.cos(yaw) - away * math.sin(yaw), away * math.cos(yaw) + x * math.sin(yaw)
    low, high = points.min(axis=0), points.max(axis=0)
    ring = (low + high) / 2 + np.array(_RING) * ((high - low) / 2 + _AROUND * (high - low).max())
    moved = np.vstack([np.column_stack([x, y]) + middle, ring])
    furthest_first = np.argsort(-np.append(away, np.full(len(ring), away.max()))[_TRIANGLES].mean(axis=1))
    return _warped(image, np.vstack([seen, ring])[_TRIANGLES], moved[_TRIANGLES], furthest_first)


def _warped(image: Image, source: NDArray[np.float64], target: NDArray[np.float64], order: NDArray[np.intp]) -> Image:
    """Triangles Tx3x2 of the image drawn at their new places, the last of `order` on top; the rest stays."""
    size = image.shape[0]
    corners = np.dstack([target, np.ones(target.shape[:2])])
    flat = np.abs(np.linalg.det(corners)) < 1e-3
    corners[flat] = np.eye(3)
    back = np.concatenate([[[(1, 0), (0, 1), (0, 0)]], np.linalg.solve(corners, source)]).astype(np.float32)
    drawn = np.round(target * 2**_SUBPIXEL_BITS).astype(np.int32)
    owner = np.zeros((size, size), dtype=np.uint8)
    for i in order[~flat[order]]:
        cv2.fillConvexPoly(owner, drawn[i], int(i) + 1, shift=_SUBPIXEL_BITS)
    across, down, start = back[owner].transpose(2, 0, 1, 3)
    places = np.arange(size, dtype=np.float32)
    maps = places[:, None] * across + places[:, None, None] * down + start
    return cv2.remap(image, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def relit(image: Image, points: Points, azimuth: float, elevation: float) -> Image:
    """The face in light from `azimuth` (radians, positive: from the image's right) and `elevation` (from above).

    Lambert's law on an ellipsoid around the points, relative to light from the camera, which changes nothing. `image`
    SxSx3 uint8, `points` 68x2 in its pixels.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    places = np.arange(image.shape[0])[:, None]
    x, y = ((places - (low + high) / 2) / np.maximum(_HEAD * (high - low) / 2, 1)).T
    x, y = np.meshgrid(x, y)
    rim = np.minimum(1, _RIM / np.maximum(np.hypot(x, y), 1e-6))
    x, y = x * rim, y * rim
    towards = np.sqrt(1 - x**2 - y**2)
    light = math.cos(elevation) * (x * math.sin(azimuth) + towards * math.cos(azimuth)) - y * math.sin(elevation)
    gain = (_AMBIENT + (1 - _AMBIENT) * np.maximum(light, 0)) / (_AMBIENT + (1 - _AMBIENT) * towards)
    return np.minimum(image * gain.astype(np.float32)[:, :, None], 255).astype(np.uint8)


def synthesised(crop: Image, points: Points, rng: np.random.Generator) -> Image:
    """A training face SxSx3 uint8 with points 68x2 in its pixels, perhaps turned, perhaps lit anew."""
    if rng.random() < SHARE:
        own = head_pose(points).yaw
        low, high = np.clip((-FURTHEST - own, FURTHEST - own), -YAW, YAW)  # one turned too far is turned back
        yaw = rng.uniform(low, high)
        crop = turned(crop, points, yaw, rng.uniform(-PITCH, PITCH))
    if rng.random() < SHARE:
        crop = relit(crop, points, rng.uniform(-AZIMUTH, AZIMUTH), rng.uniform(-ELEVATION, ELEVATION))
    return crop


def cluster_loss(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """1/2 ||f_i - m_(y_i)||^2, mean over the rows; m_c is the mean of the batch's features of class c.

    `features` BxD, `labels` int64 B in [0, C); a scalar, at least 0.
    """
    own = F.one_hot(labels, classes).to(features.dtype)
    means = own.T @ features / own.sum(dim=0).clamp(min=1)[:, None]
    return (features - means[labels]).square().sum(dim=1).mean() / 2


class ClusterLoss(nn.Module):
    """lambda times `cluster_loss`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.classes = len(config.expressions)

    def forward(self, output: HeadOutput, batch: MethodBatch) -> dict[str, Tensor]:
        """See `Method.criterion`."""
        return {"cluster": WEIGHT * cluster_loss(output.feature, batch.label, self.classes)}


METHOD = Method(
    "dcnn_da",
    "DCNN-DA",
    "Lin et al., Facial Expression Recognition with Data Augmentation and Compact Feature Learning, ICIP 2018",
    PooledHead,
    ClusterLoss,
    synthesis=synthesised,
)
