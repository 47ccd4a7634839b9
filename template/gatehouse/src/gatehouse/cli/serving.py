"""The commands `dev`, `serve` and `migrate`, and what others need of a service that starts."""

import argparse
import gc
import os
import sys
from contextlib import nullcontext
from logging.config import dictConfig
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal

from fastapi import FastAPI

from gatehouse import migrating
from gatehouse.cli.service import Service, importing
from gatehouse.install import check_start
from gatehouse.migrating import is_missing, unmigrated
from gatehouse.refusal import StartRefused
from gatehouse.settings import TERMINAL
from gatehouse.signing.keys import new_key
from gatehouse.state import Gatehouse
from gatehouse.web.logs import log_config, start_lines
from gatehouse.web.route_check import has_websockets

GRACE = 10  # seconds that running requests have to finish when the service is told to stop
# Seconds that a worker has to answer its supervisor, also before its imports are done: after
# uvicorn's 5 a busy machine killed workers that were about to start, and again the next ones.
WORKER_PATIENCE = 60


def load(service: Service) -> FastAPI:
    """The application, built but not started. Raises `StartRefused`."""
    with importing():
        app: FastAPI = resolve_name(service.app)()
    return app


def _check(app: FastAPI) -> Gatehouse:
    """What a start would refuse, refused before a server's own messages bury the line."""
    check_start(app)
    core: Gatehouse = app.state.gatehouse
    return core


def require_migrated(service: Service, core: Gatehouse) -> None:
    """Refuse to work on a database that lacks a migration."""
    with core.database.engine.connect() as connection:
        if unmigrated(connection, service.migrations):
            raise StartRefused(
                f"The database is not migrated. Run first: {service.command} migrate"
            )


def dev(service: Service, asked: argparse.Namespace) -> int:
    """First run: writes `.env` with a fresh key. Always: migrates, starts, reloads on a change."""
    if _write_env(Path(".env")):
        print("Wrote .env with a fresh key (mode 600). Keep it out of version control.")
    if not service.settings().smtp_url:
        os.environ["SMTP_URL"] = TERMINAL  # for this command and the processes it starts
    app = load(service)
    core = _check(app)
    core.database.close()
    if applied := migrating.migrate(service.settings().database_url, service.migrations):
        print(f"Migrated the database: {', '.join(applied)}.")
    import uvicorn  # here, for it brings a command line of its own

    print(f"API docs      http://{asked.host}:{asked.port}/docs")
    print(f"First user    {service.command} user create you@example.com", flush=True)
    uvicorn.run(
        service.app,
        factory=True,
        reload=True,
        reload_dirs=[folder for folder in ("src", "gatehouse/src") if Path(folder).is_dir()],
        ws=_websockets(app),
        **_options(asked, readable=True),
    )
    return 0


def serve(service: Service, asked: argparse.Namespace) -> int:
    """Starts only on a migrated database. Stops gracefully on SIGTERM."""
    # The application that was checked, unless there are processes, of which each builds its own.
    alone, options = asked.workers == 1, _options(asked, readable=False)
    if alone:  # before it is built: a configuration takes away the handlers that it finds
        dictConfig(options["log_config"])
        options["log_config"] = None
    with nullcontext() if alone else start_lines():
        app = load(service)
        core = _check(app)
        check_mail(core)
        require_migrated(service, core)
        core.database.close()
    gc.freeze()  # what is there now stays: no collection need look at it again
    import uvicorn  # here, for it brings a command line of its own

    uvicorn.run(
        app if alone else service.app,
        factory=not alone,
        workers=asked.workers,
        ws=_websockets(app),
        **options,
    )
    return 0


def migrate(service: Service, _: argparse.Namespace) -> int:
    """Bring the database's tables up to date."""
    applied = migrating.migrate(service.settings().database_url, service.migrations)
    for revision in applied:
        print(f"applied {revision}")
    if is_missing(service.migrations):
        print(
            f"not found: {service.migrations}, the migrations of your own tables", file=sys.stderr
        )
    print(f"The database is up to date. {len(applied)} migrations were applied.")
    return 0


def check_mail(core: Gatehouse) -> None:
    """Refuse to let people register who can never be sent their link, or whose link is printed."""
    if core.settings.smtp_url == TERMINAL:
        raise StartRefused("SMTP_URL is refused: terminal: prints mail, which is for `dev` alone.")
    if core.settings.registration_is_open and not core.can_mail:
        raise StartRefused(
            "AUTH_REGISTRATION is refused: open needs SMTP_URL, or nobody can confirm an address."
        )


def _options(asked: argparse.Namespace, *, readable: bool) -> dict[str, Any]:
    return {
        "host": asked.host,
        "port": asked.port,
        "log_config": log_config(readable=readable),
        "access_log": False,  # `web.logs` writes these lines
        # uvicorn's own handling believes any text from a loopback peer; ours is in `throttling`.
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE,
        "timeout_worker_healthcheck": WORKER_PATIENCE,
    }


def _websockets(app: FastAPI) -> Literal["auto", "none"]:
    """Without a websocket route an upgrade is an ordinary request, answered as one."""
    return "auto" if has_websockets(app) else "none"


def _write_env(path: Path) -> bool:
    """Make `.env` if there is none and no key is set. An existing file is never touched."""
    if "AUTH_KEYS" in os.environ or os.environ.get("AUTH_KEYS_FILE"):
        return False
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(
            "# Written by the first `dev`. This key signs access tokens: never commit it,\n"
            f"# and use another one on every server.\nAUTH_KEYS={new_key()}\n"
        )
    return True
