"""Whatever a text of someone else holds, a value or an error of ours comes out of it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aue_crl_core.config import ModelConfig, from_dict
from aue_crl_core.errors import CheckpointError, ConfigError, DatasetError
from aue_crl_core.text import json_object, read_text, yaml_node, yaml_value

pytest.importorskip("yaml")


def test_text_that_is_not_utf_8_is_named_with_its_line(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffgrün\n".encode() + "grün\n".encode("latin-1"))
    with pytest.raises(
        DatasetError, match=r"list\.txt:2 must be UTF-8 text, got the byte 0xfc; save the file as UTF-8"
    ):
        read_text(path, DatasetError)
    path.write_bytes("\ufeffgrün\r\n".encode())
    assert read_text(path, DatasetError) == "grün\r\n"


@pytest.mark.parametrize("name", ["", "no such file", "n" * 5000, "zero\0byte"])
def test_a_name_of_no_file(tmp_path, name):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_text(tmp_path / name, DatasetError)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, b"\xff", "1" * 5000], ids=range(5))
def test_what_is_no_json_object(text):
    with pytest.raises(CheckpointError, match=r"^it must be (JSON, got|a JSON object, got)"):
        json_object(text, "it", CheckpointError)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 3000,
        "a: &a [1]\nb: *a",
        "!!int ''",
        "!!timestamp x",
        "!!bool x",
        "2001-99-99",
        '"\\UFFFFFFFF"',
        "a: [",
        "? [1]\n: 2",
        "!!python/object:os.system {}",
        "\0",
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_plain_yaml(text):
    with pytest.raises(ConfigError, match=r"must be (YAML|a plain value), got"):
        yaml_value(yaml_node(text, "it"))


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
KEYS = st.sampled_from(["backbone", "preprocessing", "region_pool", "decoder_channels", "dropout", "attention", "x"])


@given(st.dictionaries(KEYS | st.none() | st.integers(), VALUES, max_size=3))
@settings(max_examples=100)
def test_any_settings_are_a_configuration_or_a_config_error(values):
    try:
        config = from_dict(ModelConfig, values, "file")
    except ConfigError as error:
        assert len(str(error)) < 4000  # noqa: PT017
        return
    assert isinstance(config, ModelConfig)


YAML_WORDS = st.sampled_from(
    ["a", ": ", "- ", "\n", "  ", "[", "]", "{", "}", "&a ", "*a ", "!!int ", "1e999", "0x", "'", "|"]
)


@given(st.lists(YAML_WORDS | st.text(max_size=2), max_size=12).map("".join))
@settings(max_examples=150)
def test_any_text_is_yaml_or_a_config_error(text):
    try:
        node = yaml_node(text, "it")
        if node is not None:
            yaml_value(node)
    except ConfigError:
        pass


@given(st.binary(max_size=40))
@settings(max_examples=50)
def test_any_bytes_are_json_or_the_readers_error(data):
    with suppress(CheckpointError):
        assert isinstance(json_object(data, "it", CheckpointError), dict)
