"""The commands `keys new`, `keys rotate` and `keys list`. A key is shown by `keys new` alone."""

import argparse
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gatehouse.cli.service import Service
from gatehouse.refusal import StartRefused
from gatehouse.settings import Settings
from gatehouse.signing import key_file
from gatehouse.signing.key_file import Step, Times, key_ring
from gatehouse.signing.keys import BadKey, Key, new_key

_HMAC_HINT = (
    "An HS256 key of 32 random bytes. Set it as AUTH_KEYS, or put it on a line of its own in the "
    "file that AUTH_KEYS_FILE names. Keep it out of version control."
)
_PEM_HINT = (
    "A private key for {algorithm}. Put it into the file that AUTH_KEYS_FILE names, mode 600; in "
    "AUTH_KEYS write its line ends as \\n. Keep it out of version control."
)
_BY_HAND = (
    "Keys are rotated in a file, and AUTH_KEYS_FILE names none. Put the keys of AUTH_KEYS into "
    "one, set AUTH_KEYS_FILE in its place and restart. Or by hand, with a restart of every "
    "process at each step: append the output of `{command} keys new` to AUTH_KEYS; {published} "
    "seconds later put it first; {lifetime} seconds later remove the old key."
)


def new(_: Service, asked: argparse.Namespace) -> int:
    """A fresh key, alone on standard output."""
    print(new_key(asked.alg))
    hint = _HMAC_HINT if asked.alg == "HS256" else _PEM_HINT.format(algorithm=asked.alg)
    print(hint, file=sys.stderr)
    return 0


def list_keys(service: Service, _: argparse.Namespace) -> int:
    """Every key in force, by its id."""
    settings = service.settings()
    ring = key_ring(service.command, settings)
    for key in ring.keys:
        does = "signs, verifies" if key is ring.signing else "verifies"
        print(f"{key.kid:<43}  {key.algorithm:<5}  {key.strength:<16}  {does}")
    _warn_of_others(settings.auth_keys_file)
    return 0


def rotate_keys(service: Service, asked: argparse.Namespace) -> int:
    """The next step of a rotation, if it is safe already. Says when the one after it is."""
    settings = service.settings()
    path = settings.auth_keys_file
    if path is None:
        raise StartRefused(_by_hand(service, settings))
    key_ring(service.command, settings)
    times = Times(
        now=datetime.now(UTC),
        reload=timedelta(seconds=settings.auth_keys_reload_seconds),
        lifetime=timedelta(seconds=settings.auth_access_token_seconds),
    )
    try:
        step = key_file.rotate_file(path, times, asked.alg)
    except BadKey as error:
        raise StartRefused(f"The keys were not changed: {error}.") from None
    for line in _in_words(step, times, path, f"{service.command} keys rotate"):
        print(line)
    if step.changed:
        _record(settings)
    _warn_of_others(path)
    return 0


def _by_hand(service: Service, settings: Settings) -> str:
    return _BY_HAND.format(
        command=service.command,
        published=key_file.JWKS_MAX_AGE,
        lifetime=settings.auth_access_token_seconds,
    )


def _in_words(step: Step, times: Times, path: Path, again: str) -> list[str]:
    """What was done, and what comes next and when."""
    ready = f"{step.ready.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    signing, waiting = step.ring.signing, step.waiting
    if waiting:
        done = "was added: it" if step.changed else "was added before. Nothing was changed: it"
        does = "verifies and is published" if waiting.public else "verifies"
        return [
            f"{_named(waiting)} {done} {does}, and does not sign yet.",
            f"{_named(signing)} signs.",
            f"Next: from {ready} on, `{again}` lets the new key sign.{_elsewhere(step, path)}",
        ]
    done = "signs from now on." if step.changed else "signs. Nothing was changed."
    lines = [f"{_named(signing)} {done}"]
    for key, line in list(zip(step.ring.keys, step.lines, strict=True))[1:]:
        place = f"{_named(key)}, from line {line} of {path} on,"
        if times.now >= step.ready:
            lines.append(f"{place} has had no valid token since {ready}: remove it now.")
        else:
            lines.append(f"{place} verifies its last tokens until {ready}: remove it then.")
    lines.append(
        f"Once only one key is left, `{again}` starts the next rotation.{_elsewhere(step, path)}"
    )
    return lines


def _elsewhere(step: Step, path: Path) -> str:
    """A hint for those whose servers share no disk: the times count from when all have it."""
    return (
        f" Where another server has a copy of {path}, bring it there now." if step.changed else ""
    )


def _named(key: Key) -> str:
    return f"Key {key.kid} ({key.algorithm})"


def _record(settings: Settings) -> None:
    """An audit event. A rotation may be an emergency: it does not wait for the database."""
    # Here, so that looking at keys imports no database.
    from sqlalchemy.exc import SQLAlchemyError

    from gatehouse.accounts.audit import note_rotation
    from gatehouse.store.database import DatabasePool
    from gatehouse.throttling.origin import COMMAND

    database = DatabasePool(settings.database_url)
    try:
        note_rotation(database, COMMAND)
    except SQLAlchemyError as error:
        print(f"This is not in the audit table: {type(error).__name__}.", file=sys.stderr)
    finally:
        database.close()


def _warn_of_others(path: Path | None) -> None:
    with suppress(OSError):
        if path and key_file.open_to_others(path):
            print(f"Other users of this machine may open {path}: chmod 600 it.", file=sys.stderr)
