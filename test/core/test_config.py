"""Settings check themselves, survive JSON, and say what was wrong."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.config import ModelConfig, Preprocessing, from_dict, model_config, require
from aue_crl_core.errors import ConfigError

sizes = st.integers(1, 16).map(lambda n: 32 * n)
colours = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(tuple)


@st.composite
def model_configs(draw):
    size = draw(sizes)
    region = draw(st.integers(2, size // 4))
    pools = [p for p in range(1, region + 1) if region % p == 0]
    return ModelConfig(
        backbone=draw(st.sampled_from(["resnet101", "resnet50", "resnet18", "edge"])),
        vocabulary=draw(st.sampled_from(["basic", "compound"])),
        preprocessing=Preprocessing(
            size, draw(st.floats(0, 2)), draw(st.floats(-0.5, 0.5)), draw(st.booleans()), draw(colours), draw(colours)
        ),
        decoder_channels=tuple(draw(st.lists(st.integers(1, 64), min_size=3, max_size=3))),
        decoder_upsampling=draw(st.sampled_from(["deconvolution", "nearest"])),
        region_size=region,
        region_pool=draw(st.sampled_from([None, *pools])),
        dropout=draw(st.floats(0, 0.9)),
        upstream_region_order=draw(st.booleans()),
    )


@given(model_configs())
def test_a_model_survives_json(config):
    assert from_dict(ModelConfig, json.loads(json.dumps(config.to_dict())), "file") == config


@given(st.sampled_from(sorted(f.name for f in dataclasses.fields(ModelConfig))), st.text(max_size=3))
def test_unknown_keys_are_named(name, suffix):
    key = f"{name}_{suffix}"
    with pytest.raises(ConfigError) as caught:
        from_dict(ModelConfig, {key: 1}, "file")
    assert str([key]) in str(caught.value)
    assert "known are ['action" not in str(caught.value)
    assert "'backbone'" in str(caught.value)


@given(st.integers(2, 24), st.integers(-3, 60))
def test_the_pool_must_divide_the_region(region, pool):
    if 1 <= pool <= region and region % pool == 0:
        assert ModelConfig(region_size=region, region_pool=pool).region_pool == pool
        return
    with pytest.raises(ConfigError, match=rf"region_pool must be None or divide region_size \({region}\), got {pool}"):
        ModelConfig(region_size=region, region_pool=pool)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backbone": "vgg"}, "backbone must be one of resnet101, resnet50, resnet18, mobilenet_v2, edge, got 'vgg'"),
        ({"vocabulary": "x"}, "vocabulary must be basic or compound, got 'x'"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"dropout": "0.5"}, "file.dropout must be a finite number"),
        ({"region_dim": 2.5}, "file.region_dim must be a whole number, got 2.5"),
        ({"region_dim": 0}, "region_dim must be at least 1, got 0"),
        ({"decoder_channels": [1, 2]}, "decoder_channels must have 3 values"),
        ({"decoder_channels": 7}, "file.decoder_channels must be a list, got 7"),
        ({"region_size": 90}, r"region_size must be in \[2, 56\]"),
        ({"knowledge": "odds", "intensity_units": [12, 4]}, "intensity_units must be among .* ascending, got"),
        ({"knowledge": "odds", "intensity_units": [3]}, "intensity_units must be among"),
        ({"intensity_units": [12]}, "intensity_units must be empty but with knowledge odds"),
        ({"preprocessing": 3}, "file.preprocessing must be a mapping of names to values, got 3"),
        ({"preprocessing": {"input_size": 100}}, "preprocessing.input_size must be a multiple of 32, got 100"),
        ({"preprocessing": {"input_size": 20}}, r"input_size must be in \[32, 512\] pixels, got 20"),
        ({"preprocessing": {"std": [1, 1, 0]}}, "std must have 3 positive values"),
    ],
)
def test_a_value_out_of_its_range_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(ModelConfig, values, "file")


def test_something_else_than_a_mapping():
    with pytest.raises(ConfigError, match=r"file must be a mapping of names to values, got \[1\]"):
        from_dict(ModelConfig, [1], "file")


@pytest.mark.parametrize("name", ["resnet101", "resnet50", "resnet18", "edge"])
@pytest.mark.parametrize(("vocabulary", "classes"), [("basic", 7), ("compound", 11)])
def test_every_model_name_has_a_configuration(name, vocabulary, classes):
    config = model_config(name, vocabulary)
    assert config.backbone == name
    assert len(config.expressions) == classes


def test_require_reads_as_a_sentence():
    require(True, "x", "be true", 0)
    with pytest.raises(ConfigError, match=r"^x must be 1, got 'a'$"):
        require(False, "x", "be 1", "a")
