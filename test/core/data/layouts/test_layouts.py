"""The table of layouts."""

from __future__ import annotations

import pytest

from aue_crl_core.data.layouts.table import LAYOUTS, LayoutOptions, find_layout
from aue_crl_core.errors import ConfigError, DatasetError


def test_every_layout_refuses_a_folder_that_does_not_hold_it(tmp_path):
    for layout in LAYOUTS.values():
        with pytest.raises(DatasetError, match=str(tmp_path)):
            list(layout.read(tmp_path))


def test_an_unknown_layout_is_answered_with_the_known_ones():
    with pytest.raises(
        DatasetError, match="no layout 'rafdb'; known are fer2013, ferplus, affectnet, raf-db, raf-db-compound"
    ):
        find_layout("rafdb")


def test_the_compound_layout_has_the_compound_vocabulary():
    assert find_layout("raf-db-compound").vocabulary == "compound"
    assert find_layout("raf-db").vocabulary == "basic"


@pytest.mark.parametrize("given", ["aligned", "fold", "vocabulary"])
def test_an_option_reaches_the_layouts_that_have_it_and_is_refused_by_the_others(tmp_path, given):
    options = LayoutOptions(**{given: {"aligned": True, "fold": 2, "vocabulary": "compound"}[given]})
    able = [name for name, layout in LAYOUTS.items() if given in layout.options]
    assert able
    for name, layout in LAYOUTS.items():
        refused = (DatasetError, str(tmp_path)) if name in able else (ConfigError, f"--{given} must be given only for")
        with pytest.raises(refused[0], match=refused[1]):
            list(layout.records(tmp_path, options))
