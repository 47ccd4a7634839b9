"""A rendered service under `dev`, for the tests of this folder."""

import os
import signal
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

STARTED_WITHIN = 180  # seconds; the first start installs everything


@contextmanager
def running(
    service_folder: Path, environment: dict[str, str], log: Path, port: int
) -> Iterator[str]:
    """A service under `dev`; its address."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(service_folder, "dev", "--port", str(port)),
            cwd=service_folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A process group of its own: `dev` watches for changes and has a child that serves.
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, f"{url}/readyz", log)
            yield url
        finally:
            with suppress(ProcessLookupError):  # where it never started
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def command(folder: Path, *arguments: str) -> list[str]:
    """One of a service's own commands."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return ["uv", "run", "--quiet", project["name"], *arguments]


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the service did not start:\n{log.read_text(errors='replace')[-4000:]}")
