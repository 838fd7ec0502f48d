"""What the tests of checkpoints of the authors' code share: their names for our tensors, and reproducible values."""

from __future__ import annotations

import hashlib

import numpy as np
from torch import Tensor

from aue_crl_core.networks.aue_crl import AueCrl
from aue_crl_core.networks.layers import GroupedLinear

UNITS, REGIONS = 17, 34


def in_their_names(network: AueCrl) -> dict[str, Tensor]:
    """Views of our weights and statistics under the names and in the shapes of the authors' state dict."""
    units, fusion, expression = network.action_unit_branch, network.fusion, network.expression_branch
    modules = {
        "backbone": network.backbone,
        "reduce_dim_em": expression.reduce,
        "pred_em": expression.classifier,
        "deconv_layer1": units.decoder.upsample[0],
        "deconv_layer2": units.decoder.upsample[1],
        "deconv_layer3": units.decoder.upsample[2],
        "reduce_dim_1_au": units.decoder.merge[0],
        "reduce_dim_2_au": units.decoder.merge[1],
        "reduce_dim_3_au": units.decoder.merge[2],
        "pred_au.0": units.classifier,
        "fc_em_fuse_3.1": fusion.expression_linear,
        "fc_em_fuse_3.2": fusion.expression_norm,
        "fc_attention_fuse_3.0": fusion.score,
        "pred_em_fuse_3": fusion.classifier,
    }
    theirs = {f"{name}.{leaf}": t for name, module in modules.items() for leaf, t in module.state_dict().items()}
    for region in range(REGIONS):
        for leaf, tensor in units.region_conv.state_dict().items():
            theirs[f"Crop_Net_1.{region}.0.{leaf}"] = tensor.unflatten(0, (REGIONS, -1))[region]
        theirs |= _linear(units.region_linear, region, f"Crop_Net_2.{region}.0")
    for unit in range(UNITS):
        theirs |= _linear(fusion.unit_linear, unit, f"fc_au_fuse_3.{unit}.1")
        for leaf, tensor in fusion.unit_norm.state_dict().items():
            part = tensor.unflatten(0, (UNITS, -1))[unit] if tensor.ndim else tensor
            theirs[f"fc_au_fuse_3.{unit}.2.{leaf}"] = part
    return theirs


def _linear(layer: GroupedLinear, group: int, name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": layer.weight.data[group].T, f"{name}.bias": layer.bias.data[group]}


def uniform(name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """float32 in [low, high) that depend on `name` and nothing else: raw bits of Philox, whose stream numpy keeps."""
    count = int(np.prod(shape))
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    bits = np.random.Philox(key=key).random_raw((count + 1) // 2).view(np.uint32)[:count]
    bits >>= 8
    values = bits.astype(np.float32)
    values *= np.float32((high - low) * 2**-24)
    values += np.float32(low)
    return values.reshape(shape)
