"""The networks, one part a file; `build_network` composes them. Needs torch and torchvision (extra `train`)."""

from __future__ import annotations

from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.networks.build import build_network
from aue_crl_core.networks.network import FaceNetwork, NetworkOutput

__all__ = ["AueCrl", "FaceNetwork", "NetworkOutput", "build_network"]
