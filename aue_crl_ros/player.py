"""Photographs, folders and videos played as a camera, on any middleware: to try the node without a camera."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np

from aue_crl_core.config import require
from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.pixels import swap_red_blue
from aue_crl_core.media.reading.sources import FrameSource, SourceProblem, resolve_sources
from aue_crl_core.types import Image
from aue_crl_ros.transports.transport import Qos, Transport

_JPEG_QUALITY: Final = 90
_REPORT_S: Final = 5.0
_TYPES: Final = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}


@dataclass(frozen=True)
class CameraSettings:
    """The camera that is played.

    `topic` as a raw image's; `kind` raw (rgb8) or compressed (JPEG, on `topic`/compressed); `rate_hz` images a second;
    `hold_s` how long a photograph stays (a video shows each frame once); `size` width and height in pixels, which
    everything is scaled to, with bars; `loop` begin anew at the end; `frames` end after so many (None: do not);
    `reliable` the publisher's reliability: a reliable one reaches every subscriber, many cameras are best effort.
    """

    topic: str = "/camera/image_raw"
    kind: str = "raw"
    rate_hz: float = 15.0
    hold_s: float = 1.0
    size: tuple[int, int] = (640, 480)
    loop: bool = False
    frames: int | None = None
    reliable: bool = True
    frame_id: str = "camera"

    def __post_init__(self) -> None:
        require(self.kind in _TYPES, "kind", "be raw or compressed", self.kind)
        require(0 < self.rate_hz <= 1000, "rate", "be above 0 and at most 1000 images a second", self.rate_hz)
        require(0 <= self.hold_s < math.inf, "hold", "be at least 0 seconds and finite", self.hold_s)
        sides = all(1 <= side <= 8192 for side in self.size)
        require(sides, "size", "be two sides in [1, 8192] pixels", self.size)
        require(self.frames is None or self.frames >= 1, "frames", "be at least 1", self.frames)


@dataclass
class Played:
    """What was played so far; `problems` what could not be."""

    images: int = 0
    seconds: float = 0.0
    problems: list[SourceProblem] = field(default_factory=list)

    def __str__(self) -> str:
        rate = self.images / self.seconds if self.seconds else 0.0
        return f"{self.images} images in {self.seconds:.1f} s, {rate:.1f} a second"


def play(transport: Transport, sources: Sequence[FrameSource], camera: CameraSettings) -> Played:
    """Publish what the sources show until their end, `camera.frames` or Ctrl-C; stamps are the transport's time.

    A source that cannot be read is logged and counted, the others are played.

    Raises:
        ImageError: not one image of all sources can be read.
    """
    ending = "/compressed" if camera.kind == "compressed" else ""
    topic = camera.topic + ending
    publisher = transport.publisher(topic, _TYPES[camera.kind], Qos(camera.reliable, 1))
    transport.log("info", f"playing on {transport.resolve(topic)}; Ctrl-C ends")
    played = Played()
    began = reported = time.monotonic()
    due = began
    try:
        for image, times in _views(transport, sources, camera, played):
            data = _data(image, camera)
            for _ in range(times):
                time.sleep(max(0.0, due - time.monotonic()))
                publisher.publish(_message(transport, data, camera))
                now = time.monotonic()
                due = max(due + 1.0 / camera.rate_hz, now)  # a camera that is late sends no bursts
                played.images += 1
                played.seconds = now - began
                if now - reported >= _REPORT_S:
                    transport.log("info", f"{played}; {publisher.listeners()} listening")
                    reported = now
                if played.images == camera.frames:
                    return played
    except KeyboardInterrupt:
        transport.log("info", "stopped")
    finally:
        publisher.close()
    return played


def letterboxed(image: Image, width: int, height: int) -> Image:
    """HxWx3 uint8 scaled to fit in the middle of `height` x `width`, black around it."""
    h, w = image.shape[:2]
    scale = min(width / w, height / h)
    new_w, new_h = min(width, max(1, round(w * scale))), min(height, max(1, round(h * scale)))
    if (w, h) == (width, height):
        return image
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - new_w) // 2, (height - new_h) // 2
    canvas[top : top + new_h, left : left + new_w] = cv2.resize(image, (new_w, new_h), interpolation=method)
    return canvas


def argument_parser(description: str) -> argparse.ArgumentParser:
    """The options that both players have; `camera_of` and `sources_of` read them."""
    d = CameraSettings()
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="images, folders, globs, videos, a camera index")
    parser.add_argument("--topic", default=d.topic, help="the raw image's; /compressed is added (default: %(default)s)")
    parser.add_argument("--compressed", action="store_true", help="JPEG on TOPIC/compressed instead of raw images")
    parser.add_argument("--rate", type=float, default=d.rate_hz, metavar="HZ", help="default: %(default)s")
    parser.add_argument(
        "--hold", type=float, default=d.hold_s, metavar="S", help="how long a photograph stays (default: %(default)s s)"
    )
    parser.add_argument("--size", type=_size, default=d.size, metavar="WxH", help="of the camera (default: 640x480)")
    parser.add_argument("--loop", action="store_true", help="begin anew at the end")
    parser.add_argument("--frames", type=int, metavar="N", help="end after so many images")
    parser.add_argument("--best-effort", action="store_true", help="as many cameras do; default: reliable")
    parser.add_argument("--frame-id", default=d.frame_id, help="default: %(default)s")
    return parser


def camera_of(arguments: argparse.Namespace) -> CameraSettings:
    """The camera that the options describe; `ConfigError` where it cannot be."""
    a = arguments
    return CameraSettings(
        topic=a.topic,
        kind="compressed" if a.compressed else "raw",
        rate_hz=a.rate,
        hold_s=a.hold,
        size=a.size,
        loop=a.loop,
        frames=a.frames,
        reliable=not a.best_effort,
        frame_id=a.frame_id,
    )


def play_arguments(transport: Transport, arguments: argparse.Namespace) -> int:
    """Play what the options name; the process's exit code: 1 where something could not be read.

    Raises:
        AueCrlError: the options, or that nothing could be played.
    """
    camera = camera_of(arguments)
    sources, problems = resolve_sources(arguments.sources)
    for problem in problems:
        transport.log("error" if problem.is_error else "info", problem.message)
    played = play(transport, sources, camera)
    transport.log("info", str(played))
    return int(any(problem.is_error for problem in problems) or bool(played.problems))


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be WxH in pixels, for example 640x480, got {text!r}")
    return int(width), int(height)


def _views(
    transport: Transport, sources: Sequence[FrameSource], camera: CameraSettings, played: Played
) -> Iterator[tuple[Image, int]]:
    """What the camera sees, and for how many images."""
    held = max(1, round(camera.hold_s * camera.rate_hz))
    while True:
        before = played.images
        for source in sources:
            try:
                for frame in source:
                    yield letterboxed(frame.image, *camera.size), 1 if source.is_stream else held
            except ImageError as error:
                if all(problem.argument != source.name for problem in played.problems):
                    played.problems.append(SourceProblem(source.name, str(error)))
                    transport.log("error", str(error))
        if played.images == before:
            raise ImageError(f"nothing to play: no image or video that can be read among {len(sources)} sources")
        if not camera.loop:
            return


def _data(image: Image, camera: CameraSettings) -> np.ndarray:
    if camera.kind == "raw":
        return image.reshape(-1)
    return cv2.imencode(".jpg", swap_red_blue(image), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].reshape(-1)


def _message(transport: Transport, data: np.ndarray, camera: CameraSettings) -> object:
    new = transport.messages.new
    seconds, nanoseconds = divmod(transport.now_ns(), 1_000_000_000)
    stamp = new("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    header = new("std_msgs/msg/Header", stamp=stamp, frame_id=camera.frame_id)
    if camera.kind == "compressed":
        return new(_TYPES[camera.kind], header=header, format="rgb8; jpeg compressed bgr8", data=data)
    width, height = camera.size
    return new(
        _TYPES[camera.kind],
        header=header,
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=data,
    )
