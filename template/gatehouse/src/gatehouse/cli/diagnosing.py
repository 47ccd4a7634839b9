"""The command `doctor`: each risk of this deployment that it can find, and its remedy.

It needs no running service; what keeps a service from starting is a finding like any other, and
the other checks go on as far as they can.
"""

import argparse
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from sqlmodel import Session, col, func, select

from gatehouse.accounts.invisible import holds_invisible
from gatehouse.cli.risks import ANYWHERE, Facts
from gatehouse.cli.risky_settings import CONFIGURED, sqlite_file
from gatehouse.cli.service import Service
from gatehouse.cli.serving import check_mail, load
from gatehouse.hooks import Hooks
from gatehouse.install import check_start
from gatehouse.migrating import lost, unmigrated
from gatehouse.refusal import StartRefused
from gatehouse.store.database import DatabasePool
from gatehouse.store.tables import AuditEvent, User, utc_now

BATCH = 10_000  # accounts that are in memory at once


def diagnose(service: Service, asked: argparse.Namespace) -> int:
    """Print each finding. The exit code is 1 if one of them is a problem."""
    facts = replace(_look(service), online=asked.online)
    found = [(name, finding) for name, check in ANYWHERE.items() for finding in check(facts)]
    checks = len(ANYWHERE)
    if facts.settings is not None:
        checks += len(CONFIGURED)
        found += [
            (name, one) for name, check in CONFIGURED.items() for one in check(facts.settings)
        ]
    for name, finding in found:
        print(f"{'NOTE' if finding.is_note else 'PROBLEM'}  {name}: {finding.text}")
        print(f"  Remedy: {finding.remedy}\n")
    problems = sum(not finding.is_note for _, finding in found)
    print(f"{problems or 'No'} problem{'' if problems == 1 else 's'} found by {checks} checks.")
    return 1 if problems else 0


def _look(service: Service) -> Facts:
    try:
        settings = service.settings()
    except StartRefused as refusal:
        return Facts(service, start=str(refusal))
    file = sqlite_file(settings)
    is_missing = file is not None and not file.exists()
    start, sends_mail = _try_start(service)
    if file and is_missing:
        # The application made it; one made by whoever asks here may be closed to the service.
        with suppress(OSError):
            file.unlink() if file.stat().st_size == 0 else None
        found = Facts(service, database="the SQLite file is not there")
    else:
        found = _look_at_database(service, settings.database_url)
    return replace(found, settings=settings, start=start, sends_mail=sends_mail)


def _try_start(service: Service) -> tuple[str, bool]:
    """Why the service does not start, and whether it sends mail by a hook of its own."""
    sends_mail = False
    try:
        app = load(service)
        sends_mail = type(app.state.gatehouse.hooks).send_mail is not Hooks.send_mail
        app.state.gatehouse.database.close()
        check_start(app)
        check_mail(app.state.gatehouse)
    except StartRefused as refusal:
        return str(refusal), sends_mail
    except Exception as error:  # of the service's own code; its text may hold anything
        return f"its own code raises {type(error).__name__}.", sends_mail
    return "", sends_mail


def _look_at_database(service: Service, url: str) -> Facts:
    """Why it cannot be used, or what is found in it."""
    active = select(func.count()).where(User.role == "admin", col(User.is_active).is_(True))
    since = utc_now() - timedelta(days=1)
    named = select(AuditEvent.ip).where(col(AuditEvent.time) > since, AuditEvent.ip != "")
    try:
        with closing(DatabasePool(url)) as database, database.read() as session:
            if reason := lost(session.connection(), service.migrations):
                return Facts(service, database=reason)
            if unmigrated(session.connection(), service.migrations):
                return Facts(service, database="a migration is missing in it")
            administrators = session.exec(active).one()
            return Facts(
                service,
                administrators=administrators,
                lookalikes=list(_lookalikes(session)),
                clients=frozenset(session.exec(named.distinct().limit(1_000))),
            )
    except Exception as error:  # a driver's text may hold the URL
        return Facts(service, database=f"it does not answer as it should ({type(error).__name__})")


def _lookalikes(session: Session) -> Iterator[UUID]:
    """Accounts from before such addresses were refused. No database can ask for all of them."""
    users = select(User.id, User.email).execution_options(yield_per=BATCH)
    for id_, email in session.exec(users):
        if holds_invisible(email):
            yield id_
