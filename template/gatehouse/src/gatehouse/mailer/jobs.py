"""Jobs: what a request leaves to be done after its answer.

A form that anyone may send (registration, a forgotten password) writes one row here, and is
answered. Whether there is an account is seen only later, so no answer can say (ASVS 6.3.8).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from sqlmodel import Session, col, select

from gatehouse.hooks import Hooks
from gatehouse.store.database import NOTES
from gatehouse.store.tables import Job, User
from gatehouse.throttling.origin import Origin

MAIL_WAITS = "mail waits"  # a note of a transaction


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to be sent: the name of its template, and what the template is filled with."""

    to: str
    template: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a handler needs besides its job. Mails link to `pages`, which is below `home`."""

    hooks: Hooks
    home: str
    pages: str
    must_verify: bool

    def link(self, page: str, token: str, more: str = "") -> str:
        """The token stands in the fragment, which no server and no log gets to see."""
        return f"{self.pages}/{page}#token={token}{more}"


# Does a job in a transaction of its own; what is to be mailed, if anything.
Handler = Callable[[Session, Job, JobContext], Mail | None]


def enqueue(
    session: Session,
    kind: str,
    origin: Origin,
    *,
    email: str,
    email_key: str,
    user_id: UUID | None = None,
    stamp: int | None = None,
    password_hash: str | None = None,
) -> None:
    """Enqueue a job, in the caller's transaction; after its commit the outbox hears of it.

    `stamp` is that of the account that it acts for: a job that makes a link is void when
    the account's has moved on.
    """
    session.info.setdefault(NOTES, []).append(MAIL_WAITS)
    session.add(
        Job(
            kind=kind,
            email=email,
            email_key=email_key,
            user_id=user_id,
            stamp=stamp,
            password_hash=password_hash,
            ip=origin.ip,
            network=origin.network,
            user_agent=origin.user_agent,
            request_id=origin.request_id,
        )
    )


def notify(session: Session, kind: str, user: User, origin: Origin) -> None:
    """A mail to an account's present address about something that happened to the account."""
    enqueue(session, kind, origin, email=user.email, email_key=user.email_key, user_id=user.id)


def source_of(job: Job) -> Origin:
    """Where the request came from that asked for it."""
    return Origin(
        ip=job.ip,
        network=job.network,
        user_agent=job.user_agent,
        request_id=job.request_id,
    )


def is_superseded(session: Session, job: Job) -> bool:
    """Whether the same account asked for the same again later: then that is done alone."""
    later = select(Job.id).where(
        Job.kind == job.kind,
        Job.user_id == job.user_id,
        Job.email_key == job.email_key,
        col(Job.created_at) > job.created_at,
    )
    return session.exec(later.limit(1)).first() is not None
