"""The files under deploy: they parse, name only what there is, and give the server no more rights than it needs.

They are not built or started here: that takes a container engine.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.settings import PREFIX, Settings

KNOWN = {PREFIX + item.name.upper() for item in fields(Settings)}


@pytest.fixture
def deploy(repository: Path) -> Path:
    """Return the folder."""
    return repository / "deploy"


@pytest.fixture
def services(deploy: Path) -> dict[str, Any]:
    """Return the services of the compose file."""
    return dict(yaml.safe_load((deploy / "compose.yaml").read_text())["services"])


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "margincast.service"])
def test_every_variable_is_a_setting(deploy: Path, name: str) -> None:
    found = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b(?=[=:])", (deploy / name).read_text()))
    assert found
    assert found <= KNOWN


def test_the_image_runs_as_nobody_in_particular_and_copies_what_there_is(deploy: Path, repository: Path) -> None:
    text = (deploy / "Dockerfile").read_text()
    last = text.split("\nFROM ")[-1]
    assert re.search(r"^USER 10001$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    assert "pip install" not in last, "the tools of building stay behind"
    allowed = {line[1:] for line in (repository / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for name in line.split()[:-1]}
    assert copied == allowed
    assert all((repository / name).exists() for name in copied)


def test_the_lock_becomes_constraints_with_their_markers(deploy: Path, repository: Path) -> None:
    command = re.search(r"^RUN (sed -n .*) requirements\.lock", (deploy / "Dockerfile").read_text(), re.MULTILINE)
    assert command
    if shutil.which("sed") is None:
        pytest.skip("no sed")
    done = subprocess.run(
        ["sh", "-c", f"{command[1]} requirements.lock"], cwd=repository, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    pinned = [line for line in (repository / "requirements.lock").read_text().splitlines() if re.match(r"\S+==", line)]
    assert len(lines) == len(pinned)
    assert all(re.fullmatch(r"[\w.-]+==\S+( ; .+[^ \\])?", line) for line in lines)


def test_services_depend_on_what_there_is_and_show_no_secret(services: dict[str, Any], deploy: Path) -> None:
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            assert name in services
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[name]
    server = services["server"]
    assert server["read_only"]
    assert server["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])
    for secret in re.findall(r"PASSWORD: (\S+)", (deploy / "compose.yaml").read_text()):
        assert secret.startswith("${POSTGRES_PASSWORD:?")
    seconds = float(Settings().drain_seconds + Settings().timeout_seconds)
    assert int(server["stop_grace_period"].removesuffix("s")) > seconds


def test_the_unit_is_one_that_systemd_takes(deploy: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    unit = tmp_path / "margincast.service"
    unit.write_text((deploy / "margincast.service").read_text().replace("/opt/margincast/bin/margincast", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
