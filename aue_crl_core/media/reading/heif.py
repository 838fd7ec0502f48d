"""HEIC and AVIF, the pictures of phones: stills of a film's codec in boxes. What the boxes say, before any is decoded.

Formats: ISO base media (14496-12, 8.11), HEIF (23008-12: items, 6; properties, 6.5; grids, 6.6.2.3), AVIF 1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from aue_crl_core.errors import ImageError
from aue_crl_core.media.reading.headers import UNREADABLE

_BRANDS: Final = frozenset({b"mif1", b"mif2", b"heic", b"heix", b"heim", b"heis", b"avif"})
_SEQUENCES: Final = frozenset({b"msf1", b"hevc", b"hevx", b"avis"})
_CODECS: Final = {b"hvc1": ("hevc", b"hvcC"), b"av01": ("libdav1d", b"av1C")}

_Span = tuple[int, int]
"""Where something begins and ends, in bytes of the file."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One coded picture: FFmpeg's name of its decoder, what that is set up with, its bytes, its size in pixels."""

    decoder: str
    setup: bytes
    data: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Turned by so many quarters, counterclockwise."""

    quarters: int


@dataclass(frozen=True, slots=True)
class Mirror:
    """Mirrored: `axis` 0 exchanges top and bottom, 1 left and right."""

    axis: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut to a window: left, top, width, height in pixels."""

    left: int
    top: int
    width: int
    height: int


class HeifFile:
    """The main picture of a HEIC or AVIF file: `width`, `height` in pixels before its `changes` (to be made in their
    order), `columns` of `tiles` that fill it row by row, and its `matrix` and `full_range` of colours (ITU-T H.273;
    None: as the codec's own data say)."""

    def __init__(self, data: bytes, what: str) -> None:
        """Read the boxes of `data`; `what` names the picture in messages.

        Raises:
            ImageError: cut short, damaged, or of a kind that is not read.
        """
        self._data, self._what = data, what
        self.matrix: int | None = None
        self.full_range: bool | None = None
        self.changes: list[Turn | Mirror | Cut] = []
        try:
            self._read()
        except (*UNREADABLE, ZeroDivisionError) as error:
            raise self._damaged() from error

    def tiles(self) -> Iterator[Tile]:
        """Its coded pictures, from left to right and from top to bottom.

        Raises:
            ImageError: as at the beginning.
        """
        for item in self._items:
            try:
                yield self._tile(item)
            except UNREADABLE as error:
                raise self._damaged() from error

    def _read(self) -> None:
        meta = self._box(b"meta", (0, len(self._data)))
        self._meta = (meta[0] + 4, meta[1])
        at, _ = self._box(b"pitm", self._meta)
        main = self._number(at + 4, 4 if self._data[at] else 2)
        self._kinds = dict(self._item_kinds())
        self._places = dict(self._item_places())
        self._said = self._properties()
        kind = self._kinds.get(main)
        self._items, self.columns, self.rows = [main], 1, 1
        if kind == b"grid":
            self._items = self._references(b"dimg", main)
            grid = self._content(main)
            self.rows, self.columns = grid[2] + 1, grid[3] + 1
            self.width, self.height = struct.unpack_from(">II" if grid[1] & 1 else ">HH", grid, 4)
            if len(self._items) != self.rows * self.columns:
                raise self._damaged()
        elif kind in _CODECS:
            self.width, self.height = self._size(main)
        else:
            name = (kind or b"none").decode("latin-1")
            raise ImageError(
                f"{self._what} is a HEIF file whose picture is of the kind {name!r}; HEVC, AV1 and grids of them are "
                "read: save it as JPEG"
            )
        for name, start, end in self._said.get(main, []):
            self._heed(name, start, end)

    def _heed(self, name: bytes, start: int, end: int) -> None:
        data = self._data
        if name == b"irot":
            self.changes.append(Turn(data[start] & 3))
        elif name == b"imir":
            self.changes.append(Mirror(data[start] & 1))
        elif name == b"clap":
            self.changes.append(self._cut(struct.unpack_from(">IIIIiIiI", data, start)))
        elif name == b"colr" and data[start : start + 4] == b"nclx":
            self.matrix = self._number(start + 8, 2)
            self.full_range = bool(data[start + 10] & 0x80)

    def _cut(self, numbers: tuple[int, ...]) -> Cut:
        width, height, right, down = (Fraction(*numbers[i : i + 2]) for i in range(0, 8, 2))
        left, top = (self.width - width) / 2 + right, (self.height - height) / 2 + down
        return Cut(max(0, round(left)), max(0, round(top)), round(width), round(height))

    def _tile(self, item: int) -> Tile:
        if self._kinds.get(item) not in _CODECS:
            raise self._damaged()
        decoder, box = _CODECS[self._kinds[item]]
        setup = next((self._data[start:end] for name, start, end in self._said.get(item, []) if name == box), b"")
        return Tile(decoder, setup, self._content(item), *self._size(item))

    def _size(self, item: int) -> tuple[int, int]:
        for name, start, _ in self._said.get(item, []):
            if name == b"ispe":
                return struct.unpack_from(">II", self._data, start + 4)
        raise self._damaged()

    def _content(self, item: int) -> bytes:
        if item not in self._places:
            raise self._damaged()
        return b"".join(self._data[start:end] for start, end in self._places[item])

    def _item_kinds(self) -> Iterator[tuple[int, bytes]]:
        start, end = self._box(b"iinf", self._meta)
        for _, at, _ in self._boxes(start + (8 if self._data[start] else 6), end):
            wide = 4 if self._data[at] >= 3 else 2
            yield self._number(at + 4, wide), self._data[at + 6 + wide : at + 10 + wide]

    def _item_places(self) -> Iterator[tuple[int, list[_Span]]]:
        at, end = self._box(b"iloc", self._meta)
        version, sizes = self._data[at], self._number(at + 4, 2)
        of_offset, of_length, of_base, of_index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        wide = 4 if version == 2 else 2
        count, at = self._number(at + 6, wide), at + 6 + wide
        within = next((start for name, start, _ in self._boxes(*self._meta) if name == b"idat"), None)
        for _ in range(count):
            if at >= end:
                raise self._damaged()
            item, at = self._number(at, wide), at + wide
            method = self._number(at, 2) & 15 if version else 0
            at += 4 if version else 2
            base, extents = self._number(at, of_base), self._number(at + of_base, 2)
            at += of_base + 2
            if method == 1:
                base += within or 0
            if extents > 1 and not of_offset + of_length:
                raise self._damaged()
            places: list[_Span] = []
            for _ in range(extents):
                if at >= end:
                    raise self._damaged()
                at += of_index if version else 0
                start, length = base + self._number(at, of_offset), self._number(at + of_offset, of_length)
                at += of_offset + of_length
                places.append((start, start + length if length else len(self._data)))
            if method < 2 and sum(stop - start for start, stop in places) <= len(self._data):
                yield item, places

    def _references(self, kind: bytes, item: int) -> list[int]:
        start, end = self._box(b"iref", self._meta)
        wide = 4 if self._data[start] else 2
        for name, at, _ in self._boxes(start + 4, end):
            if name == kind and self._number(at, wide) == item:
                count, at = self._number(at + wide, 2), at + wide + 2
                return [self._number(at + wide * i, wide) for i in range(count)]
        raise self._damaged()

    def _properties(self) -> dict[int, list[tuple[bytes, int, int]]]:
        """Name and place of the properties of every item."""
        properties = self._box(b"iprp", self._meta)
        known = list(self._boxes(*self._box(b"ipco", properties)))
        at, end = self._box(b"ipma", properties)
        wide, long = 4 if self._data[at] else 2, self._data[at + 3] & 1
        count, at = self._number(at + 4, 4), at + 8
        said: dict[int, list[tuple[bytes, int, int]]] = {}
        for _ in range(count):
            if at >= end:
                raise self._damaged()
            item, those, at = self._number(at, wide), self._data[at + wide], at + wide + 1
            numbers = [self._number(at + (1 + long) * i, 1 + long) & (0x7FFF if long else 0x7F) for i in range(those)]
            said[item] = [known[number - 1] for number in numbers if number]
            at += (1 + long) * those
        return said

    def _boxes(self, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Name of each box and where its content begins and ends."""
        while at + 8 <= end:
            size, start = self._number(at, 4), at + 8
            if size == 1:
                size, start = self._number(start, 8), at + 16
            stop = at + size if size else end
            if stop < start or stop > end:
                raise self._damaged()
            yield self._data[at + 4 : at + 8], start, stop
            at = stop

    def _box(self, name: bytes, within: _Span) -> _Span:
        for found, start, end in self._boxes(*within):
            if found == name:
                return start, end
        raise self._damaged()

    def _number(self, at: int, size: int) -> int:
        if at + size > len(self._data):
            raise IndexError
        return int.from_bytes(self._data[at : at + size], "big")

    def _damaged(self) -> ImageError:
        return ImageError(f"{self._what} is not a whole HEIC or AVIF file: cut short or damaged; copy or send it again")


def is_heif(data: bytes) -> bool:
    """Whether bytes begin as a HEIC or AVIF file does."""
    return data[4:8] == b"ftyp" and not _BRANDS.isdisjoint(_brands(data))


def is_sequence(data: bytes) -> bool:
    """Whether a HEIC or AVIF file says that it holds a moving picture too."""
    return not _SEQUENCES.isdisjoint(_brands(data))


def _brands(data: bytes) -> set[bytes]:
    size = min(int.from_bytes(data[:4], "big"), 256)
    return {data[8:12], *(data[at : at + 4] for at in range(16, size, 4))}
