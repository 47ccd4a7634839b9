"""A file of accounts from elsewhere: its rows, and why the others are refused.

Nothing that is said holds a value of the file: it is full of addresses and hashes, and what a
command prints ends in logs. A header is not repeated either: it may be a row, its header missing.
"""

import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from gatehouse.accounts.addresses import BadAddress, normalise
from gatehouse.hashing.foreign_hashes import BadHash, check_hash
from gatehouse.refusal import StartRefused

COLUMNS = ("email", "password_hash", "role", "email_verified", "created_at")
MAX_LINE = 64 * 1024  # bytes
PROGRESS = 10_000  # rows from one line of progress to the next
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
Found = Mapping[str, Any] | str  # a row's cells, or why it is none


class BadRow(ValueError):
    """Why a row is refused, without a value of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """An account to be."""

    line: int
    email: str
    key: str
    password_hash: str
    role: str
    verified: bool
    created_at: datetime | None


def read_rows(name: str, kind: str, roles: Iterable[str]) -> tuple[list[Row], dict[int, str]]:
    """The good rows, and by line why the others are refused. Raises `StartRefused`."""
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
            except (BadRow, BadHash) as reason:
                refused[line] = str(reason)
            show_progress(len(rows) + len(refused), "rows read")
    if not rows and not refused:
        raise _no_file("it holds no account")
    return rows, refused


def show_progress(count: int, what: str) -> None:
    if count % PROGRESS == 0:
        print(f"{count} {what}", file=sys.stderr)


def _no_file(reason: str) -> StartRefused:
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
            yield (
                line,
                f"it has {len(cells)} cells and the header has {len(header)}; "
                "an Argon2id hash holds commas and must stand in quotation marks",
            )


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
    password_hash = found.get("password_hash", "")
    check_hash(password_hash)
    if (role := found.get("role", "user")) not in roles:
        raise BadRow(f"its role is none of {', '.join(sorted(roles))}")
    verified = str(found.get("email_verified", "false")).lower()
    if verified not in ("true", "false"):
        raise BadRow("its email_verified is neither true nor false")
    created_at = _moment(found["created_at"]) if "created_at" in found else None
    return Row(line, email, key, password_hash, role, verified == "true", created_at)


def _moment(text: str) -> datetime:
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadRow("its created_at is no RFC 3339 time with a zone, such as 2024-05-06T07:08:09Z")
