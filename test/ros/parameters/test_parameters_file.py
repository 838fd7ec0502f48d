"""Parameter files: the shipped one is the declarations' own text, others are read as ROS reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core import facs
from aue_crl_core.errors import ConfigError
from aue_crl_ros.parameters.declarations import PARAMETERS, Settings
from aue_crl_ros.parameters.file import argument, load, render, table

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[3]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def section(name: str, **values: object) -> dict:
    return {name: {"ros__parameters": values}}


def loaded(tmp_path: Path, content: dict, namespace: str = "/") -> dict:
    return load(written(tmp_path, yaml.safe_dump(content, sort_keys=False)), "aue_crl", namespace)


def test_the_shipped_file_is_the_text_of_the_declarations():
    assert (ROOT / "config/expression.yaml").read_text() == render(), (
        "write it anew: python -c \"from aue_crl_ros.parameters.file import render; print(render(), end='')\""
    )


def test_the_shipped_file_sets_every_parameter_to_its_default():
    values = load(ROOT / "config/expression.yaml", "aue_crl", "/anywhere")
    assert list(values) == list(PARAMETERS)
    assert Settings(**values) == Settings()


def test_the_table_in_the_documentation_is_the_one_of_the_declarations():
    text = (ROOT / "docs/ros.md").read_text()
    between = text.split("<!-- parameters -->\n")[1]
    assert between == table()


def test_the_layout_shows_topics_of_the_node_and_the_expressions_in_their_order():
    layout = json.loads((ROOT / "config/foxglove.json").read_text())
    panels = layout["configById"]
    assert panels["Image!face"]["imageMode"]["imageTopic"] == "/aue_crl/debug_image/compressed"
    shown = {p["label"]: p["value"] for p in panels["Plot!expressions"]["paths"]}
    assert shown == {
        name: f"/aue_crl/expressions.faces[0].probabilities[{i}]" for i, name in enumerate(facs.BASIC_EXPRESSIONS)
    }

    def names(node: object) -> set[str]:
        return {node} if isinstance(node, str) else names(node["first"]) | names(node["second"])

    assert names(layout["layout"]) == set(panels)


@pytest.mark.parametrize(
    ("pattern", "namespace"),
    [
        ("/**", "/"),
        ("/**", "/robot/head"),
        ("/*", "/"),
        ("aue_crl", "/"),
        ("/aue_crl", ""),
        ("/robot/aue_crl", "/robot"),
        ("robot/aue_crl", "robot"),
        ("/*/aue_crl", "/robot"),
        ("/**/aue_crl", "/robot/head"),
        ("/**/aue_crl", "/"),
        ("/robot/**", "/robot"),
    ],
)
def test_a_section_of_this_node_counts(tmp_path, pattern, namespace):
    assert loaded(tmp_path, section(pattern, max_faces=3), namespace) == {"max_faces": 3}


@pytest.mark.parametrize(
    ("pattern", "namespace"),
    [("/*", "/robot"), ("aue_crl", "/robot"), ("/aue", "/"), ("/aue_crl2", "/"), ("/aue.crl", "/"), ("/robot/**", "/")],
)
def test_without_a_section_of_this_node_the_file_is_refused(tmp_path, pattern, namespace):
    with pytest.raises(ConfigError, match=r"section for .*/aue_crl"):
        loaded(tmp_path, section(pattern, max_faces=3), namespace)


def test_a_later_section_overrides_an_earlier_one(tmp_path):
    content = {**section("/**", max_faces=3, weights="edge"), **section("/aue_crl", max_faces=4)}
    assert loaded(tmp_path, content) == {"max_faces": 4, "weights": "edge"}
    content = {**section("/aue_crl", max_faces=4), **section("/**", max_faces=3)}
    assert loaded(tmp_path, content) == {"max_faces": 3}


def test_a_namespace_may_be_a_mapping(tmp_path):
    assert loaded(tmp_path, {"robot": section("aue_crl", threads=2)}, "/robot") == {"threads": 2}


def test_an_empty_section_sets_nothing(tmp_path):
    assert load(written(tmp_path, "aue_crl:\n  ros__parameters:\n"), "aue_crl") == {}


def test_what_is_of_ros_itself_or_of_other_nodes_is_left_out(tmp_path):
    content = {
        **section("/**", use_sim_time=True, exposure=3),
        **section("/aue_crl", use_sim_time=True, **{"qos_overrides": {"/image": {"subscription": {"depth": 2}}}}),
    }
    assert loaded(tmp_path, content) == {}


@given(st.floats(0, 10))
def test_numbers_are_read_as_ros_reads_them(tmp_path_factory, value):
    """`1e-05`, as Python and ROS write it, is a number although YAML 1.1 calls it text."""
    path = written(tmp_path_factory.getbasetemp(), f"/**:\n  ros__parameters:\n    smoothing_s: {value!r}\n")
    assert load(path, "aue_crl") == {"smoothing_s": value}


def test_a_quoted_number_is_text(tmp_path):
    with pytest.raises(ConfigError, match=r"params.yaml:3: smoothing_s must be a number, got '1e-3'"):
        load(written(tmp_path, "/**:\n  ros__parameters:\n    smoothing_s: '1e-3'\n"), "aue_crl")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "/**:\n  ros__parameters:\n    threads: 1\n    max_faces: 900\n",
            r":4: max_faces must be in \[1, 64\], got 900",
        ),
        ("/**:\n  ros__parameters:\n    hri: sometimes\n", ":3: hri must be true or false, got 'sometimes'"),
        ("/**:\n  ros__parameters:\n    image_topics: image\n", ":3: image_topics must be a list"),
        (
            "aue_crl:\n  ros__parameters:\n    max_face: 3\n",
            ":3: no parameter is called max_face; did you mean max_faces",
        ),
        ("aue_crl:\n  max_faces: 3\n", ":2: here must be 'ros__parameters:', got '3'"),
        ("aue_crl:\n  ros__parameters: [1]\n", ":2: here must be 'name: value' lines"),
        ("? [a]\n: 1\n", ":1: here must be a name, got sequence"),
        ("/**:\n  ros__parameters:\n    weights: !!python/name:os.system x\n", ":3: must be a plain value"),
        ("/**:\n  ros__parameters:\n    weights: 2020-13-45\n", ":3: must be a plain value"),
        ("a: [\n", "must be YAML"),
        ("", "got nothing"),
        ("- a\n", ":1: here must be node names"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path, text, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        load(written(tmp_path, text), "aue_crl")
    assert str(tmp_path / "params.yaml") in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read: .*No such file"):
        load(tmp_path / "none.yaml", "aue_crl")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("max_faces:=3", "max_faces", 3),
        ("smoothing_s:=1e-1", "smoothing_s", 0.1),
        ("hri:=true", "hri", True),
        ("weights:=/models/mine.onnx", "weights", "/models/mine.onnx"),
        ("image_topics:=[/a, /b]", "image_topics", ["/a", "/b"]),
        ("weights:=", "weights", None),
    ],
)
def test_an_argument_is_read_as_ros2_run_does(text, name, value):
    assert argument(text) == (name, value)


@pytest.mark.parametrize("text", ["max_faces=3", ":=3", "", "a:=[1,"])
def test_an_argument_of_another_form_is_refused_with_what_it_was(text):
    with pytest.raises(ConfigError, match=r"NAME:=VALUE|YAML"):
        argument(text)
