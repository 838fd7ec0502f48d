"""Softmax: what every other method is compared with."""

from __future__ import annotations

from aue_crl_core.methods.heads import PooledHead
from aue_crl_core.methods.method import Method

METHOD = Method("softmax", "Softmax", "the plain classifier", PooledHead)
