"""What a challenger shows beside the champion, on accounts and days that neither has seen."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from models.errors import InputError
from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from models.typing import DAY_NS, HORIZONS, BoolArray, FloatArray
from training.dataset import Dataset
from training.evaluate.bootstrap import Skill, skill
from training.evaluate.metrics import ece, losses
from training.evaluate.segments import segments
from training.population import TYPES

__all__ = ["Evidence", "Shown", "gather", "seconds_of_one"]

_REPEATS = 200


@dataclass(frozen=True, slots=True)
class Evidence:
    """Numbers that the gate is held against.

    Parameters
    ----------
    skill : Skill or None
        Log-loss skill over the champion; None where there is no champion.
    champion_age_days : float
        From the end of the champion's training data to the end of the period; NaN without champion.
    segments : tuple of (str, int, Skill)
        Parts of the accounts by name, their calls, and skill over the champion there.
    calibration : tuple of (int, int, float, float)
        Horizon in minutes, calls, predicted over observed, and calibration error of the challenger.
    novel_share : float
        Share of the accounts with an input that is unusual for the challenger.
    milliseconds : float
        Time of one account.
    slowdown : float
        The same over the champion's; NaN without champion.
    rows : int
        Forecasts compared.
    served_gap : float
        Largest difference between its forecasts as judged and as served.
    champion_calibration : tuple of (int, int, float, float)
        The same of the champion; empty without.
    """

    skill: Skill | None
    champion_age_days: float
    segments: tuple[tuple[str, int, Skill], ...]
    calibration: tuple[tuple[int, int, float, float], ...]
    novel_share: float
    milliseconds: float
    slowdown: float
    rows: int
    served_gap: float = 0.0
    champion_calibration: tuple[tuple[int, int, float, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A model and the rows it is judged on, with features and prior as it sees them.

    Parameters
    ----------
    predictor : MarginCallPredictor
        The model.
    dataset : Dataset
        Pairs; those of champion and challenger are of the same accounts.
    """

    predictor: MarginCallPredictor
    dataset: Dataset

    def forecasts(self) -> FloatArray:
        """P(call) and P(liquidation) of the pairs, shape (n, 4)."""
        return self.predictor.predict(self.dataset.x, self.dataset.prior)


def gather(challenger: Shown, champion: Shown | None, panel: MarketPanel, end: int) -> Evidence:
    """Judge a challenger beside the champion.

    Parameters
    ----------
    challenger : Shown
        The challenger.
    champion : Shown or None
        The champion; None where there is none.
    panel : MarketPanel
        The market, for the parts of the accounts.
    end : int
        End of the period, nanoseconds UTC.

    Returns
    -------
    Evidence
        The numbers.

    Raises
    ------
    InputError
        If the rows of the two are not of the same accounts, or there is no row with a known outcome.
    """
    data = challenger.dataset
    mask = data.usable & (data.level == 0)[:, None]
    if not mask.any():
        raise InputError("dataset", 0, "at least one forecast with a known outcome")
    p = challenger.forecasts()
    own = seconds_of_one(challenger)
    if champion is None:
        return Evidence(
            None,
            float("nan"),
            (),
            _calibration(p, data, mask),
            _novel(challenger),
            own * 1e3,
            float("nan"),
            int(mask.sum()),
        )
    _same(data, champion.dataset)
    until = champion.predictor.metadata.get("trained_until", champion.predictor.prior.fitted_until)
    theirs = seconds_of_one(champion)
    compared = _Compared(p, champion.forecasts(), data, mask)
    return Evidence(
        skill=compared.over(np.ones(len(data), np.bool_)),
        champion_age_days=(end - int(until)) / DAY_NS,
        segments=compared.parts(panel),
        calibration=_calibration(p, data, mask),
        novel_share=_novel(challenger),
        milliseconds=own * 1e3,
        slowdown=own / theirs,
        rows=int(mask.sum()),
        champion_calibration=_calibration(compared.reference, data, mask),
    )


def seconds_of_one(shown: Shown, repeats: int = _REPEATS) -> float:
    """Median CPU time of predicting the first account.

    Parameters
    ----------
    shown : Shown
        Model and rows.
    repeats : int
        How often.

    Returns
    -------
    float
        Seconds on one thread.
    """
    x, prior = shown.dataset.x[: len(HORIZONS)], shown.dataset.prior[:1]
    taken = []
    for _ in range(repeats):
        start = time.thread_time()
        shown.predictor.predict(x, prior, num_threads=1)
        taken.append(time.thread_time() - start)
    return float(np.median(taken))


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    p: FloatArray
    reference: FloatArray
    data: Dataset
    mask: BoolArray

    def over(self, rows: BoolArray) -> Skill:
        """Skill on some rows."""
        use = self.mask & rows[:, None]
        y = self.data.y[use].astype(np.float64)
        as_of = np.repeat(self.data.as_of[:, None], len(HORIZONS), axis=1)[use]
        return skill(losses(self.p[use], y), losses(self.reference[use], y), as_of)

    def parts(self, panel: MarketPanel) -> tuple[tuple[str, int, Skill], ...]:
        """Skill by part; those chosen by what came later are left out."""
        found = {
            f"{trait} {part}": rows for (trait, part), rows in segments(self.data, panel).items() if trait != "ahead"
        }
        regime = np.array([{k.name: k.regime for k in TYPES}.get(n, "other") for n in self.data.kinds], np.str_)
        of_row = regime[self.data.kind]
        found |= {f"regime {name}": of_row == name for name in np.unique(of_row).tolist()}
        out = []
        for name, rows in found.items():
            calls = int(self.data.y[self.mask & rows[:, None]].sum())
            if calls:
                out.append((name, calls, self.over(rows)))
        return tuple(out)


def _calibration(p: FloatArray, data: Dataset, mask: BoolArray) -> tuple[tuple[int, int, float, float], ...]:
    out = []
    for k, horizon in enumerate(HORIZONS):
        use = mask[:, k]
        y = data.y[use, k].astype(np.float64)
        calls = int(y.sum())
        if calls:
            out.append((horizon, calls, float(p[use, k].sum()) / calls, ece(p[use, k], y)))
    return tuple(out)


def _novel(shown: Shown) -> float:
    novelty = shown.predictor.novelty_of(shown.dataset.x[:: len(HORIZONS)])[0]
    known = novelty[np.isfinite(novelty)]
    return float((known > 1.0).mean()) if len(known) else 0.0


def _same(mine: Dataset, theirs: Dataset) -> None:
    fit = len(mine) == len(theirs) and np.array_equal(mine.as_of, theirs.as_of) and np.array_equal(mine.y, theirs.y)
    if not fit:
        raise InputError("dataset", (len(mine), len(theirs)), "the same accounts for champion and challenger")
