"""Stage landmark: the net that finds the face points and says what is no face; the paper took points from a tool."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from aue_crl_core.data.dataset import Sample
from aue_crl_core.facs import OUTER_EYE_CORNERS
from aue_crl_core.networks.network import FaceNetwork
from aue_crl_core.training.stages.stage import Inputs, Losses, Setting, Stage, image_inputs


def landmark_loss(network: FaceNetwork, inputs: Inputs, batch: Sample, setting: Setting) -> Losses:
    """Distance of the points in eye distances, softened near zero, where there is a face; and face or no face."""
    points, logit = network.landmark_net(inputs[0])
    error = normalised_point_error(points, batch.points)
    error = (error + 0.02 * torch.expm1(-error / 0.02)) * batch.has_points[:, None]
    faces = setting.processes.mean(batch.has_points.sum().float()).clamp(min=1 / setting.processes.world_size)
    face = F.binary_cross_entropy_with_logits(logit.float(), batch.target[:, 0])
    return {"points": error.sum() / (error.shape[1] * faces), "face": 0.1 * face}


def normalised_point_error(points: Tensor, truth: Tensor) -> Tensor:
    """Distance of each point from its true place over the true distance of the outer eye corners: Bx68.

    The denominator is at least a fifth of the face's size, so that profiles do not count without bound.
    """
    right, left = truth[:, OUTER_EYE_CORNERS[0]], truth[:, OUTER_EYE_CORNERS[1]]
    size = (truth.amax(dim=1) - truth.amin(dim=1)).amax(dim=1)
    scale = torch.maximum((left - right).norm(dim=1), 0.2 * size).clamp(min=1e-3)
    return (points.float() - truth).norm(dim=2) / scale[:, None]


def measure(network: FaceNetwork, inputs: Inputs, batch: Sample) -> dict[str, tuple[float, int]]:
    """`point_error` of the faces (see `normalised_point_error`), the share of faces that are `missed` and that of
    `false_faces`, each with the number of rows that it is the mean of."""
    points, logit = network.landmark_net(inputs[0])
    faces, taken = batch.target[:, 0] > 0.5, logit > 0
    error = normalised_point_error(points, batch.points).mean(dim=1)
    found = {"point_error": error[batch.has_points], "missed": ~taken[faces], "false_faces": taken[~faces]}
    return {name: (float(rows.float().mean()) if len(rows) else 0.0, len(rows)) for name, rows in found.items()}


STAGE = Stage(
    "landmark",
    ("landmark_net",),
    image_inputs,
    landmark_loss,
    "loss",
    False,
    data="points",
    measure=measure,
)
