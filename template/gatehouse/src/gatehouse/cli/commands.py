"""The commands of a service: `dev`, `serve`, `migrate`, `keys`, `token`, `user`, `doctor`."""

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from alembic.util import CommandError
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gatehouse.cli import (
    accounting,
    administering,
    diagnosing,
    importing,
    inspecting,
    rotating,
    serving,
)
from gatehouse.migrating import is_missing, migrate
from gatehouse.refusal import StartRefused
from gatehouse.settings import Settings
from gatehouse.signing.keys import ALGORITHMS
from gatehouse.web.logs import audit_lines


@dataclass(frozen=True, slots=True)
class Service:
    """What the commands need to know of a service. `app` is an import string of its factory."""

    app: str
    settings: type[Settings]
    migrations: Path | None
    command: str


Handler = Callable[[Service, argparse.Namespace], int]


def run(
    app: str,
    *,
    settings: type[Settings] = Settings,
    migrations: Path | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Run the command that was asked for, and exit with its code.

    0: done. 1: refused, or found something wrong, in one line on standard error. 2: bad usage.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no address is too odd to be named
    parser = _parser()
    asked = parser.parse_args(arguments)
    service = Service(app, settings, migrations, parser.prog)
    handler: Handler = asked.handler
    servers = (serving.dev, serving.serve)  # which have a log of their own
    try:
        with nullcontext() if handler in servers else audit_lines():
            code = handler(service, asked)
        sys.stdout.flush()
    except SQLAlchemyError as error:
        raise StartRefused(in_words(error, _url(service), service.command)) from None
    except CommandError as error:
        raise StartRefused(f"The migrations cannot be applied: {error}") from None
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # the reader of what we print has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushed at exit again
        code = 1
    sys.exit(code)


def _url(service: Service) -> str:
    try:
        return service.settings().database_url
    except StartRefused:
        return ""


def in_words(error: SQLAlchemyError, url: str, command: str) -> str:
    """What to tell an operator of a failure at the database of this URL."""
    kind = type(error).__name__
    said = str(getattr(error, "orig", "") or "").splitlines()
    reached = isinstance(error, DBAPIError) and error.statement is not None
    if reached and said:
        return f"The database refused a statement ({kind}): {said[0]}"
    reason = _harmless(said[0], url) if said else ""
    return (
        f"The database at DATABASE_URL does not answer as it should ({kind}). "
        + (f"Reason: {reason}. " if reason else "")
        + f"Is it running, and migrated with: {command} migrate"
    )


_BEFORE = re.compile(r"^(connection (failed|is bad): )?(connection to server .*? failed: )?")


def _harmless(line: str, url: str) -> str:
    """The reason that a server or the driver gave, without the address; empty if it tells more.

    A password that was not escaped is taken for a host's name, so no part of the URL is told.
    """
    if not url:
        return ""
    parts = make_url(url)
    line = _BEFORE.sub("", line).strip().removesuffix(".")
    names = (parts.username, parts.host, parts.database)
    for name in filter(None, names):
        line = line.replace(f'"{name}"', '"…"')
    words = [text for text in (*names, *parts.query.values()) if text and isinstance(text, str)]
    if parts.password and str(parts.password) in line:
        return ""
    return (
        "" if any(re.search(rf"(?<!\w){re.escape(text)}(?!\w)", line) for text in words) else line
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Runs and looks after this service. Settings come from the environment, "
        "and from .env in the working folder."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    dev = _add(
        commands,
        "dev",
        serving.dev,
        "start for development: writes .env with a fresh key at first, migrates, reloads",
    )
    serve = _add(commands, "serve", serving.serve, "start for real use; the database is migrated")
    for server in (dev, serve):
        server.add_argument("--host", default="127.0.0.1", help="address to bind (%(default)s)")
        server.add_argument("--port", type=_port, default=8000, help="port to bind (%(default)s)")
    serve.add_argument("--workers", type=_count, default=1, help="processes (%(default)s)")
    _add(commands, "migrate", _migrate, "bring the database's tables up to date")
    _add_keys(commands)
    token = commands.add_parser("token", help="access tokens").add_subparsers(
        metavar="COMMAND", required=True
    )
    _add(token, "inspect", inspecting.inspect, "explain a token read from standard input")
    user = commands.add_parser("user", help="accounts").add_subparsers(
        metavar="COMMAND", required=True
    )
    create = _add(user, "create", accounting.create, "make an account; asks for its password")
    create.add_argument("email", metavar="EMAIL", help="its e-mail address, counted as verified")
    create.add_argument("--admin", action="store_true", help="give it the role admin")
    _add_import(user)
    for name, handler, about in (
        ("disable", administering.disable, "let an account log in no more, and end its sessions"),
        ("enable", administering.enable, "let a disabled account log in again"),
    ):
        _add(user, name, handler, about).add_argument("email", metavar="EMAIL", help="its address")
    end = _add(user, "end-sessions", administering.end_sessions, "log an account out everywhere")
    end.add_argument("email", metavar="EMAIL", nargs="?", help="its address")
    end.add_argument("--all", action="store_true", help="everyone, at once")
    end.set_defaults(usage_error=end.error)
    _add(commands, "cleanup", administering.cleanup, "delete expired rows and old addresses")
    doctor = _add(
        commands, "doctor", diagnosing.diagnose, "show what is risky here, and what to do about it"
    )
    doctor.add_argument(
        "--online", action="store_true", help="ask the template's repository for a newer release"
    )
    return parser


def _add_import(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _add(commands, "import", importing.import_users, "make the accounts of a file")
    parser.add_argument("file", metavar="FILE", help="CSV or JSON lines; - for standard input")
    parser.add_argument("--dry-run", action="store_true", help="check all of it, write nothing")
    parser.add_argument("--format", choices=("csv", "jsonl"), help="(by the end of FILE)")
    parser.set_defaults(usage_error=parser.error)


def _add_keys(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    keys = commands.add_parser("keys", help="keys that sign access tokens").add_subparsers(
        metavar="COMMAND", required=True
    )
    new = _add(keys, "new", rotating.new, "print a fresh key, alone on standard output")
    new.add_argument("--alg", choices=ALGORITHMS, default="HS256", help="(%(default)s)")
    rotate = _add(keys, "rotate", rotating.rotate, "do the next step of a rotation, if it is safe")
    rotate.add_argument("--alg", choices=ALGORITHMS, help="of the new key (that of the old one)")
    _add(keys, "list", rotating.list_keys, "show the keys in force, by id, without the keys")


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    handler: Handler,
    about: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
    parser.set_defaults(handler=handler)
    return parser


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: give 1 or more")
    return int(text)


def _migrate(service: Service, _: argparse.Namespace) -> int:
    applied = migrate(service.settings().database_url, service.migrations)
    for revision in applied:
        print(f"applied {revision}")
    if is_missing(service.migrations):
        print(f"not found: {service.migrations}, with the tables of your own", file=sys.stderr)
    print(f"The database is up to date. {len(applied)} migrations were applied.")
    return 0
