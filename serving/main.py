"""Runs the server."""

from __future__ import annotations

from serving.settings import Settings

__all__ = ["serve"]


def serve(settings: Settings, log_level: str = "info") -> None:
    """Run the API until it is stopped.

    Parameters
    ----------
    settings : Settings
        The settings; ``host`` and ``port`` say where to listen.
    log_level : str
        Level of the server's log.
    """
    import uvicorn

    from serving.app import create_app

    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level=log_level,
        access_log=False,
        server_header=False,
    )
