"""The commands of a service: `dev`, `serve`, `migrate`, `keys`, `token`, `user`, `doctor`."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from gatehouse.cli.service import Service, importing
from gatehouse.hashing.huge_pages import use_huge_pages
from gatehouse.refusal import StartRefused
from gatehouse.signing.algorithms import ALGORITHMS
from gatehouse.web.logs import audit_lines

if TYPE_CHECKING:
    from gatehouse.settings import Settings

Command = Callable[[Service, argparse.Namespace], int]

# Where a command's function is: in a module of `gatehouse.cli`, imported when it is to run.
DEV, SERVE = "serving:dev", "serving:serve"


def run(
    app: str,
    *,
    settings: "type[Settings] | str" = "gatehouse.settings:Settings",
    migrations: Path | str | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Run the command that was asked for, and exit with its code.

    `app` is an import string, such as "my_service.main:create_app". So may `settings` (a class)
    and `migrations` (a folder) be: what a command does not need is then not imported.

    0: done. 1: refused, or found something wrong, in one line on standard error. 2: bad usage.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no address is too odd to be named
    parser = _parser()
    asked = parser.parse_args(arguments)
    service = Service(app, settings, migrations, parser.prog)
    if asked.handler == SERVE:
        use_huge_pages()  # before the imports, which would be done twice
    try:
        with importing():
            handler: Command = resolve_name(f"gatehouse.cli.{asked.handler}")
        with nullcontext() if asked.handler in (DEV, SERVE) else audit_lines():  # or logs twice
            code = handler(service, asked)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # the reader of what we print has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushed at exit again
        code = 1
    except Exception as error:
        if said := _explained(error, service):
            raise StartRefused(said) from None
        raise
    sys.exit(code)


def _explained(error: Exception, service: Service) -> str:
    """What to tell an operator of a failure at the database; "" of another one."""
    from alembic.util import CommandError
    from sqlalchemy.exc import SQLAlchemyError

    from gatehouse.store.failures import in_words

    if isinstance(error, CommandError):
        return f"The migrations cannot be applied: {error}"
    if not isinstance(error, SQLAlchemyError):
        return ""
    try:
        url = service.settings().database_url
    except StartRefused:
        url = ""
    return in_words(error, url, service.command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Runs and administers this service. Settings come from the environment, "
        "and from .env in the working folder."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    dev = _add(
        commands,
        "dev",
        DEV,
        "start for development: writes .env with a new key the first time, migrates, reloads",
    )
    serve = _add(commands, "serve", SERVE, "start for production, on a migrated database")
    for server in (dev, serve):
        server.add_argument("--host", default="127.0.0.1", help="address to bind (%(default)s)")
        server.add_argument("--port", type=_port, default=8000, help="port to bind (%(default)s)")
    serve.add_argument("--workers", type=_count, default=1, help="processes (%(default)s)")
    _add(commands, "migrate", "serving:migrate", "bring the database's tables up to date")
    _add_keys(commands)
    token = commands.add_parser("token", help="access tokens").add_subparsers(
        metavar="COMMAND", required=True
    )
    _add(token, "inspect", "inspecting:inspect", "explain a token read from standard input")
    user = commands.add_parser("user", help="accounts").add_subparsers(
        metavar="COMMAND", required=True
    )
    create = _add(user, "create", "accounting:create", "make an account; asks for its password")
    create.add_argument("email", metavar="EMAIL", help="its e-mail address, counted as verified")
    create.add_argument("--admin", action="store_true", help="give it the role admin")
    _add_import(user)
    for name, handler, about in (
        ("disable", "administering:disable", "disable an account and end its sessions"),
        ("enable", "administering:enable", "let a disabled account log in again"),
    ):
        _add(user, name, handler, about).add_argument("email", metavar="EMAIL", help="its address")
    end = _add(user, "end-sessions", "administering:end_sessions", "log an account out everywhere")
    end.add_argument("email", metavar="EMAIL", nargs="?", help="its address")
    end.add_argument("--all", action="store_true", help="everyone, at once")
    end.set_defaults(usage_error=end.error)
    _add(commands, "cleanup", "administering:cleanup", "delete expired rows and old addresses")
    doctor = _add(
        commands,
        "doctor",
        "diagnosing:diagnose",
        "show what is risky here, and what to do about it",
    )
    doctor.add_argument(
        "--online", action="store_true", help="ask the template's repository for a newer release"
    )
    return parser


def _add_import(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _add(commands, "import", "importing:import_users", "make the accounts of a file")
    parser.add_argument("file", metavar="FILE", help="CSV or JSON lines; - for standard input")
    parser.add_argument("--dry-run", action="store_true", help="check all of it, write nothing")
    parser.add_argument("--format", choices=("csv", "jsonl"), help="(by the end of FILE)")
    parser.set_defaults(usage_error=parser.error)


def _add_keys(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    keys = commands.add_parser("keys", help="keys that sign access tokens").add_subparsers(
        metavar="COMMAND", required=True
    )
    new = _add(keys, "new", "rotating:new", "print a fresh key, alone on standard output")
    new.add_argument("--alg", choices=ALGORITHMS, default="HS256", help="(%(default)s)")
    rotate = _add(
        keys, "rotate", "rotating:rotate_keys", "do the next step of a rotation, if it is safe"
    )
    rotate.add_argument("--alg", choices=ALGORITHMS, help="of the new key (that of the old one)")
    _add(keys, "list", "rotating:list_keys", "show the keys in force, by id, without the keys")


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    handler: str,
    about: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
    parser.set_defaults(handler=handler)
    return parser


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes: give 1 or more")
    return int(text)
