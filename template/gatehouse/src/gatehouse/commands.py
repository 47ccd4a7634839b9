"""The commands of a service: `dev`, `serve`, `migrate`, `keys`, `token`, `user`."""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gatehouse import accounting, inspecting, serving
from gatehouse.keys import new_key
from gatehouse.migrating import migrate
from gatehouse.refusal import StartRefused
from gatehouse.settings import Settings


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
    try:
        code = handler(service, asked)
    except SQLAlchemyError as error:
        raise StartRefused(_in_words(error, service)) from None
    except CommandError as error:
        raise StartRefused(f"The migrations cannot be applied: {error}") from None
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _in_words(error: SQLAlchemyError, service: Service) -> str:
    """What to tell an operator. A driver's message about a connection may hold its address."""
    kind = type(error).__name__
    reached = isinstance(error, DBAPIError) and error.statement is not None
    if reached and (lines := str(getattr(error, "orig", "")).splitlines()):
        return f"The database refused a statement ({kind}): {lines[0]}"
    return (
        f"The database at DATABASE_URL does not answer as it should ({kind}). "
        f"Is it running, and migrated with: {service.command} migrate"
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
    keys = commands.add_parser("keys", help="keys that sign access tokens").add_subparsers(
        metavar="COMMAND", required=True
    )
    _add(keys, "new", _new_key, "print a fresh key, alone on standard output")
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
    return parser


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
    number = int(text)
    if not 0 <= number <= 65_535:
        raise ValueError
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _migrate(service: Service, _: argparse.Namespace) -> int:
    applied = migrate(service.settings().database_url, service.migrations)
    for revision in applied:
        print(f"applied {revision}")
    print(f"The database is up to date. {len(applied)} migrations were applied.")
    return 0


def _new_key(service: Service, _: argparse.Namespace) -> int:
    print(new_key())
    print(
        "An HS256 key of 32 random bytes. Set it as AUTH_KEYS, keep it out of version control.",
        file=sys.stderr,
    )
    return 0
