"""Nodes as they are started and ended: options, signals, refusals."""

from __future__ import annotations

import itertools
import signal

import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")
pytest.importorskip("yaml")

from node_bench import COMPRESSED, EXPRESSIONS, IMAGE, Camera, S

from aue_crl_core.cli.main import main
from aue_crl_ros.transports.transport import RESULT

CLOCK = "rosgraph_msgs/msg/Clock"


def test_compressed_images_simulated_time_privacy_and_a_domain_of_its_own(
    start_node, listen, domain, eventually, portrait, analyzer
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
        assert face.expression == analyzer(portrait)[0].expression
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
