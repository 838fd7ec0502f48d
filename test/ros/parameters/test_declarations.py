"""The declarations: what each parameter takes, what it refuses, and what the node reads of it."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aue_crl_core.analyzer import AnalyzerConfig
from aue_crl_core.dynamics.events import EventConfig
from aue_crl_core.dynamics.smoothing import TemporalConfig
from aue_crl_core.errors import ConfigError
from aue_crl_ros.parameters.declarations import PARAMETERS, Parameter, Settings

NUMBERS = [p for p in PARAMETERS.values() if type(p.default) in (int, float)]
BOUNDED = [pytest.param(p, id=p.name) for p in NUMBERS]
OF_KIND = {
    kind: [pytest.param(p, id=p.name) for p in PARAMETERS.values() if type(p.default) is kind]
    for kind in (bool, int, float, str, tuple)
}
CHOSEN = [pytest.param(p, id=p.name) for p in PARAMETERS.values() if p.choices]
WRONG = {
    bool: [0, 1, "true", None, 1.0, []],
    int: [True, 1.0, "1", None, [1], math.nan],
    float: [True, "1.0", None, [1.0], 1j],
    str: [True, 1, None, ["edge"], b"edge"],
    tuple: ["image", 1, None, [], [1], [""], ["image", ""], [None], {"image"}, ["a", "a"]],
}
NOT_LIVE = {
    "image_topics",
    "image_transport",
    "weights",
    "engine",
    "device",
    "threads",
    "precision",
    "detector",
    "min_search_px",
    "hri",
    "detections",
    "markers",
    "face_source",
    "view",
    "view_port",
}


def other_value(parameter: Parameter):
    """Another value that the parameter takes."""
    if isinstance(parameter.default, bool):
        return not parameter.default
    if parameter.choices:
        return next(choice for choice in parameter.choices if choice != parameter.default)
    if isinstance(parameter.default, str):
        return parameter.default + "2"
    if isinstance(parameter.default, tuple):
        return (*parameter.default, "another")
    return parameter.high if parameter.default != parameter.high else parameter.low


def test_every_field_is_declared_once_and_described():
    assert list(PARAMETERS) == [field.name for field in dataclasses.fields(Settings)]
    for name, parameter in PARAMETERS.items():
        assert parameter.name == name
        assert parameter.description.endswith(".")
        assert parameter.description[0].isupper() or parameter.choices or name == "device"


def test_every_default_is_taken():
    for parameter in PARAMETERS.values():
        assert parameter.checked(parameter.default) == parameter.default
    assert Settings() == Settings(**{name: p.default for name, p in PARAMETERS.items()})


def test_every_number_has_a_range_with_its_default_inside():
    for parameter in NUMBERS:
        assert parameter.low <= parameter.default <= parameter.high


@pytest.mark.parametrize("parameter", BOUNDED)
def test_a_range_includes_its_ends_and_nothing_beyond(parameter):
    kind = type(parameter.default)
    for edge in (kind(parameter.low), kind(parameter.high)):
        taken = parameter.checked(edge)
        assert taken == edge
        assert type(taken) is kind
    step = 1 if kind is int else 1e-6
    for beyond in (kind(parameter.low - step), kind(parameter.high + step)):
        with pytest.raises(ConfigError, match=rf"^{parameter.name} must be in \[.*\], got "):
            parameter.checked(beyond)


@pytest.mark.parametrize("parameter", OF_KIND[float])
def test_a_number_may_be_whole_and_must_be_finite(parameter):
    whole = parameter.checked(int(parameter.high))
    assert (whole, type(whole)) == (parameter.high, float)
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ConfigError, match=parameter.name):
            parameter.checked(value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        pytest.param(parameter, value, id=f"{parameter.name}={value!r}")
        for parameter in PARAMETERS.values()
        for value in WRONG[type(parameter.default)]
    ],
)
def test_values_of_another_kind_are_refused_by_name(parameter, value):
    with pytest.raises(ConfigError, match=rf"^{parameter.name} must .*, got ") as refused:
        parameter.checked(value)
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize("parameter", CHOSEN)
def test_only_the_choices_are_taken(parameter):
    assert parameter.default in parameter.choices
    for choice in parameter.choices:
        assert parameter.checked(choice) == choice
    for wrong in ("", "other", parameter.choices[0].upper(), f"{parameter.choices[0]} "):
        with pytest.raises(ConfigError, match=f"{parameter.name} must be one of {', '.join(parameter.choices)}"):
            parameter.checked(wrong)


@pytest.mark.parametrize("topic", ["front camera", "/a//b", "1st", "a/", "{robot}/image"])
def test_an_image_topic_must_be_a_ros_name(topic):
    with pytest.raises(ConfigError, match=r"in a ROS name must|a ROS name must be tokens") as refused:
        Settings(image_topics=("image", topic))
    assert repr(topic) in str(refused.value)


@given(st.lists(st.from_regex(r"(~?/)?[a-z][a-z0-9_]{0,9}(/[a-z]{1,3})*", fullmatch=True), min_size=1, unique=True))
def test_a_list_becomes_a_tuple_of_the_same(topics):
    assert Settings(image_topics=topics).image_topics == tuple(topics)


@given(st.floats(0, 1), st.floats(0, 1))
def test_an_action_unit_may_not_end_above_where_it_begins(on, off):
    if off <= on:
        settings = Settings(unit_on=on, unit_off=off)
        assert (settings.unit_on, settings.unit_off) == (on, off)
    else:
        with pytest.raises(ConfigError, match="unit_off must be at most unit_on"):
            Settings(unit_on=on, unit_off=off)


@given(st.data())
def test_values_that_are_taken_make_valid_settings_and_valid_parts(data):
    values = {}
    for p in NUMBERS:
        strategy = st.integers if isinstance(p.default, int) else st.floats
        kind = type(p.default)
        values[p.name] = data.draw(strategy(kind(p.low), kind(p.high)), p.name)
    values["unit_off"] = min(values["unit_off"], values["unit_on"])
    values["uncertain_below"] = abs(values["uncertain_below"])
    settings = Settings().changed(values)
    for part in (settings.analyzer(), settings.temporal(values["uncertain_below"])):
        for field in dataclasses.fields(part):
            if field.name in values:
                assert getattr(part, field.name) == values[field.name]
    EventConfig(settings.unit_on, settings.unit_off, settings.min_event_s)


def test_settings_are_checked_when_they_are_made():
    with pytest.raises(ConfigError, match="max_faces"):
        Settings(max_faces=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().max_faces = 3


def test_changed_settings_are_new_ones():
    settings = Settings()
    changed = settings.changed({"max_faces": 3, "image_topics": ["/a", "/b"]})
    assert (changed.max_faces, changed.image_topics) == (3, ("/a", "/b"))
    assert settings == Settings()
    assert settings.changed({}) == settings


def test_fields_that_depend_on_each_other_change_together():
    low = Settings().changed({"unit_on": 0.3, "unit_off": 0.2})
    assert (low.unit_on, low.unit_off) == (0.3, 0.2)
    with pytest.raises(ConfigError, match=r"unit_off must be at most unit_on \(0.3\), got 0.4"):
        Settings().changed({"unit_on": 0.3})


@pytest.mark.parametrize("configured", [True, False])
def test_unknown_names_are_refused_with_those_that_are_known(configured):
    with pytest.raises(ConfigError, match=r"^no parameter is called colour, maxfaces; known are image_topics, "):
        Settings().changed({"maxfaces": 3, "max_faces": 3, "colour": "red"}, configured=configured)


@pytest.mark.parametrize("parameter", [pytest.param(p, id=p.name) for p in PARAMETERS.values()])
def test_what_cannot_change_while_configured_says_so(parameter):
    assert parameter.live == (parameter.name not in NOT_LIVE)
    value = other_value(parameter)
    values = {parameter.name: value}
    if parameter.name == "unit_off":
        values["unit_on"] = 1.0
    assert getattr(Settings().changed(values), parameter.name) == value
    if parameter.live:
        assert getattr(Settings().changed(values, configured=True), parameter.name) == value
        return
    with pytest.raises(ConfigError, match=f"{parameter.name} can be changed in the unconfigured state only"):
        Settings().changed(values, configured=True)
    same = {parameter.name: list(value) if isinstance(value := parameter.default, tuple) else value}
    assert Settings().changed(same, configured=True) == Settings()


def test_a_wrong_value_of_what_cannot_change_is_called_wrong():
    with pytest.raises(ConfigError, match="image_transport must be one of raw, compressed"):
        Settings().changed({"image_transport": "theora"}, configured=True)


@pytest.mark.parametrize("part", [AnalyzerConfig(), TemporalConfig(), EventConfig()])
def test_the_defaults_are_those_of_the_parts(part):
    shared = [field.name for field in dataclasses.fields(part) if field.name in PARAMETERS]
    assert shared
    live = {
        "background_search": True,  # offline, the same images must give the same faces
        "uncertain_below": -1.0,  # a parameter can't be None
    }
    for name in shared:
        assert PARAMETERS[name].default == live.get(name, getattr(part, name))


def test_the_parts_read_their_own_values():
    numbers = {p.name: p.low + 0.7 * (p.high - p.low) for p in NUMBERS}
    settings = Settings().changed({n: v for n, v in numbers.items() if isinstance(PARAMETERS[n].default, float)})
    settings = settings.changed({"max_faces": 5, "detect_every": 7, "background_search": False, "sides": True})
    for part in (settings.analyzer(), settings.temporal(settings.uncertain_below)):
        for field in dataclasses.fields(part):
            if field.name in PARAMETERS:
                assert getattr(part, field.name) == getattr(settings, field.name) != PARAMETERS[field.name].default
    assert Settings().analyzer() == AnalyzerConfig(background_search=True)
    assert Settings().temporal(0.4) == TemporalConfig()


def test_below_0_the_weights_say_what_is_uncertain():
    assert Settings().analyzer().uncertain_below is None
    assert Settings(uncertain_below=0.0).analyzer().uncertain_below == 0.0


@pytest.mark.parametrize(("name", "value"), [("smoothing_s", 10**400), ("threads", 10**400), ("threads", -(10**400))])
def test_a_number_beyond_float_is_out_of_range(name, value):
    with pytest.raises(ConfigError, match=rf"{name} must be in \["):
        Settings().changed({name: value})


@pytest.mark.parametrize("name", ["detections", "markers"])
def test_what_has_a_place_in_an_image_needs_images(name):
    with pytest.raises(ConfigError, match="face_source must be camera where detections or markers is set, got 'crop"):
        Settings(face_source="cropped", **{name: True})
