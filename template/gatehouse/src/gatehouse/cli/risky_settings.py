"""What `doctor` checks in the settings, where they can be read. No value of one is ever shown."""

import os
from contextlib import closing, suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from gatehouse.cli.risks import Finding, Findings
from gatehouse.hashing.hash_threads import hash_threads
from gatehouse.settings import Settings
from gatehouse.signing.key_file import open_to_others

STORE_WAIT = 0.5  # seconds that a throttle store has to answer
ADVISED_LENGTH = 15  # NIST SP 800-63B-4 section 3.1.1.2, for a password that is the only factor


def sqlite_file(settings: Settings) -> Path | None:
    """The database's file, if it is one."""
    url = make_url(settings.database_url)
    is_file = url.get_backend_name() == "sqlite" and not (url.database or "").startswith("file:")
    return Path(url.database or "") if is_file else None


def _is_local(host: str) -> bool:
    """Whether a host is this machine: loopback, a socket's folder, or none."""
    if not host or host == "localhost" or host.endswith(".localhost") or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return False


def _is_near(host: str) -> bool:
    """Whether a host is in a network of one's own: a name without a dot, as in compose."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host


def _key_file(settings: Settings) -> Findings:
    with suppress(OSError):
        if settings.auth_keys_file and open_to_others(settings.auth_keys_file):
            yield Finding(
                "Other users of this machine may read the file that AUTH_KEYS_FILE names.",
                "chmod 600 that file; if others may have read it, replace its keys.",
            )


def _database_file(settings: Settings) -> Findings:
    file = sqlite_file(settings)
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
    try:
        # As the driver is told: several hosts are one text, whichever way the URL names them.
        options = url.get_dialect()().create_connect_args(url)[1]
    except ArgumentError:
        return
    mode = options.get("sslmode") or os.environ.get("PGSSLMODE")
    remote = [host for host in options.get("host", "").split(",") if not _is_local(host)]
    if remote and mode not in ("require", "verify-ca", "verify-full"):
        yield Finding(
            "DATABASE_URL leads to another machine and does not require TLS: hashes and the "
            "database's password may cross the network unencrypted.",
            "add ?sslmode=verify-full to it (or at least require).",
            is_note=all(map(_is_near, remote)),
        )


def _public_url(settings: Settings) -> Findings:
    parts = urlsplit(settings.public_base_url)
    remedy = "set PUBLIC_BASE_URL to the https URL by which clients reach the service."
    if _is_local(parts.hostname or ""):
        yield Finding(
            "PUBLIC_BASE_URL is this machine itself: on a server, mailed links lead nowhere and "
            "tokens name the wrong issuer.",
            remedy,
        )
    elif parts.scheme != "https":
        yield Finding(
            "PUBLIC_BASE_URL is http: passwords and tokens cross the network unencrypted.", remedy
        )


def _proxies(settings: Settings) -> Findings:
    if not settings.trusted_proxies and settings.public_base_url.startswith("https:"):
        yield Finding(
            "TRUSTED_PROXIES is empty while PUBLIC_BASE_URL is https: behind the TLS "
            "proxy all clients count as one address, and one attacker locks everyone out.",
            "set TRUSTED_PROXIES to the proxy's own address or network.",
        )


def _throttle_store(settings: Settings) -> Findings:
    url = settings.auth_throttle_storage
    if url == "memory://":
        yield Finding(
            "AUTH_THROTTLE_STORAGE is the process's own memory: enough for one process. "
            "Several would each count failed logins alone, and the limits would multiply.",
            "with several workers or hosts, set it to a Redis or Valkey: redis://host:6379/0",
            is_note=True,
        )
        return
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        wait = {"socket_connect_timeout": STORE_WAIT, "socket_timeout": STORE_WAIT}
        with closing(redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **wait)) as store:
            store.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        yield Finding(
            f"The store at AUTH_THROTTLE_STORAGE does not answer ({type(error).__name__}): each "
            "process counts failed logins alone.",
            "see that it runs and can be reached, and that its password is right.",
        )


def _verified(settings: Settings) -> Findings:
    if not settings.auth_require_verified_email:
        yield Finding(
            "AUTH_REQUIRE_VERIFIED_EMAIL is false: anyone can use an account under an address "
            "that is not theirs.",
            "remove it, so that an address is proved before its first login.",
        )


def _password_length(settings: Settings) -> Findings:
    if settings.auth_password_min_length < ADVISED_LENGTH:
        yield Finding(
            f"AUTH_PASSWORD_MIN_LENGTH is under {ADVISED_LENGTH}, too short for a password that "
            "is the only factor (NIST SP 800-63B-4).",
            f"remove it, or set it to {ADVISED_LENGTH} or more.",
        )


def _hash_threads(settings: Settings) -> Findings:
    given, room = settings.auth_hash_concurrency, hash_threads()
    if given is not None and given > room:
        yield Finding(
            f"AUTH_HASH_CONCURRENCY is {given}, and there is room for {room} here: the processor "
            "time and half of the memory that this machine or container has.",
            "remove it, and the number follows from the limits; or give the container more.",
            is_note=True,
        )


def _docs(settings: Settings) -> Findings:
    if settings.docs_enabled:
        yield Finding(
            "The API document is public (/docs and /openapi.json).",
            "DOCS_ENABLED=false, if it should not be.",
            is_note=True,
        )


CONFIGURED = {
    "key-file": _key_file,
    "database-file": _database_file,
    "database-tls": _database_tls,
    "public-url": _public_url,
    "proxies": _proxies,
    "throttle-store": _throttle_store,
    "verified-addresses": _verified,
    "password-length": _password_length,
    "hash-threads": _hash_threads,
    "api-document": _docs,
}
