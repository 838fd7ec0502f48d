"""Facial expressions and action units from camera images (AUE-CRL, ICRA 2021), without ROS or DDS.

from aue_crl_core import FaceAnalyzer, plot, read, to_pandas
faces = FaceAnalyzer.load()(image)  # HxWx3 uint8 RGB -> list[FacePrediction]
for result in read("film.mp4"):
    print(result.frame.time_s, [face.expression for face in result.faces])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aue_crl_core.analyzer import FaceAnalyzer
    from aue_crl_core.results import Result, plot, read, to_arrow, to_pandas

__all__ = ["FaceAnalyzer", "Result", "__version__", "plot", "read", "to_arrow", "to_pandas"]
__version__ = "0.1.0"

_HOMES: Final = {"FaceAnalyzer": "analyzer"} | dict.fromkeys(
    ("Result", "plot", "read", "to_arrow", "to_pandas"), "results"
)


def __getattr__(name: str) -> Any:
    """These are imported when they are first asked for: importing the package costs nothing."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
