"""The command `user import`: accounts from elsewhere, all of a file or none of it."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from gatehouse.accounts.audit import log_many
from gatehouse.accounts.users import create_users
from gatehouse.cli.accounting import run_on_registered
from gatehouse.cli.import_file import read_rows, show_progress
from gatehouse.cli.import_row import Row
from gatehouse.cli.service import Service
from gatehouse.cli.serving import load, require_migrated
from gatehouse.hooks import Hooks
from gatehouse.refusal import StartRefused
from gatehouse.state import Gatehouse
from gatehouse.store.tables import User, utc_now
from gatehouse.throttling.origin import COMMAND

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
BATCH = 1_000  # accounts a statement


def import_users(service: Service, asked: argparse.Namespace) -> int:
    """Check every row of the file; if all are good, make their accounts in one transaction."""
    kind: str | None = asked.format or FORMATS.get(Path(asked.file).suffix.lower())
    if kind is None:
        asked.usage_error("the file's name does not say what it is: give --format csv or jsonl")
        return 2
    core: Gatehouse = load(service).state.gatehouse
    require_migrated(service, core)
    rows, refused = read_rows(asked.file, kind, core.roles.keys())
    total = len(rows) + len(refused)
    only_look = bool(refused) or asked.dry_run
    with core.database.read() if only_look else core.database.write() as session:
        refused |= _taken(session, rows)
        if not refused and not only_look:
            _make_accounts(session, rows, core.hooks)
    for line, reason in sorted(refused.items()):
        print(f"line {line}: {reason}", file=sys.stderr)
    if refused:
        raise StartRefused(f"Nothing was imported: {len(refused)} of {total} rows are refused.")
    if asked.dry_run:
        print(f"Every row is good: {total} accounts could be made. Nothing was written.")
        return 0
    log_many("user_created", COMMAND, total)
    _say_what_next(rows, core.settings.auth_require_verified_email)
    return 0


def _say_what_next(rows: list[Row], must_verify: bool) -> None:
    print(
        f"Made {len(rows)} accounts. They log in at POST /auth/token with the passwords they "
        "have; a hash weaker than this service's own is replaced at the first login."
    )
    waiting = sum(not row.verified for row in rows)
    if waiting and must_verify:
        print(
            f"{waiting} of them cannot log in yet: their address is not verified. A password "
            "reset by mail (POST /auth/forgot-password) verifies it."
        )


def _taken(session: Session, rows: list[Row]) -> dict[int, str]:
    """By line, the rows whose address has an account already."""
    refused: dict[int, str] = {}
    for batch in _batches(rows):
        line_of = {row.key: row.line for row in batch}
        for key in session.exec(select(User.email_key).where(col(User.email_key).in_(line_of))):
            refused[line_of[key]] = "its address already has an account"
    return refused


def _make_accounts(session: Session, rows: list[Row], hooks: Hooks) -> None:
    done = 0
    for batch in _batches(rows):
        made = [_user(row) for row in batch]
        try:
            create_users(session, made, COMMAND)
        except IntegrityError:  # PostgreSQL lets others in between the check and this
            raise StartRefused(
                "Nothing was imported: meanwhile an address of the file has got an account. "
                "Try again."
            ) from None
        for row, user in zip(batch, made, strict=True):
            where = f" for the row of line {row.line}"
            run_on_registered(hooks, session, user, "Nothing was imported", where)
        done += len(batch)
        show_progress(done, "accounts made")


def _user(row: Row) -> User:
    now = utc_now()
    return User(
        email=row.email,
        email_key=row.key,
        password_hash=row.password_hash,
        role=row.role,
        email_verified_at=now if row.verified else None,
        created_at=row.created_at or now,
    )


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
