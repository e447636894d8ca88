"""Builders of desks with the toy predictor: accounts at risk, and a policy with three places."""

from __future__ import annotations

from typing import Any

from models.account import Account
from models.rebalance import Policy, policy_from_mapping
from tests.models.builders import account, position


def risky(name: str = "a", cash: float = 2_500.0, quantity: float = 1.0, **more: Any) -> Account:
    """Return an account of one BTC perpetual whose P(call within a day) is over one percent."""
    return account([position(quantity=quantity, entry_price=50_000.0)], cash=cash, account_id=name, **more)


def rich(name: str = "rich", cash: float = 60_000.0) -> Account:
    """Return an account with far more collateral than it needs."""
    return risky(name, cash)


def wallet_policy(usdt: float = 100_000.0, **changes: Any) -> Policy:
    """Return a policy of a hot wallet in USDT, a cold one in BTC and USDT, with a route from each."""
    whole: dict[str, Any] = {
        "assets": {"USDT": {"annual_cost": 0.05}, "BTC": {"annual_cost": 0.01}},
        "limits": {"target": "0.01@1440", "stress": [0.8, 1.2]},
        "places": {"hot": {"inventory": {"USDT": usdt}}, "cold": {"inventory": {"USDT": 1e6, "BTC": 5.0}}},
        "routes": [
            {
                "name": "chain",
                "source": "hot",
                "to": ["*"],
                "assets": ["USDT"],
                "step": 0.01,
                "min_transfer": 10,
                "gas": 2,
            },
            {"name": "vault", "source": "cold", "to": ["*"], "assets": ["USDT", "BTC"], "step": 0.001, "gas": 25},
        ],
    }
    return policy_from_mapping({**whole, **changes})
