"""A sampled population of margin accounts, from a seed: linear accounts of one ruleset, or of every regime.

The mixture of `sample_mixed` (`DEFAULT_MIXTURE`; leverage is gross exposure over equity at the opening, within the
range and never above what the ruleset allows for the size of each position):

============= ====== ============================== ========== ================================= =====================
type          share  holds                          leverage   collateral                        ruleset
============= ====== ============================== ========== ================================= =====================
retail        0.176  1 linear perpetual             3 to 50    stable; 60% isolated              binance-usdm
core          0.076  1 linear perpetual             1.5 to 15  stable; 35% BTC or ETH            binance-usdm
                                                               (20 to 80% of it)
multi         0.092  2 to 5 linear perpetuals       2 to 15    as core                           binance-usdm
hedged        0.042  2, one long, the other short   4 to 30    stable                            binance-usdm
                     for 60 to 100% of its size
treasury      0.034  1 or 2, all long or all short  1 to 5     60 to 95% BTC or ETH              binance-usdm
coin-long     0.060  long inverse perpetual, dated  1 to 20    the coin (wrong way);             binance-coinm 70%,
                     future, or both                           25% isolated                      generic-inverse
coin-short    0.040  the same, short                1 to 20    the coin (a hedge); 15% isolated  as coin-long
unified       0.080  1 or 2 linear perpetuals, half 0.5 to 6   BTC or ETH, and a debt in USDT    binance-pm 60%,
                     with an inverse one                       of 5 to 60% of its value          bybit-uta
option-seller 0.072  short strangles, puts, calls;  by margin  BTC or ETH, or USDC at derive     deribit-standard 65%,
                     a third at two expiries                                                     derive-srm
covered-call  0.016  calls short on 50 to 100% of   by margin  the coin, or a long perpetual     as option-seller
                     what is held                              and USDC at derive
option-buyer  0.032  a perpetual with a protective  by margin  as option-seller                  as option-seller
                     put or call, or more calls
option-spread 0.040  verticals, butterflies, iron   by margin  as option-seller                  as option-seller
                     condors; 70% collect premium
short-gamma   0.070  4 to 20 options, 70% short,    by margin  BTC or ETH (Deribit, OKX), USDC   deribit-pm 40%, okx-pm
                     hedged with the perpetual                                                   25%, derive-pmrm2 20%,
                                                                                                 paradex-pm
loan          0.053  a debt in USDC                 -          BTC, ETH, or (a quarter) both     aave-v3
coin-loan     0.018  a debt in BTC                  -          ETH                               aave-v3
csa           0.050  1 to 3 forwards to 9 months    -          what was posted at the last       csa
                     ahead, either sign                        exchange: USD, or (a quarter) BTC
onchain       0.050  1 or 2 linear perpetuals       1.5 to 15  stable; 25% BTC or ETH where it   dydx-v4 35%, drift-v2
                                                               is accepted                       and synthetix-v3 20%,
                                                                                                 mango-v4 15%, vega
============= ====== ============================== ========== ================================= =====================

`sample_population` draws the first five types under one ruleset, in shares of 42, 18, 22, 10 and 8%.

Equity at the opening is log-normal around 2e4 and within 1e3 to 1e7 of the settlement currency; for loans twice that;
trades under an annex have a size around 3e6. An account was opened some time ago, log-uniform from one hour to thirty
days (annexes: a day to ninety), at the close of a bar of that time, and is seen as of the instant only if it is still
above its call level: the distance to the call depends on the path, and survivors alone are seen. For 35% of the
accounts the owner has since added or withdrawn collateral, or debt; their distance to the call is log-uniform from 0.5%
to 50% of the exposure (of four times the call requirement where options are held). Long positions of linear accounts
are 58% of all.

* Options: strikes and entry prices are those of the opening, at the implied volatility known then, on a grid of 1-2-5
  steps; expiries are Fridays and last Fridays of a month, 08:00 UTC, later than the instant, the coming one among them.
  "By margin": initial margin (at least the call requirement) takes 15 to 95% of equity at the opening, uniformly.
* Loans: the health factor at the opening is log-uniform from 1.3 to 3.
* Annexes: threshold 0 (40%) to 10% of the size, minimum transfer 0.05 to 1%, independent amount 0 (60%) to 10%,
  amounts rounded to 10,000 for half; coins count for 85%. Trades are entered at the forward price of their day, and
  collateral was exchanged one to 72 hours ago.
* The basis of futures and forwards is 5% a year, give or take 4%, within -5% and 15%.

What a ruleset or the panel does not know is left out, and the other shares grow: without BTC and ETH only linear
accounts are drawn; a scenario ruleset takes part if its parameters can be loaded.

Notes
-----
Funding and interest between the opening and the instant are not taken off, and an account that was called on the way
and came back above its call level counts as a survivor. The engine marks futures and forwards at spot, so the basis is
an early loss of whoever bought them.
"""

from training.population.columns import Columns, Population
from training.population.kinds import DEFAULT_MIXTURE, REGIMES, TYPES, Kind
from training.population.linear import sample_population
from training.population.mixed import sample_mixed

__all__ = ["DEFAULT_MIXTURE", "REGIMES", "TYPES", "Columns", "Kind", "Population", "sample_mixed", "sample_population"]
