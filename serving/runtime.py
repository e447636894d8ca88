"""What one server process holds: settings, models, market, policy, threads, metrics."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TypeVar, cast

from features.answer import Forecast
from features.moment import Moment
from models.account import Account
from models.book import Book
from models.errors import Failure, MargincastError
from models.market import MarketPanel
from models.rebalance import Policy, Target
from serving.batching import Batcher
from serving.bundles.lineup import LineUp
from serving.decode import Accounts, decode_accounts, decode_recommendation
from serving.engine import Engine
from serving.ledger.keeper import Keeper
from serving.live.service import Live
from serving.memory import give_memory_back
from serving.metrics import Metrics
from serving.model_source import Model
from serving.policies import Policies
from serving.problems import ProblemError
from serving.schemas import ModelList, Ready
from serving.security.directory import Directory, Tokens
from serving.security.limits import Limiter
from serving.settings import Settings
from serving.state import MarketFiles
from serving.store import Store, open_store
from serving.tracing import open_tracing, span
from serving.version import program_version

__all__ = ["Runtime", "Swap", "build_runtime"]

Swap = Callable[[Model], Callable[[], None]]
"""Builds beside what is in use what a new model needs, and returns what swaps it in."""

_T = TypeVar("_T")


class Runtime:
    """State of one process.

    Parameters
    ----------
    settings : Settings
        The settings.
    models : LineUp
        The models.
    policy : Policy
        Used where neither a request nor a desk brings one.
    clock : callable
        Nanoseconds since the epoch now.
    metrics : Metrics
        What Prometheus may ask.
    store : Store, optional
        What is kept; None: nothing is.
    """

    def __init__(
        self,
        settings: Settings,
        models: LineUp,
        policy: Policy,
        clock: Callable[[], int],
        metrics: Metrics,
        store: Store | None = None,
    ) -> None:
        self.settings = settings
        self.models = models
        self.policy = policy
        self.policies = Policies(policy, store)
        self.clock = clock
        self.metrics = metrics
        self.store = store
        self.tracing = open_tracing(settings.otel_endpoint, program_version())
        self.pool = ThreadPoolExecutor(settings.threads, "margincast")
        self._io = ThreadPoolExecutor(settings.database_pool, "margincast-io")
        limiter = Limiter(settings.rate_limit, settings.rate_burst)
        key = settings.api_key.reveal()
        tokens = None if store is None else _tokens(settings, store, clock)
        self.directory = Directory(store, key, limiter, clock, time.monotonic_ns, self.io, tokens)
        self.stopping = threading.Event()
        self.problem = "the market is not loaded yet"
        self._files = MarketFiles(settings, self.model.assets)
        self._engine: Engine | None = None
        self._swapping = threading.RLock()
        self._watchers: list[Swap] = []
        self.batcher = Batcher(lambda: self.engine)
        self.live = None if store is None else Live(self, store)
        cache = settings.ledger_cache_mb
        self._ledger = None if store is None else Keeper(store, metrics, clock, lambda: self._panel, cache)
        metrics.at_scrape(self._tell)

    @property
    def model(self) -> Model:
        """The model that answers now."""
        return self.models.active

    @property
    def database(self) -> Store:
        """What is kept; 409 where this server keeps nothing."""
        if self.store is None:
            detail = (
                "This server keeps nothing: start it with MARGINCAST_DATABASE, for example sqlite:///margincast.db."
            )
            raise ProblemError(409, "no_database", detail)
        return self.store

    @property
    def ledger(self) -> Keeper:
        """The ledger; 409 where this server keeps nothing."""
        if self._ledger is None:
            self.database  # noqa: B018 - raises
        return cast("Keeper", self._ledger)

    def mature(self) -> bool:
        """Compare with the market what was said, where there is a ledger; whether there was something to compare."""
        done = self._ledger is not None and self._ledger.mature(self.stopping.is_set)
        if done:
            give_memory_back()
        return done

    @property
    def batches(self) -> bool:
        """Whether single accounts that come together are predicted together; a trace is of one request alone."""
        return self.tracing is None and self.settings.inline_accounts > 0

    async def policy_of(self, tenant: str | None) -> Policy:
        """The policy of a desk, else that of the server."""
        return self.policy if tenant is None else await self.io(lambda: self.policies.of(tenant))

    @property
    def _panel(self) -> MarketPanel | None:
        return None if self._engine is None else self._engine.panel

    async def io(self, work: Callable[[], _T]) -> _T:
        """Run what waits, for the database for example, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._io, work)

    @property
    def engine(self) -> Engine:
        """The engine on the present market; 503 while there is none."""
        if self._engine is None:
            raise ProblemError(503, "not_ready", self.problem, headers={"Retry-After": "5"})
        return self._engine

    def use(self, engine: Engine) -> None:
        """Swap in an engine; requests under way finish on the one they began with."""
        engine.observer = self._observed
        with self.live.lock if self.live is not None else nullcontext():
            self._engine, self.problem = engine, ""
            if self.live is not None:
                self.live.adopt(engine)

    def build_engine(self, panel: MarketPanel, model: Model) -> Engine:
        """Make an engine and warm it.

        Parameters
        ----------
        panel : MarketPanel
            The market.
        model : Model
            The model.

        Returns
        -------
        Engine
            Not in use yet.
        """
        if self.live is not None:
            engine = self.live.build(panel, model)
        else:
            engine = Engine(panel, model, self.clock, self.settings.clock_skew_seconds, self.settings.fallback)
        engine.warm()
        return engine

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
        with self._swapping:
            try:
                panel = self._files.read()
                if panel is None:
                    return False
                engine = self.build_engine(panel, self.model)
            except (MargincastError, OSError, ValueError) as error:
                if self._engine is None:
                    self.problem = f"the market could not be read: {error}"
                raise
            self.use(engine)
        self.metrics.market_reloads.inc()
        return True

    def on_model(self, watcher: Swap) -> None:
        """Have something else swapped together with the model.

        Parameters
        ----------
        watcher : callable
            Given the new model, it builds and warms beside the old one what it needs, and returns what swaps it in; it
            raises where that fails, and then the old model stays everywhere.
        """
        self._watchers.append(watcher)

    def reload_model(self, force: bool = False) -> bool:
        """Look for a newer model; it is built and warmed beside the old one, then swapped whole.

        Parameters
        ----------
        force : bool
            Even if nothing seems to have changed.

        Returns
        -------
        bool
            Whether there is a new model.

        Raises
        ------
        ModelError
            If there is one that cannot be used; the old one stays.
        """
        with self._swapping:
            model = self.models.look(force)
            if model is not None:
                try:
                    swaps = [self._swap_engine(model), *(watcher(model) for watcher in self._watchers)]
                except Exception as error:  # a model that no engine can be built on must not replace one that works
                    raise self.models.refuse(error) from error
                for swap in swaps:
                    swap()
                self.models.accept(model)
        self.models.refresh_shadow(force)
        return model is not None

    def _swap_engine(self, model: Model) -> Callable[[], None]:
        """Build the engine of a new model, on other assets where it was trained on others."""
        files, panel = self._files, None if self._engine is None else self._engine.panel
        if model.assets != self.model.assets:
            files = MarketFiles(self.settings, model.assets)
            panel = files.read() if panel is not None else None
        engine = None if panel is None else self.build_engine(panel, model)

        def swap() -> None:
            self._files = files
            if engine is not None:
                self.use(engine)

        return swap

    def refused(self, accounts: Sequence[Account]) -> list[Failure]:
        """Tell which accounts could not be computed on the present market; none while there is no market."""
        return [] if self._engine is None else self._engine.refused(accounts)

    def decode_accounts(self, body: bytes) -> Accounts:
        """Read the accounts of a request."""
        with span("decode"):
            found = decode_accounts(body, self.settings.max_accounts)
        self.metrics.accounts.inc(len(found.accounts))
        if found.failures:
            self.metrics.failures.inc(len(found.failures))
        return found

    def decode_recommendation(self, body: bytes) -> tuple[Accounts, Target | None, Policy | None]:
        """Read a request for recommendations."""
        with span("decode"):
            found = decode_recommendation(body, self.settings.max_accounts)
        self.metrics.recommendations.inc(len(found[0].accounts))
        return found

    def ready(self) -> Ready:
        """Say whether requests can be answered, and on what."""
        engine = self._engine
        if self.stopping.is_set():
            status, reason = "not_ready", "the server is stopping"
        elif engine is None:
            status, reason = "not_ready", self.problem
        else:
            status, reason = "ready", ""
        return Ready(
            status=status,
            model_version=self.model.version,
            prior_only=self.model.predictor is None or self._expired(),
            market=None if engine is None else engine.market(),
            reason=reason,
            model_problem=self.models.problem(self._expired()),
        )

    def model_list(self) -> ModelList:
        """Name the models."""
        return self.models.listed(self._expired())

    def close(self) -> None:
        """Let the threads go."""
        self.stopping.set()
        if self.live is not None:
            self.live.close()
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.models.close()
        if self.tracing is not None:
            self.tracing.close()
        self._io.shutdown(wait=True, cancel_futures=True)
        if self.store is not None:
            self.store.close()

    def _expired(self) -> bool:
        return self._engine is not None and self._engine.newest.expired

    def _observed(self, moment: Moment, book: Book, seen: Forecast) -> None:
        shadow = self.models.shadow
        if shadow is not None:
            shadow.offer(moment, book, seen)

    def _tell(self) -> None:
        self.metrics.prior_only.set(self.model.predictor is None or self._expired())
        if self._engine is not None:
            moment, now = self._engine.newest, self.clock()
            self.metrics.market_age.set((now - moment.as_of) / 1e9)
            for asset, closed in zip(moment.assets, moment.closed.tolist(), strict=True):
                self.metrics.asset_age.labels(asset).set((now - closed) / 1e9)


def _tokens(settings: Settings, store: Store, clock: Callable[[], int]) -> Tokens | None:
    """Whoever else says who asks: an issuer of tokens, where one is set."""
    if not settings.oidc_issuer:
        return None
    from serving.security.oidc import open_tokens

    claims = (settings.oidc_role_claim, settings.oidc_tenant_claim)
    given = (settings.oidc_issuer, settings.oidc_audience, settings.oidc_jwks)
    return open_tokens(store, *given, claims, (clock, time.monotonic_ns))


def build_runtime(settings: Settings, clock: Callable[[], int] | None = None) -> Runtime:
    """Load models and policy.

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
    clock, metrics = clock or time.time_ns, Metrics()
    store = None
    if settings.database:
        store = open_store(settings.database.reveal(), settings.database_pool, settings.database_wait_seconds)
    models = LineUp(settings, clock, metrics)
    models.start()
    return Runtime(settings, models, policy, clock, metrics, store)
