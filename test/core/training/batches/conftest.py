"""A run whose stage fusion is cached: its settings, its network, its images."""

from __future__ import annotations

import dataclasses

import pytest

from aue_crl_core.checkpoint import load_network
from aue_crl_core.training.batches.loading import datasets
from aue_crl_core.training.config import Schedule


@pytest.fixture
def config(tiny_config):
    return dataclasses.replace(tiny_config, cache_views=2, fusion=Schedule(3, 1e-3))


@pytest.fixture
def network(shipped):
    return load_network(shipped)[0]


@pytest.fixture
def sets(network, tiny_index, config):
    return datasets("fusion", network, [tiny_index], config)
