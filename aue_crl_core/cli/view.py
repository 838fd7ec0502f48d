"""The option --view of `aue-crl run` and `aue-crl node`: the live view, and the browser that shows it."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.text import Text

from aue_crl_core.cli.console import err
from aue_crl_core.live.hub import Hub
from aue_crl_core.live.server import DEFAULT_ADDRESS, LiveView

ViewOption = Annotated[
    bool, typer.Option("--view", help="Open a page that shows what is seen, in this machine's browser.")
]
AddressOption = Annotated[
    str,
    typer.Option(
        "--view-address",
        metavar="HOST:PORT",
        help="Where the page is served; 0.0.0.0:8765 lets other machines look, without a password.",
    ),
]
NoPixelsOption = Annotated[
    bool, typer.Option("--view-no-pixels", help="The page shows no picture, only the faces' outlines and readings.")
]


@contextmanager
def opened_view(address: str = DEFAULT_ADDRESS, pixels: bool = True) -> Iterator[Hub]:
    """What is shown to the hub is seen in the browser, which is opened where there is a screen.

    Raises:
        ConfigError: see `LiveView`.
    """
    view = LiveView(address, pixels)
    err().print(Text(f"live view: {view.url}"), soft_wrap=True)
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(view.url)
    try:
        yield view.hub
    finally:
        view.close()
