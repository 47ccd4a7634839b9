"""The command `user import`: accounts from elsewhere, all of a file or none of it.

Nothing that is said holds a value of the file: it is full of addresses and hashes, and what a
command prints ends in logs. A header is not repeated either: it may be a row, its header missing.
"""

import argparse
import csv
import json
import logging
import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

import argon2
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from gatehouse.addresses import BadAddress, normalise
from gatehouse.audit import COMMAND
from gatehouse.passwords import BCRYPT, MOST_MEMORY, MOST_TIME
from gatehouse.refusal import StartRefused
from gatehouse.serving import load, require_migrated
from gatehouse.state import Gatehouse
from gatehouse.tables import AuditEvent, User, utc_now

if TYPE_CHECKING:
    from gatehouse.commands import Service

COLUMNS = ("email", "password_hash", "role", "email_verified", "created_at")
FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
MAX_LINE = 64 * 1024  # bytes
BATCH = 1_000  # accounts a statement
PROGRESS = 10_000  # rows from one line of progress to the next
MOST_LANES = 255  # threads that one hash may start

ACCEPTED = (
    "its password_hash is neither Argon2id ($argon2id$v=19$m=…,t=…,p=…$salt$hash) "
    "nor bcrypt ($2a$, $2b$ or $2y$, cost 04 to 16)"
)
QUOTE = "; an Argon2id hash holds commas and must stand in quotation marks"
_ARGON2 = re.compile(
    r"\$argon2id(?:\$v=(?:16|19))?\$m=[1-9][0-9]{0,9},t=[1-9][0-9]{0,9},p=[1-9][0-9]{0,9}"
    r"\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
Found = Mapping[str, Any] | str  # a row's cells, or why it is none
log = logging.getLogger("gatehouse.audit")


class BadRow(ValueError):
    """Why a row is refused, without a value of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """An account to be."""

    email: str
    key: str
    password_hash: str
    role: str
    verified: bool
    created_at: datetime
    line: int


def import_users(service: "Service", asked: argparse.Namespace) -> int:
    """Check every row of the file; if all are good, make their accounts in one transaction."""
    kind: str | None = asked.format or FORMATS.get(Path(asked.file).suffix.lower())
    if kind is None:
        asked.usage_error("the file's name does not say what it is: give --format csv or jsonl")
        return 2
    core: Gatehouse = load(service).state.gatehouse
    require_migrated(service, core)
    rows, refused = _read(asked.file, kind, core.roles.keys())
    total = len(rows) + len(refused)
    only_look = bool(refused) or asked.dry_run
    with core.database.read() if only_look else core.database.write() as session:
        refused |= _taken(session, rows)
        if not refused and not only_look:
            _insert(core, session, rows)
    for line, reason in sorted(refused.items()):
        print(f"line {line}: {reason}", file=sys.stderr)
    if refused:
        raise StartRefused(f"Nothing was imported: {len(refused)} of {total} rows are refused.")
    if asked.dry_run:
        print(f"Every row is good: {total} accounts could be made. Nothing was written.")
        return 0
    fields = {"event": "user_created", "count": total, "user_agent": COMMAND.user_agent}
    log.info("%s", "user_created", extra={"fields": fields})
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


def _read(name: str, kind: str, roles: Iterable[str]) -> tuple[list[Row], dict[int, str]]:
    """The good rows, and by line why the others are refused."""
    rows: list[Row] = []
    refused: dict[int, str] = {}
    first_line: dict[str, int] = {}
    with _open(name) as file:
        for line, found in (_csv if kind == "csv" else _jsonl)(_lines(file)):
            try:
                row = _row(line, found, roles)
                if (first := first_line.setdefault(row.key, line)) != line:
                    raise BadRow(f"it is the same account as line {first}")
                rows.append(row)
            except BadRow as reason:
                refused[line] = str(reason)
            _progress(len(rows) + len(refused), "rows read")
    if not rows and not refused:
        raise _no_file("it holds no account")
    return rows, refused


def _no_file(reason: str | None) -> StartRefused:
    return StartRefused(f"Nothing was imported: the file cannot be used: {reason}.")


def _open(name: str) -> AbstractContextManager[IO[bytes]]:
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return open(name, "rb")
    except (OSError, ValueError) as error:
        raise _no_file(getattr(error, "strerror", "its name is odd")) from None


def _lines(file: IO[bytes]) -> Iterator[str]:
    number = 0
    while raw := file.readline(MAX_LINE + 1):
        number += 1
        if len(raw) > MAX_LINE:
            raise _no_file(f"line {number} is longer than 64 KiB")
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise _no_file(f"line {number} is not UTF-8 text; save it as UTF-8") from None
        if "\0" in text:
            raise _no_file(f"line {number} holds a NUL")
        yield text


def _csv(lines: Iterator[str]) -> Iterator[tuple[int, Found]]:
    """Each row with the line that it starts on."""
    reader = csv.reader(lines, strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            if not header:
                raise _no_file("its header is no CSV") from None
            yield line, "it is no CSV: look at its quotation marks"
            continue
        if not header:
            header = _header(cells)
        elif len(cells) == len(header):
            yield line, {name: cell for name, cell in zip(header, cells, strict=True) if cell}
        elif cells:
            yield line, f"it has {len(cells)} cells and the header has {len(header)}{QUOTE}"


def _header(cells: list[str]) -> list[str]:
    for place, name in enumerate(cells, 1):
        if name not in COLUMNS:
            raise _no_file(f"column {place} of its header is none of {', '.join(COLUMNS)}")
    if len(set(cells)) < len(cells):
        raise _no_file("its header names a column twice")
    if cells and not {"email", "password_hash"} <= set(cells):
        raise _no_file("its header must name both email and password_hash")
    return cells


def _jsonl(lines: Iterator[str]) -> Iterator[tuple[int, Found]]:
    for line, text in enumerate(lines, 1):
        if text.strip():
            try:
                found = json.loads(text, object_pairs_hook=_members)
            except (ValueError, RecursionError):
                found = None
            yield line, found if isinstance(found, dict) else "it is no JSON object"


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Of two members of one name the first would be lost in silence."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError
    return dict(pairs)


def _row(line: int, found: Found, roles: Iterable[str]) -> Row:
    if isinstance(found, str):
        raise BadRow(found)
    if not found.keys() <= set(COLUMNS):
        raise BadRow(f"it has a field that is none of {', '.join(COLUMNS)}")
    found = {name: value for name, value in found.items() if value is not None}
    for name, value in found.items():
        if not isinstance(value, (str, bool) if name == "email_verified" else str):
            raise BadRow(f"its {name} is of another type than text")
    try:
        email, key = normalise(found.get("email", ""))
    except BadAddress:
        raise BadRow("its email is no e-mail address") from None
    password_hash = _known_hash(found.get("password_hash", ""))
    if (role := found.get("role", "user")) not in roles:
        raise BadRow(f"its role is none of {', '.join(sorted(roles))}")
    verified = str(found.get("email_verified", "false")).lower()
    if verified not in ("true", "false"):
        raise BadRow("its email_verified is neither true nor false")
    created_at = _moment(found["created_at"]) if "created_at" in found else utc_now()
    return Row(email, key, password_hash, role, verified == "true", created_at, line)


def _known_hash(text: str) -> str:
    """A hash that a login can check, be it weak: a login replaces it. Raises `BadRow`."""
    if text.startswith("$2") and BCRYPT.fullmatch(text) and text[2] != "x":
        # Spare bits of the last characters of salt and hash: no password would ever fit.
        if text[28] in ".Oeu" and text[59] in ".CGKOSWaeimquy26":
            return text
        raise BadRow("its bcrypt hash is broken")
    if not (parts := _ARGON2.fullmatch(text)):
        raise BadRow(ACCEPTED)
    found = argon2.extract_parameters(text)
    if found.memory_cost > MOST_MEMORY or found.time_cost > MOST_TIME:
        raise BadRow("its Argon2id hash costs more than 4 GiB or 100 passes")
    salt, digest = (_decoded(part) for part in parts.groups())
    lanes = found.parallelism
    # Beneath these the library refuses to compute (RFC 9106 section 3.1).
    if found.memory_cost < 8 * lanes or len(salt) < 8 or len(digest) < 4 or lanes > MOST_LANES:
        raise BadRow("its Argon2id hash is broken")
    return text


def _decoded(text: str) -> bytes:
    """Base64 as the Argon2 library reads it: no padding, no bit over. Empty for anything else."""
    try:
        content = b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
    return content if b64encode(content).decode().rstrip("=") == text else b""


def _moment(text: str) -> datetime:
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadRow("its created_at is no RFC 3339 time with a zone, such as 2024-05-06T07:08:09Z")


def _taken(session: Session, rows: list[Row]) -> dict[int, str]:
    """By line, the rows whose address has an account already."""
    refused: dict[int, str] = {}
    for batch in _batches(rows):
        line_of = {row.key: row.line for row in batch}
        for key in session.exec(select(User.email_key).where(col(User.email_key).in_(line_of))):
            refused[line_of[key]] = "its address has an account already"
    return refused


def _insert(core: Gatehouse, session: Session, rows: list[Row]) -> None:
    now, done = utc_now(), 0
    event = AuditEvent(event="user_created", **asdict(COMMAND)).model_dump()
    for batch in _batches(rows):
        users = [
            User(
                email=row.email,
                email_key=row.key,
                password_hash=row.password_hash,
                role=row.role,
                email_verified_at=now if row.verified else None,
                created_at=row.created_at,
            )
            for row in batch
        ]
        session.add_all(users)
        try:
            session.flush()
        except IntegrityError:  # PostgreSQL lets others in between the check and this
            raise StartRefused(
                "Nothing was imported: an address of the file got an account meanwhile. Try again."
            ) from None
        events = [{**event, "id": uuid4(), "user_id": user.id} for user in users]
        session.execute(insert(AuditEvent), events)
        for user in users:
            core.hooks.on_registered(session, user)
        session.flush()
        done += len(batch)
        _progress(done, "accounts made")


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def _progress(count: int, what: str) -> None:
    if count % PROGRESS == 0:
        print(f"{count} {what}", file=sys.stderr)
