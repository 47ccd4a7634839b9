"""Questions to a service, answered by running it: no installation, PYTHONPATH alone."""

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from rendering import REPOSITORY, git

from matrix.model import Check

NOT_ITS = ("AUTH_", "PYTEST_")  # settings of the developer, and of the test run around it
START = """
import importlib, json, os, sys
from starlette.testclient import TestClient
main = importlib.import_module("{package}.main")
app = main.create_app()
client = TestClient(app, raise_server_exceptions=False)
"""


@cache
def signing_key() -> str:
    core = str(REPOSITORY / "template/gatehouse/src")
    code = "from gatehouse.signing.keys import new_key; print(new_key())"
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, env={"PYTHONPATH": core}, text=True).strip()


def package_of(service: Path) -> str:
    """The service's package: the one in src/ that has a main.py."""
    (main,) = (service / "src").glob("*/main.py")
    return main.parent.name


def environment(service: Path, database: str = "") -> dict[str, str]:
    """The settings that a service cannot do without, and nothing of the developer's own."""
    paths = os.pathsep.join((str(service / "gatehouse/src"), str(service / "src")))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_ITS)}
    ours = {
        "PYTHONPATH": paths,
        "PYTHONDONTWRITEBYTECODE": "1",
        "AUTH_KEYS": signing_key(),
        "DATABASE_URL": f"sqlite:///{database or os.devnull + '/none'}",
        # Of each run its own: where pytest shares one, it closes it to the user that a
        # PostgreSQL of another run has when root started it.
        "PYTEST_DEBUG_TEMPROOT": str(service.parents[1]),
    }
    return {**kept, **ours}


def run(service: Path, *command: str, database: str = "") -> str:
    """What a command prints in the service's folder. It must succeed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=service,
        env=environment(service, database),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-1500:]
    return done.stdout


def run_tests(service: Path, *paths: str) -> str:
    """The service's generated tests, or those of some paths. They must be green."""
    return run(service, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths)


def ask(service: Path, code: str) -> str:
    """What this code prints in the service's Python, with a database that dies with it."""
    with tempfile.TemporaryDirectory() as folder:
        return run(service, "-c", code, database=f"{folder}/asked.db").strip()


def ask_app(service: Path, code: str) -> str:
    """The same with `app`, its module `main`, and `client` at hand."""
    return ask(service, START.format(package=package_of(service)) + code)


def holds(expression: str, setup: str = "") -> Check:
    """Something is true of the running application."""

    def check(service: Path) -> None:
        answer = ask_app(service, f"{setup}\nprint({expression})")
        assert answer.endswith("True"), f"{expression}: {answer}"

    return check


def serves(path: str, expected: object, status: int = 200) -> Check:
    """A route gives this answer."""

    def check(service: Path) -> None:
        code = f"answer = client.get({path!r})\nprint(answer.status_code, answer.text)"
        found, _, body = ask_app(service, code).splitlines()[-1].partition(" ")
        assert int(found) == status, f"{path} gives {found}: {body}"
        assert expected is None or str(expected) in body, body

    return check


def migrated(expression: str) -> Check:
    """Something is true of `tables` (name to column names) after both histories were applied."""
    setup = (
        "from gatehouse.migrating import migrate\n"
        "from sqlalchemy import create_engine, inspect\n"
        "migrate(os.environ['DATABASE_URL'], main.MIGRATIONS)\n"
        "look = inspect(create_engine(os.environ['DATABASE_URL']))\n"
        "tables = {t: {c['name'] for c in look.get_columns(t)} for t in look.get_table_names()}"
    )
    return holds(expression, setup)


def all_of(*checks: Check) -> Check:
    def check(service: Path) -> None:
        for one in checks:
            one(service)

    return check


def gone(*paths: str) -> Check:
    def check(service: Path) -> None:
        for path in paths:
            assert not (service / path).exists(), f"{path} came back"

    return check


def load(service: Path, path: str) -> Any:
    """A YAML file's content. `on` is a truth value in YAML 1.1, so a workflow has a key True."""
    return yaml.safe_load((service / path).read_text())


def at(path: str, *keys: Any, equals: Any) -> Check:
    """A YAML file holds this value under these keys."""

    def check(service: Path) -> None:
        found = load(service, path)
        for key in keys:
            found = found[key]
        assert found == equals, found

    return check


def ignores(service: Path, path: str) -> bool:
    """What git does about a path."""
    try:
        git(service, "check-ignore", "--quiet", "--no-index", path)
    except subprocess.CalledProcessError:
        return False
    return True


def instructions(service: Path) -> list[str]:
    """A Dockerfile's instructions, each in one line, without comments."""
    text = (service / "Dockerfile").read_text().replace("\\\n", " ")
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
