"""Each render is clean as it comes: nothing to format, nothing to fix."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


def run(folder: Path, *command: str, **variables: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing(rendered: Path) -> None:
    run(rendered, "ruff", "check", "--no-cache")


def test_ruff_would_format_nothing(rendered: Path) -> None:
    run(rendered, "ruff", "format", "--no-cache", "--check")


@pytest.fixture(scope="session")
def mypy_caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy knows of the libraries, kept from one render to the next."""
    return tmp_path_factory.mktemp("mypy")


def test_mypy_finds_nothing(rendered: Path, mypy_caches: Path) -> None:
    settings = tomllib.loads((rendered / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["strict"]
    cache = mypy_caches / settings["python_version"]
    core = str(rendered / "gatehouse" / "src")
    run(rendered, "mypy", "--strict", f"--cache-dir={cache}", MYPYPATH=core)
