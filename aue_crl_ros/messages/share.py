"""Where this package's interface files and settings lie: beside the source, in a wheel, or in a colcon install."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aue_crl_core.errors import ConfigError

FAST_DDS_PROFILE: Final = "config/fastdds_large_images.xml"
"""What a camera on Fast DDS starts with, so that its raw images arrive."""

_PACKAGE = Path(__file__).resolve().parents[1]


def share(name: str) -> Path:
    """The folder or file `name` (`msg`, `srv`, `config/expression.yaml`, ...) of the package.

    Raises:
        ConfigError: it is in none of the places.
    """
    roots = [_PACKAGE / "share", _PACKAGE.parent]
    # install/aue_crl/lib/python3.X/site-packages/aue_crl_ros -> install/aue_crl/share/aue_crl
    roots += [parent / "share" / "aue_crl" for parent in _PACKAGE.parents]
    for root in roots:
        if (root / name).exists():
            return root / name
    raise ConfigError(f"{name} of aue_crl must lie in one of {[str(r) for r in roots]}; install the package again")
