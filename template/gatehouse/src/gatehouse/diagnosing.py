"""The command `doctor`: each risk of this deployment that can be seen, and its remedy.

It names settings and never shows the value of one. It needs no running service; what keeps a
service from starting is a finding like any other, and the other checks go on as far as they can.
"""

import argparse
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import make_url
from sqlmodel import col, func, select

from gatehouse.database import Database
from gatehouse.hooks import Hooks
from gatehouse.install import check_start
from gatehouse.key_file import open_to_others
from gatehouse.migrating import unmigrated
from gatehouse.refusal import StartRefused
from gatehouse.serving import load
from gatehouse.settings import TERMINAL, Settings
from gatehouse.tables import User

if TYPE_CHECKING:
    from gatehouse.commands import Service

CORE = Path(__file__).parents[2]  # the folder gatehouse/ of a service
STORE_WAIT = 0.5  # seconds that a throttle store has to answer
ADVISED_LENGTH = 15  # NIST SP 800-63B-4 section 3.1.1.2, for a password that is the only factor


@dataclass(frozen=True, slots=True)
class Finding:
    """A risk and its remedy. A note is worth knowing, and no risk."""

    text: str
    remedy: str
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found out first, for all checks. No settings: one of them is refused."""

    service: "Service"
    settings: Settings | None = None
    start: str = ""  # why the service does not start
    database: str = ""  # why the database cannot be used
    administrators: int | None = None
    sends_mail: bool = False  # by a hook of its own


Findings = Iterator[Finding]


def diagnose(service: "Service", _: argparse.Namespace) -> int:
    """Print each finding. The exit code is 1 if one of them is a risk."""
    seen = _look(service)
    found = [(name, finding) for name, check in ANYWHERE.items() for finding in check(seen)]
    checks = len(ANYWHERE)
    if seen.settings is not None:
        checks += len(CONFIGURED)
        found += [(name, one) for name, check in CONFIGURED.items() for one in check(seen.settings)]
    for name, finding in found:
        print(f"{'NOTE' if finding.is_note else 'PROBLEM'}  {name}: {finding.text}")
        print(f"  Remedy: {finding.remedy}\n")
    risks = sum(not finding.is_note for _, finding in found)
    print(f"{risks or 'No'} risk{'s' if risks > 1 else ''} found among {checks} checks.")
    return 1 if risks else 0


def _look(service: "Service") -> Seen:
    try:
        settings = service.settings()
    except StartRefused as refusal:
        return Seen(service, start=str(refusal))
    file = _sqlite_file(settings)
    missing = file is not None and not file.exists()
    start, sends_mail = "", False
    try:
        app = load(service)
        sends_mail = type(app.state.gatehouse.hooks).send_mail is not Hooks.send_mail
        app.state.gatehouse.database.close()
        check_start(app)
    except StartRefused as refusal:
        start = str(refusal)
    except Exception as error:  # of the service's own code; its text may hold anything
        start = f"its own code raises {type(error).__name__}."
    if file and missing:
        # The application made it; one made by whoever asks here may be closed to the service.
        with suppress(OSError):
            file.unlink() if file.stat().st_size == 0 else None
        trouble, administrators = "the SQLite file is not there", None
    else:
        trouble, administrators = _look_at_database(settings, service.migrations)
    return Seen(service, settings, start, trouble, administrators, sends_mail)


def _look_at_database(settings: Settings, migrations: Path | None) -> tuple[str, int | None]:
    """Why it cannot be used, and how many active administrators it has."""
    active = select(func.count()).where(User.role == "admin", col(User.is_active).is_(True))
    with closing(Database(settings.database_url)) as database:
        try:
            with database.read() as session:
                if unmigrated(session.connection(), migrations):
                    return "a migration is missing in it", None
                return "", session.exec(active).one()
        except Exception as error:  # a driver's text may hold the URL
            return f"it does not answer as it should ({type(error).__name__})", None


def _sqlite_file(settings: Settings) -> Path | None:
    url = make_url(settings.database_url)
    is_file = url.get_backend_name() == "sqlite" and not (url.database or "").startswith("file:")
    return Path(url.database or "") if is_file else None


def _is_local(host: str | None) -> bool:
    """Whether a host is this machine: loopback, a socket's folder, or none."""
    if not host or host == "localhost" or host.endswith(".localhost") or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return False


# --- checks that need no settings that can be read


def _start(seen: Seen) -> Findings:
    if seen.start:
        again = f"{seen.service.command} serve"
        yield Finding(f"The service does not start: {seen.start}", f"put it right, then: {again}")


def _unknown(seen: Seen) -> Findings:
    for name in seen.service.settings.unknown_variables():
        yield Finding(
            f"{name} is not a setting of this service: it has no effect.",
            "correct the name, or take it away; a misspelt setting protects nobody.",
        )


def _env_file(_: Seen) -> Findings:
    with suppress(OSError):
        if open_to_others(Path(".env")):
            yield Finding("Other users of this machine may read .env.", "chmod 600 .env")


def _env_in_git(_: Seen) -> Findings:
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


def _database(seen: Seen) -> Findings:
    if seen.database:
        yield Finding(
            f"The database at DATABASE_URL cannot be used: {seen.database}.",
            f"see that it runs and can be reached, then: {seen.service.command} migrate",
        )


def _administrators(seen: Seen) -> Findings:
    if seen.administrators == 0:
        yield Finding(
            "There is no active administrator: nobody can disable an account over the API.",
            f"{seen.service.command} user create you@example.com --admin",
        )


def _mail(seen: Seen) -> Findings:
    if seen.settings is None or seen.sends_mail:
        return
    remedy = "set SMTP_URL, such as smtp://user:password@host:587"
    if not seen.settings.smtp_url:
        yield Finding(
            "SMTP_URL is not set, so no mail can be sent: password resets do not arrive.", remedy
        )
    elif seen.settings.smtp_url == TERMINAL:
        yield Finding("SMTP_URL prints mail, with its secret links, to the terminal.", remedy)
    elif not seen.settings.mail_from:
        yield Finding(
            "MAIL_FROM is not set while SMTP_URL is: servers refuse or hide such mail.",
            "set MAIL_FROM, such as Notes <no-reply@example.com>",
        )


def _core_files(_: Seen) -> Findings:
    if changed := list(changed_files(CORE)):
        yield Finding(
            f"Core files differ from the release, so fixes may not reach you: {', '.join(changed)}",
            "bring your changes into your own code and restore these files, or follow the core's "
            "releases by hand.",
        )


def changed_files(core: Path) -> Iterator[str]:
    """The core's files that are not as they were delivered. None where no manifest is."""
    manifest = core / "manifest.sha256"
    for line in manifest.read_text("utf-8").splitlines() if manifest.is_file() else ():
        digest, _, name = line.partition("  ")
        path = core / name
        if not path.is_file():
            yield f"gatehouse/{name} is missing"
        elif sha256(path.read_bytes()).hexdigest() != digest:
            yield f"gatehouse/{name} was edited"


def _release(_: Seen) -> Findings:
    with suppress(OSError, UnicodeDecodeError):
        answers = Path(".copier-answers.yml").read_text("utf-8")
        if found := re.search(r"^_commit: ['\"]?([\w.+-]+)", answers, re.MULTILINE | re.ASCII):
            yield Finding(
                f"This service was rendered from {found[1]}.",
                "see with `copier check-update` whether there is a newer one.",
                is_note=True,
            )


# --- checks of the settings


def _key_file(settings: Settings) -> Findings:
    with suppress(OSError):
        if settings.auth_keys_file and open_to_others(settings.auth_keys_file):
            yield Finding(
                "Other users of this machine may read the file that AUTH_KEYS_FILE names.",
                "chmod 600 that file; if others may have read it, replace its keys.",
            )


def _database_file(settings: Settings) -> Findings:
    file = _sqlite_file(settings)
    with suppress(OSError):
        if file and open_to_others(file):
            yield Finding(
                "Other users of this machine may read the SQLite file: it holds addresses and "
                "password hashes.",
                "chmod 600 that file, and those beside it that end in -wal and -shm.",
            )


def _database_tls(settings: Settings) -> Findings:
    url = make_url(settings.database_url)
    if url.get_backend_name() != "postgresql":
        return
    hosts = url.query.get("host") or url.host or ""
    named = hosts.split(",") if isinstance(hosts, str) else list(hosts)
    mode = url.query.get("sslmode") or os.environ.get("PGSSLMODE")
    if not all(map(_is_local, named)) and mode not in ("require", "verify-ca", "verify-full"):
        yield Finding(
            "DATABASE_URL leads to another machine and does not insist on TLS: hashes and the "
            "database's password may cross the network in the clear.",
            "add ?sslmode=verify-full to it (or at least require).",
        )


def _public_url(settings: Settings) -> Findings:
    parts = urlsplit(settings.public_base_url)
    remedy = "set PUBLIC_BASE_URL to the https URL by which clients reach the service."
    if _is_local(parts.hostname):
        yield Finding(
            "PUBLIC_BASE_URL is this machine itself: on a server, mailed links lead nowhere and "
            "tokens name the wrong issuer.",
            remedy,
        )
    elif parts.scheme != "https":
        yield Finding(
            "PUBLIC_BASE_URL is http: passwords and tokens cross the network in the clear.", remedy
        )


def _proxies(settings: Settings) -> Findings:
    if not settings.trusted_proxies and settings.public_base_url.startswith("https:"):
        yield Finding(
            "TRUSTED_PROXIES is empty while PUBLIC_BASE_URL is https: behind the proxy that ends "
            "TLS all clients count as one address, and one attacker locks everyone out.",
            "set TRUSTED_PROXIES to the proxy's own address or network.",
        )


def _throttle_store(settings: Settings) -> Findings:
    url = settings.auth_throttle_storage
    if url == "memory://":
        yield Finding(
            "AUTH_THROTTLE_STORAGE is the process's own memory: with several workers or hosts "
            "each counts failed logins by itself, and the limits multiply.",
            "set it to a Redis or Valkey, redis://host:6379/0, or run one process on one host.",
        )
        return
    try:
        wait = {"socket_connect_timeout": STORE_WAIT, "socket_timeout": STORE_WAIT}
        with closing(redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **wait)) as store:
            store.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        yield Finding(
            f"The store at AUTH_THROTTLE_STORAGE does not answer ({type(error).__name__}): each "
            "process counts failed logins by itself.",
            "see that it runs and can be reached, and that its password is right.",
        )


def _verified(settings: Settings) -> Findings:
    if not settings.auth_require_verified_email:
        yield Finding(
            "AUTH_REQUIRE_VERIFIED_EMAIL is false: anyone can use an account under an address "
            "that is not theirs.",
            "take it away, so that an address is proved before its first login.",
        )


def _password_length(settings: Settings) -> Findings:
    if settings.auth_password_min_length < ADVISED_LENGTH:
        yield Finding(
            f"AUTH_PASSWORD_MIN_LENGTH is under {ADVISED_LENGTH}, too short for a password that "
            "is the only factor (NIST SP 800-63B-4).",
            f"take it away, or set it to {ADVISED_LENGTH} or more.",
        )


def _docs(settings: Settings) -> Findings:
    if settings.docs_enabled:
        yield Finding(
            "The API document is public (/docs and /openapi.json).",
            "DOCS_ENABLED=false, if it should not be.",
            is_note=True,
        )


ANYWHERE = {
    "start": _start,
    "unknown-settings": _unknown,
    "env-file": _env_file,
    "env-in-git": _env_in_git,
    "database": _database,
    "administrators": _administrators,
    "mail": _mail,
    "core-files": _core_files,
    "release": _release,
}
CONFIGURED = {
    "key-file": _key_file,
    "database-file": _database_file,
    "database-tls": _database_tls,
    "public-url": _public_url,
    "proxies": _proxies,
    "throttle-store": _throttle_store,
    "verified-addresses": _verified,
    "password-length": _password_length,
    "api-document": _docs,
}
