"""Which images of a bag are read and how; what is left out or cannot be read is said."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rosbags")

from sample_bags import MESSAGES, PERIOD, START, bag, decoded, jpeg, raw, read, small, stamps, write


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
