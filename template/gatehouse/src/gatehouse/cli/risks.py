"""What `doctor` checks around a service: that it starts, its files, its database, its mail."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from uuid import UUID

from gatehouse.cli.moved_edits import CannotLook, missing_edits
from gatehouse.cli.service import Service
from gatehouse.core_files import CORE, changed_files, release, waiting
from gatehouse.mailer.smtp import reach
from gatehouse.migrating import is_missing
from gatehouse.settings import TERMINAL, Settings
from gatehouse.signing.key_file import open_to_others
from gatehouse.throttling.proxies import is_trusted

IMPORTED = ("gatehouse", "fastapi")  # of which one is installed, and one may be in the project
SHOWN = 5  # of the accounts that a finding is about


@dataclass(frozen=True, slots=True)
class Finding:
    """A risk and its remedy. A note is worth knowing, and no risk."""

    text: str
    remedy: str
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out first. No settings: one of them is refused."""

    service: Service
    settings: Settings | None = None
    start: str = ""  # why the service does not start
    database: str = ""  # why the database cannot be used
    administrators: int | None = None
    lookalikes: Sequence[UUID] = ()  # accounts whose address holds what cannot be seen
    sends_mail: bool = False  # by a hook of its own
    online: bool = False  # whether the template's repository may be asked
    clients: frozenset[str] = frozenset()  # whose requests left an event during the last day


Findings = Iterator[Finding]


def _start(facts: Facts) -> Findings:
    if facts.start:
        again = f"{facts.service.command} serve"
        yield Finding(f"The service does not start: {facts.start}", f"mend this, then: {again}")


def _unknown(facts: Facts) -> Findings:
    for name in facts.service.settings.unknown_variables():
        yield Finding(
            f"{name} is not a setting of this service: it has no effect.",
            "correct the name, or remove it; a misspelt setting protects nobody.",
        )


def _env_file(_: Facts) -> Findings:
    with suppress(OSError):
        if open_to_others(Path(".env")):
            yield Finding("Other users of this machine may read .env.", "chmod 600 .env")


def _env_in_git(_: Facts) -> Findings:
    git = shutil.which("git")
    if not git:
        return
    with suppress(OSError, subprocess.TimeoutExpired):
        asked = [git, "ls-files", "--error-unmatch", "--", ".env"]
        if subprocess.run(asked, capture_output=True, timeout=10).returncode == 0:  # noqa: S603
            yield Finding(
                "git tracks .env: whoever can read the repository has every secret in it.",
                "git rm --cached .env, list it in .gitignore, and replace every key and password "
                "that it ever held; they stay in the history.",
            )


def _database(facts: Facts) -> Findings:
    if facts.database:
        yield Finding(
            f"The database at DATABASE_URL cannot be used: {facts.database}.",
            f"see that it runs and can be reached, then: {facts.service.command} migrate",
        )


def _administrators(facts: Facts) -> Findings:
    if facts.administrators == 0:
        yield Finding(
            "There is no active administrator: nobody can disable an account over the API.",
            f"{facts.service.command} user create you@example.com --admin",
        )


def _lookalikes(facts: Facts) -> Findings:
    if count := len(facts.lookalikes):
        some = ", ".join(str(id_) for id_ in facts.lookalikes[:SHOWN])
        yield Finding(
            f"The address of {count} account{'' if count == 1 else 's'} holds a character that "
            f"cannot be seen, so it looks like another's: {some}{'' if count <= SHOWN else ', …'}",
            "look each up by its id (GET /users/{id}) and ask whose it is; its owner may change "
            f"the address, and `{facts.service.command} user disable ADDRESS` stops the others.",
        )


def _mail(facts: Facts) -> Findings:
    if facts.settings is None or facts.sends_mail:
        return
    remedy = "set SMTP_URL, such as smtp://user:password@host:587"
    if not facts.settings.smtp_url:
        yield Finding("SMTP_URL is not set: password resets do not arrive.", remedy)
    elif not facts.settings.mail_from:
        yield Finding(
            "MAIL_FROM is not set while SMTP_URL is: servers refuse or hide such mail.",
            "set MAIL_FROM, such as Notes <no-reply@example.com>",
        )


def _mail_server(facts: Facts) -> Findings:
    url = facts.settings.smtp_url if facts.settings and not facts.sends_mail else ""
    if url and url != TERMINAL and (why := reach(url)):
        yield Finding(
            f"SMTP_URL names no server that accepts mail from here: {why}.",
            "see that it runs and can be reached, and that its certificate is for the name in "
            "SMTP_URL; an authority of your own is named in SSL_CERT_FILE.",
        )


def _migrations(facts: Facts) -> Findings:
    if is_missing(facts.service.migrations) and not facts.database:
        yield Finding(
            f"{facts.service.migrations} has no env.py: your own tables are not migrated.",
            "bring the folder there; if there is none, say MIGRATIONS = None in main.py.",
            is_note=True,
        )


def _clients(facts: Facts) -> Findings:
    trusted = facts.settings.trusted_proxies if facts.settings else ()
    if facts.clients and all(is_trusted(client, trusted) for client in facts.clients):
        yield Finding(
            "Every client of the last day had the address of a trusted proxy: if its "
            "X-Forwarded-For is missing or cannot be read, all its clients count as one.",
            "let each proxy send the client's address in X-Forwarded-For, with a port or without; "
            "name only proxies in TRUSTED_PROXIES.",
            is_note=True,
        )


def _core_files(_: Facts) -> Findings:
    if changed := list(changed_files(CORE)):
        yield Finding(
            f"Core files differ from the release, so fixes may not reach you: {', '.join(changed)}",
            "bring your changes into your own code and restore these files, or follow the core's "
            "releases by hand.",
        )


def _moved_edits(_: Facts) -> Findings:
    try:
        missing = missing_edits(CORE)
    except CannotLook as why:
        yield Finding(
            f"It cannot be seen whether an edit of a moved core file is missing: {why}.",
            "run this in a clone with its history, if you have edited the core.",
            is_note=True,
        )
    else:
        if missing:
            yield Finding(
                f"Edits of moved core files are missing at the new place: {'; '.join(missing)}.",
                "python3 gatehouse/check_update.py carry; an edit that you give up: "
                "... carry --drop PATH.",
            )


def _compiled(_: Facts) -> Findings:
    """What this command imported it compiled, and kept where Python may write."""
    files = [getattr(sys.modules.get(name), "__file__", None) for name in IMPORTED]
    if not all(Path(cache_from_source(file)).is_file() for file in files if file):
        yield Finding(
            "Compiled modules are not kept here: each start compiles them all, and takes seconds.",
            "compile when you install: uv sync --compile-bytecode (the Dockerfile does); or unset "
            "PYTHONDONTWRITEBYTECODE where the service's user may write to its modules.",
            is_note=True,
        )


def _release(facts: Facts) -> Findings:
    if facts.online:
        yield from _waiting()
    elif version := release():
        yield Finding(
            f"This service was rendered from {version}.",
            f"see with `{facts.service.command} doctor --online` whether there is a newer one.",
            is_note=True,
        )


def _waiting() -> Findings:
    found = waiting()
    if isinstance(found, str):
        why = " ".join(found.split())
        remedy = "run it where git reaches the template's repository, or `copier check-update`."
        yield Finding(
            f"It is not known whether there is a newer release: {why}", remedy, is_note=True
        )
    elif found["waits"]:
        text = f"There is a newer release, {found['tag']}; this service has {found['current']}."
        if fixes := ", ".join(found["security"]):
            text += f" It fixes security holes (releases {fixes})."
        remedy = "uvx copier update --defaults, and read UPGRADING.md of the template."
        yield Finding(text, remedy, is_note=not fixes)


ANYWHERE = {
    "start": _start,
    "unknown-settings": _unknown,
    "env-file": _env_file,
    "env-in-git": _env_in_git,
    "database": _database,
    "administrators": _administrators,
    "lookalikes": _lookalikes,
    "mail": _mail,
    "mail-server": _mail_server,
    "migrations": _migrations,
    "clients": _clients,
    "core-files": _core_files,
    "moved-edits": _moved_edits,
    "compiled": _compiled,
    "release": _release,
}
