"""The app factory."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.routing import Route

from models.errors import MargincastError
from serving.middleware import BodyLimit, TimeLimit
from serving.observe import Observe
from serving.openapi import install_openapi
from serving.problems import install_handlers
from serving.routes import (
    account_asks,
    account_reads,
    accounts,
    alerts,
    audit,
    bulk,
    docs,
    events,
    health,
    inference,
    keys,
    ledger,
    market,
    models,
    policy,
    predictions,
    recommendations,
    tenants,
    webhooks,
    what_if,
)
from serving.runtime import Runtime, build_runtime
from serving.security.middleware import Door, SecurityHeaders
from serving.settings import Settings, settings_from_env
from serving.state import watch
from serving.version import program_version

__all__ = ["create_app"]

_log = logging.getLogger("margincast.serving")


def create_app(settings: Settings | None = None, clock: Callable[[], int] | None = None) -> FastAPI:
    """Build the API.

    Parameters
    ----------
    settings : Settings, optional
        Read from the environment where None.
    clock : callable, optional
        Nanoseconds since the epoch now; the system's by default.

    Returns
    -------
    FastAPI
        The app; market and kernels are loaded when it starts.

    Raises
    ------
    InputError
        If a setting is wrong.
    ModelError
        If the model cannot be loaded.
    """
    settings = settings or settings_from_env()
    runtime = build_runtime(settings, clock)
    app = FastAPI(
        title="margincast",
        version=program_version(),
        description="Margin calls predicted, and what would prevent them.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        middleware=_middleware(runtime),
        lifespan=_lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours are in Observe; no span twice
    )
    app.state.runtime = runtime
    install_handlers(app)
    install_openapi(app)
    for part in _ROUTES:
        app.include_router(part.router)
    app.router.routes[:0] = _hot_routes()
    return app


_ROUTES = (
    predictions,
    bulk,
    recommendations,
    what_if,
    account_reads,
    account_asks,
    accounts,
    market,
    alerts,
    policy,
    events,
    webhooks,
    ledger,
    keys,
    tenants,
    audit,
    models,
    inference,
    health,
    docs,
)
"""In the order of the page of docs."""


def _hot_routes() -> list[Route]:
    """The POST routes as bare ones, matched first: those of FastAPI describe them, these answer."""
    return [
        Route("/v1/predictions", predictions.predict, methods=["POST"]),
        Route("/v1/recommendations", recommendations.recommend, methods=["POST"]),
    ]


def _middleware(runtime: Runtime) -> list[Middleware]:
    settings = runtime.settings
    found = [Middleware(Observe, metrics=runtime.metrics, tracing=runtime.tracing), Middleware(SecurityHeaders)]
    if settings.api_key or runtime.store is not None:
        found.append(Middleware(Door, directory=runtime.directory, metrics=runtime.metrics))
    found.append(Middleware(TimeLimit, seconds=settings.timeout_seconds, unlimited=frozenset({"/v1/events"})))
    larger = dict.fromkeys(("/v1/accounts", "/v1/predictions/bulk"), settings.max_bulk_bytes)
    found.append(Middleware(BodyLimit, max_bytes=settings.max_body_bytes, larger=larger))
    return found


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    runtime: Runtime = app.state.runtime
    try:
        await asyncio.to_thread(runtime.reload)
        gc.collect()
        gc.freeze()  # what start-up made stays: the collector need not walk through it at every request
    except (MargincastError, OSError, ValueError) as error:
        _log.error("market not loaded: %s", error)
    seconds = runtime.settings.refresh_seconds
    looks = (("market", runtime.reload), ("model", runtime.reload_model))
    tasks = [asyncio.create_task(watch(look, seconds, name)) for name, look in looks]
    tasks.append(asyncio.create_task(watch(runtime.mature, runtime.settings.mature_seconds, "outcomes")))
    if runtime.live is not None:
        tasks += runtime.live.start()
    try:
        yield
    finally:
        runtime.stopping.set()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if runtime.live is not None:
            await runtime.live.deliverer.close()
        runtime.close()
