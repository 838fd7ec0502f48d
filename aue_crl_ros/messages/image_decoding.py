"""From image messages to HxWx3 uint8 RGB: every common encoding of sensor_msgs, copied only where it must be.

Encodings: sensor_msgs/image_encodings.hpp and nv12. 16-bit values (0-65535) are divided by 257, as cv_bridge does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.decoding import decode_image, opencv_errors
from aue_crl_core.media.reading.pixels import as_rgb
from aue_crl_core.types import Image
from aue_crl_ros.session.readings import PendingFrame

_CV_BRIDGE_TARGET: Final = "rgb8"
_SMALLEST_MOSAIC: Final = 3
_MOST_LETTERS: Final = 60
"""Of a message's text in an error."""
_OPENCV_SCALAR_SIZE: Final = 4
"""OpenCV 4.5.4 takes arrays of up to so many numbers for scalars."""
_READ_RGB: Final[int | None] = getattr(cv2, "IMREAD_COLOR_RGB", None)
"""From OpenCV 4.11 on."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the pixels of an encoding lie in memory: `channels` samples of `size` bytes, interleaved, row by row.

    `code` OpenCV's conversion to RGB (None: none is needed, or none exists). `planes` rows of `step` bytes in an image,
    per row of pixels. `even` (rows, columns): what these must be multiples of; `least` pixels in each direction.
    """

    channels: int
    code: int | None
    size: int = 1
    planes: float = 1.0
    even: tuple[int, int] = (1, 1)
    least: int = 1


# OpenCV names a mosaic after the second and third pixel of its second row: what ROS calls rggb is its BG.
_MOSAICS: Final = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}

_LAYOUTS: Final[dict[str, _Layout]] = {
    "rgb8": _Layout(3, None),
    "bgr8": _Layout(3, cv2.COLOR_BGR2RGB),
    "rgba8": _Layout(4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Layout(4, cv2.COLOR_BGRA2RGB),
    "mono8": _Layout(1, cv2.COLOR_GRAY2RGB),
    "8UC1": _Layout(1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Layout(3, cv2.COLOR_BGR2RGB),
    "8UC4": _Layout(4, cv2.COLOR_BGRA2RGB),
    "rgb16": _Layout(3, None, size=2),
    "bgr16": _Layout(3, cv2.COLOR_BGR2RGB, size=2),
    "rgba16": _Layout(4, cv2.COLOR_RGBA2RGB, size=2),
    "bgra16": _Layout(4, cv2.COLOR_BGRA2RGB, size=2),
    "mono16": _Layout(1, cv2.COLOR_GRAY2RGB, size=2),
    "16UC1": _Layout(1, cv2.COLOR_GRAY2RGB, size=2),
    "16UC3": _Layout(3, cv2.COLOR_BGR2RGB, size=2),
    "16UC4": _Layout(4, cv2.COLOR_BGRA2RGB, size=2),
    "uyvy": _Layout(2, cv2.COLOR_YUV2RGB_UYVY, even=(1, 2)),
    "yuv422": _Layout(2, cv2.COLOR_YUV2RGB_UYVY, even=(1, 2)),
    "yuyv": _Layout(2, cv2.COLOR_YUV2RGB_YUY2, even=(1, 2)),
    "yuv422_yuy2": _Layout(2, cv2.COLOR_YUV2RGB_YUY2, even=(1, 2)),
    "nv12": _Layout(1, cv2.COLOR_YUV2RGB_NV12, planes=1.5, even=(2, 2)),
    "nv21": _Layout(1, cv2.COLOR_YUV2RGB_NV21, planes=1.5, even=(2, 2)),
    "nv24": _Layout(1, None, planes=3.0),
    **{f"bayer_{name}8": _Layout(1, code, least=_SMALLEST_MOSAIC) for name, code in _MOSAICS.items()},
    **{f"bayer_{name}16": _Layout(1, code, size=2, least=_SMALLEST_MOSAIC) for name, code in _MOSAICS.items()},
}

ENCODINGS: Final = tuple(_LAYOUTS)
"""What `raw_image` reads by itself. 8UC3, 8UC4, 16UC3 and 16UC4 are taken for OpenCV's order, BGR(A)."""


def raw_image(encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: Any) -> Image:
    """The pixels of a sensor_msgs/Image as HxWx3 uint8 RGB.

    rgb8 is a view of `data` (strided where its rows are padded, and read-only where `data` is); all others are
    converted in one pass. YUV is BT.601 of limited range.

    Args:
        encoding: one of `ENCODINGS`, or one that an installed cv_bridge converts to rgb8.
        height: rows of pixels.
        width: pixels a row.
        step: bytes from one row to the next, padding included; of the semi-planar nv encodings, of the Y plane.
        is_bigendian: byte order of 16-bit samples.
        data: anything that `memoryview` takes; padding after the last row may be missing.

    Raises:
        ImageError: unknown encoding, a size that it cannot have, a step that is too small, too few or too many bytes.
    """
    layout = _LAYOUTS.get(encoding)
    if layout is None:
        return _by_cv_bridge(encoding, height, width, step, is_bigendian, data)
    bytes_ = memoryview(data)
    _check(encoding, layout, height, width, step, bytes_.nbytes)
    with opencv_errors(f"an image of encoding {encoding}"):
        if encoding == "nv24":
            return _from_nv24(height, width, step, bytes_)
        kind = np.dtype(np.uint8) if layout.size == 1 else np.dtype(">u2" if is_bigendian else "<u2")
        pixels = _rows(bytes_, (int(height * layout.planes), width, layout.channels), step, kind)
        if layout.channels == 1:
            pixels = pixels[:, :, 0]
        if layout.size == 2:
            pixels = _as_uint8(pixels, step)
        return pixels if layout.code is None else _converted(pixels, layout.code)


def compressed_image(format: str, data: Any) -> Image:
    """The picture of a sensor_msgs/CompressedImage as HxWx3 uint8 RGB.

    Grey becomes three equal channels, 16 bits become 8, alpha is dropped. `format` is read for one thing only: where it
    says that a Bayer mosaic was compressed as a grey picture ("bayer_rggb8; jpeg compressed "), it is demosaicked.
    Otherwise the picture's own colours are taken, which in a JPEG or PNG are never ambiguous.

    Args:
        format: the message's, for example "jpeg" or "rgb8; jpeg compressed bgr8".
        data: the file, anything that `memoryview` takes.

    Raises:
        ImageError: no bytes, bytes that were cut short or are no picture of a format that is read (see
            `decode_image`), or too many pixels. Nothing else comes out, whatever the bytes are.
    """
    content = data if isinstance(data, bytes) else bytes(memoryview(data))
    what = f"a compressed image of format {format[:_MOST_LETTERS]!r}"
    if not content:
        raise ImageError(f"{what} must hold a picture, got 0 bytes; look at the camera's driver")
    encoding, _, target = format.partition(";")
    mosaic = _MOSAICS.get(encoding[len("bayer_") :].rstrip("0123456789")) if encoding.startswith("bayer_") else None
    with opencv_errors(what):
        if mosaic is not None and not any(order in target for order in ("bgr", "rgb", "mono")):
            grey = decode_image(content, cv2.IMREAD_GRAYSCALE, what)
            if grey.ndim != 2 or min(grey.shape) < _SMALLEST_MOSAIC:
                raise ImageError(f"{what} must be a grey mosaic of at least 3x3 pixels, got shape {grey.shape}")
            return _converted(grey, mosaic)
        if _READ_RGB is not None:
            return decode_image(content, _READ_RGB, what)
        return _converted(decode_image(content, cv2.IMREAD_COLOR, what), cv2.COLOR_BGR2RGB)


def pending_frame(message: Any, camera: str, compressed: bool, face_id: str = "") -> PendingFrame:
    """An image message as it waits for its turn: nothing is decoded and nothing copied; `message` is kept alive.

    Args:
        message: sensor_msgs/Image or CompressedImage, of rclpy or of rosbags.
        camera: resolved topic.
        compressed: which of the two it is.
        face_id: see `PendingFrame`.
    """
    stamp = message.header.stamp
    decode: Callable[[Any], Image] = _of_compressed if compressed else _of_raw
    return PendingFrame(
        camera=camera,
        header=message.header,
        stamp_ns=int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec),
        image=partial(decode, message),
        face_id=face_id,
    )


def _of_raw(message: Any) -> Image:
    m = message
    return raw_image(m.encoding, int(m.height), int(m.width), int(m.step), bool(m.is_bigendian), m.data)


def _of_compressed(message: Any) -> Image:
    return compressed_image(message.format, message.data)


def _check(encoding: str, layout: _Layout, height: int, width: int, step: int, got: int) -> None:
    what = f"an image of encoding {encoding}"
    if height < layout.least or width < layout.least:
        raise ImageError(f"{what} must have at least {layout.least}x{layout.least} pixels, got {width}x{height}")
    rows, columns = layout.even
    if height % rows or width % columns:
        must = "width and height" if rows > 1 else "width"
        raise ImageError(f"{what} must have an even {must}, got {width}x{height}")
    row = width * layout.channels * layout.size
    if step < row:
        raise ImageError(f"{what} and {width} pixels a row must have a step of at least {row} bytes, got {step}")
    most = int(step * height * layout.planes)
    least = most - (step - row)
    if not least <= got <= most:
        raise ImageError(f"{what} with {width}x{height} pixels and a step of {step} must have {most} bytes, got {got}")


def _rows(data: memoryview, shape: tuple[int, ...], step: int, kind: np.dtype[Any], offset: int = 0) -> NDArray[Any]:
    """A view of rows that begin `step` bytes apart, without their padding."""
    strides = (step, shape[2] * kind.itemsize, kind.itemsize)
    return np.ndarray(shape, kind, data, offset, strides)  # type: ignore[arg-type]


def _as_uint8(samples: NDArray[np.uint16], step: int) -> NDArray[np.uint8]:
    """16-bit samples of either byte order, divided by 257 and rounded; shape kept."""
    if step % 2:  # OpenCV takes no rows that begin amid a sample
        samples = np.ascontiguousarray(samples)
    native = samples.astype(np.uint16, copy=False)
    if native.size <= _OPENCV_SCALAR_SIZE:
        return np.round(native / 257).astype(np.uint8)
    return cv2.convertScaleAbs(native, alpha=1 / 257).reshape(native.shape)


def _converted(pixels: NDArray[np.uint8], code: int) -> Image:
    if pixels.size > _OPENCV_SCALAR_SIZE:
        return cv2.cvtColor(pixels, code)
    return cv2.cvtColor(np.repeat(pixels, 2 * _OPENCV_SCALAR_SIZE, axis=0), code)[:: 2 * _OPENCV_SCALAR_SIZE]


def _from_nv24(height: int, width: int, step: int, data: memoryview) -> Image:
    byte = np.dtype(np.uint8)
    luma = _rows(data, (height, width, 1), step, byte)
    chroma = _rows(data, (height, width, 2), 2 * step, byte, offset=height * step)
    # each pixel twice as Y U Y V: OpenCV reads 4:2:2, of which every second column is the 4:4:4 picture
    doubled = np.concatenate([luma, chroma[:, :, :1], luma, chroma[:, :, 1:]], axis=2).reshape(height, 2 * width, 2)
    return np.ascontiguousarray(_converted(doubled, cv2.COLOR_YUV2RGB_YUY2)[:, ::2])


def _by_cv_bridge(encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: Any) -> Image:
    """The last resort for encodings that only the distribution's cv_bridge knows."""
    unknown = f"encoding must be one of {', '.join(ENCODINGS)}, got {encoding[:_MOST_LETTERS]!r}"
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError as error:
        raise ImageError(f"{unknown}, and cv_bridge, which may know it, does not import ({error})") from error
    message = SimpleNamespace(
        encoding=encoding, height=height, width=width, step=step, is_bigendian=is_bigendian, data=data
    )
    try:
        with opencv_errors(unknown):
            return as_rgb(CvBridge().imgmsg_to_cv2(message, _CV_BRIDGE_TARGET))
    except (AttributeError, CvBridgeError, ImportError, RuntimeError, TypeError, ValueError) as error:
        raise ImageError(f"{unknown}, which cv_bridge cannot convert either: {error}") from error
