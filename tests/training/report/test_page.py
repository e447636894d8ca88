"""The page and its twins: whole, self-contained, escaped, and the same numbers everywhere."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from models.errors import InputError
from models.typing import HORIZONS
from training.evaluate.metrics import log_loss
from training.report import Report, Section, Table, write_report, write_twins
from training.report.document import build_document, load_ownership
from training.report.judged import Judged
from training.report.page import render_page
from training.report.sections.compare import compare
from training.report.sections.decisions import value_of
from training.report.sections.headline import headline


class _Seen(HTMLParser):
    """Tags and attributes in order."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag


@pytest.fixture(scope="module")
def page(whole):
    return render_page(whole.report)


def test_the_page_asks_for_nothing(page):
    seen = _Seen(page)
    assert not [tag for tag, _ in seen.tags if tag in ("script", "iframe", "img", "object", "embed")]
    links = [a[k] for _, a in seen.tags for k in ("href", "src", "xlink:href") if k in a]
    assert links
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert "url(" not in page
    assert "@import" not in page
    assert len(page.encode()) < 3_000_000


def test_links_lead_somewhere_and_ids_are_unique(page):
    seen = _Seen(page)
    ids = [a["id"] for _, a in seen.tags if "id" in a]
    assert len(ids) == len(set(ids))
    named = [a["href"][1:] for tag, a in seen.tags if tag == "a"]
    named += [i for _, a in seen.tags for k in ("aria-labelledby",) if k in a for i in a[k].split()]
    assert set(named) <= set(ids)


def test_headings_go_down_one_by_one(page):
    levels = [int(tag[1]) for tag, _ in _Seen(page).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_every_chart_has_its_numbers_beside_it(whole, page):
    figures = [f for s in whole.report.sections for f in s.figures]
    assert len(figures) >= 12
    assert page.count("<figure>") == page.count("<summary>") == len(figures)
    assert all(f.table.rows and f.says for f in figures)


def test_what_a_user_named_is_escaped():
    odd = "<script>alert(1)</script>"
    table = Table("t", odd, (odd,), ((odd,),), ("",))
    page = render_page(Report(odd, odd, [odd], [Section("s", odd, [odd], tables=[table])], odd))
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") >= 7


def test_the_findings_say_what_the_metrics_say(whole):
    judged = Judged(whole.evaluation, whole.panel, whole.predictor)
    said = " ".join(headline(judged))
    pooled = whole.evaluation.metrics["skill_vs_prior"]["pooled"]
    assert f"{pooled['value']:+.2%}" in said
    assert f"{whole.evaluation.metrics['pooled']['predicted_over_observed']:.3f}" in said
    words = {True: "better than", False: "not told apart from"}
    assert ("worse than" if pooled["high"] < 0 else words[pooled["low"] > 0]) in said


def test_a_simulated_market_is_said_to_be_one(whole, page):
    assert whole.report.warning
    assert page.index("simulated: no number") < page.index("Findings")


def test_the_crash_is_told_by_an_account_that_was_called(whole):
    section = next(s for s in whole.report.sections if s.name == "crashes")
    assert section.figures
    assert len(section.figures) % 2 == 0
    fan = section.figures[0].table
    hours = [row[0] for row in fan.rows]
    assert hours == list(range(0, 73, 3))
    bands = np.array([row[1:6] for row in fan.rows], float)
    assert (np.diff(bands, axis=1) >= 0).all()  # quantiles rise
    assert bands[0] == pytest.approx(np.full(5, fan.rows[0][6]), rel=1e-6)  # nothing has happened yet
    came = np.array([row[6] for row in fan.rows], float)
    called = float(re.search(r"Called after (\d+) h", section.figures[0].says)[1])
    assert np.nanmin(came) < 1.25  # closes below the call level of generic-linear
    assert 6 <= called <= 72
    said = section.figures[1].table
    assert all(row[0] < called + 0.5 for row in said.rows)  # nothing is said once it was called
    assert all(a <= b + 1e-12 for row in said.rows for a, b in pairwise(row[1:]))


def test_twins_hold_all_digits(whole, tmp_path):
    files = write_twins(whole.report, tmp_path)
    assert len({f.name for f in files}) == len(files) == len(whole.report.tables())
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    by_name = {row["horizon"]: row for row in rows}
    metrics = whole.evaluation.metrics
    for horizon in HORIZONS:
        assert float(by_name[f"{horizon // 60} h"]["log loss"]) == metrics["horizons"][str(horizon)]["log_loss"]
    assert float(by_name["pooled"]["skill over B5"]) == metrics["skill_vs_prior"]["pooled"]["value"]


def test_a_report_on_disk_is_whole(whole, tmp_path):
    page = write_report(whole.evaluation, whole.panel, whole.predictor, tmp_path / "out")
    assert page.read_text().endswith("</html>\n") or page.read_text().endswith("</html>")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == whole.evaluation.metrics
    assert (tmp_path / "out" / "data" / "decomposition.csv").is_file()
    assert not list((tmp_path / "out").glob("*.part"))


def test_two_models_are_compared_in_pairs(whole):
    bold = replace(whole.evaluation, p=np.maximum(whole.evaluation.p, 0.5))  # cries wolf
    section = compare(
        Judged(whole.evaluation, whole.panel, whole.predictor), Judged(bold, whole.panel, whole.predictor)
    )
    rows = {row[0]: row for row in section.figures[0].table.rows}
    assert all(row[2] > 0 for row in rows.values())  # better for sure at every horizon
    calls = whole.evaluation.dataset.level == 0
    y = whole.evaluation.dataset.y[calls][whole.evaluation.dataset.usable[calls]].astype(float)
    mine, theirs = (e.p[calls][whole.evaluation.dataset.usable[calls]] for e in (whole.evaluation, bold))
    assert rows["pooled"][1] == pytest.approx(1 - log_loss(mine, y) / log_loss(theirs, y))
    assert "better than it" in section.words[0]
    itself = compare(*[Judged(whole.evaluation, whole.panel, whole.predictor)] * 2)
    assert [row[1:] for row in itself.figures[0].table.rows] == [(0.0, 0.0, 0.0)] * 5


def test_models_judged_on_other_accounts_are_not_compared(whole):
    half = whole.evaluation.dataset.take(np.arange(len(whole.evaluation.dataset)) % 4 < 2)
    other = replace(whole.evaluation, dataset=half, p=whole.evaluation.p[: len(half)], baselines={})
    with pytest.raises(InputError, match="both models on the same accounts"):
        compare(*(Judged(e, whole.panel, whole.predictor) for e in (whole.evaluation, other)))


def test_the_document_says_who_answers_and_what_is_missing(whole, tmp_path):
    path = tmp_path / "about.toml"
    path.write_text('owner = "Risk <desk>"\nuses = "alerts"\n')
    document = build_document(whole.evaluation, whole.panel, whole.predictor, load_ownership(path))
    page = render_page(document)
    assert "Risk &lt;desk&gt;" in page
    assert document.warning == "Not stated yet: validator, approver, materiality, next review."
    names = {section.name for section in document.sections}
    assert names == {"purpose", "lineage", "design", "benchmarks", "outcomes", "limits", "monitoring", "practice"}
    assert str(whole.predictor.metadata["data_fingerprint"]) in page
    path.write_text("boss = 1\n")
    with pytest.raises(InputError, match=r"about\.boss"):
        load_ownership(path)


def test_value_is_one_for_who_knows_and_zero_for_who_does_not():
    y = np.repeat([0.0, 1.0], [98, 2])
    from training.evaluate.decisions import decision_curve

    assert value_of(decision_curve(y, y), 0.02) == pytest.approx([1.0] * 7)
    assert value_of(decision_curve(np.full(100, 0.0), y), 0.02)[2:] == pytest.approx([0.0] * 5)


@pytest.mark.parametrize(
    ("name", "rows", "formats", "match"),
    [("Bad Name", (), ("",), "lower-case"), ("t", (("a", 1),), ("",), "1, one for each"), ("t", (), (), "formats")],
)
def test_a_table_that_does_not_fit_is_refused(name, rows, formats, match):
    with pytest.raises(InputError, match=match):
        Table(name, "c", ("a",), rows, formats)
