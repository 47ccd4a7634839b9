"""Prints as JSON what an application on the core shows: to clients, in logs, on the command line.

Run by `test_moves.py` with the core of a release and with today's. Of the core it takes public
names alone, so that both can be asked.
"""

import importlib
import io
import json
import logging
import os
import pkgutil
import re
import sys
import threading
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import gatehouse
import sample_app
from gatehouse.migrating import migrate
from starlette.testclient import TestClient

BODIES: tuple[dict[str, Any], ...] = (
    {},
    {"json": {}},
    {"json": {"email": "who@example.com"}},
    {"json": {"email": "who@example.com", "password": "short", "token": "x"}},
    {"data": {"grant_type": "password", "username": "who@example.com", "password": "x" * 20}},
    {"content": b"{", "headers": {"Content-Type": "application/json"}},
)
NAMES = (
    *("/nowhere", "/docs", "/docs/init.js", "/account.css", "/account.js"),
    *("/account/verify-email", "/account/reset-password", "/account/account.js"),
)
OF_A_FILE = ("etag", "last-modified")  # of the moment in which it was written
COMMANDS = (
    *((), ("dev",), ("serve",), ("migrate",), ("cleanup",), ("doctor",), ("keys",)),
    *(("keys", name) for name in ("new", "rotate", "list")),
    *(("user", name) for name in ("create", "disable", "enable", "end-sessions", "import")),
    ("token", "inspect"),
)


class Kept(logging.Handler):
    """What the core's loggers say."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.worked = threading.Event()  # what is done after an answer has been done

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("gatehouse"):
            self.lines.append(f"{record.name} {record.levelname} {record.getMessage()}")
            if record.getMessage() == "password_reset_requested":
                self.worked.set()


def loggers() -> list[str]:
    """The names of the core's loggers, when all of it has been imported."""
    for module in pkgutil.walk_packages(gatehouse.__path__, "gatehouse."):
        if ".migrations" not in module.name and module.name != "gatehouse.testing":
            importlib.import_module(module.name)
    found = logging.getLogger().manager.loggerDict
    return sorted(
        name
        for name, logger in found.items()
        if name.startswith("gatehouse") and isinstance(logger, logging.Logger)
    )


def answers(client: TestClient) -> dict[str, Any]:
    """What a stranger is answered: at every path, by its methods and a wrong one, at any body."""
    paths = client.get("/openapi.json").json()["paths"]
    found: dict[str, Any] = {}
    asked = [(path, method) for path, methods in paths.items() for method in (*methods, "put")]
    for path, method in (*asked, *((name, "get") for name in NAMES)):
        for number, sent in enumerate(BODIES if method in ("post", "patch", "delete") else ({},)):
            # Each asks from a network of its own: else the limits would answer.
            headers = {"X-Request-ID": "one", "X-Forwarded-For": f"2001:db8:{len(found):x}::1"}
            headers |= sent.get("headers", {})
            url = re.sub(r"{.*?}", "1", path)
            answer = client.request(method, url, **{**sent, "headers": headers})
            kept = {name: value for name, value in answer.headers.items() if name not in OF_A_FILE}
            found[f"{method} {path} {number}"] = (answer.status_code, kept, answer.text)
    return found


def helps() -> dict[str, str]:
    found: dict[str, str] = {}
    for words in COMMANDS:
        sys.argv = ["service", *words, "--help"]
        with redirect_stdout(io.StringIO()) as out, suppress(SystemExit):
            gatehouse.run("sample_app:create_app")
        found[" ".join(words)] = out.getvalue()
    return found


def main() -> None:
    kept = Kept()
    logging.getLogger().addHandler(kept)
    logging.getLogger("gatehouse").setLevel(logging.INFO)
    migrate(os.environ["DATABASE_URL"], None)
    with TestClient(sample_app.create_app(), client=("192.0.2.1", 1)) as client:
        document = client.get("/openapi.json").text
        answered = answers(client)
        assert kept.worked.wait(30)
    print(
        json.dumps(
            {
                "core": str(Path(gatehouse.__file__).parent),
                "document": document,
                "answers": answered,
                "lines": sorted(set(kept.lines)),
                "loggers": loggers(),
                "commands": helps(),
                "settings": gatehouse.Settings.model_json_schema(),
                "names": gatehouse.__all__,
            }
        )
    )


if __name__ == "__main__":
    main()
