"""Room for large images at the socket: one of 1920x1080 is 6 MB in a hundred fragments, the usual buffer 1 MB at most.

What does not fit while nobody reads is lost in the kernel, and with one fragment the whole image.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_VARIABLE: Final = "CYCLONEDDS_URI"
_REQUEST: Final = (
    '<CycloneDDS><Domain id="any"><Internal><SocketReceiveBufferSize max="64 MB"/></Internal></Domain></CycloneDDS>'
)
"""Asked for, not demanded: the kernel gives at most net.core.rmem_max."""


@contextmanager
def large_receive_buffers() -> Iterator[None]:
    """A DDS domain that is joined within asks for large receive buffers, unless CYCLONEDDS_URI says otherwise.

    Cyclone DDS reads a list of configurations, the later ones count more. The variable is as before afterwards.
    """
    own = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = f"{_REQUEST},{own}" if own else _REQUEST
    try:
        yield
    finally:
        if own is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = own
