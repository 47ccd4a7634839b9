"""A running service, rendered from this working tree, and a Chromium that can reach only it.

Settings of these tests, all optional: `GATEHOUSE_SERVICE` names the folder of a service that is
rendered already, `CHROMIUM` the browser's program, and `GATEHOUSE_PICTURES=1` lets the tests
write the pictures of the documentation.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from rendering import render

STARTED_WITHIN = 180  # seconds; the first start installs everything


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: drives a real Chromium against a running service")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program. Nothing is downloaded: Debian's package `chromium` will do."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, filter(None, names))), None)
    if not found:
        pytest.skip("Chromium is not installed: apt-get install chromium, or set CHROMIUM")
    return found


@pytest.fixture(scope="session")
def service_folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A service of the default answers, where these tests may install and start it."""
    if given := os.environ.get("GATEHOUSE_SERVICE"):
        return Path(given).resolve()
    return render(request.getfixturevalue("template"), tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A new database, and nothing else that would win over the service's own `.env`."""
    ours = ("AUTH_", "DOCS_ENABLED", "PUBLIC_BASE_URL", "SMTP_URL", "VIRTUAL_ENV", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    database = tmp_path_factory.mktemp("database") / "service.db"
    return {**kept, "DATABASE_URL": f"sqlite:///{database}"}


@pytest.fixture(scope="session")
def service(
    chromium: str,
    service_folder: Path,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The address of the service, started as its README says and stopped at the end."""
    log = tmp_path_factory.mktemp("log") / "service.log"
    with running(service_folder, environment, log, free_port()) as url:
        yield url


@contextmanager
def running(
    service_folder: Path, environment: dict[str, str], log: Path, port: int
) -> Iterator[str]:
    """A service under `dev`; its address."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(service_folder, "dev", "--port", str(port)),
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


@pytest.fixture(scope="session")
def account(
    service: str,
    service_folder: Path,
    environment: dict[str, str],
) -> tuple[str, str]:
    """The address and password of someone who can log in."""
    email, password = "ada@example.com", "seven lanterns above one harbour"
    subprocess.run(
        _command(service_folder, "user", "create", email),
        cwd=service_folder,
        env=environment,
        input=f"{password}\n",
        text=True,
        check=True,
    )
    return email, password


def _command(folder: Path, *arguments: str) -> list[str]:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return ["uv", "run", "--quiet", project["name"], *arguments]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the service did not start:\n{log.read_text(errors='replace')[-4000:]}")
