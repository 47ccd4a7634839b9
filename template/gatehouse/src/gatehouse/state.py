"""The parts of one application: what its guards and routes share. `install` builds them once."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from gatehouse.accounts import recovery, registration
from gatehouse.accounts.cleaning import Timer
from gatehouse.accounts.revocation import RevocationList
from gatehouse.accounts.sessions import Lifetimes
from gatehouse.accounts.stamps import Ended
from gatehouse.hashing.passwords import Passwords
from gatehouse.hooks import Hooks
from gatehouse.mailer.jobs import MAIL_WAITS, JobContext
from gatehouse.mailer.outbox import Outbox
from gatehouse.mailer.sender import Mailer
from gatehouse.readiness import Readiness, database_look
from gatehouse.settings import Settings
from gatehouse.signing.key_file import key_ring
from gatehouse.signing.reloading import KeyReloader
from gatehouse.signing.tokens import Tokens
from gatehouse.store import database
from gatehouse.throttling.origin import Origin, origin_of
from gatehouse.throttling.throttle import Throttle


@dataclass(frozen=True, slots=True, kw_only=True)
class Gatehouse:
    """The parts of one service's login."""

    name: str
    settings: Settings
    roles: Mapping[str, AbstractSet[str]]
    scopes: Mapping[str, str]
    migrations: Path | None
    database: database.DatabasePool
    readiness: Readiness
    passwords: Passwords
    tokens: Tokens
    revocation: RevocationList
    cleaning: Timer
    reloader: KeyReloader | None
    hooks: Hooks
    throttle: Throttle
    mailer: Mailer
    outbox: Outbox

    @classmethod
    def build(
        cls,
        *,
        name: str,
        title: str,
        settings: Settings,
        roles: Mapping[str, AbstractSet[str]],
        scopes: Mapping[str, str],
        migrations: Path | None,
        hooks: Hooks,
        mail_templates: Path | None,
    ) -> Self:
        """The parts as the settings want them. `title` is what mails call the service."""
        store = database.DatabasePool(settings.database_url)
        tokens = Tokens(
            ring=key_ring(name, settings),
            issuer=settings.auth_issuer,
            audience=settings.auth_audience,
            client_id=name,
            lifetime=settings.auth_access_token_seconds,
        )
        mailer = _mailer(title, settings, hooks, mail_templates)
        handlers = {**registration.HANDLERS, **recovery.HANDLERS}
        outbox = Outbox(store, mailer, _job_context(settings, hooks), handlers)
        path, seconds = settings.auth_keys_file, settings.auth_keys_reload_seconds
        return cls(
            name=name,
            settings=settings,
            roles=roles,
            scopes=scopes,
            migrations=migrations,
            database=store,
            readiness=Readiness(database_look(store, migrations), outbox.trouble),
            passwords=Passwords(
                concurrency=settings.auth_hash_concurrency, queue=settings.auth_hash_queue
            ),
            tokens=tokens,
            revocation=RevocationList(
                store,
                interval=settings.auth_revocation_seconds,
                max_stale=settings.auth_revocation_max_stale_seconds,
                lifetime=settings.auth_access_token_seconds,
            ),
            cleaning=Timer(),
            reloader=KeyReloader(path, seconds=seconds, tokens=tokens) if path else None,
            hooks=hooks,
            throttle=Throttle(settings.auth_throttle_storage, name),
            mailer=mailer,
            outbox=outbox,
        )

    def __post_init__(self) -> None:
        """Whoever builds the parts has them hear of what their database commits."""
        self.database.committed = self._hear

    def _hear(self, noted: Sequence[object]) -> None:
        """What a committed transaction has noted: who is out, and that mail waits."""
        self.revocation.note(note for note in noted if isinstance(note, Ended))
        if MAIL_WAITS in noted:
            self.outbox.poke()

    async def start(self) -> None:
        """What a process does before its first request."""
        self.passwords.prepare()
        self.outbox.start()
        if self.reloader:
            self.reloader.start()

    async def stop(self) -> None:
        """What it does after its last one. It may be started again."""
        if self.reloader:
            await self.reloader.stop()
        await self.outbox.stop()
        self.throttle.close()
        self.passwords.close()
        self.database.close()

    @property
    def can_mail(self) -> bool:
        """Whether mail reaches anyone: by SMTP, or by the service's own hook."""
        return self.mailer.can_send

    @property
    def lifetimes(self) -> Lifetimes:
        """How long sessions and refresh tokens live."""
        return Lifetimes(
            grace=timedelta(seconds=self.settings.auth_refresh_grace_seconds),
            idle=timedelta(days=self.settings.auth_session_idle_days),
        )


def _mailer(title: str, settings: Settings, hooks: Hooks, templates: Path | None) -> Mailer:
    own = type(hooks).send_mail is not Hooks.send_mail
    return Mailer(
        url=settings.smtp_url,
        sender=settings.mail_from,
        service=title,
        base_url=settings.public_base_url,
        templates=templates,
        send=hooks.send_mail if own else None,
    )


def _job_context(settings: Settings, hooks: Hooks) -> JobContext:
    pages = settings.account_pages_url or f"{settings.public_base_url}/account"
    return JobContext(
        hooks=hooks,
        home=settings.account_pages_url or settings.public_base_url,
        pages=pages,
        must_verify=settings.auth_require_verified_email,
    )


# These are async although they wait for nothing: FastAPI would run a plain function in a thread.
async def core_of(connection: HTTPConnection) -> Gatehouse:
    """The core of the application that serves this request, in mounted applications too."""
    return cast(Gatehouse, connection.scope["gatehouse"])


async def database_of(connection: HTTPConnection) -> database.DatabasePool:
    """The database of the application that serves this request."""
    return cast(Gatehouse, connection.scope["gatehouse"]).database


async def origin_of_request(connection: HTTPConnection) -> Origin:
    """Where a request comes from."""
    core = cast(Gatehouse, connection.scope["gatehouse"])
    return origin_of(connection, core.settings.trusted_proxies)


Core = Annotated[Gatehouse, Depends(core_of)]
RequestOrigin = Annotated[Origin, Depends(origin_of_request)]
Database = Annotated[database.DatabasePool, Depends(database_of)]
