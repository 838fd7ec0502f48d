"""The report of a recording: the page says what the rows say, and shows pixels only where they are allowed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
from film_rows import AWAY, FRAMES

from aue_crl_core.cli.main import main
from aue_crl_core.errors import ConfigError
from aue_crl_core.recordings.reading import read_recording
from aue_crl_core.recordings.recording import Recording
from aue_crl_core.recordings.report import write_report

plots = pytest.importorskip("aue_crl_core.recordings.plots")


def brightness(data: bytes) -> float:
    return float(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).mean())


def only(recording: Recording, face_id: str) -> Recording:
    """The recording with one of its faces."""
    (film,) = recording.films
    return replace(recording, films=(replace(film, tracks=tuple(t for t in film.tracks if t.face_id == face_id)),))


def test_the_page_says_what_the_rows_say(recording, tmp_path, read_page):
    files = write_report(recording, tmp_path / "out" / "report.html", openface=True)
    names = ["report.html", "report.faces.csv", "report.events.csv", "report.openface.csv", "report.eaf"]
    assert [path.name for path in files] == names
    assert all(path.is_file() for path in files)
    page = read_page(files[0])
    films, shares, events = page.tables
    assert films[1] == ["film.mp4", "0.00 to 3.90", str(FRAMES), f"{len(AWAY)} (10.0%)", "2"]
    told = dict(zip(shares[0], shares[1], strict=True))
    assert [told[name] for name in ("face", "rows", "ok")] == ["f1", "36", "100.0%"]
    assert [told[name] for name in ("happiness", "neutral", "anger")] == ["41.7%", "58.3%", "0.0%"]
    told = dict(zip(shares[0], shares[2], strict=True))
    assert [told[name] for name in ("uncertain", "low quality", "anger")] == ["50.0%", "50.0%", "-"]
    assert ["f1 AU12 lip corner puller", "1.00", "1.00", "2.50", "1.50", "80%"] in events
    assert "not measured on the face" in page.text
    assert page.addresses == []
    kinds = ("course", "valence_arousal")
    assert list(page.figures) == [f"film_{face}_{kind}" for face in ("f1", "f2") for kind in kinds]
    drawn = "".join(ET.fromstring(page.figures["film_f1_course"]).itertext())
    assert "happiness" in drawn
    assert "AU12 lip corner puller" in drawn


def test_faces_are_shown_at_their_peaks(recording, film_path, tmp_path, read_page):
    moved = film_path.rename(tmp_path / "moved.mp4")
    write_report(only(recording, "f1"), tmp_path / "report.html", film=moved)
    page = read_page(tmp_path / "report.html")
    assert "2: happiness 95% at 1.50 s" in page.text
    dark, light = map(brightness, page.pictures)
    assert light > 2 * dark, "the frame of the peak is shown, not another"


def test_a_film_that_cannot_be_read_leaves_a_word_and_no_pictures(recording, tmp_path, read_page):
    (tmp_path / "film.mp4").write_bytes(b"no film")
    write_report(only(recording, "f1"), tmp_path / "report.html")
    page = read_page(tmp_path / "report.html")
    assert "No pictures:" in page.text
    assert page.pictures == []


def test_images_are_listed_with_their_faces(write_rows, photograph, tmp_path, read_page):
    cv2.imwrite(str(tmp_path / "one.png"), photograph[..., ::-1])
    write_report(read_recording(write_rows("faces.jsonl", source="one.png", frames=1)), tmp_path / "report.html")
    page = read_page(tmp_path / "report.html")
    assert "Images: 1, 0 of them without a face; faces: 2: neutral 1, anger 1." in page.text
    assert page.tables[-1][1][:4] == ["one.png f1", "ok", "neutral", "90%"]
    assert len(page.pictures) == 2
    assert not (tmp_path / "report.eaf").exists()


def test_a_long_film_has_no_more_columns_than_fit(recording):
    (film,) = recording.films
    (track, _), count = film.tracks, 100_000
    rows = np.arange(count) % len(track.times)
    values = {f.name: getattr(track, f.name) for f in fields(track) if isinstance(getattr(track, f.name), np.ndarray)}
    long = replace(track, **{name: value[rows] for name, value in values.items()})
    long = replace(long, frames=np.arange(count), times=np.arange(count) / 10)
    figure = plots.plot_course(replace(film, frames=count, end_s=count / 10), long, recording.expressions)
    widths = [image.get_array().shape[1] for part in figure.axes[:3] for image in part.images]
    assert widths == [plots.BINS] * 3


def test_columns_are_means_and_nothing_where_the_face_was_away(recording):
    (film,) = recording.films
    values = plots.Columns(film, film.tracks[0]).means(film.tracks[0].units[:, 8:9])[0]
    assert len(values) == FRAMES
    assert values[5] == pytest.approx(0.1)
    assert values[15] == pytest.approx(0.8)
    assert np.isnan(values[32])


def test_what_cannot_be_is_refused(recording, write_rows, tmp_path):
    with pytest.raises(ConfigError, match=r"--output must end in \.html"):
        write_report(recording, tmp_path / "report.pdf")
    with pytest.raises(ConfigError, match="--film must be a file"):
        write_report(recording, tmp_path / "report.html", film=tmp_path / "absent.mp4")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.faces.csv", "source,frame,time_s,face_id,x_67,y_67\nfilm.mp4,0,0,f1,1,2\n"),
        ("report.events.csv", "source,frame,time_s,kind,began_s,peaked_s\nfilm.mp4,0,0,expression,0,0\n"),
        ("report.openface.csv", "frame, face_id, AU45_r, AU45_c\n1,0,0,0\n"),
        (
            "report.eaf",
            '<?xml version="1.0"?>\n<ANNOTATION_DOCUMENT AUTHOR="aue_crl 0.1.0">my own tier</ANNOTATION_DOCUMENT>\n',
        ),
        ("report.eaf", b"\xff\xfe"),
        ("report.events.csv", ""),
    ],
)
def test_what_no_report_wrote_is_never_replaced(recording, tmp_path, name, content):
    """The rows themselves, the events of a run, OpenFace's own table, an annotation that somebody went on with."""
    folder = tmp_path / "out"
    folder.mkdir()
    kept = folder / name
    kept.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = kept.read_bytes()
    with pytest.raises(ConfigError, match=rf"would replace .*{re.escape(name)}, which no report wrote as it is"):
        write_report(recording, folder / "report.html", openface=True)
    assert kept.read_bytes() == before
    assert [*folder.iterdir()] == [kept]


def test_files_of_an_older_report_are_replaced(recording, tmp_path):
    for _ in range(2):
        written = write_report(recording, tmp_path / "out" / "report.html", openface=True)
    assert {file.name for file in written} == {
        *("report.html", "report.faces.csv", "report.events.csv", "report.openface.csv", "report.eaf")
    }
    assert {*(tmp_path / "out").iterdir()} == {*written}


def test_the_command_shows_no_pixels_where_that_is_asked_for(write_rows, photograph, tmp_path, capsys, read_page):
    cv2.imwrite(str(tmp_path / "one.png"), photograph[..., ::-1])
    rows = write_rows("faces.csv", source="one.png", frames=1)
    for option, pictures in (("--openface", 2), ("--no-pixels", 0)):
        with pytest.raises(SystemExit) as ended:
            main(["report", str(rows), "-o", str(tmp_path / "r.html"), option])
        assert not ended.value.code
        assert len(read_page(tmp_path / "r.html").pictures) == pictures
    assert capsys.readouterr().out.count("written: ") == 7


def test_faces_of_private_rows_are_shown_only_where_that_is_asked_for(
    write_rows, photograph, tmp_path, capsys, read_page
):
    cv2.imwrite(str(tmp_path / "one.png"), photograph[..., ::-1])
    rows = write_rows("faces.jsonl", source="one.png", frames=1, points=False)
    word = "faces are shown with --pixels only"
    for options, pictures in (([], 0), (["--pixels"], 2)):
        with pytest.raises(SystemExit) as ended:
            main(["report", str(rows), "-o", str(tmp_path / "r.html"), *options])
        assert not ended.value.code
        page = read_page(tmp_path / "r.html")
        assert len(page.pictures) == pictures
        assert (word in page.text) is (word in capsys.readouterr().err) is (pictures == 0)
