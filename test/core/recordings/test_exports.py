"""Episodes, tidy tables and ELAN's files say what the rows say."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET

import pytest
from film_rows import SMILE

from aue_crl_core.recordings.elan import eaf
from aue_crl_core.recordings.episodes import episodes
from aue_crl_core.recordings.tables import episodes_csv, faces_csv, openface_csv


@pytest.fixture
def found(recording):
    return [event for track in recording.tracks for event in episodes(track, recording.expressions)]


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_an_episode_is_from_onset_over_peak_to_offset(found):
    (smile,) = [event for event in found if event.expression == "happiness"]
    assert (smile.began_s, smile.peaked_s, smile.ended_s) == pytest.approx((SMILE[0] / 10, 1.5, (SMILE[-1] + 1) / 10))
    assert (smile.face_id, smile.source, smile.peak_probability) == ("f1", "film.mp4", pytest.approx(0.95))
    (unit,) = [event for event in found if event.action_unit]
    assert (unit.what, unit.began_s, unit.ended_s) == ("AU12", smile.began_s, smile.ended_s)
    assert [event.expression for event in found if not event.action_unit] == ["neutral", "happiness", "neutral"]
    assert found[-1].ended_s == pytest.approx(3.9), "what is on ends with the last row"


def test_the_tidy_table_has_a_row_a_face_and_frame(recording):
    rows = rows_of(faces_csv(recording))
    assert len(rows) == sum(len(track.times) for track in recording.tracks)
    row = next(row for row in rows if row["frame"] == "15" and row["face_id"] == "f1")
    assert (row["expression"], row["confidence"], row["state"]) == ("happiness", "0.95", "ok")
    assert (row["time_s"], row["au_12"], row["box_w"]) == ("1.5", "0.8", "190.0")
    assert [name for name in row if name.startswith("intensity")] == ["intensity_12", "intensity_25"]
    assert (row["intensity_12"], row["intensity_25"]) == ("4.2", "1.5")
    assert float(row["valence"]) == pytest.approx(0.95 * 0.81, abs=0.05)
    assert not [name for name in row if name.startswith(("x_", "y_"))]


def test_the_table_of_events_has_a_row_an_event(found):
    rows = rows_of(episodes_csv(found))
    assert len(rows) == len(found)
    (row,) = [row for row in rows if row["kind"] == "action_unit"]
    assert (row["action_unit"], row["expression"], row["duration_s"]) == ("12", "", "1.5")


def test_openface_names_say_presence_and_intensity_where_it_is_told(recording):
    rows = rows_of(openface_csv(recording))
    row = next(row for row in rows if row["frame"] == "16" and row["face_id"] == "f1")  # OpenFace counts from 1
    assert (row["AU12_c"], row["AU12_r"], row["AU01_c"], row["AU01_r"]) == ("1", "4.2", "0", "")
    assert (row["timestamp"], row["success"], row["confidence"]) == ("1.5", "1", "1")
    unclear = next(row for row in rows if row["face_id"] == "f2")
    assert (unclear["success"], unclear["confidence"]) == ("0", "0")
    assert [name for name in row if name.endswith("_r")] == sorted(name for name in row if name.endswith("_r"))


def test_an_elan_file_keeps_the_rules_of_its_schema(found, film_path):
    """EAF 3.0: the order of elements, references that are there, ids once, times in order, tiers without overlap."""
    root = ET.fromstring(eaf(found, film_path))
    kinds = [child.tag for child in root]
    assert kinds == ["HEADER", "TIME_ORDER", *["TIER"] * (len(kinds) - 3), "LINGUISTIC_TYPE"]
    assert {"AUTHOR", "DATE", "FORMAT", "VERSION"} <= set(root.attrib)
    assert root.find("HEADER/MEDIA_DESCRIPTOR").attrib == {"MEDIA_URL": film_path.as_uri(), "MIME_TYPE": "video/mp4"}
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    ids = [each.get("ANNOTATION_ID") for each in root.iter("ALIGNABLE_ANNOTATION")]
    assert len({*ids, *slots}) == len(ids) + len(slots)
    types = {each.get("LINGUISTIC_TYPE_ID") for each in root.iter("LINGUISTIC_TYPE")}
    read = {}
    for tier in root.iter("TIER"):
        assert tier.get("LINGUISTIC_TYPE_REF") in types
        ends = 0
        for annotation in tier.findall("ANNOTATION/ALIGNABLE_ANNOTATION"):
            began, ended = (slots[annotation.get(f"TIME_SLOT_REF{i}")] for i in (1, 2))
            assert ends <= began < ended
            ends = ended
            read.setdefault(tier.get("TIER_ID"), []).append((began, ended, annotation.findtext("ANNOTATION_VALUE")))
    assert read["f1 AU12"] == [(1000, 2500, "AU12")]
    assert read["f1 expression"] == [(0, 1000, "neutral"), (1000, 2500, "happiness"), (2500, 3900, "neutral")]


def test_a_film_without_events_is_an_elan_file_too():
    assert ET.fromstring(eaf([])).find("TIER") is None
