"""How a new bag is stored: as asked for, compressed as the old one was, types of others copied as they are."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rosbags")

from rosbags.rosbag2 import CompressionMode
from sample_bags import MESSAGES, START, bag, decoded, raw, read, small, stamps, write


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
