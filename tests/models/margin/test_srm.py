"""Standard margin: the published rule beyond its cases, its invariants, and the kernel against the clear function."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict
from msgspec.structs import replace as with_fields

from models.errors import InputError
from models.margin.blocks import BlockArrays
from models.margin.srm import (
    MAINNET,
    PERPETUAL_V3,
    SrmExpiry,
    SrmMargin,
    SrmMarket,
    SrmOption,
    SrmParameters,
    pack_parameters,
    srm_margin,
    srm_net_margin,
)
from models.margin.srm_parameters import RANGES

ETH = MAINNET["ETH"]
SPOT = 2000.0
WEEK = 7 * 86_400.0

options = st.builds(
    SrmOption,
    strike=st.sampled_from([1500.0, 1800.0, 2000.0, 2100.0, 2600.0, 4000.0]),
    is_call=st.booleans(),
    quantity=st.sampled_from([-3.0, -1.0, -0.25, 0.5, 1.0, 2.0]),
    vol=st.floats(0.2, 1.5),
)
books = st.lists(options, min_size=1, max_size=7)


def net(
    book: list[SrmOption], spot: float = SPOT, cash: float = 0.0, stable: float = 1.0, **fields: float
) -> SrmMargin:
    expiry = SrmExpiry(WEEK, spot * 1.002, tuple(book))
    return srm_net_margin([replace(SrmMarket(ETH, spot, expiries=(expiry,)), **fields)], cash, stable)


def short(strike: float, is_call: bool = True, quantity: float = -1.0) -> SrmOption:
    return SrmOption(strike, is_call, quantity, 0.0)


def test_out_of_the_money_discount_falls_linearly_from_the_greatest_to_the_least_rate() -> None:
    # volatility 0: the mark is zero, so that the margin is the rate times spot
    assert net([short(2020.0)]).initial == pytest.approx(-(0.15 * SPOT - 20.0))
    assert net([short(2040.0)]).initial == pytest.approx(-0.13 * SPOT)
    assert net([short(1990.0, is_call=False)]).initial == pytest.approx(-(0.15 * SPOT - 10.0))
    assert net([short(3000.0)]).maintenance == pytest.approx(-0.09 * SPOT)


def test_deep_put_needs_a_share_of_its_mark_and_initial_at_least_the_offset() -> None:
    mark = 9000.0 - SPOT * 1.002
    deep = net([short(9000.0, is_call=False)])
    assert deep.maintenance == pytest.approx(-mark * 1.09)
    assert deep.initial == pytest.approx(-mark * 1.09 * 1.05)


def test_spread_is_margined_at_its_worst_loss_and_the_excess_call_at_the_forward() -> None:
    assert net([short(1800.0), short(1900.0, quantity=1.0)]).maintenance == pytest.approx(-100.0)
    excess = net([short(1200.0, quantity=-1.01), short(1300.0, quantity=1.0)])
    assert excess.initial == pytest.approx(-101.0 - 0.01 * 1.2 * SPOT * 1.002)
    assert excess.maintenance == pytest.approx(-101.0 - 0.01 * 1.1 * SPOT * 1.002)


def test_expiries_do_not_offset_each_other() -> None:
    near = SrmExpiry(WEEK, SPOT, (short(1800.0),))
    far = SrmExpiry(2 * WEEK, SPOT, (short(1900.0, quantity=1.0),))
    apart = srm_net_margin([SrmMarket(ETH, SPOT, expiries=(near, far))])
    assert apart.maintenance == pytest.approx(srm_net_margin([SrmMarket(ETH, SPOT, expiries=(near,))]).maintenance)


def test_low_confidence_is_the_least_of_two_oracles_and_falls_on_initial_only() -> None:
    perp = SrmMarket(ETH, SPOT, perpetual=-2.0, perpetual_price=2010.0, perpetual_confidence=0.5, spot_confidence=0.4)
    sure = replace(perp, perpetual_confidence=1.0, spot_confidence=1.0)
    found, clear = srm_net_margin([perp]), srm_net_margin([sure])
    assert clear.initial - found.initial == pytest.approx(0.6 * 2.0 * SPOT)
    assert clear.maintenance == found.maintenance
    at = replace(perp, perpetual_confidence=0.55, spot_confidence=0.55)
    assert srm_net_margin([at]).initial == clear.initial


def test_depeg_charges_short_options_and_perpetuals_not_long_options() -> None:
    held = {"perpetual": 3.0, "perpetual_price": SPOT}
    book = [short(3000.0, quantity=-2.0), short(3000.0, quantity=5.0)]
    gap = net(book, **held).initial - net(book, stable=0.9, **held).initial
    assert gap == pytest.approx(0.09 * 2.0 * SPOT * (3.0 + 2.0))
    assert net(book, stable=0.9, **held).maintenance == net(book, **held).maintenance


def test_base_collateral_counts_at_its_factor_and_a_debt_in_full() -> None:
    assert net([], base=2.0).maintenance == pytest.approx(0.8 * 2.0 * SPOT)
    assert net([], base=2.0).initial == pytest.approx(0.8 * 0.9375 * 2.0 * SPOT)
    assert net([], base=-2.0).maintenance == pytest.approx(-2.0 * SPOT)
    assert net([], base=2.0).mark_to_market == pytest.approx(2.0 * SPOT)


def test_settled_expiry_is_cash_and_needs_nothing() -> None:
    book = (short(1500.0, quantity=-1.0), short(2500.0, is_call=False, quantity=2.0))
    found = srm_net_margin([SrmMarket(ETH, SPOT, expiries=(SrmExpiry(0.0, SPOT, book, future=5.0),))], 100.0, 0.5)
    assert (found.initial, found.maintenance, found.mark_to_market) == (600.0, 600.0, 600.0)


def test_liquidation_is_a_negative_net_maintenance() -> None:
    assert not net([short(1800.0), short(1900.0, quantity=1.0)], cash=100.0).liquidated
    assert net([short(1800.0), short(1900.0, quantity=1.0)], cash=99.9).liquidated


@given(books, st.floats(0.0, 1e6))
def test_cash_adds_to_both_margins_and_nothing_else_changes(book: list[SrmOption], cash: float) -> None:
    bare, rich = net(book), net(book, cash=cash)
    assert rich.maintenance - bare.maintenance == pytest.approx(cash, abs=1e-6)
    assert rich.initial - bare.initial == pytest.approx(cash, abs=1e-6)


@given(books)
def test_initial_needs_more_than_maintenance_and_long_options_count_nothing(book: list[SrmOption]) -> None:
    margin = net(book)
    assert margin.initial <= margin.maintenance + 1e-9
    assert margin.maintenance <= 1e-9


@given(books, st.randoms())
def test_order_of_positions_does_not_matter(book: list[SrmOption], random: object) -> None:
    mixed = list(book)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert net(mixed).maintenance == pytest.approx(net(book).maintenance, rel=1e-12, abs=1e-9)


@given(books, options)
def test_a_long_option_never_worsens_and_no_short_one_needs_more_than_alone(
    book: list[SrmOption], extra: SrmOption
) -> None:
    held = replace(extra, quantity=abs(extra.quantity))
    assert net([*book, held]).maintenance >= net(book).maintenance - 1e-9
    assert net([*book, held]).initial >= net(book).initial - 1e-9
    isolated = sum(o.quantity * _isolated(o.strike, o.is_call, o.vol) for o in book if o.quantity < 0)
    assert net(book).maintenance >= isolated - 1e-6


def _isolated(strike: float, is_call: bool, vol: float) -> float:
    """Isolated maintenance of one unit, seen through a book whose worst loss is far greater."""
    mark = net([SrmOption(strike, is_call, 1.0, vol)]).mark_to_market
    return mark + (0.09 * SPOT if is_call else max(0.09 * SPOT, 0.09 * mark))


@given(books, st.floats(0.1, 10.0))
def test_margins_scale_with_the_book(book: list[SrmOption], scale: float) -> None:
    scaled = [replace(o, quantity=o.quantity * scale) for o in book]
    assert net(scaled).initial == pytest.approx(scale * net(book).initial, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("field", sorted(RANGES))
def test_each_parameter_is_checked_at_both_ends(field: str) -> None:
    low, high = RANGES[field]
    for outside in (math.nextafter(low, -math.inf), math.nextafter(high, math.inf), math.nan):
        with pytest.raises(InputError, match=field):
            with_fields(ETH, **{field: outside})


def test_initial_may_not_lie_below_maintenance() -> None:
    with pytest.raises(InputError, match=r"perp_initial.*at least perp_maintenance"):
        with_fields(ETH, perp_initial=0.06)
    with_fields(ETH, perp_initial=0.065)


def test_inputs_are_checked_with_their_names() -> None:
    for field, build in (
        ("strike", lambda: SrmOption(0.0, True, 1.0, 0.5)),
        ("vol", lambda: SrmOption(1.0, True, 1.0, -0.1)),
        ("quantity", lambda: SrmOption(1.0, True, math.nan, 0.5)),
        ("forward", lambda: SrmExpiry(1.0, 0.0)),
        ("confidence", lambda: SrmExpiry(1.0, 1.0, confidence=1.1)),
        ("spot", lambda: SrmMarket(ETH, 0.0)),
        ("perpetual_price", lambda: SrmMarket(ETH, 1.0, perpetual=1.0)),
        ("stable_price", lambda: srm_net_margin([], 0.0, -0.1)),
        ("cash", lambda: srm_net_margin([], math.nan)),
    ):
        with pytest.raises(InputError, match=field):
            build()


def test_mainnet_rates_are_those_published() -> None:
    sol = asdict(MAINNET["SOL"])
    assert (sol["initial_spot_max"], sol["initial_spot_min"], sol["unpaired_initial"]) == (0.24, 0.18, 1.25)
    assert (MAINNET["HYPE"].base_factor, MAINNET["HYPE"].base_initial_scale) == (0.55, 0.9)
    assert PERPETUAL_V3["BTC"] == (0.05, 0.066)


def _blocks(rng: np.random.Generator, parameters: SrmParameters) -> tuple[BlockArrays, SrmMarket]:
    count, expiries = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    years = np.sort(rng.uniform(0.01, 0.5, expiries))
    carry, future = rng.uniform(0.97, 1.05, expiries), rng.choice([0.0, -2.0, 1.5], expiries)
    row, call = rng.integers(0, expiries, count).astype(np.int32), rng.random(count) < 0.5
    strike = rng.choice([0.6, 0.9, 1.0, 1.1, 1.6], count) * SPOT
    size, vol = rng.choice([-2.0, -1.0, -0.5, 0.5, 1.0, 3.0], count), rng.uniform(0.3, 1.2, count)
    perpetual = float(rng.choice([-4.0, 0.0, 2.5]))
    blocks = BlockArrays(
        *(np.zeros(1, np.int32) for _ in range(3)),
        np.array([0, 10], np.int32),
        np.array([perpetual]),
        np.array([1.0]),
        np.array([0, count], np.int32),
        np.array([0, expiries], np.int32),
        strike,
        call,
        size,
        vol,
        row,
        years,
        carry,
        np.full(expiries, 0.05),
        future,
        pack_parameters(parameters),
    )
    return blocks, _market(blocks, parameters, perpetual)


def _market(b: BlockArrays, parameters: SrmParameters, perpetual: float) -> SrmMarket:
    legs = zip(b.option_strike, b.option_call, b.option_quantity, b.option_vol, b.option_expiry, strict=True)
    held: list[list[SrmOption]] = [[] for _ in b.expiry_years]
    for strike, call, size, vol, row in legs:
        held[row].append(SrmOption(float(strike), bool(call), float(size), float(vol)))
    expiries = tuple(
        SrmExpiry(float(y) * 365 * 86_400, float(c), tuple(o), future=float(f))
        for y, c, o, f in zip(b.expiry_years, b.expiry_carry, held, b.expiry_future, strict=True)
    )
    return SrmMarket(parameters, SPOT, perpetual=perpetual, perpetual_price=SPOT, expiries=expiries)


def _at(market: SrmMarket, spot: float, vol: float, hours: float) -> SrmMarket:
    """Move a market whose expiries hold forward / spot in `forward`."""
    moved = []
    for e in market.expiries:
        left = e.seconds - hours * 3600.0
        forward = spot * e.forward ** (left / e.seconds) if left > 0 else spot
        moved.append(replace(e, seconds=left, forward=forward, options=tuple(_vol(o, vol) for o in e.options)))
    return replace(market, spot=spot, perpetual_price=spot, expiries=tuple(moved))


def _vol(option: SrmOption, factor: float) -> SrmOption:
    return replace(option, vol=option.vol * factor)


@pytest.mark.parametrize("seed", range(60))
def test_kernel_equals_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks, market = _blocks(rng, MAINNET[str(rng.choice(["BTC", "SOL", "ADA"]))])
    for spot, vol, hours in ((SPOT, 1.0, 0.0), (1400.0, 1.4, 30.0), (3100.0, 0.7, 900.0), (SPOT, 1.0, 9000.0)):
        value, maintenance, initial = srm_margin(blocks, 0, spot, vol, hours)
        found = srm_net_margin([_at(market, spot, vol, hours)])
        close = {"rel": 1e-9, "abs": 1e-6}
        assert value - maintenance == pytest.approx(found.maintenance, **close)
        assert value - initial == pytest.approx(found.initial, **close)
        assert value >= found.mark_to_market - 1e-6
        assert maintenance >= 0.0
        assert initial >= 0.0


def test_kernel_value_is_the_mark_of_a_smooth_book() -> None:
    rng = np.random.default_rng(1)
    blocks, market = _blocks(rng, ETH)
    flat = blocks._replace(option_vol=np.full(len(blocks.option_vol), 0.6))
    same = replace(
        market,
        expiries=tuple(replace(e, options=tuple(replace(o, vol=0.6) for o in e.options)) for e in market.expiries),
    )
    assert srm_margin(flat, 0, SPOT, 1.0, 0.0)[0] == pytest.approx(
        srm_net_margin([_at(same, SPOT, 1.0, 0.0)]).mark_to_market, rel=1e-9
    )
