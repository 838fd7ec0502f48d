"""The evidence of action units in the indices of a run, and the prior that goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.data.appearance import appearance_scores, gradients
from aue_crl_core.data.au_evidence import INTENSITY_UNITS, present_by_distance, raw_scores, standard, strengths
from aue_crl_core.data.dataset import UnitOdds, label_distribution
from aue_crl_core.data.face_mesh import MODEL_REMEDY
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.dynamics.neutral import NEUTRAL
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import ACTION_UNITS
from aue_crl_core.knowledge import FittedEvidence, MeasuredFaces, fit_evidence
from aue_crl_core.media.reading.pixels import load_image

_LEAST_FACES = 20
"""Of an index: fewer tell nothing of how its measurements are spread."""


@dataclass(frozen=True)
class ActionUnitEvidence:
    """`log_odds` of the faces of training and validation that have evidence, and `prior` float64 Cx17."""

    log_odds: UnitOdds
    prior: NDArray[np.float64]


def check_evidence(indices: Sequence[DatasetIndex]) -> None:
    """See that there are faces to learn evidence from, before hours are spent.

    Raises:
        DatasetError: no index has `_LEAST_FACES` of them.
    """
    counts = [len(measured(index)) for index in indices]
    if max(counts) < _LEAST_FACES:
        raise DatasetError(
            f"stage joint must have an index with at least {_LEAST_FACES} faces with blendshapes, got {max(counts)}; "
            f"install the face mesh's model ({MODEL_REMEDY}) and make the index again: aue-crl prepare ... --finder "
            "mediapipe"
        )


def measured(index: DatasetIndex) -> list[Record]:
    """The labelled faces of training and validation that a face mesh was found on."""
    used = [r for r in index.records if r.learnable and r.split in ("train", "valid")]
    return [r for r in used if r.blendshapes is not None and r.mesh_distances is not None]


def unit_strengths(indices: Sequence[DatasetIndex]) -> dict[tuple[Path, str], NDArray[np.float32]]:
    """(root of the index, name of the image) -> how strong the AUs are, float32 17 in [0, 1], NaN where a face mesh
    does not tell (see `strengths`): of the indices with `_LEAST_FACES` neutral faces that have its measurements."""
    found = {}
    for index in indices:
        known = measured(index)
        neutral = np.array([index.classes[r.label] == NEUTRAL for r in known], dtype=bool)
        if neutral.sum() < _LEAST_FACES:
            continue
        rows = np.full((len(known), len(ACTION_UNITS)), np.nan, dtype=np.float32)
        shown = strengths(*_measurements(known), neutral)
        rows[:, [ACTION_UNITS.index(unit) for unit in INTENSITY_UNITS]] = shown
        found |= {(index.root, r.image): row for r, row in zip(known, rows, strict=True)}
    return found


def _measurements(records: Sequence[Record]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Blendshapes Nx52 and distances Nx22."""
    return np.array([r.blendshapes for r in records]), np.array([r.mesh_distances for r in records])


def action_unit_evidence(indices: Sequence[DatasetIndex]) -> ActionUnitEvidence:
    """Fit the evidence of the faces of splits `train` and `valid` (see `fit_evidence`), all indices together.

    Raises:
        DatasetError: see `check_evidence`.
    """
    check_evidence(indices)
    keys, datasets, skins = [], [], []
    for index in indices:
        known = measured(index)
        if len(known) < _LEAST_FACES:
            continue
        blendshapes, distances = _measurements(known)
        targets = np.array([label_distribution(r, len(index.classes)) for r in known])
        datasets.append(MeasuredFaces(raw_scores(blendshapes, distances), targets, present_by_distance(distances)))
        skins.append(_gradients(index, known))
        keys.append([(index.root, r.image) for r in known])
    vocabulary = indices[0].vocabulary
    fitted = fit_evidence(_with_skin(datasets, skins, fit_evidence(datasets, vocabulary)), vocabulary)
    rows = (row for odds in fitted.log_odds for row in odds)
    names = (name for faces in keys for name in faces)
    return ActionUnitEvidence(dict(zip(names, rows, strict=True)), fitted.prior)


def _gradients(index: DatasetIndex, records: Sequence[Record]) -> list[NDArray[np.uint8] | None]:
    """What the skin of each face looks like (see `appearance.gradients`); None for a face without points."""

    def of(record: Record) -> NDArray[np.uint8] | None:
        if record.points is None:
            return None
        return gradients(load_image(index.path(record)), np.reshape(record.points, (-1, 2)))

    with ThreadPoolExecutor() as pool:
        return list(pool.map(of, records))


def _with_skin(
    datasets: Sequence[MeasuredFaces], skins: Sequence[Sequence[NDArray[np.uint8] | None]], fitted: FittedEvidence
) -> list[MeasuredFaces]:
    """The datasets with what the skin shows (see `appearance`) added to the scores, as much of it as of the mesh.

    The skin learns of all faces together; as the mesh's, its scores have mean 0 and deviation 1 in each dataset. Faces
    without points keep the mesh's.
    """
    seen = [np.array([skin is not None for skin in faces], dtype=bool) for faces in skins]
    if not any(map(np.any, seen)):
        return list(datasets)
    shares = [
        faces.present(faces.probabilities(odds, fitted.prior))
        for faces, odds in zip(datasets, fitted.log_odds, strict=True)
    ]
    known = np.concatenate([share[with_skin] for share, with_skin in zip(shares, seen, strict=True)])
    shown = appearance_scores([skin for faces in skins for skin in faces if skin is not None], known)
    ends = np.cumsum([with_skin.sum() for with_skin in seen])
    both = []
    for faces, with_skin, end in zip(datasets, seen, ends, strict=True):
        scores, part = faces.scores.copy(), slice(end - with_skin.sum(), end)
        for unit, score in shown.items():
            column = ACTION_UNITS.index(unit)
            scores[with_skin, column] = standard(scores[with_skin, column] + standard(score[part]))
        both.append(faces._replace(scores=scores))
    return both
