"""The live view as browsers get it: a page, two streams, for this machine's own names only."""

from __future__ import annotations

import math
import re
import shutil
import socket
import subprocess
import threading
import time
from contextlib import closing

import cv2
import numpy as np
import pytest
from live_viewers import Viewer

from aue_crl_core.dynamics.readings import Event, EventKind, EventPhase
from aue_crl_core.errors import ConfigError
from aue_crl_core.live import server
from aue_crl_core.live.hub import Sample
from aue_crl_core.live.server import LiveView, thinned

SMILE = Event("f1", EventKind.ACTION_UNIT, EventPhase.BEGAN, "", 12, 0.8, 0.8, 0, 0)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_page_needs_nothing_from_elsewhere(look):
    page = look("/")
    text = page.answer.read().decode()
    assert page.status == 200
    assert "__FACTS__" not in text
    assert '"12": "lip corner puller"' in text
    assert re.findall(r"https?://", text) == []
    assert "frame-ancestors 'none'" in page.answer.headers["Content-Security-Policy"]
    assert page.answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_readings_say_what_was_shown_and_a_late_or_reloaded_page_gets_the_last_half_minute(
    view, look, photograph, happy_face
):
    view.hub.show("front", photograph, [happy_face], [SMILE], 0.025)
    for viewer in (look("/readings"), look("/readings")):
        sample = viewer.sample()
        assert (sample["camera"], sample["latency"]) == ("front", 0.025)
        (face,) = sample["faces"]
        assert (face["id"], face["expression"], face["state"], face["caveat"]) == ("f1", "happiness", "ok", "")
        assert (face["expressions"]["happiness"], face["units"]["12"]) == (0.94, 0.8)
        (event,) = sample["events"]
        assert event == {"face": "f1", "phase": "began", "what": "AU12 lip corner puller", "probability": 0.8}


def test_every_viewer_gets_pictures(view, look, photograph):
    viewers = [look("/pictures?camera=front") for _ in range(2)]
    view.hub.show("front", photograph, [], [], math.nan)
    for viewer in viewers:
        seen = cv2.imdecode(np.frombuffer(viewer.picture(), np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(seen[..., ::-1].astype(int) - photograph).mean() < 8
    assert viewers[0].answer.headers["Content-Type"].startswith("multipart/x-mixed-replace")


def test_a_viewer_that_never_reads_holds_up_nobody(view, look):
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    host, port = view.url.removeprefix("http://").rstrip("/").split(":")
    with closing(socket.socket()) as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect((host, int(port)))
        stuck.sendall(b"GET /pictures?camera=front HTTP/1.0\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: view.hub.watched)
        for _ in range(20):
            view.hub.show("front", noise, [], [], math.nan)
        reader = look("/pictures?camera=front")
        assert reader.picture()
        view.hub.show("front", noise // 2, [], [], math.nan)
        last = cv2.imdecode(np.frombuffer(reader.picture(), np.uint8), cv2.IMREAD_COLOR)
        assert last.mean() == pytest.approx((noise // 2).mean(), abs=3), "the newest, not the next"


def test_who_has_left_looks_no_longer(view, look, photograph):
    viewer = look("/readings")
    assert view.hub.watched
    viewer.close()

    def unwatched():
        view.hub.show("front", photograph, [], [], math.nan)
        return not view.hub.watched

    wait_for(unwatched)


def test_own_names_are_answered(look):
    hosts = ("localhost", "localhost:1", "127.0.0.1", "127.0.0.1:8080", "[::1]:80")
    assert [look("/", host=host).status for host in hosts] == [200] * len(hosts)


@pytest.mark.parametrize("path", ["/", "/readings", "/pictures?camera=front"])
def test_foreign_names_are_refused(view, look, path):
    """As a page elsewhere would have them, whose own name leads to this machine (DNS rebinding)."""
    hosts = ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.5", "", "[", "a@b")
    assert [look(path, host=host).status for host in hosts] == [403] * len(hosts)
    assert not view.hub.watched


def test_served_to_others_addresses_and_the_machines_name_are_answered_and_still_no_other_name():
    with closing(LiveView("0.0.0.0:0")) as view:
        assert view.url.startswith("http://localhost:")
        for host, status in (("192.168.1.5", 200), (socket.gethostname(), 200), ("evil.example", 403)):
            with closing(Viewer(view, "/", host=host)) as viewer:
                assert viewer.status == status


def test_nothing_can_be_written(look):
    assert {look("/", method=method).status for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")} == {501}


def test_other_paths_are_not_there(look):
    assert {look(path).status for path in ("/page.html", "/../server.py", "/readings/1")} == {404}


def test_streams_are_bounded(monkeypatch, photograph):
    monkeypatch.setattr(server, "MAX_VIEWERS", 1)
    with closing(LiveView("127.0.0.1:0")) as view, closing(Viewer(view, "/readings")) as first:
        assert first.status == 200
        with closing(Viewer(view, "/readings")) as second:
            assert second.status == 503


def test_an_address_that_cannot_be_had_says_what_to_do(view):
    taken = view.url.removeprefix("http://").rstrip("/")
    with pytest.raises(ConfigError, match=f"cannot be served at {taken}: .*--view-address HOST:PORT"):
        LiveView(taken)
    for address in ("8765", "localhost:", ":8765", "localhost:99999", "localhost:x"):
        with pytest.raises(ConfigError, match="--view-address must be HOST:PORT"):
            LiveView(address)


def test_thinning_loses_no_event_and_keeps_the_last():
    samples = [Sample(i, i / 100, f"c{i % 2}", 0.0, (), (SMILE,)) for i in range(101)]
    kept = list(thinned(samples))
    assert len(kept) < 40
    assert sum(len(sample.events) for sample in kept) == 101
    assert {kept[-1].number, kept[-2].number} == {99, 100}


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_real_browser_opens_both_streams(view, look, photograph, happy_face, tmp_path):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={tmp_path}"]
    browser = subprocess.Popen([CHROMIUM, *flags, view.url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    asked = threading.Event()
    picture = view.hub.picture

    def noted(*arguments):
        asked.set()
        return picture(*arguments)

    view.hub.picture = noted  # the page asks for pictures once its script has read a sample
    try:

        def seen():
            view.hub.show("front", photograph, [happy_face], [SMILE], 0.01)
            return asked.is_set()

        wait_for(seen)
    finally:
        browser.terminate()
        browser.wait(30)
