"""One ruleset as of an instant: what the engine asks a venue's rules for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import NoReturn

import numpy as np

from models.errors import InputError, UnknownAssetError, UnknownSymbolError
from models.instrument import is_stable, parse_symbol
from models.margin.inverse import maintenance_schedule as inverse_schedule
from models.margin.rulesets.document import Document, Model, Version, pick
from models.margin.rulesets.venues import (
    VENUE_MODELS,
    block_parameters,
    venue_collateral,
    venue_initial_rate,
    venue_parameters,
    venue_schedule,
)
from models.margin.tiers import TierSchedule
from models.typing import FloatArray

__all__ = ["Ruleset"]

_MAJOR = ("USDT", "USDC", "BTC", "ETH")
ANY = "*"
"""Key of the note that covers every symbol or asset a document does not name."""


@dataclass(frozen=True, eq=False)
class Ruleset:
    """The rules of a venue in force at an instant.

    Build one with `load_ruleset`. Schedules are cached: the same table is the same object, so a
    batch can tell distinct schedules apart by identity.

    Parameters
    ----------
    name : str
        For example ``"binance-usdm"``.
    effective_from : datetime
        Date of the newest change that is in force (any table or setting); the earliest date of the
        data where the ruleset is used before it.
    source : str
        Where the data was published.
    call_ratio : float
        Call requirement = maintenance / call_ratio, in (0, 1].
    release_factor : float
        Release level = release_factor * initial, > 1.
    default_leverage : float
        Leverage of a position that states none.
    stale_after_minutes : int
        A market whose newest close is older than this is refused.
    taker_fee : float
        Fraction of notional.
    funding_interval_hours : int
        Hours between funding stamps.
    initial_factor : float
        The initial requirement is at least so many times maintenance; 0 where the ruleset has no such rule.
    maintenance_scale : float
        Multiple of the published maintenance at which the venue liquidates (1.05 where at uniMMR 105%).
    loan_rate : float
        Maintenance on what the account owes, a fraction of its value (unified accounts).
    backdated : bool
        True where the instant asked for lies before the first date of the data.
    """

    name: str
    effective_from: datetime
    source: str
    call_ratio: float
    release_factor: float
    default_leverage: float
    stale_after_minutes: int
    taker_fee: float
    funding_interval_hours: int
    initial_factor: float
    maintenance_scale: float
    loan_rate: float
    backdated: bool
    _document: Document = field(repr=False)
    _instant: datetime = field(repr=False)
    _cache: dict[tuple[str, int, float], TierSchedule] = field(repr=False)

    @property
    def model(self) -> Model:
        """How the rules are computed, for example ``"linear"`` or ``"inverse"``."""
        return self._document.model

    @property
    def borrows(self) -> bool:
        """Whether assets other than the account currency may be owed."""
        return self.model in ("lending", "unified")

    @property
    def debt_rate(self) -> float:
        """Requirement on what is owed, as a fraction of its value."""
        return 1.0 if self.model == "lending" else self.loan_rate * self.maintenance_scale

    @property
    def debt_in_equity(self) -> bool:
        """Whether debts lower equity; on a loan they are the requirement that weighted collateral is held against."""
        return self.model != "lending"

    @property
    def weighs_currency(self) -> bool:
        """Whether a balance in the account currency has a collateral ratio as any other asset."""
        return self.model in ("lending", "csa")

    @property
    def weighs_by_quantity(self) -> bool:
        """Whether the weight of a collateral asset follows the units held."""
        return self.model in ("synthetix", "drift", "mango")

    @property
    def publishes_initial(self) -> bool:
        """Whether the rules give the initial margin of a position, so that no leverage is needed."""
        return self.model in VENUE_MODELS

    def initial_rate(self, symbol: str, quantity: float) -> float:
        """Give the initial margin rate of a position where the rules publish one.

        Parameters
        ----------
        symbol : str
            ccxt unified symbol.
        quantity : float
            Base units, signed.

        Returns
        -------
        float
            Initial margin over notional.
        """
        return venue_initial_rate(self.model, self._venue(symbol), quantity)

    def block_parameters(self, asset: str) -> FloatArray:
        """Give the parameters of an option or scenario margin model, as its kernel takes them.

        Parameters
        ----------
        asset : str
            Underlying.

        Returns
        -------
        ndarray
            Flat row; the layout is the model's.
        """
        return block_parameters(self.model, self._document.parameters, asset)

    def _venue(self, symbol: str) -> Mapping[str, float]:
        return venue_parameters(self._document.parameters, symbol, self._instant)

    def symbols(self) -> tuple[str, ...]:
        """Give the symbols that have a table of their own (empty where any symbol goes)."""
        return tuple(self._document.symbols)

    def assets(self) -> tuple[str, ...]:
        """Give the collateral assets that have a ratio of their own."""
        return tuple(self._document.collateral)

    def tier(self, symbol: str, quantity: float | None = None) -> TierSchedule:
        """Give the maintenance tiers of a symbol.

        Parameters
        ----------
        symbol : str
            ccxt unified symbol.
        quantity : float, optional
            Position size in base units. Where the venue sets tiers by quantity and applies the rate
            of the tier to the whole position (OKX), giving it makes the schedule exact: one flat
            rate. For a coin-margined symbol it is the dollar value of the contracts. Elsewhere it changes nothing.

        Returns
        -------
        TierSchedule
            Maintenance as a function of notional; for a coin-margined position, dollars as a function of its price.

        Raises
        ------
        UnknownSymbolError
            If the ruleset has no tiers for it; the closest symbols are named.

        Examples
        --------
        >>> from datetime import datetime, timezone
        >>> from models.margin.rulesets import load_ruleset
        >>> rules = load_ruleset("binance-usdm", datetime(2022, 3, 1, tzinfo=timezone.utc))
        >>> rules.tier("BTC/USDT:USDT").lookup(200_000)
        (0.005, 50.0)
        """
        if self.model in VENUE_MODELS:
            return venue_schedule(self.model, self._venue(symbol), 1.0 if quantity is None else quantity)
        base = self._base(symbol)
        if base is not self:
            return self._scaled(base.tier(symbol, quantity))
        version = self._version(symbol)[0]
        if quantity is not None and not parse_symbol(symbol).linear:
            return inverse_schedule(self._schedule("tier", version), abs(quantity))
        if quantity is not None and version.price:
            return self._flat(version, abs(quantity))
        return self._schedule("tier", version)

    def haircut(self, asset: str, quantity: float = 1.0) -> TierSchedule:
        """Give the collateral ratio schedule (1 - haircut, progressive) of an asset.

        Parameters
        ----------
        asset : str
            Asset code.
        quantity : float
            Units held, where the weight of an asset falls with them (`weighs_by_quantity`).

        Returns
        -------
        TierSchedule
            Counted value as a function of market value.

        Raises
        ------
        UnknownAssetError
            If the ruleset does not accept the asset as collateral.

        Examples
        --------
        >>> from datetime import datetime, timezone
        >>> from models.margin.rulesets import load_ruleset
        >>> float(load_ruleset("binance-usdm", datetime(2024, 3, 1, tzinfo=timezone.utc)).haircut("BTC")(1000.0))
        950.0
        """
        if self.model in (*VENUE_MODELS, "lending") and asset not in self._document.collateral:
            return venue_collateral(self.model, self._document.parameters, asset, quantity, self._instant)
        versions = self._document.collateral.get(asset) or self._document.default_collateral
        if not versions:
            self._refuse_asset(asset)
        return self._schedule("ratio", pick(versions, self._document.dates, self._instant)[0])

    def by_quantity(self, symbol: str) -> bool:
        """Say whether the tier of a symbol follows the position size, so that `tier` needs the quantity."""
        if self.model in VENUE_MODELS:
            return True
        base = self._base(symbol)
        return bool(self._version(symbol)[0].price) if base is self else base.by_quantity(symbol)

    def tier_source(self, symbol: str) -> tuple[datetime, str]:
        """Give the date and the public source of the tiers in use for a symbol."""
        return self._document.dates[self._version(symbol)[0].date]

    def tier_backdated(self, symbol: str) -> bool:
        """Say whether the tiers of a symbol are younger than the instant asked for."""
        return self._version(symbol)[1]

    def assumption(self, key: str) -> str | None:
        """Say what is assumed about a symbol or an asset; None where everything is published."""
        document = self._document
        if key in document.assumed:
            return document.assumed[key]
        known = key in document.symbols or key in document.collateral
        return None if known else document.assumed.get(ANY)

    def _base(self, symbol: str) -> Ruleset:
        """The ruleset whose tiers hold for a symbol: this one, or one that it extends."""
        if symbol in self._document.symbols or not self._document.extends:
            return self
        from models.margin.rulesets.loader import load_ruleset

        parts = [load_ruleset(name, self._instant) for name in self._document.extends]
        fitting = [r for r in parts if (r.model == "inverse") != parse_symbol(symbol).linear]
        return next((r for r in fitting if symbol in r.symbols()), fitting[0] if fitting else self)

    def _scaled(self, schedule: TierSchedule) -> TierSchedule:
        """A schedule times the multiple of maintenance at which the ruleset liquidates."""
        factor = self.maintenance_scale
        if factor == 1.0:
            return schedule
        key = ("scaled", id(schedule), factor)
        found = self._cache.get(key)
        if found is None:
            found = TierSchedule(
                schedule.floor, schedule.rate * factor, schedule.offset * factor, schedule.max_leverage
            )
            self._cache[key] = found
            self._cache[("kept", id(schedule), 0.0)] = schedule
        return found

    def _version(self, symbol: str) -> tuple[Version, bool]:
        versions = self._document.symbols.get(symbol)
        if versions is None:
            self._check_default(symbol)
            versions = self._document.default_tables
        return pick(versions, self._document.dates, self._instant)

    def _schedule(self, kind: str, version: Version) -> TierSchedule:
        key = (kind, version.table, version.price)
        schedule = self._cache.get(key)
        if schedule is None:
            build = self._document.tier_schedule if kind == "tier" else self._document.ratio_schedule
            schedule = self._cache[key] = build(version)
        return schedule

    def _flat(self, version: Version, quantity: float) -> TierSchedule:
        floor, rate, leverage = self._document.tables[version.table]
        k = max(int(np.searchsorted(floor, quantity, side="left")) - 1, 0)
        key = ("flat", version.table, float(k))
        schedule = self._cache.get(key)
        if schedule is None:
            schedule = self._cache[key] = TierSchedule.from_rates([0.0], [rate[k]], [leverage[k]])
        return schedule

    def _check_default(self, symbol: str) -> None:
        if self._document.default_tables:
            instrument = parse_symbol(symbol)
            linear = instrument.linear and is_stable(instrument.settle)
            wanted = {"linear": linear, "inverse": not instrument.linear}.get(self.model, True)
            if instrument.kind in ("perpetual", "future") and wanted:
                return
        self._refuse_symbol(symbol)

    def _day(self) -> str:
        """Day of the rules: the first one there is where the instant lies before it."""
        return f"{max(self._instant, self.effective_from):%Y-%m-%d}"

    def _refuse_symbol(self, symbol: str) -> NoReturn:
        close = _closest(symbol, self._document.symbols)
        if close:
            remedy = "; closest: " + ", ".join(close)
        else:
            remedy = "; ruleset 'generic-linear' takes any linear perpetual or future"
        expected = f"a symbol of ruleset {self.name!r} as of {self._day()}{remedy}"
        raise UnknownSymbolError("symbol", symbol, expected)

    def _refuse_asset(self, asset: str) -> NoReturn:
        if not isinstance(asset, str):
            raise InputError("asset", asset, "an asset code")
        known = sorted(self._document.collateral)
        close = get_close_matches(asset, known, n=3, cutoff=0.7) or [a for a in _MAJOR if a in known]
        expected = f"a collateral asset of ruleset {self.name!r} as of {self._day()}, for example "
        raise UnknownAssetError("asset", asset, expected + ", ".join(close))


def _closest(symbol: str, known: Iterable[str]) -> list[str]:
    """Give up to three symbols that a user who wrote `symbol` may have meant."""
    plain = {re.sub(r"[^A-Z0-9]", "", k.partition(":")[0]): k for k in known if "/" in k and "-" not in k}
    wanted = re.sub(r"[^A-Z0-9]", "", str(symbol).upper().partition(":")[0])
    return [plain[m] for m in get_close_matches(wanted, plain, n=3, cutoff=0.75)]
