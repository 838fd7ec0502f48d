"""The network, one part a file; `build_network` composes them. Needs torch and torchvision (extra `train`)."""

from __future__ import annotations

from aue_crl_core.networks.aue_crl import AueCrl, NetworkOutput, build_network

__all__ = ["AueCrl", "NetworkOutput", "build_network"]
