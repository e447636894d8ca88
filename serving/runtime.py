"""What one server process holds: settings, model, market, policy, threads, counters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from models.errors import MargincastError
from models.rebalance import Policy, Target
from models.typing import HORIZONS
from serving.decode import Accounts, decode_accounts, decode_recommendation
from serving.engine import Engine
from serving.model_source import Model, load_model
from serving.problems import ProblemError
from serving.schemas import ModelInfo, ModelList, Ready
from serving.settings import Settings
from serving.state import MarketFiles

__all__ = ["Runtime", "build_runtime"]


class Runtime:
    """State of one process.

    Parameters
    ----------
    settings : Settings
        The settings.
    model : Model
        The model that answers.
    policy : Policy
        Used where a request brings none.
    clock : callable
        Nanoseconds since the epoch now.
    """

    def __init__(self, settings: Settings, model: Model, policy: Policy, clock: Callable[[], int]) -> None:
        self.settings = settings
        self.model = model
        self.policy = policy
        self.clock = clock
        self.pool = ThreadPoolExecutor(settings.threads, "margincast")
        self.problem = "the market is not loaded yet"
        predictor = model.predictor
        trained = () if predictor is None else predictor.metadata.get("assets", predictor.prior.pool.assets)
        self._files = MarketFiles(settings, trained)
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._counts = {"accounts": 0, "failures": 0, "recommendations": 0, "market_reloads": 0}

    @property
    def engine(self) -> Engine:
        """The engine on the present market; 503 while there is none."""
        if self._engine is None:
            raise ProblemError(503, "not_ready", self.problem, headers={"Retry-After": "5"})
        return self._engine

    def use(self, engine: Engine) -> None:
        """Swap in an engine."""
        self._engine, self.problem = engine, ""
        self.count("market_reloads", 1)

    def reload(self) -> bool:
        """Read the market if its files have changed.

        Returns
        -------
        bool
            Whether there is a new market.
        """
        if not self.settings.market:
            self.problem = "no market: set MARGINCAST_MARKET to a folder with market data"
            return False
        try:
            panel = self._files.read()
            if panel is None:
                return False
            engine = Engine(panel, self.model, self.clock, self.settings.clock_skew_seconds, self.settings.fallback)
            engine.warm()
        except (MargincastError, OSError, ValueError) as error:
            if self._engine is None:
                self.problem = f"the market could not be read: {error}"
            raise
        self.use(engine)
        return True

    def decode_accounts(self, body: bytes) -> Accounts:
        """Read the accounts of a request."""
        found = decode_accounts(body, self.settings.max_accounts)
        self.count("accounts", len(found.accounts))
        self.count("failures", len(found.failures))
        return found

    def decode_recommendation(self, body: bytes) -> tuple[Accounts, Target | None, Policy | None]:
        """Read a request for recommendations."""
        found = decode_recommendation(body, self.settings.max_accounts)
        self.count("recommendations", len(found[0].accounts))
        return found

    def count(self, name: str, more: int) -> None:
        """Add to a counter."""
        if more:
            with self._lock:
                self._counts[name] += more

    def ready(self) -> Ready:
        """Say whether requests can be answered, and on what."""
        prior_only = self.model.predictor is None
        if self._engine is None:
            status, market, reason = "not_ready", None, self.problem
        else:
            status, market, reason = "ready", self._engine.market(), ""
        version = self.model.version
        return Ready(status=status, model_version=version, prior_only=prior_only, market=market, reason=reason)

    def model_list(self) -> ModelList:
        """Name the models that answer."""
        model = self.model
        kind = "prior" if model.predictor is None else "prior + LightGBM residual"
        horizons, details = list(HORIZONS), model.details
        info = ModelInfo(
            name=model.name, version=model.version, kind=kind, horizons=horizons, active=True, details=details
        )
        return ModelList(models=[info])

    def metrics_text(self) -> str:
        """Counters and the age of the market, Prometheus text."""
        lines = [f"# TYPE margincast_{k}_total counter\nmargincast_{k}_total {v}" for k, v in self._counts.items()]
        if self._engine is not None:
            age = self._engine.market().age_minutes
            lines.append(f"# TYPE margincast_market_age_minutes gauge\nmargincast_market_age_minutes {age:.3f}")
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        """Let the threads go."""
        self.pool.shutdown(wait=False, cancel_futures=True)


def build_runtime(settings: Settings, clock: Callable[[], int] | None = None) -> Runtime:
    """Load model and policy.

    Parameters
    ----------
    settings : Settings
        The settings.
    clock : callable, optional
        Nanoseconds since the epoch now; the system's by default.

    Returns
    -------
    Runtime
        Without a market yet.
    """
    from features.policy import load_policy

    policy = load_policy(settings.policy) if settings.policy else Policy()
    return Runtime(settings, load_model(settings.model, settings.tracking_uri), policy, clock or time.time_ns)
