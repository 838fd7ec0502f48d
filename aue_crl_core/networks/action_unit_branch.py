"""The action unit branch: a fine map, a window around each AU's two places on the face, one probability per AU."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aue_crl_core import facs
from aue_crl_core.config import ModelConfig
from aue_crl_core.networks.backbone import Pyramid
from aue_crl_core.networks.layers import GroupedLinear, NeighbourNorm, conv_bn_relu, deconv_bn_relu

NUM_UNITS: Final = len(facs.ACTION_UNITS)
SIDES: Final = 2
_PLACE_SCALE: Final = 4.0
"""Points of a face lie about a quarter of the crop's side from its middle: about 1 then, as features are."""
REGIONS: Final = NUM_UNITS * SIDES
"""Regions are ordered (AU, side): region 2 * i + s is side s of `facs.ACTION_UNITS[i]`."""


class UnitOutput(NamedTuple):
    """`logits` float32 Bx17; `vectors` of the regions Bx17x2xV, at least 0; `intensities` float32 BxI in [0, 5], in the
    order of `config.intensity_units`."""

    logits: Tensor
    vectors: Tensor
    intensities: Tensor


class Decoder(nn.Module):
    """From the pyramid back to its stride-4 map: upsample, concatenate the finer map, convolve; three times.

    Deconvolutions (paper) put out as many channels as the map that they are joined with; nearest-neighbour upsampling
    (edge) keeps its input's. forward: `Pyramid` -> float32 BxDxHxW at stride 4, D the last of `outputs`.
    """

    def __init__(self, channels: tuple[int, int, int, int], outputs: tuple[int, int, int], upsampling: str) -> None:
        super().__init__()
        coarse, fine = (channels[3], *outputs[:2]), (channels[2], channels[1], channels[0])
        learned = upsampling == "deconvolution"
        self.upsample = nn.ModuleList(
            deconv_bn_relu(deep, shallow) if learned else nn.Upsample(scale_factor=2, mode="nearest")
            for deep, shallow in zip(coarse, fine, strict=True)
        )
        self.merge = nn.ModuleList(
            conv_bn_relu(shallow + (shallow if learned else deep), width)
            for deep, shallow, width in zip(coarse, fine, outputs, strict=True)
        )
        self.norm = NeighbourNorm()

    def forward(self, pyramid: Pyramid) -> Tensor:
        """See the class."""
        coarse = pyramid[3]
        for fine, upsample, merge in zip(pyramid[2::-1], self.upsample, self.merge, strict=True):
            coarse = merge(torch.cat([fine, upsample(coarse)], dim=1))
        return self.norm(coarse)


class RegionWindows(nn.Module):
    """Cuts the windows of all AUs, sides and samples from a square map in one gather.

    `input_size` is the image's side in pixels, `map_size` the map's side and `window` a window's side in cells.
    forward: map BxDxMxM and points float32 Bx68x2 (x, y in input pixels, iBUG order) -> BxRxDxWxW, R = `REGIONS`.
    """

    def __init__(self, input_size: int, map_size: int, window: int) -> None:
        super().__init__()
        self.scale, self.map_size, self.window = map_size / input_size, map_size, window
        ends = [(centre[0], centre[-1]) for unit in facs.ACTION_UNITS for centre in facs.REGION_CENTRES[unit]]
        offsets = torch.arange(window) - window // 2
        self.register_buffer("ends", torch.tensor(ends).T.contiguous(), persistent=False)
        self.register_buffer("cells", offsets[:, None] * map_size + offsets, persistent=False)

    def centres(self, points: Tensor) -> Tensor:
        """Window centres, int64 BxRx2 (x, y) in map cells, moved so that each window lies on the map.

        A window of side w around centre c covers the cells c - w/2 <= cell < c + w/2, as in the authors' code.
        """
        first, second = self.ends.unbind(0)
        middle = (points[:, first] + points[:, second]).float() * (self.scale / 2)
        half = self.window // 2
        return middle.round().long().clamp(half, self.map_size - self.window + half)

    def forward(self, maps: Tensor, points: Tensor) -> Tensor:
        """See the class."""
        centres = self.centres(points)
        starts = torch.arange(maps.shape[0], device=maps.device) * self.map_size**2
        anchors = starts[:, None] + centres[..., 1] * self.map_size + centres[..., 0]
        cells = anchors[:, :, None, None] + self.cells
        return maps.permute(0, 2, 3, 1).flatten(0, 2)[cells].permute(0, 1, 4, 2, 3)


class EvidenceHead(nn.Module):
    """What a face's picture says of each AU, from its regions, the whole face and its points.

    forward: region vectors float32 BxRV (flat), feature float32 BxF and points float32 Bx68x2 in input pixels -> logits
    float32 Bx17, and intensities float32 BxI in [0, 5].

    `intensity_weight` float32 IxE and `intensity_bias` float32 I, of the AUs in `config.intensity_units`, are buffers:
    they are fitted to what the trained layer says, not trained with it (see `AueCrl.tell_intensities`).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.side = config.preprocessing.input_size
        inputs = REGIONS * config.region_dim + config.feature_dim + 2 * facs.NUM_POINTS
        self.hidden = nn.Linear(inputs, config.evidence_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.evidence_dim, NUM_UNITS)
        told = len(config.intensity_units)
        self.register_buffer("intensity_weight", torch.zeros(told, config.evidence_dim) if told else None)
        self.register_buffer("intensity_bias", torch.zeros(told) if told else None)

    def forward(self, regions: Tensor, feature: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        places = (points.flatten(1) / self.side - 0.5) * _PLACE_SCALE
        hidden = F.relu(self.hidden(torch.cat([regions, feature, places], dim=1)))
        logits = self.classifier(self.dropout(hidden))
        if self.intensity_weight is None:
            return logits, logits[:, :0]
        strengths = F.linear(hidden, self.intensity_weight, self.intensity_bias).sigmoid()
        return logits, facs.MOST_INTENSITY * strengths


class ActionUnitBranch(nn.Module):
    """Region vectors and AU logits (paper, section III-C).

    forward: `Pyramid`, points float32 Bx68x2 in input pixels and the expression feature BxF -> `UnitOutput`. The
    logits' sigmoids are the paper's AU probabilities; with `config.knowledge` "odds" the logits are log-odds of the
    evidence, to which the prior's are added (`AueCrl`). The paper's form needs no feature.
    """

    def __init__(self, channels: tuple[int, int, int, int], config: ModelConfig) -> None:
        super().__init__()
        size, window = config.preprocessing.input_size, config.region_size
        side = config.region_pool or window
        self.decoder = Decoder(channels, config.decoder_channels, config.decoder_upsampling)
        self.windows = RegionWindows(size, size // 4, window)
        self.windows_shape = REGIONS * config.decoder_channels[2], window, window
        self.region_conv = nn.Conv2d(
            self.windows_shape[0], REGIONS * config.region_channels, 3, padding=1, groups=REGIONS
        )
        self.pool = window // side
        self.region_linear = GroupedLinear(REGIONS, config.region_channels * side * side, config.region_dim)
        self.dropout = nn.Dropout(config.dropout)
        if config.knowledge == "odds":
            self.evidence = EvidenceHead(config)
        else:
            self.evidence = None
            self.classifier = nn.Linear(REGIONS * config.region_dim, NUM_UNITS)

    def region_vectors(self, pyramid: Pyramid, points: Tensor) -> Tensor:
        """What is seen in each region, float32 BxRxV, at least 0, R = `REGIONS`."""
        windows = self.windows(self.decoder(pyramid), points)
        regions = F.relu(self.region_conv(windows.reshape(-1, *self.windows_shape)))
        if self.pool > 1:
            regions = F.avg_pool2d(regions, self.pool)
        inputs = self.region_linear.weight.shape[1]
        return self.dropout(F.relu(self.region_linear(regions.reshape(-1, REGIONS, inputs))))

    def forward(self, pyramid: Pyramid, points: Tensor, feature: Tensor | None = None) -> UnitOutput:
        """See the class."""
        vectors = self.region_vectors(pyramid, points)
        flat = vectors.flatten(1)
        if self.evidence is None:
            logits = self.classifier(flat)
            intensities = logits[:, :0]
        else:
            logits, intensities = self.evidence(flat, feature, points)
        return UnitOutput(logits.float(), vectors.reshape(-1, NUM_UNITS, SIDES, vectors.shape[2]), intensities.float())
