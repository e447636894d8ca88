"""The public face: every name is there, lazily, and the ten lines of the README run."""

import subprocess
import sys

import pytest

import margincast


@pytest.mark.parametrize("name", margincast.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(margincast, name) is not None
    assert name in dir(margincast)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = margincast.nope


def test_importing_the_package_imports_no_room() -> None:
    code = "import sys, margincast; print([m for m in ('models', 'features', 'numpy', 'training') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
