"""Runs the server: its log, its signals, and a shutdown that loses no request."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from serving.logs import log_config
from serving.memory import keep_memory_whole
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.runtime import Runtime

__all__ = ["Server", "serve"]

_KEEP_ALIVE_SECONDS = 75
"""Longer than balancers and clients keep idle connections, so that none is closed under a request on its way."""


def serve(settings: Settings, log_level: str = "info") -> None:
    """Run the API until it is stopped.

    Parameters
    ----------
    settings : Settings
        The settings; ``host`` and ``port`` say where to listen.
    log_level : str
        Level of the server's log.
    """
    from logging.config import dictConfig

    from serving.app import create_app

    keep_memory_whole()
    config = log_config(settings.log_format, log_level, settings.log_requests)
    dictConfig(config)
    app = create_app(settings)
    options = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level=log_level,
        log_config=config,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.timeout_seconds) + 1,
    )
    Server(options, app.state.runtime, settings.drain_seconds).run()


class Server(uvicorn.Server):
    """At SIGTERM it first tells its balancer, goes on answering, and only then closes its door.

    Parameters
    ----------
    config : uvicorn.Config
        Of the server.
    runtime : Runtime
        Told that the server is stopping: ``/readyz`` answers 503 from then on, streams of events end.
    drain_seconds : float
        How long requests are still taken. After that, those under way are finished and the process ends with 0.

    Notes
    -----
    A second signal, or Ctrl-C, does not wait.
    """

    def __init__(self, config: uvicorn.Config, runtime: Runtime, drain_seconds: float) -> None:
        super().__init__(config)
        self._runtime = runtime
        self._seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        first = not self._runtime.stopping.is_set()
        self._runtime.stopping.set()
        if sig == signal.SIGINT or not first:
            super().handle_exit(sig, frame)
            return
        timer = threading.Timer(self._seconds, self._close)
        timer.daemon = True
        timer.start()

    def _close(self) -> None:
        self.should_exit = True
