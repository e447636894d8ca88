"""``margincast serve``: the API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from margincast.cli.app import app
from margincast.cli.options import Assets, Registry

__all__ = ["serve"]


@app.command(epilog="Example: margincast serve --market ./market --model ./demo-output/bundle --port 8000")
def serve(
    market: Annotated[Path | None, typer.Option("--market", help="Folder of market data; MARGINCAST_MARKET.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Model folder, models:/NAME@ALIAS, or 'prior'; MARGINCAST_MODEL.")
    ] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="Policy file (TOML); MARGINCAST_POLICY.")] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port to listen on [8000].")] = None,
    assets: Assets = None,
    bar: Annotated[str | None, typer.Option("--bar", help="Length of the bars [1h]; MARGINCAST_BAR.")] = None,
    registry: Registry = None,
    shadow: Annotated[
        str | None, typer.Option("--shadow", help="Model that is scored beside, as --model; MARGINCAST_SHADOW.")
    ] = None,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "info",
    log_format: Annotated[str | None, typer.Option("--log-format", help="text or json; MARGINCAST_LOG_FORMAT.")] = None,
    print_settings: Annotated[
        bool, typer.Option("--print-settings", help="Print every setting, secrets masked, and end.")
    ] = False,
) -> None:
    """Answer over HTTP: POST /v1/predictions, POST /v1/recommendations, /livez, /readyz, /metrics, /docs.

    What is not given here is read from the MARGINCAST_* variables; --print-settings names them all.
    """
    from margincast.cli.inputs import model_reference, names
    from serving.main import serve as run
    from serving.settings import Secret, settings_from_env, settings_shown

    found = [(None, "") if name is None else model_reference(name, registry) for name in (model, shadow)]
    (chosen, home), (beside, other) = found
    settings = settings_from_env(
        market=None if market is None else str(market),
        model=chosen,
        shadow=beside,
        tracking_uri=Secret(home or other) or None,
        policy=None if policy is None else str(policy),
        host=host,
        port=port,
        assets=names(assets),
        bar=bar,
        log_format=log_format,
    )
    if print_settings:
        for name, value in settings_shown(settings).items():
            typer.echo(f"{name}={value}")
        return
    run(settings, log_level)
