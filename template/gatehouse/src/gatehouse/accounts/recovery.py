"""Forgotten passwords, changes of address, and the mails that tell an owner what happened."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import Session, col, select

from gatehouse.accounts import one_time
from gatehouse.accounts.addresses import normalise
from gatehouse.accounts.audit import record
from gatehouse.accounts.users import LockedUser, lock_account_of, lock_user, set_password
from gatehouse.mailer.jobs import (
    Handler,
    JobContext,
    Mail,
    enqueue,
    is_superseded,
    notify,
    source_of,
)
from gatehouse.store.tables import Job, User, utc_now
from gatehouse.throttling.origin import Origin

MINUTES = {"minutes": str(int(one_time.LIVES["reset"].total_seconds() // 60))}
HOURS = {"hours": str(int(one_time.LIVES["change_email"].total_seconds() // 3600))}


def forgot(session: Session, job: Job, context: JobContext) -> Mail | None:
    """The mail with the link that sets a new password, where there is an account to set it for."""
    if is_superseded(session, job):
        return None
    # Not by the count of tries: one may have failed before it wrote.
    at_first = job.stamp is None
    user = lock_account_of(session, job)
    if at_first:
        user_id = user.id if user else None
        record(session, "password_reset_requested", source_of(job), user_id=user_id)
    if user is None or not user.is_active:
        return None
    # To the address as stored, never as typed: they may be look-alikes of each other.
    token = one_time.issue(session, "reset", user, user.email)
    link = context.link("reset-password", token)
    return Mail(user.email, "reset_password", {"link": link, **MINUTES})


def reset(session: Session, token: str, user_id: UUID, password_hash: str, origin: Origin) -> None:
    """Set a new password. All that was begun with the old one is void (ASVS 7.4.3).

    Who holds the token has read the mail: the address is proved, and failed logins are forgiven.
    Raises `BadOneTimeToken`.
    """
    user = lock_user(session, user_id)
    if user is None:
        raise one_time.BadOneTimeToken
    redeemed = one_time.redeem(session, token, user, "reset")
    if user.email != redeemed.email:
        raise one_time.BadOneTimeToken
    user.email_verified_at = user.email_verified_at or utc_now()
    set_password(session, user, password_hash, "password_reset", origin.by(user.id))


def ask_new_address(session: Session, user: LockedUser, email: str, origin: Origin) -> None:
    """Leave the mail that proves a new address, and tell the present one.

    Mail of an earlier change that has not gone out yet never does: it would make a link to the
    earlier address, and that of this one useless.
    """
    address, key = normalise(email)
    waiting = delete(Job).where(col(Job.user_id) == user.id, col(Job.kind) == "change_email")
    session.execute(waiting)
    enqueue(
        session,
        "change_email",
        origin,
        email=address,
        email_key=key,
        user_id=user.id,
        stamp=user.stamp,
    )
    record(session, "email_change_requested", origin, user_id=user.id)
    notify(session, "address_change_requested", user, origin)


def change_email(session: Session, job: Job, context: JobContext) -> Mail | None:
    """The mail that proves a new address; if another account has it, that one is told instead."""
    user = lock_account_of(session, job)
    if user is None or not user.is_active:
        return None
    if is_superseded(session, job):
        return None
    # Also where no link follows: an earlier one that stays good would tell of an account there.
    one_time.retire(session, user.id, "change_email")
    taken = select(User).where(User.email_key == job.email_key, User.id != user.id)
    if (other := session.exec(taken).one_or_none()) is not None:
        return Mail(other.email, "already_registered", {"link": context.home})
    token = one_time.issue(session, "change_email", user, job.email)
    link = context.link("verify-email", token)
    return Mail(job.email, "confirm_new_address", {"link": link, **HOURS})


def notice(_: Session, job: Job, __: JobContext) -> Mail:
    """A mail for which the account is not read: its kind and its time are all that it says."""
    time = f"{job.created_at:%Y-%m-%d %H:%M} UTC"
    return Mail(job.email, job.kind, {"time": time, "count": "many"})


HANDLERS: Mapping[str, Handler] = {
    "forgot": forgot,
    "change_email": change_email,
    "password_changed": notice,
    "address_change_requested": notice,
    "address_changed": notice,
    "login_after_failures": notice,
}
