"""What a command says when the database fails: never an address, a password or a value."""

import re

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError


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
