"""Writes HEIC and AVIF files box by box, also such as no encoder would: tiles, turns, lies."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

CODECS = {"HEIC": (["libx265"], b"hvc1", b"hvcC"), "AVIF": (["libsvtav1", "libaom-av1"], b"av01", b"av1C")}


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full(kind: bytes, *content: bytes, version: int = 0) -> bytes:
    return box(kind, bytes([version, 0, 0, 0]), *content)


def size(width: int, height: int) -> bytes:
    return full(b"ispe", struct.pack(">II", width, height))


def encoded(image: np.ndarray, kind: str, folder: Path) -> tuple[bytes, bytes]:
    """HxWx3 uint8 RGB as one key frame in the form that MP4, and so HEIF, has: its set-up box and its bytes."""
    encoders, _, setup = CODECS[kind]
    codec = next((name for name in encoders if name in av.codecs_available), None)
    if codec is None:
        pytest.skip(f"this PyAV has no encoder of {encoders}")
    path = folder / "one.mp4"
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=25)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.options = (
            {"crf": "12", "x265-params": "log-level=none"} if kind == "HEIC" else {"crf": "20"}
        )
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        for packet in (*stream.encode(frame), *stream.encode()):
            packet.pts = packet.dts = 0
            film.mux(packet)
    with av.open(str(path)) as film:
        content = next(bytes(packet) for packet in film.demux() if packet.size)
        return box(setup, film.streams.video[0].codec_context.extradata), content


def heif(
    tiles: Sequence[tuple[bytes, bytes]],
    kind: str,
    tile_size: tuple[int, int],
    *,
    columns: int = 1,
    canvas: tuple[int, int] | None = None,
    properties: Sequence[bytes] = (),
    brands: bytes = b"mif1",
) -> bytes:
    """A file of coded `tiles` (see `encoded`), a grid where `canvas` (width, height) is given; `properties` are those
    of the whole picture."""
    codec = CODECS[kind][1]
    numbers = range(1, len(tiles) + 1)
    items = [(number, codec, content) for number, (_, content) in zip(numbers, tiles, strict=True)]
    known, said = [size(*tile_size), tiles[0][0]], {number: [1, 2] for number in numbers}
    references = b""
    if canvas is not None:
        grid = bytes([0, 0, len(tiles) // columns - 1, columns - 1]) + struct.pack(">HH", *canvas)
        items.append((100, b"grid", grid))
        pointing = struct.pack(">HH", 100, len(tiles)) + b"".join(struct.pack(">H", number) for number in numbers)
        references = full(b"iref", box(b"dimg", pointing))
        known, said[100] = [*known, size(*canvas)], [len(known) + 1]
    main = items[-1][0]
    for one in properties:
        known.append(one)
        said[main] = [*said[main], len(known)]
    infos = b"".join(full(b"infe", struct.pack(">HH", number, 0), name, b"\0", version=2) for number, name, _ in items)
    uses = b"".join(struct.pack(">HB", number, len(those)) + bytes(those) for number, those in said.items())

    def meta(start: int) -> bytes:
        places = b""
        for number, _, content in items:
            places += struct.pack(">HHHII", number, 0, 1, start, len(content))
            start += len(content)
        return full(
            b"meta",
            full(b"pitm", struct.pack(">H", main)),
            full(b"iinf", struct.pack(">H", len(items)), infos),
            full(b"iloc", struct.pack(">HH", 0x4400, len(items)), places),
            box(b"iprp", box(b"ipco", *known), full(b"ipma", struct.pack(">I", len(said)), uses)),
            references,
        )

    head = box(b"ftyp", kind.lower().encode(), bytes(4), brands)
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", *(content for _, _, content in items))
