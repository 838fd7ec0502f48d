"""The live view's web server: one page, what is read as server-sent events, pictures as a multipart stream.

It only reads, answers only those who ask for it by a name of this machine, and each viewer has a thread of its own, so
that a slow one loses frames and holds nobody up.
"""

from __future__ import annotations

import ipaddress
import json
import math
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from aue_crl_core import facs
from aue_crl_core.config import require
from aue_crl_core.dynamics.readings import Event, FaceReading
from aue_crl_core.errors import ConfigError
from aue_crl_core.live.hub import HISTORY_S, Hub, Sample
from aue_crl_core.media.drawing.overlay import BASIC_COLOURS

DEFAULT_ADDRESS: Final = "127.0.0.1:8765"
MAX_VIEWERS: Final = 24
"""Streams at a time, so that nobody can take all threads; a page takes two."""
_EVERY_S: Final = 0.08
_WAIT_S: Final = 2.0
_STALLED_S: Final = 30.0
_SEND_BUFFER: Final = 1 << 16
_BOUNDARY: Final = "frame"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LiveView:
    """Serves `hub` from a thread of its own until it is closed."""

    def __init__(self, address: str = DEFAULT_ADDRESS, pixels: bool = True) -> None:
        """Begin to serve at `HOST:PORT` (port 0: a free one); `pixels` as `Hub` has it.

        Raises:
            ConfigError: another text, or the address cannot be had.
        """
        self.hub = Hub(pixels)
        host, mark, port = address.rpartition(":")
        good = bool(mark and host) and port.isascii() and port.isdigit() and int(port) < 2**16
        require(good, "--view-address", "be HOST:PORT, such as 127.0.0.1:8765", address)
        try:
            self._server = _Server((host.strip("[]"), int(port)), self.hub)
        except OSError as error:
            raise ConfigError(
                f"the live view cannot be served at {address}: {error.strerror or error}; "
                "give it another place: --view-address HOST:PORT, or the node's parameter view_port"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="aue_crl_view", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the page is, for this machine's own browser."""
        host, port = self._server.server_address[:2]
        shown = "localhost" if ipaddress.ip_address(host).is_unspecified else host
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"

    def close(self) -> None:
        """Let the viewers and the address go."""
        self.hub.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingTCPServer):
    """Not `HTTPServer`, which asks DNS for a name that nobody needs."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], hub: Hub) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.hub = hub
        self.streams = threading.BoundedSemaphore(MAX_VIEWERS)
        super().__init__(address, _Handler)
        self.is_local = ipaddress.ip_address(self.server_address[0]).is_loopback

    def knows(self, host: str) -> bool:
        """Whether a request's `Host` names this machine, and is no name that someone else's DNS leads here."""
        with suppress(ValueError):
            name = urlsplit(f"//{host}").hostname or ""
            with suppress(ValueError):
                place = ipaddress.ip_address(name)
                return place.is_loopback or not self.is_local
            own = socket.gethostname().lower()
            return name == "localhost" or (not self.is_local and name in (own, f"{own}.local"))
        return False


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _STALLED_S

    def do_GET(self) -> None:
        """The page and its two streams; nothing else."""
        if not self.server.knows(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.FORBIDDEN, "Ask by the machine's own name or address")
            return
        address = urlsplit(self.path)
        with suppress(ConnectionError, TimeoutError):
            if address.path == "/":
                self._begin("text/html; charset=utf-8")
                self.wfile.write(_page())
            elif address.path in ("/readings", "/pictures"):
                self._stream(address.path, parse_qs(address.query).get("camera", [""])[0])
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are nobody's business."""

    def _begin(self, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()

    def _stream(self, path: str, camera: str) -> None:
        if not self.server.streams.acquire(blocking=False):
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "Too many viewers")
            return
        try:
            with self.server.hub.watching():
                if path == "/readings":
                    self._begin("text/event-stream")
                    self._send_readings()
                else:
                    self._begin(f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
                    self._send_pictures(camera)
        finally:
            self.server.streams.release()

    def _send_readings(self) -> None:
        hub, sent = self.server.hub, 0
        self.wfile.write(b"retry: 1000\n\n")
        last = False
        while not last:
            last, samples = hub.closed, hub.since(sent, _WAIT_S)
            sent = samples[-1].number if samples else sent
            lines = [json.dumps(_record(s, hub.rate(s.camera))) for s in thinned(samples)]
            # a comment shows whether the other end is still there
            self.wfile.write("".join(f"data: {line}\n\n" for line in lines).encode() or b": nothing new\n\n")
            time.sleep(_EVERY_S)

    def _send_pictures(self, camera: str) -> None:
        hub, sent = self.server.hub, 0
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # no old pictures on the way
        while not hub.closed:
            picture = hub.picture(camera, sent, _WAIT_S)
            if picture is not None:
                sent, jpeg = picture
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            time.sleep(_EVERY_S)


def thinned(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Of each camera no more than one sample every `_EVERY_S` seconds, and the last one; no event is lost."""
    last = {sample.camera: sample.number for sample in samples}
    sent_s: dict[str, float] = {}
    waiting: dict[str, tuple[Event, ...]] = {}
    for sample in samples:
        events = waiting.pop(sample.camera, ()) + sample.events
        if sample.time_s - sent_s.get(sample.camera, -math.inf) < _EVERY_S and sample.number != last[sample.camera]:
            waiting[sample.camera] = events
            continue
        sent_s[sample.camera] = sample.time_s
        yield replace(sample, events=events)


def _record(sample: Sample, rate: float) -> dict[str, Any]:
    return {
        "number": sample.number,
        "time": round(sample.time_s, 3),
        "camera": sample.camera,
        "rate": round(rate, 1),
        "latency": None if math.isnan(sample.latency_s) else round(sample.latency_s, 4),
        "faces": [_face(reading) for reading in sample.faces],
        "events": [_event(event) for event in sample.events],
    }


def _face(reading: FaceReading) -> dict[str, Any]:
    face = reading.prediction
    return {
        "id": face.face_id,
        "expression": face.expression,
        "confidence": round(face.confidence, 3),
        "state": face.state,
        "caveat": face.caveat,
        "expressions": {name: round(p, 3) for name, p in face.probabilities.items()},
        "units": {unit: round(p, 3) for unit, p in face.action_units.items()},
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "face": event.face_id,
        "phase": event.phase.name.lower(),
        "what": event.expression or f"AU{event.action_unit} {facs.ACTION_UNIT_NAMES[event.action_unit]}",
        "probability": round(event.probability, 3),
    }


def _page() -> bytes:
    facts = {"seconds": HISTORY_S, "colours": BASIC_COLOURS, "units": facs.ACTION_UNIT_NAMES}
    text = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    return text.replace("__FACTS__", json.dumps(facts)).encode()
