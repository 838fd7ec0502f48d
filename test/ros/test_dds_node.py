"""`aue-crl node` as its users have it: real processes on loopback, photographs in, values out."""

from __future__ import annotations

import hashlib
import itertools
import re
import signal
import time

import cv2
import numpy as np
import pytest
from node_bench import (
    COMPRESSED,
    IMAGE,
    ROOT,
    Camera,
    Listener,
    Process,
    S,
    answers,
    latest_status,
    stamp_ns,
    values_of,
)

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")
pytest.importorskip("yaml")

from dds_client import Client

from aue_crl_core import FaceAnalyzer, facs
from aue_crl_core.cli.main import main
from aue_crl_core.engines import find_weights
from aue_crl_ros.player import letterboxed
from aue_crl_ros.transports.transport import LATCHED, RESULT

EXPRESSIONS, EVENT, MODEL = (
    f"aue_crl/msg/{name}" for name in ("FaceExpressionArray", "ExpressionEvent", "ModelDescription")
)
DIAGNOSTICS, CLOCK = "diagnostic_msgs/msg/DiagnosticArray", "rosgraph_msgs/msg/Clock"
CAMERAS = ("neutral", "value", "left", "right", "silent", "events", "damaged", "stopped", "played", "hri")
PARAMETERS = f"""
/**:
  ros__parameters: {{threads: 1, detector: cascade}}
/robot/aue_crl:
  ros__parameters:
    image_topics: [{", ".join(f"/{name}/image" for name in CAMERAS)}]
    hri: true
    debug_image: true
    lost_after_s: 0.5
"""
OK, WARN = 0, 1
FAMILIAR = {"happiness": "happy", "disgust": "disgusted"}


def steps_of_a_tenth():
    """A clock by which a face is not lost, however long discovery, or an image sent again, takes."""
    return itertools.count(time.time_ns(), S // 10).__next__


@pytest.fixture(scope="module")
def start(domain, tmp_path_factory):
    """Starts processes; what still runs after the module is killed."""
    folder, started = tmp_path_factory.mktemp("logs"), []

    def begin(*arguments):
        started.append(Process(folder / f"{len(started)}.log", *map(str, arguments)))
        return started[-1]

    yield begin
    for process in started:
        process.kill()


@pytest.fixture(scope="module")
def start_node(start):
    def begin(*arguments):
        return start("-m", "aue_crl_core", "node", "--param", "threads:=1", "--param", "detector:=cascade", *arguments)

    return begin


@pytest.fixture(scope="module")
def robot(start, tmp_path_factory):
    """The node that most tests share: one camera topic for each of them."""
    path = tmp_path_factory.mktemp("parameters") / "robot.yaml"
    path.write_text(PARAMETERS)
    return start("-m", "aue_crl_core", "node", "--params-file", path, "--namespace", "/robot")


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def portrait():
    """375x320x3 uint8 RGB."""
    image = cv2.cvtColor(cv2.imread(str(ROOT / "test/data/portrait.jpg")), cv2.COLOR_BGR2RGB)
    return cv2.resize(image, (320, 375), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def mirrored(portrait):
    return np.ascontiguousarray(portrait[:, ::-1])


@pytest.fixture(scope="module")
def sky(portrait):
    """No face, no pattern."""
    return np.full_like(portrait, 190)


@pytest.fixture(scope="module")
def analyzer():
    return FaceAnalyzer.load("edge", detector="cascade", threads=1)


def test_images_are_read_only_while_somebody_listens(start_node, ears, listen, eventually, portrait):
    node = start_node("--image-topic", "/lonely/image", "--namespace", "/lonely")
    name, camera_name = "/lonely/aue_crl", "/lonely/aue_crl: /lonely/image"
    diagnostics = listen("/diagnostics", DIAGNOSTICS).heard
    lonely = Camera(ears, "/lonely/image", eventually)
    assert eventually(lambda: latest_status(diagnostics, name))
    assert latest_status(diagnostics, name).message == "active; nobody listens, so images are not read"
    assert latest_status(diagnostics, camera_name) is None
    listener = listen("/lonely/aue_crl/expressions", EXPRESSIONS)
    assert eventually(listener.publishers)
    lonely.show(portrait, listener.heard)
    assert lonely.publisher.listeners() == 1
    listener.close()
    assert eventually(lambda: lonely.publisher.listeners() == 0)
    lonely.publisher.publish(lonely.message(portrait, time.time_ns()))
    diagnostics.clear()
    assert eventually(lambda: latest_status(diagnostics, camera_name))
    assert values_of(latest_status(diagnostics, camera_name))["received"] == "1"
    assert latest_status(diagnostics, name).message == "active; nobody listens, so images are not read"
    lonely.publisher.close()
    node.signal(signal.SIGTERM)
    assert node.ended() == 0


def test_an_image_gets_one_message_with_its_header_and_what_the_analyzer_says(camera, results, portrait, analyzer):
    before_ns = time.time_ns()
    sent, got = camera("value").show(portrait, results)
    passed_s = (time.time_ns() - before_ns) / S
    assert (got.camera, got.image_width, got.image_height) == ("/value/image", 320, 375)
    assert got.header.frame_id == "head/optische Linse ñ"
    assert 0 < got.latency <= passed_s
    (face,), (expected,) = got.faces, analyzer(portrait)
    assert face.header == sent.header
    assert re.fullmatch(r"[a-z]+1", face.face_id)
    assert (face.expression, face.state) == (expected.expression, 0) == ("happiness", 0)
    assert sum(face.probabilities) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(face.probabilities, list(expected.probabilities.values()), atol=1e-3)
    assert face.confidence == pytest.approx(max(face.probabilities))
    assert tuple(unit.code for unit in face.action_units) == facs.ACTION_UNITS
    assert [unit.probability for unit in face.action_units] == pytest.approx(
        list(expected.action_units.values()), abs=1e-3
    )
    assert all(unit.estimated and unit.visible for unit in face.action_units)
    np.testing.assert_allclose(np.reshape(face.landmarks, (68, 2)), expected.landmarks, atol=0.1)
    assert abs(face.box.x_offset - expected.box.x) <= 1
    assert abs(face.box.width - expected.box.w) <= 2
    assert face.quality.face_score == pytest.approx(expected.quality.face_score, abs=1e-3)
    assert not face.calibrated


def test_two_cameras_have_their_own_ids_and_one_message_an_image(camera, results, portrait, mirrored):
    left, right = camera("left"), camera("right")
    shown = []
    for _ in range(4):
        shown += [left.show(portrait, results), right.show(mirrored, results)]
    assert [answer.camera for _, answer in shown] == ["/left/image", "/right/image"] * 4
    assert len({stamp_ns(sent.header.stamp) for sent, _ in shown}) == len(shown)
    assert all(len(answers(sent, results)) == 1 for sent, _ in shown)
    left_ids, right_ids = (
        {face.face_id for _, answer in shown if answer.camera == topic for face in answer.faces}
        for topic in ("/left/image", "/right/image")
    )
    assert len(left_ids) == len(right_ids) == 1
    assert left_ids.isdisjoint(right_ids)


def test_an_image_without_a_face_is_answered_too(camera, results, sky):
    _, got = camera("silent").show(sky, results)
    assert got.faces == []


def test_a_late_joiner_learns_what_the_numbers_mean(hear, eventually, analyzer):
    heard = hear("/robot/aue_crl/model", MODEL, LATCHED)
    assert eventually(lambda: heard)
    (model,) = heard
    assert model.weights == "edge"
    assert model.weights_sha256 == hashlib.sha256(find_weights("edge", "onnx").read_bytes()).hexdigest()
    assert (model.engine, model.device, model.vocabulary) == ("onnx", "cpu", "basic")
    assert tuple(model.expressions) == analyzer.expressions
    assert tuple(model.action_units) == facs.ACTION_UNITS
    assert 0 < stamp_ns(model.header.stamp) < time.time_ns()


def test_what_a_face_shows_begins_and_ends_by_the_images_stamps(camera, hear, results, eventually, portrait, sky):
    events = hear("/robot/aue_crl/events", EVENT)
    shown, first_ns = camera("events"), 5000 * S  # of a clock that is not this machine's
    seen = [shown.show(portrait, results, first_ns + i * S // 10) for i in range(4)]
    decided = seen[2][0].header  # min_event_s, 0.2 s, after the first
    assert eventually(lambda: [event for event in events if event.header == decided])
    began = [event for event in events if event.phase == 0]
    (face,) = seen[2][1].faces
    told = {(event.kind, event.expression, event.action_unit) for event in began}
    assert told >= {(0, "happiness", 0), (1, "", 6), (1, "", 12)}
    for event in began:
        assert (event.header, event.camera, event.face_id) == (decided, "/events/image", face.face_id)
        assert stamp_ns(event.began) == first_ns <= stamp_ns(event.peaked) <= stamp_ns(decided.stamp)
        assert 0.4 < event.probability <= event.peak_probability <= 1
    gone, _ = shown.show(sky, results, first_ns + 3 * S)
    assert eventually(lambda: [event for event in events if event.header == gone.header])
    ended = [event for event in events if event.header == gone.header]
    assert {event.phase for event in ended} == {2}
    assert (1, 12, face.face_id) in {(event.kind, event.action_unit, event.face_id) for event in ended}


def test_damaged_images_do_no_harm_and_are_told_in_the_diagnostics(camera, hear, results, eventually, portrait, robot):
    diagnostics = hear("/diagnostics", DIAGNOSTICS)
    damaged = camera("damaged")
    damaged.wait_for_the_node()
    damages = [{"encoding": "fancy8"}, {"step": 3}, {"height": 4000}, {"data": np.zeros(0, np.uint8)}, {"width": 0}]
    endless = itertools.cycle(damages)

    def status():
        return latest_status(diagnostics, "/robot/aue_crl: /damaged/image")

    def failed():
        damaged.publisher.publish(damaged.message(portrait, time.time_ns(), **next(endless)))
        return status() is not None and int(values_of(status())["failed"]) > 2 * len(damages)

    assert eventually(failed)
    assert status().level == WARN
    assert re.match(r"\d+ images could not be decoded; the log says why", status().message)
    assert results == []
    _, got = damaged.show(portrait, results)
    assert len(got.faces) == 1
    assert "/damaged/image: an image could not be used" in robot.words()


def test_one_pixel_is_an_image_without_a_face(camera, results, portrait):
    tiny = camera("damaged")
    for shape in [(1, 1, 3), (1, 300, 3), (300, 1, 3), (2, 2, 3)]:
        _, got = tiny.show(np.zeros(shape, np.uint8), results)
        assert (got.image_height, got.image_width) == shape[:2]
        assert got.faces == []
    _, got = tiny.show(portrait, results)
    assert len(got.faces) == 1


def test_the_diagnostics_tell_rates_latencies_and_what_runs(camera, hear, results, eventually, portrait):
    diagnostics = hear("/diagnostics", DIAGNOSTICS)
    value = camera("value")
    for _ in range(3):
        value.show(portrait, results)
    diagnostics.clear()
    assert eventually(lambda: diagnostics)
    array = diagnostics[0]
    assert 0 <= time.time_ns() - stamp_ns(array.header.stamp) < 10 * S
    node = latest_status([array], "/robot/aue_crl")
    assert (node.level, node.message) == (OK, "reading images")
    assert values_of(node) == {"weights": "edge", "engine": "onnx", "device": "cpu"}
    assert {status.name for status in array.status[1:]} == {f"/robot/aue_crl: /{name}/image" for name in CAMERAS}
    seen = latest_status([array], "/robot/aue_crl: /value/image")
    assert (seen.level, seen.hardware_id) == (OK, "/robot/aue_crl")
    values = values_of(seen)
    assert int(values["received"]) >= 3
    assert (values["dropped"], values["failed"], values["faces"]) == ("0", "0", "1")
    for name in ("latency p50", "latency p95"):
        assert 0 < float(values[name].removesuffix(" ms")) < 10_000
    assert 0 < float(values["output rate"].removesuffix(" Hz")) <= float(values["input rate"].removesuffix(" Hz"))


def test_a_camera_that_falls_silent_is_warned_of(camera, hear, results, eventually, portrait):
    diagnostics = hear("/diagnostics", DIAGNOSTICS)
    camera("silent").show(portrait, results)
    name = "/robot/aue_crl: /silent/image"

    def stale():
        status = latest_status(diagnostics, name)
        return status is not None and "does the camera publish" in status.message

    assert eventually(stale)
    assert latest_status(diagnostics, name).level == WARN


def test_the_faces_are_ros4hri_topics(camera, hear, results, eventually, portrait):
    tracked = hear("/humans/faces/tracked", "hri_msgs/msg/IdsList")
    hri = camera("hri", clock=steps_of_a_tenth())
    _, got = hri.show(portrait, results)
    (face,) = got.faces
    kinds = {
        "roi": "hri_msgs/msg/NormalizedRegionOfInterest2D",
        "landmarks": "hri_msgs/msg/FacialLandmarks",
        "facs": "hri_msgs/msg/FacialActionUnits",
        "expression": "hri_msgs/msg/Expression",
        "cropped": IMAGE,
        "aligned": IMAGE,
    }
    heard = {name: hear(f"/humans/faces/{face.face_id}/{name}", kind) for name, kind in kinds.items()}

    def all_heard():
        hri.show(portrait, results)
        return all(heard.values())

    assert eventually(all_heard)
    _, got = hri.show(portrait, results)
    (face,) = got.faces
    assert eventually(lambda: all(messages[-1].header == got.header for messages in heard.values()))
    last = {name: messages[-1] for name, messages in heard.items()}

    headers = []

    def it_is_the_only_face():  # once those of the tests before are gone
        headers.append(hri.show(portrait, results)[1].header)
        return any([ids.ids for ids in tracked if ids.header == header] == [[face.face_id]] for header in headers)

    assert eventually(it_is_the_only_face)
    assert last["expression"].expression == FAMILIAR[face.expression]
    assert last["expression"].confidence == pytest.approx(face.confidence)
    assert last["facs"].intensity[12] == pytest.approx(face.action_units[facs.ACTION_UNITS.index(12)].probability)
    assert last["facs"].confidence[3] == 0
    assert last["roi"].xmin == pytest.approx(face.box.x_offset / 320, abs=1 / 320)
    assert (last["landmarks"].width, last["landmarks"].height) == (320, 375)
    assert (last["cropped"].width, last["cropped"].height, last["aligned"].width) == (128, 128, 128)


def test_the_debug_image_is_a_picture_of_the_image(camera, hear, results, eventually, portrait):
    pictures = hear("/robot/aue_crl/debug_image/compressed", COMPRESSED)
    value = camera("value")

    def drawn():
        sent, _ = value.show(portrait, results)
        return [sent for picture in pictures if picture.header == sent.header]

    assert eventually(drawn)
    picture = cv2.imdecode(np.asarray(pictures[-1].data), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert picture.shape[1] / picture.shape[0] == pytest.approx(320 / 375, abs=0.01)
    changed = np.abs(cv2.resize(picture, (320, 375)).astype(int) - portrait).max(axis=2) > 60
    assert 0.005 < changed.mean() < 0.6


def test_a_neutral_face_is_learned_and_forgotten_by_service(camera, results, domain, eventually, portrait):
    neutral = camera("neutral", clock=steps_of_a_tenth())
    learn = Client(domain, "/robot/aue_crl/calibrate_neutral", "aue_crl/srv/CalibrateNeutral")
    forget = Client(domain, "/robot/aue_crl/forget_neutral", "aue_crl/srv/ForgetNeutral")
    assert eventually(lambda: learn.available() and forget.available())

    def calibrated():
        _, got = neutral.show(portrait, results)
        (face,) = got.faces
        return face.calibrated

    def answer(client):
        """The next answer; the camera goes on meanwhile."""
        got = []

        def come():
            calibrated()
            got.extend(client.answers())
            return got

        assert eventually(come)
        ((_, message),) = got
        return message

    _, got = neutral.show(portrait, results)
    (face,) = got.faces
    learn.send(1, face_id="nobody", duration=0.0)
    refused = answer(learn)
    assert (refused.success, refused.frames) == (False, 0)
    assert re.fullmatch(rf"no face 'nobody' is followed; those that are: .*\b{face.face_id}\b.*", refused.message)
    learn.send(2, face_id=face.face_id, duration=0.2)
    learned = answer(learn)
    assert (learned.success, learned.frames >= 2) == (True, True), learned.message
    assert calibrated()
    forget.send(1, face_id=face.face_id)
    forgot = answer(forget)
    assert (forgot.success, forgot.message) == (True, f"forgot {face.face_id}")
    assert not calibrated()
    forget.send(2, face_id="")
    assert not answer(forget).success


HANG = """
import signal, sys
from aue_crl_ros.transports.dds.transport import DdsTransport
from aue_crl_ros.transports.transport import RESULT
topic, kind = sys.argv[1:]
with DdsTransport("slow") as transport:
    transport.subscription(topic, kind, RESULT, lambda message: print("heard", flush=True))
    signal.pause()
"""


def test_a_subscriber_that_hangs_holds_up_nobody(camera, results, start, eventually, portrait):
    slow = start("-c", HANG, "/robot/aue_crl/expressions", EXPRESSIONS)
    stopped = camera("stopped")

    def heard():
        stopped.show(portrait, results)
        return "heard" in slow.words()

    assert eventually(heard)
    slow.signal(signal.SIGSTOP)
    for _ in range(3 * RESULT.depth):
        stopped.show(portrait, results)
    slow.signal(signal.SIGCONT)
    slow.kill()


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


def test_a_camera_that_dies_ends_its_faces_and_comes_back(play, hear, results, robot, eventually, portrait, analyzer):
    events = hear("/robot/aue_crl/events", EVENT)

    def seen_since(ns):
        return [r for r in results if r.camera == "/played/image" and stamp_ns(r.header.stamp) > ns]

    player = play("--topic", "/played/image")
    assert eventually(lambda: len(seen_since(0)) > 8)
    player.signal(signal.SIGKILL)
    player.ended()
    died_ns = time.time_ns()
    before = seen_since(0)
    view = letterboxed(cv2.cvtColor(cv2.imread(str(ROOT / "test/data/portrait.jpg")), cv2.COLOR_BGR2RGB), 320, 240)
    (expected,) = analyzer(view)
    (first,) = before[0].faces
    assert first.expression == expected.expression
    np.testing.assert_allclose(first.probabilities, list(expected.probabilities.values()), atol=1e-3)
    assert {r.header.frame_id for r in before} == {"played"}
    stamps = [stamp_ns(r.header.stamp) for r in before]
    assert stamps == sorted(set(stamps))
    assert {face.face_id for r in before for face in r.faces} == {first.face_id}
    assert eventually(lambda: time.time_ns() - died_ns > 0.6 * S)  # a face is lost after 0.5 s of the images' stamps
    assert robot.runs()
    play("--topic", "/played/image")
    assert eventually(lambda: len(seen_since(died_ns)) > 4)
    (new,) = {face.face_id for r in seen_since(died_ns) for face in r.faces}
    assert new == first.face_id[:-1] + "2"
    back_ns = stamp_ns(seen_since(died_ns)[0].header.stamp)
    ended = {e.action_unit: e for e in events if e.face_id == first.face_id and e.phase == 2 and e.kind == 1}
    assert stamp_ns(ended[12].header.stamp) == back_ns
    assert robot.runs()


def test_compressed_images_simulated_time_privacy_and_a_domain_of_its_own(
    start_node, listen, domain, eventually, portrait
):
    from aue_crl_ros.transports.dds.transport import DdsTransport

    options = ["--image-topic", "/front/image", "--compressed", "--use-sim-time", "--remap", "~/expressions:=/faces"]
    private = ["--param", "debug_image:=true", "--param", "privacy:=true", "--hri"]
    other = 40 + (domain - 10) % 60
    node = start_node(*options, *private, "--domain", other)
    with DdsTransport("test", domain_id=other) as ears:
        clock = ears.publisher("/clock", CLOCK, RESULT)
        front = Camera(ears, "/front/image/compressed", eventually)
        listeners = [listen("/faces", EXPRESSIONS, transport=ears)]
        results = listeners[0].heard
        assert eventually(clock.listeners)
        time_ = ears.messages.new("builtin_interfaces/msg/Time", sec=77, nanosec=0)
        clock.publish(ears.messages.new(CLOCK, clock=time_))
        early_ns = itertools.count(77 * S - S // 4)

        def told_the_time():
            _, got = front.show(portrait, results, next(early_ns))
            return got if got.latency > 0 else None

        got = eventually(told_the_time)
        assert got.latency == pytest.approx(0.25, abs=1e-3)
        assert got.camera == "/front/image/compressed"
        (face,) = got.faces
        assert face.expression == "happiness"
        listeners.append(listen(f"/humans/faces/{face.face_id}/expression", "hri_msgs/msg/Expression", transport=ears))
        pixels = [f"/humans/faces/{face.face_id}/{name}" for name in ("cropped", "aligned")]
        listeners += [listen(topic, IMAGE, transport=ears) for topic in pixels]
        listeners.append(listen("/aue_crl/debug_image/compressed", COMPRESSED, transport=ears))
        assert eventually(listeners[1].publishers)
        assert [listener.publishers() for listener in listeners] == [1, 1, 0, 0, 0]
        for listener in listeners:
            listener.close()
    node.signal(signal.SIGINT)
    assert node.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_busy_node_and_its_topics(start_node, play, listen, eventually, number):
    name = number.name.lower()
    play("--topic", f"/{name}/image")
    node = start_node("--image-topic", f"/{name}/image", "--namespace", name)
    results = listen(f"/{name}/aue_crl/expressions", EXPRESSIONS)
    assert eventually(lambda: results.heard)
    node.signal(number)
    assert node.ended() == 0
    assert eventually(lambda: results.publishers() == 0)
    assert "Traceback" not in node.words()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--image-topic", "/front camera/image"], "got '/front camera/image'"),
        (["--remap", "image:=/front camera"], "got '/front camera'"),
        (["--namespace", "1st"], "got '/1st'"),
        (["--weights", "huge"], "weights must be one of "),
        (["--param", "detector:=yunet2"], "detector must be one of "),
    ],
)
def test_what_cannot_be_configured_is_told_at_once(domain, capsys, arguments, complaint):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(SystemExit) as ended:
        main(["node", "--param", "detector:=cascade", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert complaint in said
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_the_shared_node_lived_through_it_all_and_ends_well(robot):
    assert robot.runs()
    robot.signal(signal.SIGTERM)
    assert robot.ended() == 0
    assert "Traceback" not in robot.words()
