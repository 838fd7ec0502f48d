"""The one place where a configuration becomes a network."""

from __future__ import annotations

from aue_crl_core import methods
from aue_crl_core.config import ModelConfig
from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.networks.method_network import MethodNetwork
from aue_crl_core.networks.network import FaceNetwork


def build_network(config: ModelConfig) -> FaceNetwork:
    """The network that `config` describes, in training mode, with random weights and a random landmark net."""
    if config.method == "aue_crl":
        return AueCrl(config)
    return MethodNetwork(config, methods.METHODS[config.method])
