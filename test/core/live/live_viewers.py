"""Who looks at a live view: one request, as a browser makes it."""

from __future__ import annotations

import http.client
import json

from aue_crl_core.live.server import LiveView

PATIENCE_S = 60.0


class Viewer:
    """One request, whose answer is read as it comes."""

    def __init__(self, view: LiveView, path: str, host: str | None = None, method: str = "GET") -> None:
        address = view.url.removeprefix("http://").rstrip("/")
        self._connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
        self._connection.request(method, path, headers={} if host is None else {"Host": host})
        self.answer = self._connection.getresponse()
        self.status = self.answer.status

    def sample(self) -> dict:
        """The next of the readings."""
        while True:
            line = self.answer.readline()
            assert line, "the stream has ended"
            if line.startswith(b"data: "):
                return json.loads(line[6:])

    def picture(self) -> bytes:
        """The next JPEG of the pictures."""
        while not (line := self.answer.readline()).startswith(b"Content-Length: "):
            assert line, "the stream has ended"
        self.answer.readline()
        return self.answer.read(int(line.split()[1]))

    def close(self) -> None:
        self.answer.close()
        self._connection.close()
