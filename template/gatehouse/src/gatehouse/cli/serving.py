"""The commands `dev` and `serve`."""

import argparse
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI
from uvicorn.importer import import_from_string

from gatehouse.install import check_start
from gatehouse.migrating import migrate, unmigrated
from gatehouse.refusal import StartRefused
from gatehouse.settings import TERMINAL
from gatehouse.signing.keys import new_key
from gatehouse.state import Gatehouse
from gatehouse.web.guards import has_websockets
from gatehouse.web.logs import log_config

if TYPE_CHECKING:
    from gatehouse.cli.commands import Service

GRACE = 10  # seconds that running requests have to finish when the service is told to stop
# Seconds that a worker has to answer its supervisor, also before its imports are done: after
# uvicorn's 5 a busy machine killed workers that were about to start, and again the next ones.
WORKER_PATIENCE = 60
HUGE_PAGES = "glibc.malloc.hugetlb=1"


def load(service: "Service") -> FastAPI:
    """The application, built but not started. Raises `StartRefused`."""
    app: FastAPI = import_from_string(service.app)()
    return app


def _check(app: FastAPI) -> Gatehouse:
    """What a start would refuse, refused before a server's own messages bury the line."""
    check_start(app)
    core: Gatehouse = app.state.gatehouse
    return core


def require_migrated(service: "Service", core: Gatehouse) -> None:
    """Refuse to work on a database that lacks a migration."""
    with core.database.engine.connect() as connection:
        if unmigrated(connection, service.migrations):
            raise StartRefused(
                f"The database is not migrated. Run first: {service.command} migrate"
            )


def dev(service: "Service", asked: argparse.Namespace) -> int:
    """First run: writes `.env` with a fresh key. Always: migrates, starts, reloads on a change."""
    if _write_env(Path(".env")):
        print("Wrote .env with a fresh key (mode 600). Keep it out of version control.")
    if not service.settings().smtp_url:
        os.environ["SMTP_URL"] = TERMINAL  # for this command and the processes it starts
    app = load(service)
    core = _check(app)
    core.database.close()
    if applied := migrate(service.settings().database_url, service.migrations):
        print(f"Migrated the database: {', '.join(applied)}.")
    print(f"API docs      http://{asked.host}:{asked.port}/docs")
    print(f"First user    {service.command} user create you@example.com", flush=True)
    uvicorn.run(
        service.app,
        reload=True,
        reload_dirs=[folder for folder in ("src", "gatehouse/src") if Path(folder).is_dir()],
        **_options(app, asked, readable=True),
    )
    return 0


def serve(service: "Service", asked: argparse.Namespace) -> int:
    """Starts only on a migrated database. Stops gracefully on SIGTERM."""
    _use_huge_pages()
    app = load(service)
    core = _check(app)
    check_mail(core)
    require_migrated(service, core)
    core.database.close()
    uvicorn.run(service.app, workers=asked.workers, **_options(app, asked, readable=False))
    return 0


def check_mail(core: Gatehouse) -> None:
    """Refuse to let people register who can never be sent their link, or whose link is printed."""
    if core.settings.smtp_url == TERMINAL:
        raise StartRefused("SMTP_URL is refused: terminal: prints mail, which is for `dev` alone.")
    if core.settings.registration_is_open and not core.can_mail:
        raise StartRefused(
            "AUTH_REGISTRATION is refused: open needs SMTP_URL, or nobody can confirm an address."
        )


def _options(app: FastAPI, asked: argparse.Namespace, *, readable: bool) -> dict[str, Any]:
    return {
        "factory": True,
        "host": asked.host,
        "port": asked.port,
        "log_config": log_config(readable=readable),
        "access_log": False,  # `web.logs` writes these lines
        # uvicorn's own handling believes any text from a loopback peer; ours is in `throttling`.
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE,
        "timeout_worker_healthcheck": WORKER_PATIENCE,
        # Without a websocket route an upgrade is an ordinary request, answered as one.
        "ws": "auto" if has_websockets(app) else "none",
    }


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


def _use_huge_pages() -> None:
    """Start again with huge pages for malloc where glibc has them: Argon2 hashes 16 % faster."""
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split("."))) < (2, 35):
        return
    if "GLIBC_TUNABLES" in os.environ:
        return
    environment = {**os.environ, "GLIBC_TUNABLES": HUGE_PAGES}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606
