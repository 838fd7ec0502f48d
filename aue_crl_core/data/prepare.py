"""From a dataset on disk to an index: read the layout, find boxes and points, list what cannot be used."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from aue_crl_core.data.archives import packed
from aue_crl_core.data.duplicates import Duplicates, find_duplicates, without_copies
from aue_crl_core.data.face_mesh import MeshEvidence
from aue_crl_core.data.finders import FaceFinder, FoundFace
from aue_crl_core.data.index import DatasetIndex, Record
from aue_crl_core.data.layouts import no_faces
from aue_crl_core.data.layouts.table import LAYOUTS, LayoutOptions, find_layout
from aue_crl_core.errors import DatasetError, ImageError, OutputError
from aue_crl_core.facs import NUM_POINTS
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.types import FaceBox

FinderFactory = Callable[[], FaceFinder]

NO_FACE = "no face found"
_CHUNK = 4
_NAMED_ARCHIVES = 4


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did.

    `from_cache`: faces whose result came from an earlier run; `problems`: the records with a reason, usable or not;
    `duplicates`: the pictures that are there more than once, as they were before `drop_duplicates`; `hints`: what may
    be wrong with the set as a whole, one line each.
    """

    index: DatasetIndex
    from_cache: int
    problems: tuple[Record, ...]
    duplicates: Duplicates = ()
    hints: tuple[str, ...] = ()

    @property
    def unusable(self) -> int:
        """Images that training leaves out."""
        return sum(not r.usable for r in self.index.records)


def prepare(
    layout: str,
    root: Path,
    output: Path,
    finder: FinderFactory | None,
    *,
    workers: int = 1,
    options: LayoutOptions = LayoutOptions(),
    drop_duplicates: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PrepareReport:
    """Write the index of the dataset at `root` to `output`.

    `finder` makes the face finder (once in every worker process); `None` keeps only what the layout brings. Every image
    is decoded once, also where the layout brings the points, so that what is missing or damaged is known before
    training. Every result is appended to `OUTPUT.faces.jsonl` at once; a second call with the same finder takes from
    there what has not changed, after an interruption too. A set that has no image files gets them in `OUTPUT.images`.
    `drop_duplicates`: a picture that is in several splits stays usable in one (see `duplicates.without_copies`).

    Raises:
        DatasetError: `root` does not hold the layout, or no image of it is usable.
        ConfigError: an option that the layout has not.
    """
    chosen = find_layout(layout)
    if not chosen.file and not root.is_dir():
        files = ", ".join(name for name, other in LAYOUTS.items() if other.file)
        what = f"a file; files are read by {files}" if root.is_file() else "no such folder"
        raise DatasetError(f"ROOT must be the dataset's folder, got {root} ({what})")
    root = root.resolve()
    if chosen.unpack is not None:
        root = chosen.unpack(root, output.resolve().with_suffix(".images"))
    records = list(chosen.records(root, options))
    passed_over = () if chosen.passed_over is None else chosen.passed_over(root)
    if root.is_file():
        root = root.parent
    wanted = [r for r in records if r.usable]
    name = "" if finder is None else getattr(finder, "name", "found")
    kept = output.with_name(output.name + ".faces.jsonl")
    with _FaceCache(kept, name) as cache:
        missing = [r for r in wanted if not cache.has(root, r)]
        hits = len(wanted) - len(missing)
        progress(hits, len(wanted))
        try:
            for done, (record, result) in enumerate(_find_all(missing, root, finder, workers), start=hits + 1):
                cache.add(root, record, result)
                progress(done, len(wanted))
        except KeyboardInterrupt:  # it may have come between a line and its count: the file knows
            with _FaceCache(kept, name) as written:
                progress(sum(written.has(root, r) for r in wanted), len(wanted))
            raise
        merged = tuple(_merged(r, cache.get(r), name) if r.usable else r for r in records)
    index = DatasetIndex(layout, options.vocabulary or chosen.vocabulary, root, merged)
    duplicates = find_duplicates(index)
    hints = (*_label_hints(index, passed_over), *_hints(index))
    if not any(r.usable for r in merged):
        why = f"the reason for {merged[0].image}: {merged[0].reason}" if merged else "its label list is empty"
        raise DatasetError("; ".join((f"no image under {root} can be used; {why}", *hints)))
    if drop_duplicates:
        index = without_copies(index, duplicates)
    index.write(output)
    return PrepareReport(index, hits, tuple(r for r in index.records if r.reason), duplicates, hints)


def _label_hints(index: DatasetIndex, passed_over: Sequence[str]) -> Iterator[str]:
    unlabelled = all(r.label is None and r.action_units is None and r.reason is None for r in index.records)
    if unlabelled and index.layout != no_faces.NAME:
        yield "no image has a label, which train and evaluate need; a table has it in a column 'label' or 'expression'"
    if passed_over:
        yield f"nothing is read from the columns {', '.join(passed_over)}"


def _hints(index: DatasetIndex) -> Iterator[str]:
    folders: Counter[Path] = Counter()
    for record in index.records:
        if not record.usable and not index.path(record).exists():
            folders[index.path(record).parent] += 1
    if not folders:
        return
    (place, count), *_ = folders.most_common(1)
    yield (
        f"{sum(folders.values())} of the {len(index.records)} images that the labels name are not there ({count} of "
        f"them in {place})"
    )
    within = {parent for folder in folders for parent in (folder, *folder.parents) if parent.is_relative_to(index.root)}
    archives = packed(within)
    if archives:
        names = ", ".join(str(path.relative_to(index.root)) for path in archives[:_NAMED_ARCHIVES])
        more = f" and {len(archives) - _NAMED_ARCHIVES} more" if len(archives) > _NAMED_ARCHIVES else ""
        yield f"archives that are still packed lie there: {names}{more}; unpack them and run the same command again"


@dataclass(frozen=True, slots=True)
class _Result:
    """What was found in one image; `reason` where something was not."""

    face: FoundFace | None
    reason: str | None
    readable: bool = True


_finder: FaceFinder | None = None


def _start_worker(factory: FinderFactory | None) -> None:
    global _finder
    _finder = factory() if factory else None


def _start_process(factory: FinderFactory | None) -> None:
    """As `_start_worker`, in a process of its own: it leaves Ctrl-C to the parent, and other cores to its siblings."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    _start_worker(factory)


def _find(record: Record, root: Path) -> tuple[Record, _Result]:
    try:
        image = load_image(root / record.image)
    except ImageError as error:
        return record, _Result(None, str(error), readable=False)
    if _finder is None or record.points is not None:
        return record, _Result(None, None)
    face = _finder(image, record.box)
    return record, _Result(face, None if face else NO_FACE)


def _find_all(
    records: Iterable[Record], root: Path, factory: FinderFactory | None, workers: int
) -> Iterator[tuple[Record, _Result]]:
    find = partial(_find, root=root)
    if workers <= 1:
        _start_worker(factory)
        yield from map(find, records)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_process, (factory,))
    try:
        yield from pool.map(find, records, chunksize=_CHUNK)
    finally:
        pool.shutdown(cancel_futures=True)


def _merged(record: Record, result: _Result, finder: str) -> Record:
    if not result.readable:
        return dataclasses.replace(record, usable=False, reason=result.reason)
    if record.points is not None:
        return record
    if result.face is None:
        usable = record.box is not None or finder == ""
        return dataclasses.replace(record, usable=usable, reason=result.reason or record.reason)
    evidence = result.face.evidence
    return dataclasses.replace(
        record,
        box=record.box or result.face.box,
        box_source=record.box_source or "found",
        points=result.face.points,
        points_source=finder,
        blendshapes=None if evidence is None else tuple(evidence.blendshapes.tolist()),
        mesh_distances=None if evidence is None else tuple(evidence.distances.tolist()),
    )


class _FaceCache:
    """Append-only JSON lines: image, the layout's box in it, the file's size and modification time, and what was found.

    Lines of another finder, or of another form, are passed over.
    """

    def __init__(self, path: Path, finder: str) -> None:
        self._path = path
        self._finder = finder
        self._rows: dict[_Key, tuple[tuple[int, int], _Result]] = {}

    def __enter__(self) -> _FaceCache:
        text = self._path.read_text(encoding="utf-8") if self._path.is_file() else ""
        for line in text.splitlines():
            try:
                row = json.loads(line)
                if row["finder"] == self._finder:
                    self._rows[_key(row["image"], row["asked"])] = (tuple(row["stamp"]), _result(row))
            except (ValueError, KeyError, TypeError):  # the last line of a killed run
                continue
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)
        if text and not text.endswith("\n"):
            self._file.write(b"\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def has(self, root: Path, record: Record) -> bool:
        """Whether the image was done before and is still the same file."""
        row = self._rows.get(_asked(record))
        return row is not None and row[0] == _stamp(root / record.image)

    def get(self, record: Record) -> _Result:
        return self._rows[_asked(record)][1]

    def add(self, root: Path, record: Record, result: _Result) -> None:
        stamp = _stamp(root / record.image)
        self._rows[_asked(record)] = (stamp, result)
        face = result.face
        row = {
            "image": record.image,
            "asked": None if record.box is None else record.box.as_list(),
            "finder": self._finder,
            "stamp": stamp,
            "readable": result.readable,
            "reason": result.reason,
            "box": None if face is None else [round(v, 2) for v in face.box.as_list()],
            "points": None if face is None else [round(float(v), 2) for v in face.points.ravel()],
        }
        if face is not None and face.evidence is not None:
            for name in ("blendshapes", "distances"):
                row[name] = [round(float(v), 5) for v in getattr(face.evidence, name)]
        try:
            self._file.write(json.dumps(row).encode() + b"\n")
        except OSError as error:
            raise OutputError(
                f"{self._path} cannot be written any further: {error.strerror or error}; what is done is kept: make "
                "room, and start the same command again"
            ) from error


_Key = tuple[str, "tuple[float, ...] | None"]


def _key(image: str, box: list[float] | None) -> _Key:
    """What a result belongs to: one image may hold several labelled faces."""
    return image, None if box is None else tuple(box)


def _asked(record: Record) -> _Key:
    return _key(record.image, None if record.box is None else record.box.as_list())


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


def _result(row: dict) -> _Result:
    if row["points"] is None:
        return _Result(None, row["reason"], row["readable"])
    points = np.asarray(row["points"], dtype=np.float32).reshape(NUM_POINTS, 2)
    evidence = None
    if "blendshapes" in row:
        evidence = MeshEvidence(*(np.asarray(row[name], dtype=np.float32) for name in ("blendshapes", "distances")))
    return _Result(FoundFace(FaceBox(*row["box"]), points, evidence), None)
