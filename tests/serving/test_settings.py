"""Settings: types, ranges, secrets."""

from pathlib import Path

import pytest

from models.errors import InputError
from serving.settings import Secret, Settings, settings_from_env


def test_environment_is_read_and_given_values_win() -> None:
    environ = {
        "MARGINCAST_PORT": "9000",
        "MARGINCAST_TIMEOUT_SECONDS": "2.5",
        "MARGINCAST_ASSETS": "BTC, ETH",
        "OTHER": "1",
    }
    found = settings_from_env(environ, port=9100, model=None)
    assert (found.port, found.timeout_seconds, found.assets, found.model) == (9100, 2.5, ("BTC", "ETH"), "")


def test_a_wrong_type_names_the_variable() -> None:
    with pytest.raises(InputError, match="MARGINCAST_PORT: expected a whole number, was 'high'"):
        settings_from_env({"MARGINCAST_PORT": "high"})


@pytest.mark.parametrize(("name", "value"), [
    ("port", 0), ("port", 65_535), ("max_body_bytes", 1024), ("history_days", 60), ("timeout_seconds", 3600),
    ("threads", 1),
])  # fmt: skip
def test_ends_of_ranges(name: str, value: float) -> None:
    assert getattr(Settings(**{name: value}), name) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [
    ("port", -1), ("port", 65_536), ("max_body_bytes", 1023), ("history_days", 59), ("timeout_seconds", 0),
    ("threads", 0), ("refresh_seconds", -1), ("clock_skew_seconds", 3601), ("max_accounts", 0), ("inline_accounts", -1),
])  # fmt: skip
def test_outside_of_ranges(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        Settings(**{name: value})  # type: ignore[arg-type]


def test_folders_and_files_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="market"):
        Settings(market=str(tmp_path / "none"))
    with pytest.raises(InputError, match="policy"):
        Settings(policy=str(tmp_path / "none.toml"))


def test_secrets_do_not_show() -> None:
    found = settings_from_env({"MARGINCAST_API_KEY": "hunter2", "MARGINCAST_TRACKING_URI": "postgresql://u:hunter2@db"})
    assert "hunter2" not in repr(found)
    assert "hunter2" not in f"{found.api_key} {found}"
    assert found.api_key.reveal() == "hunter2"
    assert not Secret()
