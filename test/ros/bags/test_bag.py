"""`aue-crl bag`: everything that was in the bag, byte for byte, and the expressions of its images."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from aue_crl_core import facs
from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.cli.main import main

pytest.importorskip("rosbags")
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from aue_crl_ros.bags.process import annotate
from aue_crl_ros.messages.interfaces import StoreMessages
from aue_crl_ros.parameters.declarations import Settings

MESSAGES = StoreMessages()
START = 1_700_000_000_000_000_000
PERIOD = 100_000_000
DELAY = 3_000_000
FRAMES = 6
LATCHED = Qos(
    QosHistory.KEEP_LAST,
    1,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    QosTime(5, 0),
    QosTime(9223372036, 854775807),
    QosLiveliness.AUTOMATIC,
    QosTime(9223372036, 854775807),
    False,
)


def header(stamp_ns, frame_id="eye"):
    stamp = MESSAGES.new("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return MESSAGES.new("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def raw(image, stamp_ns, encoding="bgr8"):
    pixels = image[..., ::-1] if encoding == "bgr8" else image
    data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
    h, w = image.shape[:2]
    return MESSAGES.new(
        "sensor_msgs/msg/Image",
        header=header(stamp_ns),
        height=h,
        width=w,
        encoding=encoding,
        is_bigendian=0,
        step=data.size // h,
        data=data,
    )


def jpeg(image, stamp_ns):
    data = cv2.imencode(".jpg", image[..., ::-1])[1].reshape(-1)
    return MESSAGES.new("sensor_msgs/msg/CompressedImage", header=header(stamp_ns, "left"), format="jpeg", data=data)


def write(path, topics, storage="sqlite3", compression=None, qos=()):
    """`topics`: name -> (type, [(timestamp, message or bytes)])."""
    with_compression = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    if compression:
        with_compression.set_compression(compression, CompressionFormat.ZSTD)
    with_compression.set_custom_data("robot", "pepper")
    with with_compression as writer:
        entries = []
        for name, (type_name, messages) in topics.items():
            connection = writer.add_connection(
                name, type_name, typestore=MESSAGES.store, offered_qos_profiles=list(qos)
            )
            for timestamp, message in messages:
                data = message if isinstance(message, bytes) else MESSAGES.serialize(type_name, message)
                entries.append((timestamp, connection, data))
        for timestamp, connection, data in sorted(entries, key=lambda entry: entry[0]):
            writer.write(connection, timestamp, data)
    return path


def read(path):
    """topic -> [(timestamp, bytes)], and the connections by topic."""
    found = {}
    with Reader(path) as reader:
        connections = {c.topic: c._replace(id=0, owner=None) for c in reader.connections}
        for connection, timestamp, data in reader.messages():
            found.setdefault(connection.topic, []).append((timestamp, bytes(data)))
        custom = reader.storage.metadata.custom
    return found, connections, custom


def decoded(path, topic):
    """The topic's messages as any reader of rosbags sees them, by the definitions in the bag."""
    with AnyReader([path]) as reader:
        connections = [c for c in reader.connections if c.topic == topic]
        return [(t, reader.deserialize(data, c.msgtype)) for c, t, data in reader.messages(connections=connections)]


def bag(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["bag", *map(str, arguments)])
    return ended.value.code or 0


@pytest.fixture(scope="module")
def portrait(photograph):
    """The photograph at 256x300."""
    return cv2.resize(photograph, (256, 300), interpolation=cv2.INTER_AREA)


def stamps(count=FRAMES):
    return [START + i * PERIOD for i in range(count)]


@pytest.fixture(scope="module")
def topics(portrait):
    """A raw camera, a compressed one that sees the same mirrored and no face in its third image, and text."""
    views = [np.roll(portrait, i, axis=1) for i in range(FRAMES)]
    notes = [(s + 7, MESSAGES.new("std_msgs/msg/String", data=f"note {s}")) for s in stamps()]
    mirrored = [v[:, ::-1] for v in views]
    mirrored[2] = np.full_like(portrait, 90)
    return {
        "/head/image": (
            "sensor_msgs/msg/Image",
            [(s + DELAY, raw(v, s)) for s, v in zip(stamps(), views, strict=True)],
        ),
        "/left/image/compressed": (
            "sensor_msgs/msg/CompressedImage",
            [(s + 2 * DELAY, jpeg(v, s)) for s, v in zip(stamps(), mirrored, strict=True)],
        ),
        "/notes": ("std_msgs/msg/String", notes),
    }


@pytest.fixture(scope="module", params=["sqlite3", "mcap"])
def storage(request):
    return request.param


@pytest.fixture(scope="module")
def before_and_after(tmp_path_factory, topics, storage):
    folder = tmp_path_factory.mktemp(storage)
    source = write(folder / "in", topics, storage, qos=[LATCHED])
    assert bag(source, folder / "out") == 0
    return source, folder / "out"


def test_every_message_is_there_unchanged(before_and_after):
    (old, old_connections, custom), (new, new_connections, new_custom) = map(read, before_and_after)
    assert set(new) - set(old) == {"/aue_crl/expressions", "/aue_crl/events", "/aue_crl/model"}
    for topic, messages in old.items():
        assert new[topic] == messages
        was, now = old_connections[topic], new_connections[topic]
        assert (was.msgtype, was.msgdef, was.digest, was.ext) == (now.msgtype, now.msgdef, now.digest, now.ext)
    assert custom == new_custom == {"robot": "pepper"}


def test_the_storage_is_the_same(before_and_after, storage):
    suffix = {"sqlite3": ".db3", "mcap": ".mcap"}[storage]
    assert [p.name for p in before_and_after[1].glob(f"*{suffix}")] == [f"out{suffix}"]
    assert sorted(p.name for p in before_and_after[1].parent.iterdir()) == ["in", "out"]


def test_every_image_has_its_expressions_at_its_own_time(before_and_after):
    found = decoded(before_and_after[1], "/aue_crl/expressions")
    assert [(t, m.camera) for t, m in found] == [
        entry for s in stamps() for entry in ((s + DELAY, "/head/image"), (s + 2 * DELAY, "/left/image/compressed"))
    ]
    for s, (_, message) in zip(sorted(stamps() * 2), found, strict=True):
        assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == s
        assert message.header.frame_id == ("eye" if message.camera == "/head/image" else "left")
        assert (message.image_width, message.image_height, message.dropped_frames) == (256, 300, 0)
        assert math.isnan(message.latency)


def test_the_faces_are_those_that_the_analyzer_sees(before_and_after, portrait):
    found = [m for _, m in decoded(before_and_after[1], "/aue_crl/expressions")]
    expected = FaceAnalyzer.load(threads=1)(portrait)[0]
    faces = [m.faces for m in found if m.camera == "/head/image"]
    assert [len(f) for f in faces] == [1] * FRAMES
    assert {f[0].face_id for f in faces} == {"f1"}
    first = faces[0][0]
    assert first.expression == expected.expression
    assert first.confidence == pytest.approx(expected.confidence, abs=1e-3)
    assert first.box.x_offset == pytest.approx(expected.box.x, abs=2)
    assert [unit.code for unit in first.action_units] == list(facs.ACTION_UNITS)
    probabilities = [unit.probability for unit in first.action_units]
    np.testing.assert_allclose(probabilities, list(expected.action_units.values()), atol=1e-3)
    others = [m.faces for m in found if m.camera == "/left/image/compressed"]
    assert [len(f) for f in others] == [1, 1, 0, 1, 1, 1]
    assert {f[0].face_id for f in others if f} == {"g1"}


def test_events_stand_at_the_images_that_showed_them(before_and_after):
    found = decoded(before_and_after[1], "/aue_crl/events")
    assert {m.face_id for _, m in found if m.phase == m.BEGAN} == {"f1", "g1"}
    offsets = {"/head/image": DELAY, "/left/image/compressed": 2 * DELAY}
    for timestamp, message in found:
        stamp = message.header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == timestamp - offsets[message.camera]


def test_the_model_is_described_once_latched_and_first(before_and_after):
    ((timestamp, model),) = decoded(before_and_after[1], "/aue_crl/model")
    assert timestamp == START + 7
    assert list(model.expressions) == list(facs.BASIC_EXPRESSIONS)
    assert model.weights == "edge"
    _, connections, _ = read(before_and_after[1])
    (qos,) = connections["/aue_crl/model"].ext.offered_qos_profiles
    assert (qos.durability, qos.reliability, qos.depth) == (QosDurability.TRANSIENT_LOCAL, QosReliability.RELIABLE, 1)


def small(portrait, count=2):
    return {"/cam": ("sensor_msgs/msg/Image", [(s, raw(portrait, s)) for s in stamps(count)])}


@pytest.mark.parametrize(
    ("name", "options", "files"),
    [
        ("out.mcap", [], None),
        ("out.db3", [], None),
        ("out", ["--storage", "mcap"], ["metadata.yaml", "out.mcap"]),
        ("deep/er/out", [], ["metadata.yaml", "out.db3"]),
    ],
)
def test_the_ending_or_the_option_chooses_the_storage(tmp_path, portrait, name, options, files):
    source = write(tmp_path / "in", small(portrait))
    assert bag(source, tmp_path / name, *options) == 0
    target = tmp_path / name
    assert target.is_file() if files is None else sorted(p.name for p in target.iterdir()) == files
    assert len(decoded(target, "/aue_crl/expressions")) == 2
    if files is None:  # and one file can be the source
        assert bag(target, tmp_path / "again", "--prefix", "/second") == 0
        assert read(tmp_path / "again")[0]["/aue_crl/model"] == read(target)[0]["/aue_crl/model"]
        assert len(decoded(tmp_path / "again", "/second/expressions")) == 2


@pytest.mark.parametrize(
    ("storage", "mode"),
    [
        ("sqlite3", CompressionMode.MESSAGE),
        ("sqlite3", CompressionMode.FILE),
        ("mcap", CompressionMode.FILE),
        ("mcap", CompressionMode.STORAGE),
    ],
)
def test_a_compressed_bag_stays_compressed(tmp_path, portrait, storage, mode):
    plain = np.full((300, 256, 3), 128, np.uint8)
    topics = small(portrait) | {"/grey": ("sensor_msgs/msg/Image", [(s, raw(plain, s)) for s in stamps(2)])}
    source = write(tmp_path / "in", topics, storage, mode)
    assert bag(source, tmp_path / "out", "--topic", "cam") == 0
    old, new = read(source)[0], read(tmp_path / "out")[0]
    assert {topic: new[topic] for topic in old} == old
    sizes = [sum(p.stat().st_size for p in folder.iterdir()) for folder in (source, tmp_path / "out")]
    assert sizes[1] < sizes[0] + 60_000 < sum(len(data) for _, data in old["/cam"] + old["/grey"])


def test_a_damaged_image_is_copied_and_reported(tmp_path, portrait, capsys):
    images = [(s, jpeg(portrait, s)) for s in stamps(4)]
    images[1][1].data = images[1][1].data[: images[1][1].data.size // 2]
    whole = MESSAGES.serialize("sensor_msgs/msg/CompressedImage", images[2][1])
    images[2] = (images[2][0], whole[:100])
    source = write(tmp_path / "in", {"/cam/compressed": ("sensor_msgs/msg/CompressedImage", images)})
    assert bag(source, tmp_path / "out") == 1
    assert read(tmp_path / "out")[0]["/cam/compressed"] == read(source)[0]["/cam/compressed"]
    assert [t for t, _ in decoded(tmp_path / "out", "/aue_crl/expressions")] == [START, START + 3 * PERIOD]
    captured = capsys.readouterr()
    assert captured.err.count("failed: /cam/compressed at 1700000000.") == 2
    assert "2 images of /cam/compressed" in captured.out


def test_an_image_without_a_stamp_is_of_its_bag_time(tmp_path, portrait):
    source = write(tmp_path / "in", {"/cam": ("sensor_msgs/msg/Image", [(s, raw(portrait, 0)) for s in stamps(5)])})
    assert bag(source, tmp_path / "out") == 0
    found = decoded(tmp_path / "out", "/aue_crl/expressions")
    assert {m.header.stamp.sec for _, m in found} == {0}
    assert {f.face_id for _, m in found for f in m.faces} == {"f1"}
    began = [m.began for _, m in decoded(tmp_path / "out", "/aue_crl/events")]
    assert began
    assert {b.sec for b in began} == {START // 10**9}


def test_pictures_are_chosen_and_what_is_left_out_is_said(tmp_path, portrait, capsys):
    depth = np.full((30, 40), 1500, np.uint16)
    metres = np.full((30, 40), 1.5, np.float32)
    topics = small(portrait, 1) | {
        "/cam/compressed": ("sensor_msgs/msg/CompressedImage", [(START, jpeg(portrait, START))]),
        "/depth": ("sensor_msgs/msg/Image", [(START, raw(depth, START, "16UC1"))]),
        "/metres": ("sensor_msgs/msg/Image", [(START, raw(metres, START, "32FC1"))]),
    }
    source = write(tmp_path / "in", topics)
    assert bag(source, tmp_path / "out") == 0
    assert {m.camera for _, m in decoded(tmp_path / "out", "/aue_crl/expressions")} == {"/cam"}
    noted = capsys.readouterr().err
    assert "/cam/compressed is left out: the same camera's raw images" in noted
    assert "/depth is left out" in noted
    assert "/metres is left out" in noted
    assert bag(source, tmp_path / "asked", "--topic", "/cam/compressed") == 0
    assert {m.camera for _, m in decoded(tmp_path / "asked", "/aue_crl/expressions")} == {"/cam/compressed"}


def test_parameters_come_from_a_file_and_options_go_before_it(tmp_path, portrait):
    pytest.importorskip("yaml")
    parameters = tmp_path / "params.yaml"
    parameters.write_text("aue_crl:\n  ros__parameters:\n    uncertain_below: 1.0\n    weights: /none\n")
    source = write(tmp_path / "in", small(portrait, 1))
    assert bag(source, tmp_path / "no", "--params-file", parameters) == 2
    assert bag(source, tmp_path / "out", "--params-file", parameters, "--weights", "edge") == 0
    ((_, message),) = decoded(tmp_path / "out", "/aue_crl/expressions")
    assert message.faces[0].state == message.faces[0].UNCERTAIN


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--topic", "/none"], "--topic must name image topics of the bag (/cam), got /none"),
        (["--prefix", "aue crl"], "prefix must be an absolute topic name"),
        (["--weights", "/none.onnx"], "/none.onnx"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_written(tmp_path, portrait, capsys, arguments, complaint):
    source = write(tmp_path / "in", small(portrait, 1))
    assert bag(source, tmp_path / "out", *arguments) == 2
    assert complaint in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_bag_without_images_is_refused_with_what_it_has(tmp_path, capsys):
    notes = [(START, MESSAGES.new("std_msgs/msg/String", data="a"))]
    source = write(tmp_path / "in", {"/notes": ("std_msgs/msg/String", notes)})
    assert bag(source, tmp_path / "out") == 2
    assert "must have an image topic" in (said := capsys.readouterr().err)
    assert "got /notes (std_msgs/msg/String)" in said


def test_nothing_is_overwritten(tmp_path, portrait, capsys):
    source = write(tmp_path / "in", small(portrait, 1))
    (tmp_path / "out").mkdir()
    assert bag(source, tmp_path / "out") == 2
    assert "OUT must be new" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bag_that_has_expressions_already_is_refused(tmp_path, portrait, capsys):
    source = write(tmp_path / "in", small(portrait, 1))
    assert bag(source, tmp_path / "one") == 0
    assert bag(tmp_path / "one", tmp_path / "two") == 2
    assert "has a topic /aue_crl/expressions already" in capsys.readouterr().err


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_a_cut_bag_is_refused_and_leaves_nothing(tmp_path, portrait, capsys, storage, kept):
    source = write(tmp_path / "in", small(portrait, 4), storage)
    (file,) = (p for p in source.iterdir() if p.suffix in (".db3", ".mcap"))
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
    assert bag(source, tmp_path / "out") == 1
    assert "mend" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_target_that_cannot_be_written_is_said(tmp_path, portrait, capsys):
    source = write(tmp_path / "in", small(portrait, 1))
    (tmp_path / "file").write_text("")
    assert bag(source, tmp_path / "file" / "out") == 1
    assert "file/out cannot be written: " in capsys.readouterr().err


def test_an_interrupted_bag_leaves_nothing(tmp_path, portrait):
    source = write(tmp_path / "in", small(portrait, 3), "mcap")
    done = []

    def interrupt(tally):
        done.append(tally.images)
        if tally.images == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotate(source, tmp_path / "out", Settings(threads=1), progress=interrupt)
    assert done == [1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", ["none", "old.bag", "params.yaml"])
def test_what_is_no_bag_is_refused(tmp_path, capsys, name):
    if name != "none":
        (tmp_path / name).write_text("#ROSBAG V2.0\n")
    assert bag(tmp_path / name, tmp_path / "out") == 1
    assert str(tmp_path / name) in capsys.readouterr().err


def test_types_that_only_the_bag_knows_are_copied(tmp_path, portrait):
    from rosbags.typesys import get_types_from_msg

    MESSAGES.store.register(get_types_from_msg("float32 charge\nstring[] names", "robot_msgs/msg/Battery"))
    battery = MESSAGES.new("robot_msgs/msg/Battery", charge=0.5, names=["left"])
    source = write(
        tmp_path / "in", small(portrait, 1) | {"/battery": ("robot_msgs/msg/Battery", [(START, battery)])}, "mcap"
    )
    (file,) = source.glob("*.mcap")
    assert bag(file, tmp_path / "out") == 0
    ((_, message),) = decoded(tmp_path / "out", "/battery")
    assert (message.charge, list(message.names)) == (0.5, ["left"])


def test_types_that_nobody_knows_are_copied_and_noted(tmp_path, portrait, capsys):
    """As Humble records to sqlite3: without any definition."""
    import sqlite3

    from rosbags.typesys import get_types_from_msg

    MESSAGES.store.register(get_types_from_msg("float32 charge", "robot_msgs/msg/Charge"))
    charge = MESSAGES.new("robot_msgs/msg/Charge", charge=0.5)
    source = write(tmp_path / "in", small(portrait, 1) | {"/charge": ("robot_msgs/msg/Charge", [(START, charge)])})
    with sqlite3.connect(source / "in.db3") as database:
        database.execute("DELETE FROM message_definitions")
        database.execute("UPDATE topics SET type_description_hash = ''")
    database.close()
    metadata = (source / "metadata.yaml").read_text().splitlines()
    kept = [line.split(": RIHS")[0] + (": ''" if ": RIHS" in line else "") for line in metadata]
    (source / "metadata.yaml").write_text("\n".join(kept))
    del MESSAGES.store.fielddefs["robot_msgs/msg/Charge"]
    assert bag(source, tmp_path / "out") == 0
    assert "/charge is copied, though" in capsys.readouterr().err
    assert read(tmp_path / "out")[0]["/charge"] == read(source)[0]["/charge"]
    assert len(decoded(tmp_path / "out", "/aue_crl/expressions")) == 1


def test_without_rosbags_the_extra_is_named(tmp_path):
    code = (
        "import sys; sys.modules['rosbags'] = None\n"
        f"from aue_crl_core.cli.main import main; main(['bag', {str(tmp_path)!r}, 'out'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 2
    assert "pip install 'aue-crl[bags]'" in done.stderr
