"""One node for the whole folder, cameras that it looks through, and ears for what it says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from node_bench import CAMERAS, EXPRESSIONS, ROOT, Camera, Listener, Process

from aue_crl_core import FaceAnalyzer
from aue_crl_core.analyzer import AnalyzerConfig
from aue_crl_ros.transports.transport import RESULT

PARAMETERS = f"""
/**:
  ros__parameters: {{threads: 1}}
/robot/aue_crl:
  ros__parameters:
    image_topics: [{", ".join(f"/{name}/image" for name in CAMERAS)}]
    hri: true
    debug_image: true
    lost_after_s: 0.5
"""


@pytest.fixture(scope="package")
def start(domain, tmp_path_factory):
    """Starts processes; what still runs after the folder's tests is killed."""
    folder, started = tmp_path_factory.mktemp("logs"), []

    def begin(*arguments):
        started.append(Process(folder / f"{len(started)}.log", *map(str, arguments)))
        return started[-1]

    yield begin
    for process in started:
        process.kill()


@pytest.fixture(scope="package")
def start_node(start):
    def begin(*arguments):
        return start("-m", "aue_crl_core", "node", "--param", "threads:=1", *arguments)

    return begin


@pytest.fixture(scope="package")
def robot(start, tmp_path_factory):
    """The node that most tests share: one camera topic for each of them."""
    path = tmp_path_factory.mktemp("parameters") / "robot.yaml"
    path.write_text(PARAMETERS)
    return start("-m", "aue_crl_core", "node", "--params-file", path, "--namespace", "/robot")


@pytest.fixture(scope="package")
def ears(domain, robot):
    """The test's own node."""
    from aue_crl_ros.transports.dds.transport import DdsTransport

    with DdsTransport("test") as transport:
        yield transport


@pytest.fixture
def listen(ears):
    """Listens to a topic until the test ends."""
    listeners = []

    def begin(topic, type_name, qos=RESULT, transport=ears):
        listeners.append(Listener(transport, topic, type_name, qos))
        return listeners[-1]

    yield begin
    for listener in listeners:
        listener.close()


@pytest.fixture
def hear(listen, eventually):
    """The messages of a topic that somebody publishes."""

    def begin(topic, type_name, qos=RESULT):
        listener = listen(topic, type_name, qos)
        assert eventually(listener.publishers), f"nobody publishes {topic}"
        return listener.heard

    return begin


@pytest.fixture(scope="package")
def audience(ears):
    """Somebody listens to the shared node's results all the time."""
    listener = Listener(ears, "/robot/aue_crl/expressions", EXPRESSIONS)
    yield listener
    listener.close()


@pytest.fixture
def results(audience, eventually):
    """What is published during the test."""
    assert eventually(audience.publishers)
    audience.heard.clear()
    return audience.heard


@pytest.fixture
def camera(ears, eventually):
    made = []

    def make(name, **options):
        made.append(Camera(ears, f"/{name}/image", eventually, **options))
        return made[-1]

    yield make
    for one in made:
        one.publisher.close()


@pytest.fixture(scope="package")
def portrait():
    """375x320x3 uint8 RGB."""
    image = cv2.cvtColor(cv2.imread(str(ROOT / "test/data/portrait.jpg")), cv2.COLOR_BGR2RGB)
    return cv2.resize(image, (320, 375), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="package")
def smiling(portrait):
    """230x320x3: made wide, the portrait's mouth and eyes are those of a smile."""
    return cv2.resize(portrait, (320, 230), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="package")
def mirrored(portrait):
    return np.ascontiguousarray(portrait[:, ::-1])


@pytest.fixture(scope="package")
def sky(portrait):
    """No face, no pattern."""
    return np.full_like(portrait, 190)


@pytest.fixture(scope="package")
def analyzer():
    """Reads images as the node reads a camera's."""
    return FaceAnalyzer.load("edge", threads=1, config=AnalyzerConfig(mirror_stills=False))


@pytest.fixture
def play(start, tmp_path):
    """Plays a folder with the portrait as a camera, in a process of its own, until the test ends."""
    players = []
    (tmp_path / "portrait.jpg").write_bytes((ROOT / "test/data/portrait.jpg").read_bytes())
    (tmp_path / "notes.txt").write_text("no image\n")

    def begin(*arguments):
        options = ("--rate", 15, "--size", "320x240", "--loop", "--frame-id", "played")
        players.append(start("examples/play_as_camera_dds.py", tmp_path, *options, *arguments))
        return players[-1]

    yield begin
    for player in players:
        player.kill()
