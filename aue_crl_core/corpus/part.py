"""One film of a corpus: read whole into a Parquet file of its own, once.

`OUT/NAME-HASH.parquet` is a finished part: it is only put there when its film was read to the end. `OUT/_run/` has what
is under way and, for each part, a record of what it was made of; readers of Parquet folders pass over that name.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from aue_crl_core import __version__
from aue_crl_core.analyzer import AnalyzerConfig, FaceAnalyzer
from aue_crl_core.engines import EngineName, Precision, find_weights
from aue_crl_core.errors import ImageError, OutputError
from aue_crl_core.faces.detection.choice import DetectorName
from aue_crl_core.faces.detection.working import DEFAULT_MIN_FACE_PX
from aue_crl_core.hashing import file_sha256
from aue_crl_core.media.reading.ranges import WHOLE, FrameRange
from aue_crl_core.media.reading.sources import FrameSource, VideoSource, resolve_sources
from aue_crl_core.media.writing.layout import TableLayout
from aue_crl_core.media.writing.sinks import ParquetSink
from aue_crl_core.results import read_source

RUN_FOLDER: Final = "_run"
_NAME_LETTERS: Final = 30


@dataclass(frozen=True)
class CorpusSettings:
    """How films are read: see `FaceAnalyzer.load`, `AnalyzerConfig` and `FrameRange`; `threads` are those of a film's
    engine and decoder, `every_frame` and `points` as of `TableLayout`."""

    weights: str = "edge"
    engine: EngineName = "onnx"
    device: str = "cpu"
    detector: DetectorName = "auto"
    detector_model: str | None = None
    min_face_px: float = DEFAULT_MIN_FACE_PX
    precision: Precision = "auto"
    threads: int = 1
    analyzer: AnalyzerConfig = field(default_factory=AnalyzerConfig)
    wanted: FrameRange = WHOLE
    every_frame: bool = False
    points: bool = True

    def fingerprint(self) -> str:
        """What results depend on, as a hash: the settings but for `threads`, the weights' content, our version.

        Raises:
            CheckpointError: there are no such weights.
        """
        said = asdict(replace(self, threads=1)) | {
            "weights": file_sha256(find_weights(self.weights, self.engine)),
            "version": __version__,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What became of a film: how many `frames` were read and `faces` found in them, what went wrong (`problem`, empty
    if nothing did), and what is no error (`notes`, see `FrameSource`). With frames there is a part; with a problem too,
    it has what could be read."""

    source: str
    frames: int = 0
    faces: int = 0
    problem: str = ""
    notes: tuple[str, ...] = ()


def process_file(path: str | Path, settings: CorpusSettings, out_dir: str | Path) -> Outcome:
    """Read a film into its part of `out_dir`; one that is there already is not read again (see `finished`).

    Nothing is left of a film that was begun and not read to its end, whatever stopped it.

    Raises:
        AueCrlError: what no other film would fare better with: weights or settings that are wrong, a full disk.
    """
    done = finished(path, settings, out_dir)
    if done is not None:
        return done
    path, out_dir = str(path), Path(out_dir)
    sources, problems = resolve_sources([path], settings.wanted)
    if not os.path.isfile(path) or len(sources) != 1:
        return Outcome(path, problem=problems[0].message if problems else f"{path} must be a file")
    identity = _identity(path, settings)
    name, run = part_name(path), out_dir / RUN_FOLDER
    unfinished = run / f"{platform.node()}-{os.getpid()}-{name}"  # the same film may be read elsewhere: the last counts
    record = unfinished.with_suffix(".json")
    try:
        outcome = _read(sources[0], settings, unfinished)
        if outcome.frames:
            record.write_text(json.dumps(asdict(outcome) | {"of": identity}), encoding="utf-8")
            unfinished.replace(out_dir / name)
            record.replace(run / f"{name}.json")
        return outcome
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{out_dir / name} cannot be written: {error.strerror or error}; make room") from error
    finally:
        for left in (unfinished, unfinished.with_name(unfinished.name + ".part"), record):
            with suppress(OSError):
                left.unlink()


def finished(path: str | Path, settings: CorpusSettings, out_dir: str | Path) -> Outcome | None:
    """What became of a film whose part is there; None where there is none, or one of another content (by size and time
    of change), other settings, weights or version."""
    name = part_name(path)
    try:
        record = json.loads((Path(out_dir) / RUN_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        if record.pop("of") == _identity(path, settings) and (Path(out_dir) / name).is_file():
            return Outcome(**{**record, "source": str(path), "notes": tuple(record["notes"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or cut short by a full disk
        return None
    return None


def part_name(path: str | Path) -> str:
    """The file name of a film's part: the film's own, and what tells it from films of that name in other folders."""
    where = os.path.abspath(path)
    return f"{Path(where).stem[:_NAME_LETTERS]}-{hashlib.sha256(os.fsencode(where)).hexdigest()[:12]}.parquet"


def _identity(path: str | Path, settings: CorpusSettings) -> dict[str, str | int]:
    about = os.stat(path)
    return {"size": about.st_size, "mtime_ns": about.st_mtime_ns, "settings": _fingerprint(settings)}


def _read(source: FrameSource, settings: CorpusSettings, target: Path) -> Outcome:
    loaded = _analyzer(settings)
    analyzer = FaceAnalyzer(loaded.engine, loaded.detector, settings.analyzer)  # of its own: ids begin anew
    if isinstance(source, VideoSource):
        source.threads = settings.threads
    layout = TableLayout(
        analyzer.expressions, settings.every_frame, settings.analyzer.sides, settings.points, analyzer.intensity_units
    )
    frames, faces, problem = 0, 0, ""
    with ParquetSink(target, layout) as sink:
        try:
            for result in read_source(source, analyzer):
                sink.write(result.frame, result.faces)
                frames, faces = frames + 1, faces + len(result.faces)
        except ImageError as error:
            problem = str(error)
    return Outcome(source.name, frames, faces, problem, source.notes)


@lru_cache(maxsize=1)
def _analyzer(settings: CorpusSettings) -> FaceAnalyzer:
    return FaceAnalyzer.load(
        settings.weights,
        settings.engine,
        settings.device,
        detector=settings.detector,
        detector_model=settings.detector_model,
        min_face_px=settings.min_face_px,
        threads=settings.threads,
        precision=settings.precision,
        config=settings.analyzer,
    )


@lru_cache(maxsize=1)
def _fingerprint(settings: CorpusSettings) -> str:
    return settings.fingerprint()
