"""`aue-crl doctor --node`: the health of nodes that run, as they tell it on /diagnostics, heard over DDS."""

from __future__ import annotations

import time
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from aue_crl_core.cli import console as screen

_MOST_S: Final = 20.0
"""Discovery takes a second or a few; a node tells its state once a second."""
_MORE_S: Final = 2.5
"""After the first node, for the others."""
_LEVELS: Final = (("ok", "green"), ("warning", "yellow"), ("error", "bold red"), ("stale", "yellow"))


def print_nodes(console: Console) -> bool:
    """Print what each node says of itself and of its cameras; whether there is one and all is well.

    Raises:
        MissingDependencyError: without cyclonedds or rosbags.
        ConfigError: the DDS domain cannot be joined.
    """
    from aue_crl_ros.transports.dds.transport import DdsTransport
    from aue_crl_ros.transports.transport import RESULT

    nodes: dict[str, list[Any]] = {}

    def take(message: Any) -> None:
        first = message.status[0] if message.status else None
        if first is not None and first.name == first.hardware_id:  # the node before its cameras, as ours have it
            nodes[first.name] = message.status

    with DdsTransport("aue_crl_doctor") as transport:
        transport.subscription("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", RESULT, take)
        end = time.monotonic() + _MOST_S
        while not nodes and time.monotonic() < end:
            time.sleep(0.05)
        if not nodes:
            console.print(
                f"No node was heard within {_MOST_S:g} seconds on DDS domain {transport.participant.domain_id}: is one "
                f"started, with the same ROS_DOMAIN_ID? This command {transport.network}.",
                style="red",
                soft_wrap=True,
            )
            return False
        time.sleep(_MORE_S)
    well = [_print_node(console, name, nodes[name]) for name in sorted(nodes)]
    return all(well)


def _print_node(console: Console, name: str, statuses: list[Any]) -> bool:
    table = screen.plain_table("", "", "says", title=f"Node {name}")
    for status in statuses:
        word, style = _LEVELS[min(status.level, len(_LEVELS) - 1)]
        values = ", ".join(f"{pair.key} {pair.value}" for pair in status.values)
        part = status.name.removeprefix(f"{name}: ")
        table.add_row(part, Text(word, style=style), status.message)
        table.add_row("", "", Text(values, style="dim"))
    console.print(table)
    return all(status.level == 0 for status in statuses)
