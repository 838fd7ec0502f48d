"""A film as an iterator of results, its results as a table and as a figure."""

from __future__ import annotations

import av
import numpy as np
import pytest

import aue_crl_core
from aue_crl_core import FaceAnalyzer, facs
from aue_crl_core.errors import ConfigError, ImageError
from aue_crl_core.media.reading.ranges import FrameRange
from aue_crl_core.media.writing.layout import TableLayout
from aue_crl_core.results import plot, read, to_arrow, to_pandas


@pytest.fixture(scope="module")
def film(tmp_path_factory, photograph):
    """Five frames a second: a face in all but the second."""
    path = str(tmp_path_factory.mktemp("film") / "film.mp4")
    face = np.ascontiguousarray(photograph[::2, ::2])
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.height, stream.width, stream.codec_context.gop_size = *face.shape[:2], 1
        for image in (face, np.zeros_like(face), face, face):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def analyzer():
    return FaceAnalyzer.load(threads=1)


@pytest.fixture(scope="module")
def results(film, analyzer):
    return list(read(film, analyzer=analyzer))


def test_a_film_gives_each_frame_with_its_faces(results, film):
    assert [result.frame.index for result in results] == [0, 1, 2, 3]
    assert {result.frame.source for result in results} == {film}
    assert [len(result.faces) for result in results] == [1, 0, 1, 1]


def test_the_analyzer_forgets_a_films_faces_at_its_end_and_where_its_reader_stops(film, analyzer):
    for _ in read(film, analyzer=analyzer):
        assert analyzer.live_ids(film)
        break
    assert analyzer.live_ids(film) == ()


def test_a_range_and_several_sources(film, photograph_path, analyzer):
    frames = [result.frame for result in read(photograph_path, analyzer=analyzer)]
    frames += [result.frame for result in read(film, analyzer=analyzer, wanted=FrameRange(every=3))]
    assert [(frame.source, frame.index) for frame in frames] == [(str(photograph_path), 0), (film, 0), (film, 3)]


def test_a_source_that_is_not_there_is_an_error(analyzer):
    with pytest.raises(ImageError, match=r"gone\.mp4 does not exist"):
        next(read("gone.mp4", analyzer=analyzer))


def test_a_table_has_a_row_for_each_face_and_the_columns_of_a_parquet_file(results):
    pytest.importorskip("pyarrow")
    table = to_arrow(results)
    assert table.column("frame").to_pylist() == [0, 2, 3]
    assert table.column("expression").to_pylist() == [f.expression for r in results for f in r.faces]
    assert table.slice(0, 1).to_pylist()[0]["action_units"]["12"] == pytest.approx(
        results[0].faces[0].action_units[12], abs=1e-4
    )
    assert table.slice(0, 1).to_pylist()[0]["intensities"]["12"] == pytest.approx(
        results[0].faces[0].intensities[12], abs=1e-2
    )
    assert to_arrow([]).num_rows == 0


def test_a_data_frame_has_the_flat_columns_of_a_csv_file(results):
    pytest.importorskip("pandas")
    frame = to_pandas(results)
    told = tuple(results[0].faces[0].intensities)
    assert list(frame.columns) == TableLayout(intensities=told).csv_columns()
    assert frame["intensity_12"].tolist() == [round(float(f.intensities[12]), 2) for r in results for f in r.faces]
    assert frame["au_12"].tolist() == [round(float(f.action_units[12]), 4) for r in results for f in r.faces]
    assert frame.groupby("face_id").size().sum() == 3
    assert to_pandas([]).empty


def test_one_call_draws_the_film(results, tmp_path):
    pytest.importorskip("matplotlib")
    figure = plot(results)
    faces = {face.face_id for result in results for face in result.faces}
    titled = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title().split(":")[0] for axes in titled] == [f"face {face_id}" for face_id in sorted(faces)]
    assert [text.get_text() for text in titled[0].get_legend().get_texts()] == list(facs.BASIC_EXPRESSIONS)
    figure.savefig(tmp_path / "film.png")


def test_what_is_no_film_or_shows_no_face_cannot_be_drawn(photograph_path, analyzer, results):
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigError, match="results must be of one film or camera"):
        plot(read(photograph_path, analyzer=analyzer))
    with pytest.raises(ConfigError, match="faces in the results must be at least 1, got 0"):
        plot(results[1:2])


def test_the_package_offers_all_of_it():
    assert {"FaceAnalyzer", "Result", "plot", "read", "to_arrow", "to_pandas"} <= set(aue_crl_core.__all__)
    assert all(hasattr(aue_crl_core, name) for name in aue_crl_core.__all__)
