"""FER+: ten votes a face become a label, a distribution, or a reason to leave the image out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.data.layouts import ferplus
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import BASIC_EXPRESSIONS

HEADER = '"(0, 0, 48, 48)"'
# Order of the votes: neutral happiness surprise sadness anger disgust fear contempt unknown not-a-face
votes = st.lists(st.integers(0, 10), min_size=10, max_size=10)


@pytest.fixture(scope="module")
def part(tmp_path_factory) -> Path:
    """`data/FER2013Train` of an empty set."""
    folder = tmp_path_factory.mktemp("set") / "data" / "FER2013Train"
    folder.mkdir(parents=True)
    return folder


def _read(part: Path, *lines: str) -> list:
    (part / "label.csv").write_text("\n".join(lines) + "\n")
    return list(ferplus.read(part.parents[1]))


def _line(counts: list[int], name: str = "a.png") -> str:
    return f"{name},{HEADER},{','.join(map(str, counts))}"


def test_real_labels(fer_root):
    records = list(ferplus.read(fer_root))
    assert Counter(r.split for r in records) == {"train": 64, "valid": 32}
    assert all((fer_root / r.image).is_file() for r in records)
    assert all(r.box.as_list() == [0, 0, 48, 48] and r.box_source == "layout" for r in records)
    usable = [r for r in records if r.usable]
    assert len(usable) > 60
    assert all(sum(r.votes) == pytest.approx(1) and r.votes[r.label] == max(r.votes) for r in usable)


def test_single_votes_are_removed_before_counting(part):
    (record,) = _read(part, _line([4, 1, 0, 0, 1, 0, 0, 4, 0, 0]))
    assert BASIC_EXPRESSIONS[record.label] == "neutral"
    assert record.votes == (0, 0, 0, 0, 0, 0, 1)
    (record,) = _read(part, _line([6, 2, 0, 1, 1, 0, 0, 0, 0, 0]))
    assert record.votes == (0, 0, 0, 0.25, 0, 0, 0.75)


@pytest.mark.parametrize(("position", "name"), [(7, "contempt"), (8, "unknown"), (9, "not-a-face")])
def test_a_majority_outside_of_the_seven_classes_is_unusable_with_the_reason(part, position, name):
    counts = [0] * 10
    counts[0], counts[position] = 3, 7
    (record,) = _read(part, _line(counts))
    assert not record.usable
    assert record.label is None
    assert name in record.reason


def test_faces_on_which_nobody_agrees_are_unusable(part):
    (record,) = _read(part, _line([1] * 10))
    assert (record.usable, record.reason) == (False, "no two votes agree")


def test_of_equal_counts_the_first_column_wins(part):
    (record,) = _read(part, _line([0, 0, 0, 5, 5, 0, 0, 0, 0, 0]))
    assert BASIC_EXPRESSIONS[record.label] == "sadness"
    assert record.votes[4] == record.votes[5] == 0.5


@given(votes)
def test_every_count_gives_a_label_with_a_distribution_or_a_reason(part, counts):
    (record,) = _read(part, _line(counts))
    if record.usable:
        assert sum(record.votes) == pytest.approx(1)
        assert record.votes[record.label] == max(record.votes)
        assert record.reason is None
    else:
        assert record.reason
        assert record.label is None
        assert record.votes is None


names = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters='",/\\\x7f\x85\xa0'), min_size=1
).filter(lambda name: name != ".")


@given(st.lists(st.tuples(names, votes), min_size=1, max_size=5))
def test_label_files_are_read_as_written(part, rows):
    text = "\n".join(_line(counts, name) for name, counts in rows)
    (part / "label.csv").write_text(text, encoding="utf-8")
    records = list(ferplus.read(part.parents[1]))
    assert [r.image for r in records] == [f"data/FER2013Train/{name}" for name, _ in rows]


@pytest.mark.parametrize(
    "line",
    [
        "a.png",
        f"a.png,{HEADER},1,2,3",
        f",{HEADER},1,2,3,4,5,6,7,8,9,10",
        f"a.png,{HEADER},1,2,3,4,5,6,7,8,9,x",
        f"a.png,{HEADER},1,2,3,4,5,6,7,8,9,-1",
        f"a.png,{HEADER},1,2,3,4,5,6,7,8,9,²",
        'a.png,"(0, 0, 48)",1,2,3,4,5,6,7,8,9,10',
        'a.png,"(0, 0, 48.5, 48)",1,2,3,4,5,6,7,8,9,10',
    ],
)
def test_a_line_of_another_form_is_named(part, line):
    with pytest.raises(DatasetError, match=r"label\.csv:2 must read NAME"):
        _read(part, _line([9] + [0] * 9), line)


def test_an_empty_box_is_refused(part):
    with pytest.raises(DatasetError, match="x0 < x1"):
        _read(part, 'a.png,"(48, 0, 48, 48)",9,0,0,0,0,0,0,0,0,0')


def test_absent_parts_are_left_out_but_not_all_of_them(fer_root, tmp_path):
    assert {r.split for r in ferplus.read(fer_root)} == {"train", "valid"}
    with pytest.raises(DatasetError, match=r"expected data/FER2013Train/label\.csv"):
        list(ferplus.read(tmp_path))
