"""Training without an asset, and judging on those who hold it."""

import numpy as np
import pytest

import training.benchmark.transfer as transfer
from models.errors import InputError
from models.instrument import parse_symbol
from models.typing import DAY_NS
from tests.training.benchmark.test_real import SETTINGS
from tests.training.markets import market
from training.accounts import draw_accounts
from training.benchmark.real import Period
from training.benchmark.sheets import transfer_sheets
from training.benchmark.transfer import holders, leave_asset_out_track
from training.settings import instants_between

ASSETS = ("BTC", "ETH", "SOL")


@pytest.fixture(scope="module")
def bars():
    return market(150, ASSETS)


def test_holders_are_all_who_hold_it_and_nobody_else(bars):
    instants = instants_between(bars, bars.start + 100 * DAY_NS, bars.end, 1440)
    people = draw_accounts(bars, "generic-linear", instants, 12, 3)
    for asset in ASSETS:
        found = holders(people, asset)
        bases = [parse_symbol(str(s)).base for s in people.positions["symbol"]]
        rows = {int(r) for r, base in zip(people.positions["row"], bases, strict=True) if base == asset}
        assert sorted(rows) == [int(np.flatnonzero(people.accounts["account_id"] == i)[0]) for i in _ids(found)]
        assert 0 < len(found) < len(people)


def _ids(people):
    return list(people.accounts["account_id"])


def test_no_model_has_seen_the_asset_that_it_is_judged_on(bars, monkeypatch):
    trained, judged = [], []
    fit, rows = transfer.fit_contestants, transfer.evaluation_set

    def fitting(panel, *rest):
        trained.append(panel.assets)
        return fit(panel, *rest)

    def judging(panel, *rest):
        seen = rows(panel, *rest)
        judged.append((panel.assets, len(seen.dataset)))
        return seen

    monkeypatch.setattr(transfer, "fit_contestants", fitting)
    monkeypatch.setattr(transfer, "evaluation_set", judging)
    period = Period(bars.start, bars.start + 120 * DAY_NS, bars.end)
    found = leave_asset_out_track(bars, period, SETTINGS, ())
    assert trained == [("ETH", "SOL"), ("BTC", "SOL"), ("BTC", "ETH")]
    assert [names for names, _ in judged] == [ASSETS] * 3
    assert list(found["assets"]) == list(ASSETS)
    parts = [part["scores"]["B5"]["pooled"]["n"] for part in found["assets"].values()]
    assert found["scores"]["B5"]["pooled"]["n"] == sum(parts)
    (sheet,) = transfer_sheets(found)
    assert [row[0] for row in sheet.rows] == [*ASSETS, "all"]
    assert {len(row) for row in sheet.rows} == {len(sheet.columns)}


def test_two_assets_are_too_few(bars):
    with pytest.raises(InputError, match="at least three"):
        leave_asset_out_track(bars.select(ASSETS[:2]), Period(bars.start, bars.end - DAY_NS, bars.end), SETTINGS, ())
