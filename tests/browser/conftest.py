"""A running service, rendered from this working tree, and a Chromium that can reach only it.

Settings of these tests, all optional: `GATEHOUSE_SERVICE` names the folder of a service that is
rendered already, `CHROMIUM` the browser's program, and `GATEHOUSE_PICTURES=1` lets the tests
write the pictures of the documentation.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import free_port
from rendering import render
from running import command, running


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


@pytest.fixture(scope="session")
def account(
    service: str,
    service_folder: Path,
    environment: dict[str, str],
) -> tuple[str, str]:
    """The address and password of someone who can log in."""
    email, password = "ada@example.com", "seven lanterns above one harbour"
    subprocess.run(
        command(service_folder, "user", "create", email),
        cwd=service_folder,
        env=environment,
        input=f"{password}\n",
        text=True,
        check=True,
    )
    return email, password
