"""Does the forecast carry over to an asset that it was not trained on?

For each asset the model is trained on the bars and accounts of the others alone, and judged after the training period
on the accounts that hold a position in the asset. B5, the yardstick, is fitted on all assets, also on the
one left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.errors import InputError
from models.instrument import parse_symbol
from models.market import MarketPanel
from training.accounts import draw_accounts
from training.benchmark.compare import compare
from training.benchmark.contest import fit_contestants
from training.benchmark.names import OURS
from training.benchmark.real import Period, RealSettings, Result, about_track, shared_extra
from training.dataset import concatenate
from training.evaluate.report import plain, skills
from training.population import Population
from training.scoring import evaluation_set
from training.settings import Stage, instants_between

__all__ = ["holders", "leave_asset_out_track"]


def leave_asset_out_track(
    panel: MarketPanel,
    period: Period,
    settings: RealSettings | None = None,
    peers: Sequence[str] | None = None,
    progress: Stage | None = None,
) -> dict[str, Any]:
    """Train without each asset in turn, and judge on it.

    Parameters
    ----------
    panel : MarketPanel
        Bars of at least three assets.
    period : Period
        Training and test period.
    settings : RealSettings, optional
        Sampling; the accounts judged are the same for every asset left out, as far as they hold it.
    peers : sequence of str, optional
        Which peers; all by default.
    progress : callable, optional
        Called with (stage, done, in all).

    Returns
    -------
    dict
        about, notes, ``assets`` (for each what `training.benchmark.compare.compare` gives, and ``one_position``: skill
        over B5 on accounts with that position alone), and the comparison over all of them together; an account with
        positions in two assets is judged once for each.

    Raises
    ------
    InputError
        If the panel has fewer than three assets.
    """
    if len(panel.assets) < 3:
        raise InputError("assets", list(panel.assets), "at least three, of which one is left out at a time")
    chosen = settings or RealSettings()
    instants = instants_between(panel, period.cut, min(period.stop, panel.end), chosen.test_every)
    ruleset, seed = chosen.training.ruleset, chosen.training.seed + 1
    people = draw_accounts(panel, ruleset, instants, chosen.test_accounts, seed)
    found = {asset: _without(panel, asset, period, people, chosen, peers, progress) for asset in panel.assets}
    results = list(found.values())
    whole = concatenate([replace(r.dataset, extra=shared_extra(r.dataset, results)) for r in results])
    forecasts = {name: np.concatenate([r.forecasts[name] for r in results]) for name in results[0].forecasts}
    return plain(
        {
            "about": about_track(panel, chosen, [period], whole),
            "notes": results[-1].notes,
            "assets": {asset: _judged(r, panel) for asset, r in found.items()},
            **compare(whole, forecasts, panel),
        }
    )


def holders(people: Population, asset: str) -> Population:
    """Find the accounts that hold a position in an asset.

    Parameters
    ----------
    people : Population
        Accounts.
    asset : str
        Base code.

    Returns
    -------
    Population
        Those accounts, with all that they hold.
    """
    names, place = np.unique(people.positions["symbol"].astype(str), return_inverse=True)
    own = np.array([parse_symbol(str(name)).base == asset for name in names], np.bool_)
    return people.take(np.unique(people.positions["row"][own[place]]))


def _without(
    panel: MarketPanel,
    asset: str,
    period: Period,
    people: Population,
    settings: RealSettings,
    peers: Sequence[str] | None,
    progress: Stage | None,
) -> Result:
    """Forecasts for the holders of an asset, by a model trained on the others."""
    others = panel.select([name for name in panel.assets if name != asset])
    found = fit_contestants(others, period.start, period.cut, settings.training, peers, settings.rounds, progress)
    prior, stop = found.training.predictor.prior, min(period.stop, panel.end)
    seen = evaluation_set(panel, prior, period.cut, stop, settings.training, holders(people, asset), progress)
    return Result(seen.dataset, found.forecasts(seen.dataset), found.notes)


def _judged(result: Result, panel: MarketPanel) -> dict[str, Any]:
    rows = (result.dataset.level == 0) & (result.dataset.legs == 1)
    alone = skills(result.dataset, result.forecasts[OURS], result.forecasts["B5"], rows)
    return {**compare(result.dataset, result.forecasts, panel), "one_position": alone["pooled"]}
