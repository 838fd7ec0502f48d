"""All weight files: our checkpoints (`file`), ONNX for the engine (`export`), the authors' own (`upstream`)."""

from __future__ import annotations

from aue_crl_core.checkpoint.file import (
    METADATA_KEY,
    PRIOR_KEY,
    CheckpointInfo,
    combine,
    load_landmark_net,
    load_network,
    read_info,
    read_prior,
    save_network,
    write_tensors,
)

__all__ = [
    "METADATA_KEY",
    "PRIOR_KEY",
    "CheckpointInfo",
    "combine",
    "load_landmark_net",
    "load_network",
    "read_info",
    "read_prior",
    "save_network",
    "write_tensors",
]
