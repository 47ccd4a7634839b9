"""The command `user create`."""

import argparse
import asyncio
import getpass
import sys

from sqlmodel import Session

from gatehouse.accounts import users
from gatehouse.accounts.addresses import BadAddress, normalise
from gatehouse.cli.service import Service
from gatehouse.cli.serving import load, require_migrated
from gatehouse.hashing.password_policy import check_new_password
from gatehouse.hashing.passwords import WeakPassword
from gatehouse.hooks import Hooks
from gatehouse.refusal import StartRefused
from gatehouse.state import Gatehouse
from gatehouse.store.tables import User
from gatehouse.throttling.origin import COMMAND


def create(service: Service, asked: argparse.Namespace) -> int:
    """Make an account. The password is asked twice, or read as one line where no terminal is."""
    core: Gatehouse = load(service).state.gatehouse
    require_migrated(service, core)
    try:
        _, key = normalise(asked.email)
        password = check_new_password(
            _read_password(),
            email=key,
            service_name=core.name,
            min_length=core.settings.auth_password_min_length,
        )
        password_hash = asyncio.run(core.passwords.hash(password))
        role = "admin" if asked.admin else "user"
        with core.database.write() as session:
            user = users.create_user(
                session, email=asked.email, password_hash=password_hash, role=role, origin=COMMAND
            )
            run_on_registered(core.hooks, session, user, "No account was made")
    except (BadAddress, WeakPassword, users.AddressTaken) as error:
        raise StartRefused(f"No account was made: {error}") from None
    print(f"Made the account {user.email} with the role {role}. Log in at POST /auth/token.")
    return 0


def run_on_registered(
    hooks: Hooks, session: Session, user: User, undone: str, row: str = ""
) -> None:
    """Run the service's own code for a new account; what it raises undoes the command.

    What it wrote is flushed, to fail at the account that it is for.
    """
    try:
        hooks.on_registered(session, user)
        session.flush()
    except Exception as error:  # its text may hold anything
        name = type(error).__name__
        raise StartRefused(f"{undone}: your on_registered failed ({name}){row}.") from None


def _read_password() -> str:
    if not sys.stdin.isatty():
        line = sys.stdin.buffer.readline().removesuffix(b"\n").removesuffix(b"\r")
        return line.decode("utf-8", "surrogateescape")
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("The same again: "):
        raise WeakPassword("the two entries differ.")
    return password
