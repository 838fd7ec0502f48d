"""Facial expressions and action units from camera images (AUE-CRL, ICRA 2021), without ROS or DDS.

from aue_crl_core import FaceAnalyzer
faces = FaceAnalyzer.load()(image)  # HxWx3 uint8 RGB -> list[FacePrediction]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aue_crl_core.analyzer import FaceAnalyzer

__all__ = ["FaceAnalyzer", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`FaceAnalyzer` is imported when it is first asked for: importing the package costs nothing."""
    if name == "FaceAnalyzer":
        from aue_crl_core.analyzer import FaceAnalyzer

        return FaceAnalyzer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
