"""`aue-crl node`: what its options become, and how it refuses; the running node is tested in test/ros."""

from __future__ import annotations

import webbrowser

import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")
pytest.importorskip("yaml")

from aue_crl_core.cli.main import main
from aue_crl_ros import dds_node
from aue_crl_ros.parameters.declarations import Settings

FILE = """
/**: {ros__parameters: {max_faces: 2, weights: edge, unit_on: 0.7}}
/robot/aue_crl: {ros__parameters: {image_topics: [/from/file], device: cuda, smoothing_s: 1}}
"""


def exit_code(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["node", *map(str, arguments)])
    return ended.value.code or 0


@pytest.fixture
def runs(monkeypatch):
    """Stands for the node itself: notes what it would have been started with; `runs.failure` is what ended it."""

    class Runs(list):
        failure = ""

        def __call__(self, settings, **options):
            self.append((settings, options))
            return self.failure

    noted = Runs()
    monkeypatch.setattr(dds_node, "run", noted)
    return noted


@pytest.fixture
def params_file(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(FILE)
    return path


def test_without_options_all_is_at_its_default(runs):
    assert exit_code() == 0
    plain = {"namespace": "/", "remappings": {}, "domain_id": None, "use_sim_time": False}
    plain |= {"view": None, "discovery": None}
    assert runs == [(Settings(), plain)]


def test_a_live_view_is_served_while_the_node_runs(runs, capsys, monkeypatch):
    opened = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert exit_code("--view", "--view-address", "127.0.0.1:0") == 0
    ((_, options),) = runs
    assert options["view"].closed
    assert capsys.readouterr().err == f"live view: {opened[0]}\n"
    assert exit_code("--view", "--view-address", "8765") == 2


def test_every_option_arrives(runs):
    options = ["--image-topic", "/a", "--image-topic", "b", "--compressed", "--weights", "w.onnx", "--device", "cuda:1"]
    options += ["--hri", "--param", "max_faces:=3", "--param", "unit_off:=1e-1", "--remap", "a:=b", "--remap", "c:=/d"]
    options += ["--namespace", "/robot", "--domain", 7, "--use-sim-time", "--discovery", "subnet"]
    assert exit_code(*options) == 0
    ((settings, others),) = runs
    assert settings == Settings(
        image_topics=("/a", "b"),
        image_transport="compressed",
        weights="w.onnx",
        device="cuda:1",
        hri=True,
        max_faces=3,
        unit_off=0.1,
    )
    assert others == {
        "namespace": "/robot",
        "remappings": {"a": "b", "c": "/d"},
        "domain_id": 7,
        "use_sim_time": True,
        "view": None,
        "discovery": "subnet",
    }


def test_a_parameter_goes_before_the_file_and_an_option_before_both(runs, params_file):
    given = ["--params-file", params_file, "--namespace", "robot"]
    assert exit_code(*given) == 0
    of_file = Settings(max_faces=2, unit_on=0.7, image_topics=("/from/file",), device="cuda", smoothing_s=1.0)
    assert runs[-1][0] == of_file
    over = ["--param", "max_faces:=4", "--param", "device:=cuda:2", "--param", "image_topics:=[/c]"]
    assert exit_code(*given, *over, "--device", "cpu", "--image-topic", "/d") == 0
    assert runs[-1][0] == of_file.changed({"max_faces": 4, "device": "cpu", "image_topics": ["/d"]})


def test_the_files_sections_are_chosen_by_the_namespace(runs, params_file):
    assert exit_code("--params-file", params_file) == 0
    assert runs[-1][0] == Settings(max_faces=2, unit_on=0.7)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--param", "max_faces:=0"], "max_faces must be in [1, 64], got 0"),
        (["--param", "max_faces:=many"], "max_faces must be a whole number, got 'many'"),
        (["--param", "max_faces"], "a parameter must be given as NAME:=VALUE, got 'max_faces'"),
        (["--param", "maxfaces:=3"], "no parameter is called maxfaces; known are "),
        (["--param", "unit_on:=0.3"], "unit_off must be at most unit_on (0.3), got 0.4"),
        (["--image-topic", ""], "image_topics must be a list of at least one non-empty string"),
        (["--image-topic", "a", "--image-topic", "a"], "image_topics must name nothing twice"),
        (["--image-topic", "front camera"], "a ROS name must be tokens of letters, digits and underscores"),
        (["--remap", "image"], "--remap must be FROM:=TO, got 'image'"),
        (["--remap", ":=a"], "--remap must be FROM:=TO, got ':=a'"),
        (["--params-file", "no/such.yaml"], "no/such.yaml must be a ROS parameter file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(runs, capsys, arguments, complaint):
    assert exit_code(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {complaint}")
    assert said.count("\n") == 1
    assert runs == []


@pytest.mark.parametrize(
    "arguments", [["--domain", "233"], ["--domain", "-1"], ["--domain", "x"], ["--discovery", "far"], ["--colour"]]
)
def test_options_that_are_none_are_usage_errors(runs, capsys, arguments):
    assert exit_code(*arguments) == 2
    assert arguments[0] in capsys.readouterr().err
    assert runs == []


def test_a_node_that_failed_has_exit_code_one(runs):
    runs.failure = "RuntimeError: device lost"
    assert exit_code() == 1


def test_help_names_the_topic_option(capsys):
    assert exit_code("--help") == 0
    assert "--image-topic" in capsys.readouterr().out
