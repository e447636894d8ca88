"""Token buckets: how fast one key may ask."""

from __future__ import annotations

import math
from collections import OrderedDict

__all__ = ["Bucket", "Limiter"]

_MOST_BUCKETS = 100_000


class Bucket:
    """Holds up to `burst` tokens and gains `rate` a second; a request takes one.

    Parameters
    ----------
    rate : float
        Tokens a second, > 0.
    burst : float
        Most tokens, >= 1.
    now_ns : int
        The present, of a clock that never goes back.

    Examples
    --------
    >>> bucket = Bucket(rate=2.0, burst=1.0, now_ns=0)
    >>> bucket.take(0), bucket.take(0), bucket.take(500_000_000)
    (0.0, 0.5, 0.0)
    """

    __slots__ = ("_last", "burst", "rate", "tokens")

    def __init__(self, rate: float, burst: float, now_ns: int) -> None:
        self.rate, self.burst, self.tokens, self._last = rate, burst, burst, now_ns

    def take(self, now_ns: int) -> float:
        """Take a token.

        Parameters
        ----------
        now_ns : int
            The present.

        Returns
        -------
        float
            0 where there was one, else the seconds until there is.
        """
        self.tokens = min(self.burst, self.tokens + max(0, now_ns - self._last) * 1e-9 * self.rate)
        self._last = now_ns
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / self.rate

    def headers(self, now_ns: int) -> list[tuple[bytes, bytes]]:
        """Say how much is left, as drafted for HTTP (draft-ietf-httpapi-ratelimit-headers-10).

        Parameters
        ----------
        now_ns : int
            The present.

        Returns
        -------
        list of tuple
            ``RateLimit-Policy`` and ``RateLimit``: what is left, and the seconds until all of it is back.
        """
        window = math.ceil(self.burst / self.rate)
        full = math.ceil((self.burst - self.tokens) / self.rate)
        return [
            (b"ratelimit-policy", b'"key";q=%d;w=%d' % (self.burst, window)),
            (b"ratelimit", b'"key";r=%d;t=%d' % (self.tokens, full)),
        ]


class Limiter:
    """One bucket for each key.

    Parameters
    ----------
    rate : float
        Requests a second; 0: no limit.
    burst : float
        Most at once.

    Notes
    -----
    Each process counts for itself: with several replicas a key may ask as often of each.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = max(1.0, burst)
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def bucket(self, key_id: str, now_ns: int) -> Bucket | None:
        """Find the bucket of a key.

        Parameters
        ----------
        key_id : str
            The key.
        now_ns : int
            The present.

        Returns
        -------
        Bucket or None
            None where there is no limit.
        """
        if self.rate <= 0:
            return None
        found = self._buckets.get(key_id)
        if found is None:
            found = self._buckets[key_id] = Bucket(self.rate, self.burst, now_ns)
            while len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        return found
