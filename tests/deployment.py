"""Two versions of one service beside each other, and one database that both come to use."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
from check_service import run, serving
from check_sessions import until
from mail_server import MailServer
from rendering import NEXT, commit_all, own_environment, render, run_in_service
from sqlalchemy import Engine, create_engine, text
from test_update import update

COMMAND = ".venv/bin/demo-service"
PASSWORD = "seven quiet herons at dawn"
ADMIN = "admin@example.com"

# Requests by an application that is not started: what they leave to be done stays undone, as in
# a process that is killed right after its answers.
UNSTARTED = """
import json, sys
from starlette.testclient import TestClient
from demo_service.main import create_app
client = TestClient(create_app())
for path, body, headers in json.load(sys.stdin):
    answer = client.post(path, json=body, headers=headers)
    assert answer.is_success, (path, answer.text)
"""
Call = tuple[str, dict[str, str], str]  # a path, what is sent, and an access token or ""


def prepare(template: Path, folder: Path, version: str) -> tuple[Path, Path]:
    """A service of a release, and a copy of it that was updated, each with its packages."""
    old = render(template, folder / "old", version=version)
    commit_all(old)
    new = folder / "new"
    shutil.copytree(old, new, symlinks=True)
    update(new, f"--vcs-ref={NEXT}")  # fails on a conflict
    for service in (old, new):
        run_in_service(service, "python", "-c", "")
    return old, new


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


class Client:
    """Who uses a service that is running, from one client address."""

    def __init__(self, address: str, client_address: str = "198.51.100.1") -> None:
        headers = {"X-Forwarded-For": client_address}
        self.http = httpx.Client(base_url=address, timeout=60, headers=headers)

    def post(self, path: str, token: str = "", /, **body: str) -> int:
        return self.http.post(path, json=body, headers=bearer(token)).status_code

    def get(self, path: str, token: str) -> httpx.Response:
        return self.http.get(path, headers=bearer(token))

    def token(self, **form: str) -> httpx.Response:
        return self.http.post("/auth/token", data=form)

    def log_in(self, email: str, password: str = PASSWORD) -> httpx.Response:
        return self.token(grant_type="password", username=email, password=password)

    def opens(self, email: str, password: str = PASSWORD) -> bool:
        return self.log_in(email, password).status_code == 200

    def tokens(self, email: str, password: str = PASSWORD) -> dict[str, str]:
        answer = self.log_in(email, password)
        assert answer.status_code == 200, (email, answer.text)
        return dict(answer.json())

    def refresh(self, token: str) -> httpx.Response:
        return self.token(grant_type="refresh_token", refresh_token=token)

    def good(self, access_token: str) -> bool:
        """By the stateless check and by the one that reads the account, which must agree."""
        found = {self.get(path, access_token).status_code for path in ("/notes", "/users/me")}
        assert found in ({200}, {401}), found
        return found == {200}


@dataclass(frozen=True)
class Deployment:
    """One of the two, with its settings."""

    service: Path
    environment: dict[str, str]

    @classmethod
    def of(
        cls, service: Path, database_url: str, smtp_url: str, key: str, **more: str
    ) -> "Deployment":
        ours = {
            "DATABASE_URL": database_url,
            "AUTH_KEYS": key,
            "SMTP_URL": smtp_url,
            "TRUSTED_PROXIES": "127.0.0.1",
            **more,
        }
        return cls(service, {**own_environment(), **ours})

    def run(self, *command: str, stdin: str = "") -> str:
        return run([COMMAND, *command], self.service, self.environment, stdin=stdin)

    def create(self, email: str, *options: str) -> None:
        self.run("user", "create", email, *options, stdin=PASSWORD)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Client]:
        with serving([COMMAND], self.service, self.environment) as address:
            yield Client(address)

    def call_unstarted(self, calls: list[Call]) -> None:
        sent = json.dumps([(path, body, bearer(token)) for path, body, token in calls])
        python = [".venv/bin/python", "-c", UNSTARTED]
        run(python, self.service, self.environment, stdin=sent)

    @property
    def engine(self) -> Engine:
        url = self.environment["DATABASE_URL"]
        return create_engine(url.replace("postgresql:", "postgresql+psycopg:"))

    def execute(self, statement: str, **values: Any) -> Any:
        """As an owner's script may do; gives the first value of the first row, if any."""
        with self.engine.begin() as connection:
            done = connection.execute(text(statement), values)
            return done.scalar() if done.returns_rows else None


def do_jobs(service: Deployment, client: Client, mail: MailServer) -> None:
    """Let the mail server take mail again, and wait until nothing is left to be done.

    As though the time had gone by for which jobs were put off.
    """
    mail.busy = False
    poke = "nobody@example.com"
    left = "SELECT count(*) FROM gatehouse_errand WHERE email_key <> :poke"

    def is_done() -> bool:
        service.execute("UPDATE gatehouse_errand SET due_at = created_at")
        return bool(service.execute(left, poke=poke) == 0)

    is_done()
    client.post("/auth/forgot-password", email=poke)
    until(is_done, 60)
