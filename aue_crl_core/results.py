"""Results for programs: a film, folder or camera as an iterator, its results as a table and as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aue_crl_core import facs
from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.errors import ImageError, MissingDependencyError, import_failure
from aue_crl_core.media.reading.ranges import WHOLE, FrameRange
from aue_crl_core.media.reading.sources import FrameSource, resolve_sources
from aue_crl_core.media.writing.layout import TableLayout
from aue_crl_core.types import FacePrediction, Frame

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure


_NO_PIXELS: Final = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Result:
    """A frame and the faces in it, largest first; of a film they keep their ids from frame to frame."""

    frame: Frame
    faces: Sequence[FacePrediction]


def read(*sources: str | Path, analyzer: FaceAnalyzer | None = None, wanted: FrameRange = WHOLE) -> Iterator[Result]:
    """Every frame of images, folders, globs, films, a camera or a URL, in turn, with its faces.

    `analyzer` None: the shipped weights on the processor; `wanted`: which frames of films.

    Raises:
        ImageError: a source that is not there, or, after all that could be read of it, one that is damaged.
    """
    found, problems = resolve_sources(sources, wanted)
    for problem in problems:
        if problem.is_error:
            raise ImageError(problem.message)
    analyzer = analyzer or FaceAnalyzer.load()
    for source in found:
        yield from read_source(source, analyzer)


def read_source(source: FrameSource, analyzer: FaceAnalyzer) -> Iterator[Result]:
    """As `read`, of one source; at its end the analyzer forgets its faces."""
    camera = ""
    try:
        for frame in source:
            camera = frame.camera
            yield Result(frame, analyzer.process([frame])[0])
    finally:
        if camera:
            analyzer.forget(camera)


def to_arrow(results: Iterable[Result]) -> pa.Table:
    """One row a face and frame, with the nested columns of a `.parquet` file of `aue-crl run`.

    Raises:
        MissingDependencyError: pyarrow is not there.
    """
    records = _records(results)
    schema = _layout(records).arrow_schema()
    import pyarrow as pa

    return pa.Table.from_pylist(records, schema=schema)


def to_pandas(results: Iterable[Result]) -> pd.DataFrame:
    """One row a face and frame, with the flat columns of a `.csv` file of `aue-crl run` (`TableLayout.csv_columns`).

    Raises:
        MissingDependencyError: pandas is not there.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError("pandas", "pandas", "a data frame", import_failure(error, "pandas")) from error
    records = _records(results)
    layout = _layout(records)
    return pd.DataFrame([layout.flat_row(record) for record in records], columns=layout.csv_columns())


def plot(results: Iterable[Result]) -> Figure:
    """The faces of one film or camera over its seconds, as a matplotlib figure (`figure.savefig("faces.png")`; see
    `draw_timeline`).

    Raises:
        MissingDependencyError: matplotlib is not there.
        ConfigError: no face at all, images, or frames of several films.
    """
    from aue_crl_core.media.drawing.timeline import draw_timeline

    return draw_timeline([(_without_pixels(result.frame), result.faces) for result in results])


def _records(results: Iterable[Result]) -> list[dict[str, object]]:
    return [face.as_record(result.frame) for result in results for face in result.faces]


def _layout(records: Sequence[dict[str, Any]]) -> TableLayout:
    expressions = tuple(records[0]["probabilities"]) if records else facs.BASIC_EXPRESSIONS
    told = dict.fromkeys(int(unit) for record in records for unit in record.get("intensities", ()))
    return TableLayout(expressions, sides=any("sides" in record for record in records), intensities=tuple(told))


def _without_pixels(frame: Frame) -> Frame:
    """A film's images would fill memory."""
    return replace(frame, image=_NO_PIXELS)
