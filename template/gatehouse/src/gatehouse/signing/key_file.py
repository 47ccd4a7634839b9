"""AUTH_KEYS_FILE: a ring that changes without a restart, and the steps of a rotation.

The file holds keys one after another. Lines that start with # are comments; those of the form
`# gatehouse: KID added TIME` and `# gatehouse: KID signs TIME` are the rotation's memory.
"""

import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gatehouse.refusal import StartRefused
from gatehouse.signing.keys import BadKey, Key, KeyRing, find_keys, new_key, plain, read_keys

if TYPE_CHECKING:  # this room knows no database, and settings read its URL
    from gatehouse.settings import Settings

JWKS_MAX_AGE = 300  # seconds that others may keep the published keys
_NOTE = re.compile(r"^# gatehouse:(.*)\n?", re.MULTILINE)
_NOTED = re.compile(r" (\S+) (added|signs) (\S+)")
# Comments at the top that an empty line sets apart are about the whole file and stay there.
_HEADER = re.compile(r"(?:#.*\n)+\n+")


@dataclass(frozen=True, slots=True)
class Step:
    """What a call of `rotate_file` did or found, and when the next step is safe.

    `waiting` verifies and does not sign yet: from `ready` on it may. With none waiting, a new
    key signs: from `ready` on the others may go. `lines` says where each key of the ring starts.
    """

    changed: bool
    ring: KeyRing
    waiting: Key | None
    ready: datetime
    lines: tuple[int, ...]


class Times(NamedTuple):
    """The time now, how long a process may keep an old ring, and how long a token lives."""

    now: datetime
    reload: timedelta
    lifetime: timedelta


class _Note(NamedTuple):
    verb: str
    time: datetime


def key_ring(name: str, settings: "Settings") -> KeyRing:
    """The keys that are set. Raises `StartRefused`, which names the variable; `name` runs us."""
    path = settings.auth_keys_file
    try:
        return read_key_file(path) if path else read_keys(settings.auth_keys.get_secret_value())
    except BadKey as error:
        variable = "AUTH_KEYS_FILE" if path else "AUTH_KEYS"
        raise StartRefused(
            f"{variable} is refused: {error}. Make a key with: {name} keys new"
        ) from None


def read_key_file(path: Path) -> KeyRing:
    """The ring in the file. Raises `BadKey`, which names no key."""
    return read_keys(read_text(path))


def read_text(path: Path) -> str:
    """What the file holds, with one kind of line end."""
    try:
        return plain(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadKey("the file is not UTF-8 text; save it as UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise BadKey(f"the file cannot be read: {reason}") from None


def open_to_others(path: Path) -> bool:
    """Whether other users of this machine may read the file. Windows cannot say by its mode."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def rotate_file(path: Path, times: Times, algorithm: str | None = None) -> Step:
    """The next step of a rotation; called too early or again, it changes nothing.

    Raises `BadKey`, and then the file is as it was. Of two calls at the same time one is refused.
    """
    read_text(path)
    path = path.resolve()  # a link keeps pointing at the file
    draft = path.with_name(f".{path.name}.rotating")
    try:
        # It is the lock as well: the file that is read next cannot change before it is replaced.
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadKey(f"another rotation is running; if none is, delete {draft}") from None
    except OSError as error:
        raise BadKey(f"{path.parent} must be writable: {error.strerror}") from None
    try:
        step = _write_next(path, draft, handle, times, algorithm)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise BadKey(f"the file cannot be replaced: {error.strerror}") from None
        raise
    if not step.changed:
        draft.unlink()
    return step


def _write_next(path: Path, draft: Path, handle: int, times: Times, algorithm: str | None) -> Step:
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        text, step = advance(read_text(path), times, algorithm)
        if not step.changed:
            return step
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    _replace(path, draft)
    return step


def _replace(path: Path, draft: Path) -> None:
    """All or nothing: a reader meets the old file or the new one, of the same owner and mode."""
    found = path.stat()
    if not os.access(path, os.W_OK):
        raise BadKey("the file is not writable for you")
    if hasattr(os, "chown"):
        os.chown(draft, found.st_uid, found.st_gid)
    os.chmod(draft, stat.S_IMODE(found.st_mode))
    os.replace(draft, path)


def advance(text: str, times: Times, algorithm: str | None = None) -> tuple[str, Step]:
    """The text after the next step, and that step. No key is ever lost or there twice."""
    now = _next_second(times.now)  # a note holds whole seconds, and must not be early
    until_gone = times.reload + times.lifetime
    ring, notes = read_keys(text), _notes(text)
    others = [key for key in ring.keys[1:] if key.kid in notes]
    waiting = next((key for key in others if notes[key.kid].verb == "added"), None)
    if waiting:
        ready = notes[waiting.kid].time + _until_known(waiting, times)
        if times.now < ready:
            return text, _step(text, False, ready, waiting)
        text = _with_first(text, ring.keys.index(waiting), now)
        return text, _step(text, True, now + until_gone)
    mine = notes.get(ring.signing.kid)
    if len(ring.keys) > 1 and mine and mine.verb == "signs" and not others:
        return text, _step(text, False, mine.time + until_gone)
    if len(ring.keys) > 1 and (mine or others):
        # The order was changed by hand, nobody knows when: count from now.
        text = _with_first(text, 0, now)
        return text, _step(text, True, now + until_gone)
    text = _with_new_key(text, new_key(algorithm or ring.signing.algorithm), now)
    added = read_keys(text).keys[-1]
    return text, _step(text, True, now + _until_known(added, times), added)


def _until_known(key: Key, times: Times) -> timedelta:
    """How long until all who verify have a key: we re-read the file, others the published keys."""
    return times.reload + timedelta(seconds=JWKS_MAX_AGE if key.public else 0)


def _step(text: str, changed: bool, ready: datetime, waiting: Key | None = None) -> Step:
    lines = tuple(text.count("\n", 0, found.start()) + 1 for found in find_keys(text))
    return Step(changed, read_keys(text), waiting, ready, lines)


def _with_new_key(text: str, key: str, now: datetime) -> str:
    return f"{text.rstrip()}\n{_note(key, 'added', now)}{key}\n"


def _with_first(text: str, index: int, now: datetime) -> str:
    """The key of that place first and noted as the one that signs. Older notes go."""
    found = find_keys(text)[index]
    key = text[found.start() : found.end()]
    rest = text[: found.start()] + text[found.end() :].removeprefix("\n")
    rest = _NOTE.sub("", rest).strip() + "\n"
    header = _HEADER.match(rest)
    top = header.end() if header else 0
    return f"{rest[:top]}{_note(key, 'signs', now)}{key}\n{rest[top:]}"


def _note(key: str, verb: str, now: datetime) -> str:
    return f"# gatehouse: {read_keys(key).signing.kid} {verb} {now.isoformat()}\n"


def _notes(text: str) -> dict[str, _Note]:
    notes: dict[str, _Note] = {}
    for line in _NOTE.finditer(text):
        try:
            kid, verb, time = _NOTED.fullmatch(line[1].rstrip()).groups()  # type: ignore[union-attr]
            notes[kid] = _Note(verb, datetime.fromisoformat(time).astimezone())
        except (AttributeError, ValueError, OverflowError):
            number = text.count("\n", 0, line.start()) + 1
            raise BadKey(
                f"line {number} is not a note of `keys rotate`; delete that line"
            ) from None
    return notes


def _next_second(moment: datetime) -> datetime:
    return (moment + timedelta(seconds=1, microseconds=-1)).replace(microsecond=0)
