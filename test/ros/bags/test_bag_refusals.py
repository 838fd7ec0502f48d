"""What cannot be done is refused with the reason, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rosbags")

from rosbags.rosbag2 import CompressionMode
from sample_bags import MESSAGES, START, bag, small, write

from aue_crl_ros.bags.process import annotate
from aue_crl_ros.parameters.declarations import Settings


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


@pytest.mark.parametrize(
    ("mode", "storage"),
    [(CompressionMode.MESSAGE, "sqlite3"), (CompressionMode.FILE, "sqlite3"), (CompressionMode.STORAGE, "mcap")],
)
def test_damage_in_compressed_data_is_said(tmp_path, portrait, capsys, mode, storage):
    """zstd frames begin with 28 b5 2f fd; without that they are no zstd at all."""
    source = write(tmp_path / "in", small(portrait[:40, :40], 4), storage, mode)
    (file,) = (p for p in source.iterdir() if p.suffix in (".db3", ".mcap", ".zstd"))
    file.write_bytes(file.read_bytes().replace(b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xff"))
    assert bag(source, tmp_path / "out") == 1
    assert "mend" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_metadata_that_is_not_utf_8_is_said(tmp_path, portrait, capsys):
    source = write(tmp_path / "in", small(portrait[:40, :40], 1))
    metadata = source / "metadata.yaml"
    metadata.write_bytes(metadata.read_bytes().replace(b"pepper", b"p\xfcpper"))
    assert bag(source, tmp_path / "out") == 1
    assert "in must be a whole rosbag" in capsys.readouterr().err


def test_a_target_that_cannot_be_written_is_said(tmp_path, portrait, capsys):
    source = write(tmp_path / "in", small(portrait, 1))
    (tmp_path / "file").write_text("")
    assert bag(source, tmp_path / "file" / "out") == 1
    assert "file/out cannot be written: " in capsys.readouterr().err


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_a_full_disk_is_said_and_nothing_is_left(tmp_path, portrait, capsys, disk_with, storage):
    source = write(tmp_path / "in", small(portrait, 3), storage)
    with disk_with(60_000):
        assert bag(source, tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "out cannot be written: " in said
    assert "Traceback" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


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


def test_without_rosbags_the_extra_is_named(tmp_path):
    code = (
        "import sys; sys.modules['rosbags'] = None\n"
        f"from aue_crl_core.cli.main import main; main(['bag', {str(tmp_path)!r}, 'out'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 2
    assert "pip install 'aue-crl[bags]'" in done.stderr
