"""A file of accounts from elsewhere: its good rows, and why the others are refused.

Nothing that is said holds a value of the file: it is full of addresses and hashes, and what a
command prints ends in logs. A header is not repeated either: it may be a row, its header missing.
"""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any

from gatehouse.cli.import_row import COLUMNS, BadRow, Row, read_row
from gatehouse.refusal import StartRefused

MAX_LINE = 64 * 1024  # bytes
PROGRESS = 10_000  # rows from one line of progress to the next
Found = Mapping[str, Any] | str  # a row's cells, or why it is none


def read_rows(name: str, kind: str, roles: Iterable[str]) -> tuple[list[Row], dict[int, str]]:
    """The good rows, and by line why the others are refused. Raises `StartRefused`."""
    rows: list[Row] = []
    refused: dict[int, str] = {}
    first_line: dict[str, int] = {}
    with _open(name) as file:
        for line, found in (_csv if kind == "csv" else _jsonl)(_lines(file)):
            try:
                if isinstance(found, str):
                    raise BadRow(found)
                row = read_row(line, found, roles)
                if (first := first_line.setdefault(row.key, line)) != line:
                    raise BadRow(f"it is the same account as line {first}")
                rows.append(row)
            except BadRow as reason:
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
            yield line, "it is not CSV: check its quotation marks"
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
            raise _no_file(f"column {place} of its header is not one of {', '.join(COLUMNS)}")
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
    """An object. Of two members with one name the first would be dropped without a word."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError
    return dict(pairs)
