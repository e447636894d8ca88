"""Aave: interest in ray (1e27) integers, linear for suppliers and compounded to three terms for borrowers.

With a yearly rate ``r`` (ray) and ``n`` seconds::

    linear     = RAY + r * (n / year)
    compounded = RAY + n x + n (n - 1) x^2 / 2 + n (n - 1) (n - 2) x^3 / 6,   x = r / year

A balance is ``scaled * index``, where the index has grown by one of the two since its last update. Products and
quotients of rays are rounded half up, the terms of the series down.

References
----------
Aave protocol v2 whitepaper (2020-12), sections 1.2 and 1.3; Aave v3 technical paper (2022-01); aave-utilities
math-utils at d4c9396 (MIT): published balances of block 11581421.
"""

from __future__ import annotations

from typing import Final

from models.errors import InputError

__all__ = [
    "RAY",
    "YEAR_SECONDS",
    "accrued_debt",
    "accrued_supply",
    "balance",
    "compounded_interest",
    "grown_index",
    "linear_interest",
    "ray_div",
    "ray_mul",
]

RAY: Final = 10**27
YEAR_SECONDS: Final = 31_536_000
_WAD_TO_RAY: Final = 10**9


def ray_mul(a: int, b: int) -> int:
    """Multiply two rays, rounding half up.

    Parameters
    ----------
    a, b : int
        Rays, >= 0.

    Returns
    -------
    int
        Ray.

    Examples
    --------
    >>> ray_mul(RAY // 2, 5), ray_mul(RAY, 7)
    (3, 7)
    """
    return (RAY // 2 + a * b) // RAY


def ray_div(a: int, b: int) -> int:
    """Divide two rays, rounding half up.

    Parameters
    ----------
    a, b : int
        Rays, ``a >= 0`` and ``b > 0``.

    Returns
    -------
    int
        Ray.

    Examples
    --------
    >>> ray_div(1, 2) == RAY // 2
    True
    """
    return (b // 2 + a * RAY) // b


def linear_interest(rate: int, seconds: int) -> int:
    """Give the growth of a supply over some time.

    Parameters
    ----------
    rate : int
        Yearly rate, ray, >= 0.
    seconds : int
        Time that passed, >= 0.

    Returns
    -------
    int
        Ray, >= 1e27.

    Raises
    ------
    InputError
        If the rate or the time is negative.

    Examples
    --------
    >>> linear_interest(500_000_000_000_000_000, 100_000_100)
    1000000001585491184677828513
    """
    _check(rate, seconds)
    return ray_mul(rate, ray_div(seconds * _WAD_TO_RAY, YEAR_SECONDS * _WAD_TO_RAY)) + RAY


def compounded_interest(rate: int, seconds: int) -> int:
    """Give the growth of a debt over some time, the compound series cut after its third term.

    Parameters
    ----------
    rate : int
        Yearly rate, ray, >= 0.
    seconds : int
        Time that passed, >= 0.

    Returns
    -------
    int
        Ray, >= 1e27; not above the true compound growth, but for the rounding of the cube of a second's rate, which is
        at most ``seconds**3 / 12`` rays (a millionth of a millionth in three days, 3e-4 in five years).

    Raises
    ------
    InputError
        If the rate or the time is negative.

    Examples
    --------
    >>> compounded_interest(500_000_000_000_000_000, 100_000_100)
    1000000001585491184589599100
    """
    _check(rate, seconds)
    if seconds == 0:
        return RAY
    x, n = rate // YEAR_SECONDS, seconds
    square = ray_mul(x, x)
    second = n * (n - 1) * square // 2
    third = n * (n - 1) * max(n - 2, 0) * ray_mul(square, x) // 6
    return RAY + n * x + second + third


def grown_index(index: int, rate: int, seconds: int, *, compounded: bool = False) -> int:
    """Give an index now, from its last update.

    Parameters
    ----------
    index : int
        Index at the last update, ray.
    rate : int
        Yearly rate since, ray.
    seconds : int
        Time since.
    compounded : bool
        Whether it is the index of a debt.

    Returns
    -------
    int
        Ray.

    Examples
    --------
    >>> grown_index(1_048_540_642_417_873_765_200_833_079, 500_000_000_000_000_000, 100_000_100)
    1048540644080325710530799122
    """
    if rate == 0:
        return index
    grow = compounded_interest if compounded else linear_interest
    return ray_mul(grow(rate, seconds), index)


def balance(scaled: int, index: int, rate: int, seconds: int, *, compounded: bool = False) -> int:
    """Give a balance now from the scaled one that the pool stores.

    Parameters
    ----------
    scaled : int
        Scaled balance, smallest units of the asset.
    index : int
        Index at the last update, ray.
    rate : int
        Yearly rate since, ray.
    seconds : int
        Time since.
    compounded : bool
        Whether it is a debt.

    Returns
    -------
    int
        Smallest units, rounded half up.

    Examples
    --------
    >>> balance(161316503206059870, 1001723339432542553527150680, 22461916953455574582370088, 1918)
    161594727054623229
    """
    grown = ray_mul(scaled * _WAD_TO_RAY, grown_index(index, rate, seconds, compounded=compounded))
    return (_WAD_TO_RAY // 2 + grown) // _WAD_TO_RAY


def accrued_supply(amount: float, rate: float, seconds: float) -> float:
    """Give a supply after some time at one rate.

    Parameters
    ----------
    amount : float
        Supplied amount.
    rate : float
        Yearly rate, a fraction.
    seconds : float
        Time that passed.

    Returns
    -------
    float
        Amount with linear interest.

    Examples
    --------
    >>> accrued_supply(1_000.0, 0.05, YEAR_SECONDS)
    1050.0
    """
    return amount * (1.0 + rate * seconds / YEAR_SECONDS)


def accrued_debt(amount: float, rate: float, seconds: float) -> float:
    """Give a debt after some time at one rate.

    Parameters
    ----------
    amount : float
        Borrowed amount.
    rate : float
        Yearly rate (APR), a fraction.
    seconds : float
        Time that passed, >= 0.

    Returns
    -------
    float
        Amount with interest compounded each second, to three terms.

    Examples
    --------
    >>> round(accrued_debt(1_000.0, 0.05, YEAR_SECONDS), 4)
    1051.2708
    """
    x, n = rate / YEAR_SECONDS, seconds
    if n <= 0:
        return amount
    series = n * x + n * (n - 1) * x**2 / 2 + n * (n - 1) * max(n - 2, 0.0) * x**3 / 6
    return amount * (1.0 + series)


def _check(rate: int, seconds: int) -> None:
    if rate < 0 or seconds < 0:
        raise InputError("rate", (rate, seconds), "a rate and a time >= 0")
