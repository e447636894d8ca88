"""Charts as a parser sees them."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from models.errors import InputError
from training.report.drawing import Band, Series, fan_chart, interval_chart, line_chart
from training.report.drawing.axis import Axis, axis_over
from training.report.drawing.charts import Look


def test_every_chart_is_an_image_with_words_for_who_cannot_see_it():
    svg = ET.fromstring(line_chart("Skill <1>", 'says "so" & more', [Series("a", [0, 1], [1, 2])], Look("x", "y")))
    assert svg.attrib["role"] == "img"
    ids = svg.attrib["aria-labelledby"].split()
    words = {e.attrib["id"]: e.text for e in svg if "id" in e.attrib}
    assert [words[i] for i in ids] == ["Skill <1>", 'says "so" & more']


def test_ids_of_two_charts_differ():
    both = [line_chart("t", "d", [Series("a", [0, 1], [1, 2])], Look("x", "y")) for _ in range(2)]
    assert not set(re.findall(r'id="([^"]+)"', both[0])) & set(re.findall(r'id="([^"]+)"', both[1]))


def test_a_point_lies_where_the_axes_say():
    svg = line_chart(
        "t",
        "d",
        [Series("a", [0.0, 10.0], [0.0, 5.0], line=False, marks=True)],
        Look("x", "y", x_keep=(0.0,), y_keep=(0.0,)),
    )
    marks = [e for e in ET.fromstring(svg) if e.attrib.get("class") == "mark s0"]
    first, last = marks[-2:]
    assert float(first.attrib["cx"]) == 58.0  # x = 0 at the left end
    assert float(first.attrib["cy"]) > float(last.attrib["cy"])  # up is more


def test_an_unknown_point_breaks_the_line():
    svg = line_chart("t", "d", [Series("a", [0, 1, 2, 3], [1, 2, np.nan, 4])], Look("x", "y"))
    path = next(e for e in ET.fromstring(svg) if e.attrib.get("class") == "line s0" and "d" in e.attrib)
    assert path.attrib["d"].count("M") == 2


def test_a_value_that_is_not_above_zero_is_not_drawn_on_a_logarithmic_axis():
    svg = line_chart(
        "t", "d", [Series("a", [1, 2, 3], [0.1, 0.0, 0.3], line=False, marks=True)], Look("x", "y", y_log=True)
    )
    marks = [e for e in ET.fromstring(svg) if e.attrib.get("class") == "mark s0"]
    assert len(marks) == 1 + 2  # one in the legend


def test_what_is_not_told_apart_from_zero_has_an_open_mark():
    svg = interval_chart("t", "d", ["sure", "not"], [0.1, 0.1], [0.05, -0.1], [0.2, 0.3], Look("x", ""))
    kinds = [e.attrib["class"] for e in ET.fromstring(svg) if e.tag.endswith("circle")]
    assert kinds == ["mark s0", "mark s0 open"]


def test_a_fan_draws_its_bands_under_its_lines():
    svg = ET.fromstring(
        fan_chart("t", "d", [Band("90%", [0, 1], [0, 0], [1, 2])], [Series("came", [0, 1], [0.5, 1])], Look("x", "y"))
    )
    kinds = [e.attrib.get("class") for e in svg if "d" in e.attrib]
    assert kinds.index("band b0") < kinds.index("line s0")


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.037, 0.048), (1.0, 1.0001), (-5e6, 2e7)])
def test_ticks_are_few_round_and_inside(low, high):
    ticks = Axis(low, high, 0, 100).ticks()
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in ticks)
    assert np.diff(ticks) == pytest.approx(np.full(len(ticks) - 1, ticks[1] - ticks[0]))


@pytest.mark.parametrize(("low", "high"), [(1e-5, 1.0), (0.9, 1.2), (0.02, 0.5), (3.0, 4.0)])
def test_a_logarithmic_axis_always_has_ticks(low, high):
    ticks = Axis(low, high, 0, 100, log=True).ticks()
    assert 2 <= len(ticks) <= 8
    assert all(low * 0.99 <= t <= high * 1.01 for t in ticks)


def test_an_axis_without_values_can_still_be_drawn():
    assert axis_over([np.nan], 0, 1).ticks()
    assert axis_over([0.0], 0, 1, log=True).low > 0
    assert axis_over([0.0, 0.0], 0, 1, keep=(0.0,)).ticks()  # nothing but zeros


@pytest.mark.parametrize("wrong", [(1.0, 1.0, False), (2.0, 1.0, False), (0.0, 1.0, True)])
def test_an_axis_needs_two_rising_values(wrong):
    with pytest.raises(InputError, match="two rising values"):
        Axis(wrong[0], wrong[1], 0, 1, wrong[2])


def test_a_series_needs_as_many_x_as_y():
    with pytest.raises(InputError, match="as many x as y"):
        Series("a", [1, 2], [1])
