"""How Cyclone DDS is configured by a program: in front of what the user says in CYCLONEDDS_URI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

VARIABLE: Final = "CYCLONEDDS_URI"
LARGE_BUFFERS: Final = '<Internal><SocketReceiveBufferSize max="64 MB"/></Internal>'
"""Asked for, not demanded: the kernel gives at most net.core.rmem_max. A raw image of 1920x1080 is 6 MB in hundreds of
datagrams, the usual receive buffer 1 MB at most; what does not fit while nobody reads is lost in the kernel, and with
one datagram the whole image."""


@contextmanager
def configured(domain: str) -> Iterator[None]:
    """A DDS domain that is joined within has these elements of `<Domain>`, unless CYCLONEDDS_URI says otherwise.

    Cyclone DDS reads a list of configurations, the later ones count more. The variable is as before afterwards.
    """
    own = os.environ.get(VARIABLE)
    configuration = f'<CycloneDDS><Domain id="any">{domain}</Domain></CycloneDDS>'
    os.environ[VARIABLE] = f"{configuration},{own}" if own else configuration
    try:
        yield
    finally:
        if own is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = own
