"""What Cyclone DDS is told when a domain is joined: whom to meet, and how much room to make at the sockets.

Without a word of the user a node stays on its machine. ROS's own variables are obeyed as rclpy with rmw_cyclonedds_cpp
obeys them. Source: rcl `init.c`, `discovery_options.c`; rmw_cyclonedds_cpp `rmw_node.cpp` (check_create_domain).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal, get_args
from xml.sax.saxutils import quoteattr

from aue_crl_ros.transports.cyclone import LARGE_BUFFERS, VARIABLE, configured

Range = Literal["off", "localhost", "subnet", "system_default"]
"""ROS_AUTOMATIC_DISCOVERY_RANGE's values, in small letters."""
_RANGES: Final[tuple[Range, ...]] = get_args(Range)
_NO_MULTICAST: Final = "<General><AllowMulticast>false</AllowMulticast></General>"
_MOST_PROCESSES: Final = 32
"""Processes of a host that are looked for, as rmw_cyclonedds_cpp has it."""
_PERSISTENT: Final = "<SPDPInterval>2 s</SPDPInterval><InitialLocatorPruneDelay>inf</InitialLocatorPruneDelay>"
"""Without multicast, a node that starts later is met only where it is looked for again and again; Cyclone DDS 11 gives
up after half a minute."""
_MEETS: Final[dict[Range, str]] = {
    "off": "meets no other process",
    "localhost": "meets the nodes of this machine{peers}, and of others those that name this machine as their peer",
    "subnet": "meets all nodes in the networks of this machine{peers}",
    "system_default": "meets whom Cyclone DDS lets it",
}


@dataclass(frozen=True, slots=True)
class Network:
    """Whom a node meets. `peers`: addresses looked for besides; `because`: what decided. `str` says it to the user."""

    range: Range
    peers: tuple[str, ...]
    because: str

    def __str__(self) -> str:
        peers = f" and of {', '.join(self.peers)}" if self.peers else ""
        return f"{_MEETS[self.range].format(peers=peers)} ({self.because})"

    def in_force(self) -> AbstractContextManager[None]:
        """A DDS domain that is joined within is joined like this, and with large receive buffers (see `configured`)."""
        return configured(self._elements())

    def _elements(self) -> str:
        general = _NO_MULTICAST if self.range in ("off", "localhost") else ""
        if self.range == "system_default":
            discovery = ""
        elif self.range == "off":  # the tag is nobody else's
            discovery = f"<ParticipantIndex>none</ParticipantIndex><Tag>ros_discovery_off_{os.getpid()}</Tag>"
        else:
            here = ("localhost",) if self.range == "localhost" else ()
            peers = "".join(f"<Peer address={quoteattr(address)}/>" for address in (*here, *self.peers))
            discovery = (
                "<ParticipantIndex>auto</ParticipantIndex>"
                f"<MaxAutoParticipantIndex>{_MOST_PROCESSES}</MaxAutoParticipantIndex>{_PERSISTENT}<Peers>{peers}</Peers>"
            )
        return f"{general}<Discovery>{discovery}</Discovery>{LARGE_BUFFERS}"


def network(asked: Range | None = None, environment: Mapping[str, str] = os.environ) -> Network:
    """What was asked for, else what ROS's variables say, else CYCLONEDDS_URI alone, else this machine only.

    ROS_LOCALHOST_ONLY=1 goes before ROS_AUTOMATIC_DISCOVERY_RANGE and ROS_STATIC_PEERS; a range that is none is taken
    for localhost.
    """
    told, only = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", ""), environment.get("ROS_LOCALHOST_ONLY", "")
    peers = tuple(filter(None, environment.get("ROS_STATIC_PEERS", "").split(";")))
    if asked is not None:
        chosen, because = asked, f"discovery {asked} was asked for"
    elif only.startswith("1"):
        chosen, because, peers = "localhost", "ROS_LOCALHOST_ONLY is set", ()
    elif told:
        chosen, because = "localhost", f"ROS_AUTOMATIC_DISCOVERY_RANGE is {told}"
        if told in map(str.upper, _RANGES):
            chosen = told.lower()  # type: ignore[assignment]
        else:
            because += f", which is none of {', '.join(map(str.upper, _RANGES))}"
    elif only:
        chosen, because = "subnet", f"ROS_LOCALHOST_ONLY is {only}"
    elif environment.get(VARIABLE):
        chosen, because = "subnet" if peers else "system_default", f"{VARIABLE} is set"
    else:
        chosen, because = "localhost", "as nothing else was asked for; for the network: discovery subnet"
    if environment.get(VARIABLE) and VARIABLE not in because:
        because += f", and {VARIABLE} beside it"
    return Network(chosen, () if chosen in ("off", "system_default") else peers, because)
