from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.errors import ConfigError
from aue_crl_ros.transports.dds.names import NodeNames

TOKENS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("namespace", "topic", "name"),
    [
        ("/", "image", "/image"),
        ("/", "/image", "/image"),
        ("/", "camera/image", "/camera/image"),
        ("/", "~/expressions", "/face/expressions"),
        ("/", "~", "/face"),
        ("/robot", "image", "/robot/image"),
        ("/robot", "/image", "/image"),
        ("/robot", "~/expressions", "/robot/face/expressions"),
        ("/robot/head", "~/expressions", "/robot/head/face/expressions"),
        ("robot", "image", "/robot/image"),
        ("/robot/", "image", "/robot/image"),
        ("", "image", "/image"),
        ("/robot", "{node}/image", "/robot/face/image"),
        ("/robot", "{ns}/image", "/robot/image"),
        ("/", "{namespace}/image", "/image"),
    ],
)
def test_a_name_is_expanded_as_rcl_does(namespace, topic, name):
    assert NodeNames("face", namespace).resolve(topic) == name


@pytest.mark.parametrize(
    ("source", "target", "topic", "name"),
    [
        ("image", "camera", "image", "/robot/camera"),
        ("image", "/camera", "image", "/camera"),
        ("/robot/image", "/camera", "image", "/camera"),
        ("image", "/camera", "/robot/image", "/camera"),
        ("/image", "/camera", "/image", "/camera"),
        ("/image", "/camera", "image", "/robot/image"),
        ("~/expressions", "faces", "~/expressions", "/robot/faces"),
        ("~/expressions", "~/faces", "~/expressions", "/robot/face/faces"),
        ("/robot/face/expressions", "/faces", "~/expressions", "/faces"),
        ("image", "/camera", "image/compressed", "/robot/image/compressed"),
        ("other", "/camera", "image", "/robot/image"),
    ],
)
def test_a_remapping_replaces_the_whole_name_once(source, target, topic, name):
    assert NodeNames("face", "/robot", {source: target}).resolve(topic) == name


def test_swapped_names_do_not_chase_each_other():
    names = NodeNames("face", "/", {"a": "b", "b": "a"})
    assert (names.resolve("a"), names.resolve("b")) == ("/b", "/a")


@pytest.mark.parametrize("key", ["__node", "__name"])
def test_a_node_is_renamed_and_moved_by_remapping(key):
    names = NodeNames("face", "/robot", {key: "head", "__ns": "/other", "~/in": "image"})
    assert (names.name, names.namespace, names.full_name) == ("head", "/other", "/other/head")
    assert names.resolve("~/in") == "/other/image"


@pytest.mark.parametrize(
    "topic", ["", "/", "a//b", "a/", "/a/", "2d", "a b", "a-b", "ä", "~x", "a/~/b", "{what}/a", "{", "a\n"]
)
def test_what_is_no_name_is_refused(topic):
    with pytest.raises(ConfigError, match="must be"):
        NodeNames("face").resolve(topic)


def test_a_name_too_long_for_dds_is_refused():
    assert NodeNames("face").resolve("a" * 246)
    with pytest.raises(ConfigError, match="247"):
        NodeNames("face").resolve("a" * 247)


@pytest.mark.parametrize(
    "arguments", [("",), ("a/b",), ("2d",), ("a", "/b//c"), ("a", "/", {"x y": "z"}), ("a", "/", {"x": "1"})]
)
def test_a_bad_node_is_refused_at_once(arguments):
    with pytest.raises(ConfigError):
        NodeNames(*arguments)


@given(TOKENS, st.lists(TOKENS, max_size=2), st.lists(TOKENS, min_size=1, max_size=3))
def test_absolute_names_stay_and_relative_ones_end_as_they_were(node, namespace, tokens):
    names = NodeNames(node, "/" + "/".join(namespace))
    topic = "/".join(tokens)
    assert names.resolve("/" + topic) == "/" + topic
    assert names.resolve(topic) == "/" + "/".join([*namespace, *tokens])
    assert names.resolve("~/" + topic) == "/" + "/".join([*namespace, node, *tokens])
    assert names.resolve(names.resolve(topic)) == names.resolve(topic)
