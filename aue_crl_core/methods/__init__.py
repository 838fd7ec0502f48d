"""The methods that AUE-CRL is compared with, one a file: what each adds to a trunk with a softmax.

A method is one file and one line here.
"""

from __future__ import annotations

from typing import Final

from aue_crl_core.config import MethodName
from aue_crl_core.methods import (
    center,
    compact_dlm,
    covariance_pooling,
    dcnn_da,
    dlp_cnn,
    fsn,
    ia_cnn,
    island,
    mre_cnn,
    softmax,
    wslgrn,
)
from aue_crl_core.methods.method import HeadOutput, Method, MethodBatch

__all__ = ["METHODS", "HeadOutput", "Method", "MethodBatch"]

METHODS: Final[dict[MethodName, Method]] = {
    "softmax": softmax.METHOD,
    "center": center.METHOD,
    "island": island.METHOD,
    "dlp_cnn": dlp_cnn.METHOD,
    "dcnn_da": dcnn_da.METHOD,
    "wslgrn": wslgrn.METHOD,
    "covariance_pooling": covariance_pooling.METHOD,
    "compact_dlm": compact_dlm.METHOD,
    "fsn": fsn.METHOD,
    "mre_cnn": mre_cnn.METHOD,
    "ia_cnn": ia_cnn.METHOD,
    "aue_crl": Method(
        "aue_crl",
        "AUE-CRL",
        "Pu, Chen, Xie, Wu & Lin, AU-Expression Knowledge Constrained Representation Learning, ICRA 2021",
        head=None,
    ),
}
"""All methods in the order of tables; `aue_crl` is this project's own network and all of its stages."""
