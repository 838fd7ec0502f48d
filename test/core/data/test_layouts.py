"""The table of layouts."""

from __future__ import annotations

import pytest

from aue_crl_core.data.layouts import LAYOUTS, find_layout
from aue_crl_core.errors import DatasetError


def test_every_layout_refuses_a_folder_that_does_not_hold_it(tmp_path):
    for layout in LAYOUTS.values():
        with pytest.raises(DatasetError, match=str(tmp_path)):
            list(layout.read(tmp_path))


def test_an_unknown_layout_is_answered_with_the_known_ones():
    with pytest.raises(DatasetError, match="no layout 'rafdb'; known are ferplus, raf-db, raf-db-compound, folder"):
        find_layout("rafdb")


def test_the_compound_layout_has_the_compound_vocabulary():
    assert find_layout("raf-db-compound").vocabulary == "compound"
    assert find_layout("raf-db").vocabulary == "basic"
