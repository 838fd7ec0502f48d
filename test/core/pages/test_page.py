"""A page is one file that shows what it was given, whatever was in it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest

from aue_crl_core.errors import OutputError
from aue_crl_core.pages.page import Page, Table, write_whole

NASTY = '<script>alert("x")</script> & "quotes"'


def written(page: Page, folder) -> object:
    write_whole(folder / "new" / "page.html", page.html())
    return folder / "new" / "page.html"


def test_text_of_others_is_shown_as_it_is(tmp_path, read_page):
    page = Page(NASTY)
    page.heading(NASTY)
    page.text(NASTY)
    page.table(Table("names", ("name", NASTY), (("a", NASTY), None, ("b", "2")), frozenset({0})))
    read = read_page(written(page, tmp_path))
    assert read.tables == [[["name", NASTY], ["a", NASTY], ["b", "2"]]]
    assert read.text.count(NASTY) == 4  # the title too
    assert page.html().count("<script>") == 1


def test_a_folded_table_is_there_and_closed(tmp_path, read_page):
    page = Page("p")
    page.table(Table("t", ("a",), (("1",),)), folded="1 row")
    assert "<details><summary>1 row</summary>" in page.html()
    assert read_page(written(page, tmp_path)).tables == [[["a"], ["1"]]]


def test_figures_are_drawings_with_text_as_text_and_pictures_are_in_the_page(tmp_path, read_page, photograph):
    plots = pytest.importorskip("aue_crl_core.evaluation.plots")
    figure = plots.new_figure(3, 2)
    figure.add_subplot().set_title("a title")
    page = Page("p")
    page.figure(figure, "curve", "what it is")
    page.pictures([(photograph[:64, :64], "a corner")])
    read = read_page(written(page, tmp_path))
    assert "a title" in "".join(ET.fromstring(read.figures["curve"]).itertext())
    (picture,) = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in read.pictures)
    assert np.abs(picture[..., ::-1].astype(int) - photograph[:64, :64]).mean() < 6
    assert "a corner" in read.text
    assert read.addresses == [], "nothing comes from anywhere else"


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"page\.html cannot be written"):
        write_whole(tmp_path / "file" / "page.html", "")
