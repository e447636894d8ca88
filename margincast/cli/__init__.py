"""The command line: one small file per command, heavy imports inside their bodies."""

from margincast.cli import benchmark, demo, evaluate, margin, play, predict, recommend, replay, retrain, serve, train  # noqa: F401 - importing registers the commands
from margincast.cli.app import app, main
from margincast.cli.data import data
from margincast.cli.db import db
from margincast.cli.keys import keys
from margincast.cli.ledger import ledger
from margincast.cli.policy import policy
from margincast.cli.rules import rules
from margincast.cli.tenants import tenants

app.add_typer(data, name="data")
app.add_typer(db, name="db")
app.add_typer(keys, name="keys")
app.add_typer(ledger, name="ledger")
app.add_typer(policy, name="policy")
app.add_typer(rules, name="rules")
app.add_typer(tenants, name="tenants")

__all__ = ["app", "main"]
