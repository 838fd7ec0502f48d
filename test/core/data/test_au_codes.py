"""Tables of action units as coders see them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.data.au_labels import read_codes
from aue_crl_core.errors import DatasetError
from aue_crl_core.facs import ACTION_UNITS


def _table(tmp_path, text):
    path = tmp_path / "codes.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_cells_are_shares_and_empty_ones_say_nothing(tmp_path):
    path = _table(tmp_path, "image,who,AU1,AU04,AU99\na.jpg,me,1,0.5,1\nb/c.png,me,,0,\n")
    assert read_codes(path) == {"a.jpg": {1: 1.0, 4: 0.5}, "b/c.png": {4: 0.0}}


def test_rows_of_one_image_add_up_and_the_last_word_counts(tmp_path):
    path = _table(tmp_path, "image,AU1,AU4\na.jpg,1,\na.jpg,,0\na.jpg,0,\n")
    assert read_codes(path) == {"a.jpg": {1: 0.0, 4: 0.0}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "column image and columns AU1"),
        ("picture,AU1\na.jpg,1\n", "column image and columns AU1"),
        ("image,smile\na.jpg,1\n", "column image and columns AU1"),
        ("image,AU1\na.jpg,2\n", r":2, AU1, must be 0, 1, a share .* got '2'"),
        ("image,AU1\na.jpg,nan\n", "got 'nan'"),
        ("image,AU1\na.jpg,yes\n", "got 'yes'"),
        ("image,AU1\na.jpg\n", ":2 must have 2 cells, got 1"),
    ],
)
def test_another_table_is_refused_with_its_line(tmp_path, text, complaint):
    with pytest.raises(DatasetError, match=complaint):
        read_codes(_table(tmp_path, text))


def test_no_such_table(tmp_path):
    with pytest.raises(DatasetError, match=r"none\.csv"):
        read_codes(tmp_path / "none.csv")


@given(st.dictionaries(st.sampled_from(ACTION_UNITS), st.floats(0, 1), min_size=1))
def test_what_is_written_is_read(tmp_path_factory, codes):
    path = tmp_path_factory.mktemp("codes") / "codes.csv"
    path.write_text(
        f"image,{','.join(f'AU{u}' for u in codes)}\nx.png,{','.join(map(repr, codes.values()))}\n", encoding="utf-8"
    )
    assert read_codes(path) == {"x.png": codes}
