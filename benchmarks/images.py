"""What it costs to read an image message, per encoding.

    python benchmarks/images.py [IMAGE] [--size 640x480] [--seconds 0.5]

Prints the median milliseconds per image on one thread of OpenCV: from the message's fields to HxWx3 uint8 RGB.
Without IMAGE, a picture of smooth gradients and noise is made. Pixel values do not matter to raw encodings, only to
JPEG and PNG.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import Image
from aue_crl_ros.messages.image_decoding import ENCODINGS, compressed_image, raw_image

_WIDE = {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "8UC3": 3, "8UC4": 4, "16UC3": 3, "16UC4": 4}
_TWO_BYTES = ("uyvy", "yuv422", "yuyv", "yuv422_yuy2")


def bytes_per_pixel(encoding: str) -> float:
    """How many bytes a pixel of the encoding takes."""
    if encoding in _TWO_BYTES:
        return 2
    if encoding.startswith("nv"):
        return 3 if encoding == "nv24" else 1.5
    samples = _WIDE.get(encoding, _WIDE.get(encoding.rstrip("0123456789"), 1))
    return samples * (2 if "16" in encoding else 1)


def median_ms(read: Callable[[], Image], seconds: float) -> float:
    """Of as many calls as fit into the time, at least ten; the first is not counted."""
    read()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 10 or time.perf_counter() < end:
        begin = time.perf_counter()
        read()
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


def picture(path: Path | None, width: int, height: int) -> Image:
    """The image, or a made one, of that size."""
    if path is not None:
        return cv2.resize(load_image(path), (width, height), interpolation=cv2.INTER_AREA)
    rows, columns = np.mgrid[0:height, 0:width]
    smooth = np.stack([255 * columns / width, 255 * rows / height, 127 + 127 * np.sin(columns / 40)], axis=2)
    return np.clip(smooth + np.random.default_rng(0).normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, nargs="?")
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    cv2.setNumThreads(1)
    print(f"{width}x{height}, OpenCV {cv2.__version__}, one thread")
    for encoding in ENCODINGS:
        per_pixel = bytes_per_pixel(encoding)
        data = np.random.default_rng(0).integers(0, 256, int(width * height * per_pixel), dtype=np.uint8).tobytes()
        step = width if encoding.startswith("nv") else int(width * per_pixel)

        def read(encoding: str = encoding, step: int = step, data: bytes = data) -> Image:
            return raw_image(encoding, height, width, step, False, data)

        print(f"{encoding:20} {median_ms(read, options.seconds):8.3f} ms")
    image = picture(options.image, width, height)[:, :, ::-1]
    for name, suffix, settings in (
        ("jpeg, quality 80", ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 80]),
        ("jpeg, quality 95", ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
        ("png", ".png", []),
    ):
        content = cv2.imencode(suffix, image, settings)[1].tobytes()
        cost = median_ms(lambda content=content: compressed_image("", content), options.seconds)
        print(f"{name:20} {cost:8.3f} ms  ({len(content) / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
