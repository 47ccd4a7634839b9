"""The commands `user disable|enable|end-sessions` and `cleanup`."""

import argparse
from collections.abc import Callable

from sqlmodel import Session

from gatehouse.accounts import sessions, users
from gatehouse.accounts.addresses import BadAddress
from gatehouse.accounts.cleaning import clean_some
from gatehouse.cli.service import Service
from gatehouse.cli.serving import load
from gatehouse.refusal import StartRefused
from gatehouse.state import Gatehouse
from gatehouse.throttling.origin import COMMAND


def _change(
    service: Service, email: str, change: Callable[[Session, users.LockedUser], str]
) -> int:
    """Do something to one account, in one transaction."""
    core: Gatehouse = load(service).state.gatehouse
    try:
        with core.database.write() as session:
            done = change(session, users.find_user(session, email))
    except (BadAddress, users.NoSuchUser, users.LastAdministrator) as error:
        raise StartRefused(f"Nothing was changed: {error}") from None
    print(done)
    return 0


def disable(service: Service, asked: argparse.Namespace) -> int:
    """Disable an account and end its sessions. The last active administrator cannot be."""

    def change(session: Session, user: users.LockedUser) -> str:
        ended = users.disable(session, user, COMMAND)
        return f"Disabled {user.email} and ended {ended} sessions."

    return _change(service, asked.email, change)


def enable(service: Service, asked: argparse.Namespace) -> int:
    """Let a disabled account log in again."""

    def change(session: Session, user: users.LockedUser) -> str:
        users.enable(session, user, COMMAND)
        return f"Enabled {user.email}."

    return _change(service, asked.email, change)


def end_sessions(service: Service, asked: argparse.Namespace) -> int:
    """End every session of one account, or with `--all` of everyone."""
    if bool(asked.email) == asked.all:
        asked.usage_error("name one account by its address, or give --all for everyone")
        return 2
    if asked.email:
        return _change(service, asked.email, _end_sessions_of)
    core: Gatehouse = load(service).state.gatehouse
    with core.database.write() as session:
        ended = sessions.end_everyones(session, COMMAND)
    while True:
        with core.database.write() as session:
            if not sessions.drop_some(session):
                break
    print(f"Ended {ended} sessions. {_WHEN.format(core.settings.auth_revocation_seconds)}")
    return 0


_WHEN = "Running services refuse their access tokens within {} seconds."


def _end_sessions_of(session: Session, user: users.LockedUser) -> str:
    ended = sessions.end_all_of(session, user, COMMAND)
    return f"Ended {ended} sessions of {user.email}."


def cleanup(service: Service, _: argparse.Namespace) -> int:
    """Delete what is over: expired sessions, old events, addresses kept for long enough."""
    core: Gatehouse = load(service).state.gatehouse
    total = 0
    while True:
        done = clean_some(core.database, core.lifetimes.idle)
        total += done
        if not done:
            break
        print(f"{total} rows so far")
    print(f"Deleted or emptied {total} rows.")
    return 0
