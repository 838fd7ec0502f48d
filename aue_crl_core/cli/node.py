"""`aue-crl node`: the ROS 2 node's topics on plain DDS, on a machine without ROS."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Final

import typer

from aue_crl_core.cli.view import AddressOption, NoPixelsOption, ViewOption, opened_view
from aue_crl_core.config import require
from aue_crl_core.live.server import DEFAULT_ADDRESS
from aue_crl_ros.transports.dds.network import Range

_NAME: Final = "aue_crl"


def command(
    image_topic: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC", help="Image topic; several times: several cameras. Default: image."),
    ] = None,
    compressed: Annotated[
        bool, typer.Option("--compressed", help="Read TOPIC/compressed (sensor_msgs/CompressedImage).")
    ] = False,
    weights: Annotated[str | None, typer.Option("--weights", "-w", help="A shipped name, or a path.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    hri: Annotated[bool, typer.Option("--hri", help="Publish the ROS4HRI (REP-155) topics too.")] = False,
    params_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A ROS parameter file, as for ros2 launch.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME:=VALUE", help="One parameter, as for ros2 run; repeatable.")
    ] = None,
    remap: Annotated[
        list[str] | None, typer.Option(metavar="FROM:=TO", help="Rename a topic, as for ros2 run; repeatable.")
    ] = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the node.")] = "/",
    domain: Annotated[
        int | None, typer.Option(min=0, max=232, help="DDS domain; default: ROS_DOMAIN_ID, or 0.")
    ] = None,
    discovery: Annotated[
        Range | None,
        typer.Option(
            metavar="RANGE",
            help="Whom to meet: localhost (this machine's nodes), subnet (the network's too), off or system_default. "
            "Default: ROS's variables, CYCLONEDDS_URI, or localhost.",
        ),
    ] = None,
    use_sim_time: Annotated[bool, typer.Option("--use-sim-time", help="Take the time from /clock.")] = False,
    view: ViewOption = False,
    view_address: AddressOption = DEFAULT_ADDRESS,
    view_no_pixels: NoPixelsOption = False,
) -> None:
    """Read faces from a robot's camera topics and publish what they express, over DDS, without ROS.

    Topics, types and parameters are those of the ROS 2 node (docs/ros.md). Ctrl-C ends it.
    """
    from aue_crl_ros.dds_node import run
    from aue_crl_ros.parameters import file as parameters_file
    from aue_crl_ros.parameters.declarations import Settings

    logging.basicConfig(level=logging.INFO, format="[%(levelname)s] [%(name)s]: %(message)s")
    values: dict[str, object] = dict(parameters_file.load(params_file, _NAME, namespace)) if params_file else {}
    values |= dict(map(parameters_file.argument, param or ()))
    given = {"weights": weights, "device": device, "hri": hri or None, "image_topics": image_topic or None}
    values |= {name: value for name, value in given.items() if value is not None}
    if compressed:
        values["image_transport"] = "compressed"
    with opened_view(view_address, not view_no_pixels) if view else nullcontext() as hub:
        failure = run(
            Settings().changed(values),
            namespace=namespace,
            remappings=dict(map(_renaming, remap or ())),
            domain_id=domain,
            use_sim_time=use_sim_time,
            discovery=discovery,
            view=hub,
        )
    if failure:
        raise typer.Exit(1)


def _renaming(text: str) -> tuple[str, str]:
    before, mark, after = text.partition(":=")
    require(bool(before and mark and after), "--remap", "be FROM:=TO", text)
    return before, after
