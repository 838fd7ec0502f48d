"""The running node's diagnostics: damaged images, rates and latencies, cameras that fall silent."""

from __future__ import annotations

import itertools
import re
import time

import numpy as np
import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("rosbags")
pytest.importorskip("yaml")

from node_bench import CAMERAS, DIAGNOSTICS, S, latest_status, stamp_ns, values_of

from aue_crl_core.cli import doctor_node
from aue_crl_core.cli.main import main

OK, WARN = 0, 1


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
    lost = int(values_of(node).pop("lost datagrams"))  # on a busy machine with small buffers some may be
    assert (node.level, node.message == "reading images") == ((WARN, False) if lost else (OK, True))
    facts = {"weights": "edge", "engine": "onnx", "device": "cpu", "precision": "fp32"}
    assert values_of(node) == facts | {"lost datagrams": str(lost)}
    assert {status.name for status in array.status[1:]} == {f"/robot/aue_crl: /{name}/image" for name in CAMERAS}
    seen = latest_status([array], "/robot/aue_crl: /value/image")
    assert (seen.level, seen.hardware_id) == (OK, "/robot/aue_crl")
    values = values_of(seen)
    assert int(values["received"]) >= 3
    assert (values["dropped"], values["failed"], values["faces"]) == ("0", "0", "1")
    for name in ("latency p50", "latency p95"):
        assert 0 < float(values[name].removesuffix(" ms")) < 10_000
    for name in ("input rate", "output rate"):  # results of a busy machine may follow each other faster than the images
        assert 0 < float(values[name].removesuffix(" Hz")) < 1000


def test_the_doctor_reads_them(camera, results, portrait, robot, capsys):
    camera("value").show(portrait, results)
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--node"])
    assert ended.value.code == 1  # most cameras of this node are silent
    printed = capsys.readouterr().out
    assert "Node /robot/aue_crl" in printed
    assert re.search(r"/robot/aue_crl +ok +reading images\s+weights edge, engine onnx, device cpu", printed)
    assert re.search(r"/value/image .*\n.* received [1-9]", printed)
    assert re.search(r"/left/image +warning +no image (yet|for [0-9.]+ s): does", printed)


def test_the_doctor_says_where_no_node_is_heard(domain, capsys, monkeypatch):
    monkeypatch.setattr(doctor_node, "_MOST_S", 0.5)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(40 + (domain - 10) % 60))
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--node"])
    assert ended.value.code == 1
    assert "No node was heard within 0.5 seconds on DDS domain" in capsys.readouterr().out


def test_a_camera_that_falls_silent_is_warned_of(camera, hear, results, eventually, portrait):
    diagnostics = hear("/diagnostics", DIAGNOSTICS)
    camera("silent").show(portrait, results)
    name = "/robot/aue_crl: /silent/image"

    def stale():
        status = latest_status(diagnostics, name)
        return status is not None and "does the camera publish" in status.message

    assert eventually(stale)
    assert latest_status(diagnostics, name).level == WARN
