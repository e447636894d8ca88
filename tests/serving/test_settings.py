"""Settings: types, ranges, secrets."""

from pathlib import Path

import pytest

from models.errors import InputError
from serving.settings import Secret, Settings, settings_from_env, settings_shown


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


@pytest.mark.parametrize(("text", "value"), [("true", True), ("0", False), (" No ", False)])
def test_flags_are_words(text: str, value: bool) -> None:
    assert settings_from_env({"MARGINCAST_LOG_REQUESTS": text}).log_requests is value
    with pytest.raises(InputError, match="MARGINCAST_LOG_REQUESTS: expected true or false, was 'maybe'"):
        settings_from_env({"MARGINCAST_LOG_REQUESTS": "maybe"})


def test_what_is_shown_gives_the_settings_back_and_no_secret() -> None:
    given = Settings(assets=("BTC", "ETH"), api_key=Secret("hunter2"), log_requests=False, timeout_seconds=2.5)
    shown = settings_shown(given)
    assert "hunter2" not in str(shown)
    assert shown.pop("MARGINCAST_API_KEY") == "****"
    assert settings_from_env(shown, api_key=Secret("hunter2")) == given


def test_a_log_format_is_one_of_two() -> None:
    with pytest.raises(InputError, match="log_format: expected one of text, json, was 'xml'"):
        Settings(log_format="xml")


@pytest.mark.parametrize(("name", "value"), [
    ("port", 0), ("port", 65_535), ("max_body_bytes", 1024), ("history_days", 60), ("timeout_seconds", 3600),
    ("threads", 1),
])  # fmt: skip
def test_ends_of_ranges(name: str, value: float) -> None:
    assert getattr(Settings(**{name: value}), name) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [
    ("port", -1), ("port", 65_536), ("max_body_bytes", 1023), ("history_days", 59), ("timeout_seconds", 0),
    ("drain_seconds", 301), ("model_timeout_seconds", 0), ("model_refresh_seconds", -1),
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
