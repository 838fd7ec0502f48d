"""A small network of the paper's form, as training leaves it."""

from __future__ import annotations

import torch

from aue_crl_core.config import ModelConfig, Preprocessing
from aue_crl_core.networks import build_network
from aue_crl_core.networks.network import FaceNetwork

SMALL = ModelConfig(
    backbone="resnet18",
    preprocessing=Preprocessing(input_size=64),
    feature_dim=16,
    decoder_channels=(8, 8, 8),
    region_size=6,
    region_channels=4,
    region_dim=6,
    fusion_dim=10,
)


def as_after_training(config: ModelConfig) -> FaceNetwork:
    """In evaluation mode; no normalisation statistic is at its trivial start."""
    torch.manual_seed(0)
    network = build_network(config).eval()
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    return network
