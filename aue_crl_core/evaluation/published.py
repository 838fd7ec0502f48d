"""Published results, and the protocol that each was measured under.

The RAF-DB and SFEW rows are as Pu et al. (ICRA 2021, arXiv 2012.14587) list them; FER+ is from the dataset's own paper.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from aue_crl_core.errors import ConfigError

_PU: Final = "as listed by Pu et al., ICRA 2021"
_ALPHABETICAL: Final = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


@dataclass(frozen=True)
class PublishedRow:
    """One method's result, in % as printed.

    `source` is the paper that the figures were read from; `recall` follows the order of the protocol's classes; None
    stands for what the source does not tell.
    """

    method: str
    source: str
    recall: tuple[float, ...] | None = None
    mean_class_accuracy: float | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class Protocol:
    """What a result must share with the published ones to stand beside them.

    `name` is the dataset layout's; `title` says the dataset's part in its own words, `split` in the index's; `classes`
    are in the order that the source prints; `images` is the size of the scored part, None where the source leaves it
    open.
    """

    name: str
    title: str
    split: str
    classes: tuple[str, ...]
    images: int | None
    rows: tuple[PublishedRow, ...]

    def difference(self, classes: Collection[str], n: int, split: str | None = None) -> str | None:
        """Why a result over these classes and `n` images of `split` is not comparable; None when it is.

        `split` None: the caller does not know it, and the count of images has to do.
        """
        if set(classes) != set(self.classes):
            extra = [f"with {name}" for name in self.classes if name not in classes]
            extra += [f"without {name}" for name in classes if name not in self.classes]
            shown = ", ".join(extra[:3]) + (", ..." if len(extra) > 3 else "")
            return f"it has {len(self.classes)} classes ({shown}), this evaluation {len(classes)}"
        if split is not None and split != self.split:
            return f"it scores the split {self.split!r}, this evaluation {split!r}"
        if self.images is not None and n != self.images:
            return f"it scores {self.images} images, this evaluation {n}"
        return None


def _row(method: str, recall: tuple[float, ...], average: float) -> PublishedRow:
    return PublishedRow(method, _PU, recall, average)


PROTOCOLS: Final = (
    Protocol(
        name="raf-db",
        title="RAF-DB basic, test part, 7 classes",
        split="test",
        classes=_ALPHABETICAL,
        images=3068,
        rows=(
            _row("DCNN-DA", (78.4, 64.4, 62.2, 91.1, 80.6, 81.2, 84.5), 77.5),
            _row("WSLGRN", (75.3, 56.9, 63.5, 93.8, 85.4, 83.5, 85.4), 77.7),
            _row("CP", (80.0, 61.0, 61.0, 93.0, 89.0, 86.0, 86.0), 79.4),
            _row("CompactDLM", (74.5, 67.6, 46.9, 82.3, 59.1, 58.0, 84.6), 67.6),
            _row("FSN", (72.8, 46.9, 56.8, 90.5, 76.9, 81.6, 81.8), 72.5),
            _row("DLP-CNN", (71.6, 52.2, 62.2, 92.8, 80.3, 80.1, 81.2), 74.2),
            _row("MRE-CNN", (84.0, 57.5, 60.8, 88.8, 80.2, 79.9, 86.0), 76.7),
            _row("AUE-CRL", (80.5, 67.6, 68.9, 94.1, 85.8, 83.6, 86.4), 81.0),
        ),
    ),
    Protocol(
        name="sfew",
        title="SFEW 2.0, validation part, 7 classes",
        split="test",
        classes=_ALPHABETICAL,
        images=436,
        rows=(
            _row("CP", (66.0, 0.0, 14.0, 90.0, 86.0, 66.0, 29.0), 50.1),
            PublishedRow("DLP-CNN", _PU, mean_class_accuracy=51.1),
            _row("IA-CNN", (70.7, 0.0, 8.9, 70.4, 60.3, 58.8, 28.9), 42.6),
            _row("IL", (61.0, 0.0, 6.4, 89.0, 66.2, 48.0, 33.3), 43.4),
            _row("AUE-CRL", (75.3, 17.4, 25.5, 86.3, 72.1, 50.7, 42.1), 52.8),
        ),
    ),
    Protocol(
        name="ferplus",
        title="FER+, test part, majority vote, 8 classes",
        split="test",
        classes=(*_ALPHABETICAL, "contempt"),
        images=None,
        rows=(PublishedRow("VGG13 (vote distributions)", "Barsoum et al., ICMI 2016", accuracy=84.99),),
    ),
)


def find(name: str) -> Protocol | None:
    """The protocol of a dataset layout, None where nothing is published here for it."""
    return next((protocol for protocol in PROTOCOLS if protocol.name == name), None)


def rows_for(protocol: str) -> tuple[PublishedRow, ...]:
    """The published rows of `raf-db`, `sfew` or `ferplus`, in the order of the source.

    Raises:
        ConfigError: another name.
    """
    found = find(protocol)
    if found is None:
        raise ConfigError(f"protocol must be one of {[p.name for p in PROTOCOLS]}, got {protocol!r}")
    return found.rows
