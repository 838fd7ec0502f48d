"""What `aue-crl run` makes of films over time: steady rows, events, drawn films."""

from __future__ import annotations

import csv

import pytest
from running import FRAMES, rows_of, run

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.cli.run_course import course_for
from aue_crl_core.dynamics.smoothing import TemporalFilter
from aue_crl_core.media.reading.pixels import load_image
from aue_crl_core.media.reading.sources import VideoSource, resolve_sources
from aue_crl_core.media.writing.overlays import open_overlay
from aue_crl_core.types import Frame


@pytest.mark.parametrize(
    ("names", "over_time", "drawn", "needed"),
    [
        (["film"], False, False, False),
        (["film"], True, False, True),
        (["film"], False, True, True),
        (["photograph"], False, True, False),
        (["photograph", "film"], False, True, True),
    ],
)
def test_nothing_is_followed_that_nobody_asked_for(video_path, photograph_path, names, over_time, drawn, needed):
    paths = {"film": video_path, "photograph": photograph_path}
    sources, _ = resolve_sources([paths[name] for name in names])
    course = course_for(sources, over_time=over_time, drawn=drawn, neutral=None)
    assert (course is not None) == needed


def test_a_film_is_drawn_as_it_is_told_over_time_and_a_photograph_as_it_is(video_path, photograph_path, tmp_path):
    drawn, expected = tmp_path / "drawn", tmp_path / "expected"
    assert run(photograph_path, video_path, "--overlay", f"{drawn}/") == 0
    analyzer, course = FaceAnalyzer.load(threads=1), TemporalFilter()
    with open_overlay(f"{expected}/") as overlay:
        still = Frame(load_image(photograph_path), str(photograph_path))
        overlay.write(still, analyzer(still.image))
        for frame in VideoSource(str(video_path)):
            faces = analyzer.process([frame])[0]
            overlay.write(frame, [course.update(face, frame.time_s) for face in faces])
    names = sorted(path.name for path in expected.iterdir())
    assert sorted(path.name for path in drawn.iterdir()) == names
    assert len(names) == FRAMES + 1
    for name in names:
        assert (drawn / name).read_bytes() == (expected / name).read_bytes(), name


def test_a_video_is_read_over_time_beside_its_raw_rows(video_path, tmp_path):
    raw, steady, events = (tmp_path / name for name in ("raw.jsonl", "steady.jsonl", "events.csv"))
    assert run(video_path, "-o", raw, "--smoothed", steady, "--events", events) == 0
    assert rows_of(steady)[0] == rows_of(raw)[0], "smoothing begins with the first row"
    course = TemporalFilter()
    analyzer = FaceAnalyzer.load(threads=1)
    for frame, row in zip(VideoSource(str(video_path)), rows_of(steady), strict=True):
        (face,) = analyzer.process([frame])[0]
        assert row == course.update(face, frame.time_s).as_record(frame)
    with events.open(newline="") as file:
        told = list(csv.DictReader(file))
    whole = [row for row in told if row["kind"] == "expression"]
    label = rows_of(steady)[0]["expression"]
    assert [(row["phase"], row["expression"]) for row in whole if row["phase"] != "peaked"] == [
        ("began", label),
        ("ended", label),
    ]
    assert (whole[0]["face_id"], whole[0]["frame"], float(whole[0]["began_s"])) == ("f1", "3", 0.0)
    assert whole[-1]["frame"] == str(FRAMES - 1), "what is on ends with the film"


def test_a_resting_face_is_taken_off_what_follows(video_path, tmp_path):
    assert run(video_path, "--smoothed", tmp_path / "plain.jsonl") == 0
    assert run(video_path, "--smoothed", tmp_path / "rest.jsonl", "--neutral", 0.2) == 0
    plain, rest = rows_of(tmp_path / "plain.jsonl"), rows_of(tmp_path / "rest.jsonl")
    assert plain[:5] == rest[:5]
    assert sum(rest[-1]["action_units"].values()) < sum(plain[-1]["action_units"].values())
