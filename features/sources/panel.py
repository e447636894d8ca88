"""From files to one market panel: one kind of price per asset, gaps left open, funding joined.

Mark and last price differ most when it matters (2020-03-12, 2021-05-19), so prices of two kinds
are never spliced: an asset has one kind for the whole panel, named in ``panel.source``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from features.sources.bars import FIELDS, KINDS, QUOTES, Bars, base_of
from features.sources.files import BarFile, bars_path, list_bar_files, read_bars, write_bars
from features.sources.funding import Funding, read_funding, write_funding
from features.sources.implied import read_implied_index
from features.sources.times import Instant, bar_minutes, bar_name, iso, to_ns
from models.errors import InputError, MissingMarketError
from models.market import MarketPanel
from models.typing import MINUTE_NS, FloatArray, IntArray

__all__ = ["COVER", "PanelLoad", "load_panel", "read_panel", "write_panel"]

COVER: Final = 0.95
"""Share of the asked period that a kind must cover to be taken before the ones after it."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PanelLoad:
    """A panel and what was noticed on the way.

    Parameters
    ----------
    panel : MarketPanel
        The market.
    notes : tuple of str
        One sentence for each thing a reader should know: rows left out, kinds that fell short, funding absent.
    """

    panel: MarketPanel
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Grid:
    """The columns of the panel, and a note book."""

    start: int
    n_bars: int
    minutes: int
    notes: list[str] = field(default_factory=list)

    @property
    def step(self) -> int:
        return self.minutes * MINUTE_NS

    def rows(self, bars: Bars) -> tuple[IntArray, IntArray]:
        """Rows of the bars inside the grid and the columns they belong to."""
        column, rest = np.divmod(bars.time - self.start, self.step)
        inside = (column >= 0) & (column < self.n_bars)
        kept = np.flatnonzero(inside & (rest == 0))
        lost = int(np.count_nonzero(inside)) - len(kept)
        if lost:
            self.notes.append(
                f"{bars.kind} {bars.symbol}: {lost} bars with stamps off the {self.minutes}-minute grid left out"
            )
        return kept, column[kept]

    def scatter(self, bars: Bars) -> FloatArray:
        """Prices on the grid, shape (4, T); NaN where a bar is missing or has no valid price."""
        out = np.full((4, self.n_bars), np.nan)
        kept, column = self.rows(bars)
        for i, name in enumerate(FIELDS):
            out[i, column] = getattr(bars, name)[kept]
        wrong = np.logical_not(((out > 0) & (out < np.inf)).all(axis=0))
        lost = np.count_nonzero(wrong[column])
        if lost:
            self.notes.append(f"{bars.kind} {bars.symbol}: {lost} bars without four positive prices left out")
        out[:, wrong] = np.nan
        return out

    def volume(self, bars: Bars) -> FloatArray:
        out = np.full(self.n_bars, np.nan)
        if bars.volume is not None:
            kept, column = self.rows(bars)
            out[column] = bars.volume[kept]
        return out

    def funding(self, funding: Funding) -> FloatArray:
        """Rates on the bar that holds their stamp; several on one bar are added."""
        column = (funding.time - self.start) // self.step
        inside = (column >= 0) & (column < self.n_bars) & np.isfinite(funding.rate)
        return np.bincount(column[inside], funding.rate[inside], self.n_bars).astype(np.float64)


class _Shelf:
    """Files of one venue by asset and kind; each is read once."""

    def __init__(self, root: Path, kinds: tuple[str, ...], venue: str, minutes: int) -> None:
        self.minutes = minutes
        self._best: dict[tuple[str, str], BarFile] = {}
        self._read: dict[tuple[str, str], Bars] = {}
        for file in list_bar_files(root, tuple(dict.fromkeys((*kinds, *KINDS))), venue):
            asset = base_of(file.symbol)
            if asset is not None and minutes % file.minutes == 0:
                key = (asset, file.kind)
                if key not in self._best or self._rank(file) < self._rank(self._best[key]):
                    self._best[key] = file

    @staticmethod
    def _rank(file: BarFile) -> tuple[int, int]:
        quote = next((i for i, q in enumerate(QUOTES) if file.symbol.endswith(q)), len(QUOTES))
        return quote, -file.minutes

    def assets(self, kinds: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted({asset for asset, kind in self._best if kind in kinds}))

    def symbol(self, asset: str, kind: str) -> str:
        return self._best[asset, kind].symbol

    def has(self, asset: str, kind: str) -> bool:
        return (asset, kind) in self._best

    def bars(self, asset: str, kind: str) -> Bars | None:
        key = (asset, kind)
        if key not in self._best:
            return None
        if key not in self._read:
            file = self._best[key]
            bars = read_bars(file.path, kind=file.kind, venue=file.venue, symbol=file.symbol, bar=file.minutes)
            self._read[key] = bars.tidy() if file.minutes == self.minutes else bars.resample(self.minutes)
        return self._read[key]


def load_panel(
    root: str | Path, assets: Sequence[str] | None = None, bar: str | int = "1h", start: Instant | None = None,
    end: Instant | None = None, kinds: Sequence[str] = KINDS, venue: str = "binance",
) -> MarketPanel:  # fmt: skip
    """Read a market from the contract's layout.

    Parameters
    ----------
    root : str or Path
        Folder with ``<kind>/<venue>/<SYMBOL>-<bar>.parquet`` (or .csv) and ``funding/<venue>/``.
    assets : sequence of str, optional
        Base codes such as ``"BTC"``; every asset there is where it is left out.
    bar : str or int
        Length of a bar. Made from shorter bars of the same kind where there is no file of that length.
    start, end : int, str, date or datetime, optional
        The period asked for: bars that open at or after `start` and close at or before `end`. Left out, it runs over
        the bars of the most preferred kind that any of the assets has.
    kinds : sequence of str
        Kinds of price in order of preference. An asset takes the first that covers at least 95% of the period, else
        the one that covers most; the choice stands in ``panel.source``.
    venue : str
        For example ``"binance"``.

    Returns
    -------
    MarketPanel
        NaN where a bar is missing, never filled forward. ``implied`` is read from ``vol/DVOL_<ASSET>-1d.parquet`` where
        there is such a file. Volume comes from the kind itself, else from the perpetual,
        else from spot, one of them for the whole period. Funding stands on the bar that holds its stamp, 0 elsewhere.

    Raises
    ------
    MissingMarketError
        If an asset has no file, or no bar in the period.
    InputError
        If an argument or a file cannot be read.

    Notes
    -----
    What was noticed on the way is logged as warnings; `read_panel` returns it.

    Examples
    --------
    >>> import tempfile
    >>> from features.sources import simulate_market
    >>> with tempfile.TemporaryDirectory() as root:
    ...     write_panel(simulate_market(("BTC",), days=2), root)
    ...     load_panel(root, ["BTC"]).n_bars
    48
    """
    load = read_panel(root, assets, bar, start, end, kinds, venue)
    for note in load.notes:
        _LOG.warning(note)
    return load.panel


def read_panel(
    root: str | Path, assets: Sequence[str] | None = None, bar: str | int = "1h", start: Instant | None = None,
    end: Instant | None = None, kinds: Sequence[str] = KINDS, venue: str = "binance",
) -> PanelLoad:  # fmt: skip
    """Read a market and return it with what was noticed; see `load_panel`.

    Parameters
    ----------
    root, assets, bar, start, end, kinds, venue
        As in `load_panel`.

    Returns
    -------
    PanelLoad
        The panel and notes.
    """
    _check_kinds(kinds)
    shelf = _Shelf(Path(root), tuple(kinds), venue, bar_minutes(bar))
    names = _assets(shelf, assets, kinds, root, venue)
    grid = _period(shelf, names, kinds, start, end)
    funding = read_funding(root, venue)
    priced = [_choose(grid, shelf, asset, kinds) for asset in names]
    opened, high, low, close = np.stack([item[1] for item in priced], axis=1)
    source = tuple(item[0] for item in priced)
    volume = np.stack([_volume(grid, shelf, a, kind) for a, kind in zip(names, source, strict=True)])
    rates = np.stack([_funding(grid, shelf, funding, asset) for asset in names])
    panel = MarketPanel(
        names, grid.minutes, grid.start, opened, high, low, close, volume, rates, _label(root, source),
        _implied(root, names, grid),
    )  # fmt: skip
    return PanelLoad(panel, tuple(grid.notes))


def _implied(root: str | Path, names: Sequence[str], grid: _Grid) -> FloatArray | None:
    """Implied volatility known at the open of each bar, shape (A, T); None where no asset has an index."""
    found = [read_implied_index(root, name) for name in names]
    if not any(index is not None for index in found):
        return None
    out = np.full((len(names), grid.n_bars), np.nan)
    times = grid.start + np.arange(grid.n_bars, dtype=np.int64) * grid.step
    for row, index in enumerate(found):
        if index is not None:
            level, known = index.at(times)
            out[row] = np.where(known, level, np.nan)
    return out


def _check_kinds(kinds: Sequence[str]) -> None:
    if isinstance(kinds, str) or not kinds or any(kind not in KINDS for kind in kinds):
        raise InputError("kinds", kinds, f"one or more of {', '.join(KINDS)}, in order of preference")


def _assets(
    shelf: _Shelf, assets: Sequence[str] | None, kinds: Sequence[str], root: str | Path, venue: str
) -> tuple[str, ...]:
    known = shelf.assets(kinds)
    if isinstance(assets, str):
        raise InputError("assets", assets, f"a list of assets, for example [{assets!r}]")
    names = known if assets is None else tuple(dict.fromkeys(assets))
    if not names:
        raise MissingMarketError(
            f"{root}: no {', '.join(kinds)} bars of {venue} that make {bar_name(shelf.minutes)} bars"
        )
    for name in names:
        if name not in known:
            wanted = f"{bar_name(shelf.minutes)} bars of {name!r} ({', '.join(kinds)} of {venue})"
            raise MissingMarketError(f"assets: no {wanted} in {root}; there are: {', '.join(known) or 'none'}")
    return names


def _period(
    shelf: _Shelf, names: Sequence[str], kinds: Sequence[str], start: Instant | None, end: Instant | None
) -> _Grid:
    step = shelf.minutes * MINUTE_NS
    first = to_ns(start, "start") if start is not None else None
    last = to_ns(end, "end") if end is not None else None
    if first is None or last is None:
        kind = next(kind for kind in kinds if any(shelf.has(name, kind) for name in names))
        held = [bars for name in names if (bars := shelf.bars(name, kind)) is not None and len(bars)]
        if not held:
            raise MissingMarketError(f"{kind} bars of {', '.join(names)}: the files are empty")
        first = min(int(bars.time[0]) for bars in held) // step * step if first is None else first
        last = max(int(bars.time[-1]) // step * step + step for bars in held) if last is None else last
    begin = -(-first // step) * step
    n_bars = (last - begin) // step
    if n_bars < 1:
        raise InputError("end", iso(last), f"at least one bar after start {iso(first)}")
    return _Grid(begin, int(n_bars), shelf.minutes)


def _choose(grid: _Grid, shelf: _Shelf, asset: str, kinds: Sequence[str]) -> tuple[str, FloatArray]:
    """The kind that serves the asset, and its prices on the grid."""
    best: tuple[float, str, FloatArray] | None = None
    for kind in kinds:
        bars = shelf.bars(asset, kind)
        if bars is None:
            continue
        noted = len(grid.notes)
        price = grid.scatter(bars)
        share = float(np.isfinite(price[3]).mean())
        if share >= COVER:
            return kind, price
        if best is None or share > best[0]:
            best = (share, kind, price)
        else:
            del grid.notes[noted:]
    if best is None or best[0] == 0.0:
        raise MissingMarketError(
            f"{asset}: no bar between {iso(grid.start)} and {iso(grid.start + grid.n_bars * grid.step)}"
        )
    grid.notes.append(f"{asset}: {best[1]} covers {best[0]:.1%} of the period, no kind covers {COVER:.0%}")
    return best[1], best[2]


def _volume(grid: _Grid, shelf: _Shelf, asset: str, kind: str) -> FloatArray:
    best = np.full(grid.n_bars, np.nan)
    noted = len(grid.notes)
    for name in dict.fromkeys((kind, "perp", "spot")):
        bars = shelf.bars(asset, name)
        if bars is None:
            continue
        volume = grid.volume(bars)
        share = np.isfinite(volume).mean()
        if share > np.isfinite(best).mean():
            best = volume
        if share >= COVER:
            break
    del grid.notes[noted:]
    return best


def _funding(grid: _Grid, shelf: _Shelf, funding: Funding, asset: str) -> FloatArray:
    held = set(funding.symbols)
    symbol = next((asset + quote for quote in QUOTES if asset + quote in held), None)
    if symbol is None:
        grid.notes.append(f"{asset}: no funding rates, taken as 0")
        return np.zeros(grid.n_bars)
    return grid.funding(funding.select(symbol))


def _label(root: str | Path, source: tuple[str, ...]) -> tuple[str, ...]:
    """Kinds, or "simulated" where the folder says that its market is."""
    return ("simulated",) * len(source) if (Path(root) / SIMULATED).is_file() else source


SIMULATED: Final = "SIMULATED.txt"
"""File that marks a folder whose market is simulated."""


def write_panel(panel: MarketPanel, root: str | Path, venue: str = "binance", quote: str = "USDT") -> None:
    """Write a panel in the contract's layout.

    Parameters
    ----------
    panel : MarketPanel
        The market. Missing bars are left out of the files.
    root : str or Path
        Folder to write to. A simulated market is written as mark prices, and the folder is marked as simulated, so
        that `load_panel` says so again.
    venue : str
        Venue to file it under.
    quote : str
        Quote of the symbols.

    Raises
    ------
    InputError
        If a simulated market would be written into a folder that holds a real one, or the other way round.
    """
    base, simulated = Path(root), "simulated" in panel.source
    _guard(base, simulated)
    if simulated:
        base.mkdir(parents=True, exist_ok=True)
        (base / SIMULATED).write_text("The market in this folder is simulated.\n")
    times, parts = panel.times(), []
    for i, (asset, source) in enumerate(zip(panel.assets, panel.source, strict=True)):
        kind, symbol = ("mark" if simulated else source), asset + quote
        volume = panel.volume[i] if np.isfinite(panel.volume[i]).any() else None
        price = {name: getattr(panel, name)[i] for name in FIELDS}
        bars = Bars(symbol, kind, venue, panel.bar_minutes, times, **price, volume=volume)
        bars = bars.take(np.isfinite(panel.close[i]))
        write_bars(bars_path(base, kind, venue, symbol, panel.bar_minutes), bars)
        paid = np.flatnonzero(panel.funding_rate[i])
        parts.append(Funding.of(symbol, times[paid], panel.funding_rate[i, paid]))
    if any(len(part) for part in parts):
        write_funding(base, venue, Funding.concat(parts))


def _guard(base: Path, simulated: bool) -> None:
    """Simulated and real markets never share a folder."""
    if simulated == (base / SIMULATED).is_file() or not base.is_dir() or not list_bar_files(base):
        return
    held = "real" if simulated else "simulated"
    raise InputError("root", str(base), f"another folder: this one holds a {held} market")
