"""Sign-up and the proof of an address. The parts that see accounts run after the answer.

Where addresses must be proved, a registration is a row of its own, and there is no account
before its link is used: so that of several people who register one address each has what they
registered, and only who reads the mail makes one of them an account.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from gatehouse.accounts import one_time
from gatehouse.accounts.audit import record
from gatehouse.accounts.invisible import holds_invisible
from gatehouse.accounts.one_time import BadOneTimeToken, digest_of
from gatehouse.accounts.users import (
    LockedUser,
    lock_account_of,
    lock_address,
    lock_user,
    set_email,
    set_password,
)
from gatehouse.hooks import Hooks
from gatehouse.mailer.jobs import Handler, JobContext, Mail, is_superseded, source_of
from gatehouse.store.tables import Job, OneTimeToken, PendingRegistration, User, utc_now
from gatehouse.throttling.origin import Origin

HOURS = {"hours": str(int(one_time.LIVES["verify"].total_seconds() // 3600))}
# Tells our page to ask for the password, so that who confirms a registration that a stranger
# made with their address gives nothing away.
ASK = "&purpose=registration"
MOST_PENDING, MOST_OF_A_NETWORK = 20, 5  # registrations of one address
MOST_WRONG_PASSWORDS = 10  # sent with one link


def register(session: Session, job: Job, context: JobContext) -> Mail | None:
    """A registration, or an account where none must be proved; else a mail that there is one."""
    if job.registration_id is not None:  # all but the mail was done before
        return _renew(session, session.get(PendingRegistration, job.registration_id), context)
    if job.password_hash is None:  # the same, where the account exists at once
        return _prove(session, job, context)
    user = lock_address(session, job.email_key)
    if user is None and holds_invisible(job.email):  # asked of an earlier release
        return None
    if user is None and not context.must_verify:
        return _make_at_once(session, job, context)
    unproved = user is None or (user.is_active and user.email_verified_at is None)
    if not (unproved and context.must_verify):
        return Mail(user.email if user else "", "already_registered", {"link": context.home})
    # To the address as stored, never as typed: they may be look-alikes of each other.
    address = user.email if user else job.email
    pending = _make_pending(session, job, address, job.password_hash)
    job.registration_id, job.password_hash = pending.id, None
    session.add(job)
    return _renew(session, pending, context)


def _make_at_once(session: Session, job: Job, context: JobContext) -> Mail | None:
    user = User(
        email=job.email,
        email_key=job.email_key,
        password_hash=job.password_hash or "",
        role="user",
    )
    session.add(user)
    session.flush()
    record(session, "registered", source_of(job).by(user.id), user_id=user.id)
    context.hooks.on_registered(session, user)
    job.user_id, job.password_hash = user.id, None
    session.add(job)
    session.flush()
    return _prove(session, job, context)


def _make_pending(
    session: Session, job: Job, address: str, password_hash: str
) -> PendingRegistration:
    """Earlier ones of the address stay as they are, up to a bound that no network uses up alone."""
    made = PendingRegistration(
        email=address,
        email_key=job.email_key,
        password_hash=password_hash,
        ip=job.ip,
        network=job.network,
        user_agent=job.user_agent,
        request_id=job.request_id,
        expires_at=utc_now() + one_time.LIVES["verify"],
    )
    oldest_first = list(
        session.exec(
            select(PendingRegistration)
            .where(PendingRegistration.email_key == made.email_key)
            .order_by(col(PendingRegistration.created_at))
        )
    )
    count = Counter(row.network for row in (*oldest_first, made))
    if count[made.network] > MOST_OF_A_NETWORK:
        session.delete(next(row for row in oldest_first if row.network == made.network))
    elif count.total() > MOST_PENDING:
        [(busiest, _)] = count.most_common(1)
        session.delete(next(row for row in oldest_first if row.network == busiest))
    session.add(made)
    session.flush()
    return made


def _renew(
    session: Session, pending: PendingRegistration | None, context: JobContext
) -> Mail | None:
    """A fresh link for a registration; the one before it is good no more."""
    if pending is None:
        return None
    token, pending.digest = one_time.new_token()
    pending.expires_at = utc_now() + one_time.LIVES["verify"]
    pending.wrong_passwords = 0
    session.add(pending)
    link = context.link("verify-email", token, ASK)
    return Mail(pending.email, "verify_email", {"link": link, **HOURS})


def verify(session: Session, job: Job, context: JobContext) -> Mail | None:
    """The link again: of the newest registration, else of an account that has yet to prove."""
    if is_superseded(session, job):
        return None
    newest = (
        select(PendingRegistration)
        .where(
            PendingRegistration.email_key == job.email_key,
            col(PendingRegistration.expires_at) > utc_now(),
        )
        .order_by(col(PendingRegistration.created_at).desc())
        .limit(1)
        .with_for_update()
    )
    pending = session.exec(newest).one_or_none()
    return _renew(session, pending, context) or _prove(session, job, context)


def _prove(session: Session, job: Job, context: JobContext) -> Mail | None:
    user = lock_account_of(session, job)
    if user is None or not user.is_active or user.email_verified_at is not None:
        return None
    token = one_time.issue(session, "verify", user, user.email)
    link = context.link("verify-email", token, ASK)
    return Mail(user.email, "verify_email", {"link": link, **HOURS})


@dataclass(frozen=True, slots=True)
class LinkPassword:
    """The password that belongs to a link: its hash, and the address that guesses count for."""

    email_key: str
    password_hash: str


def password_of_link(session: Session, token: str) -> LinkPassword | None:
    """What a password sent with a link must fit; None where it is none of a registration's."""
    pending = session.exec(_pending(token)).one_or_none()
    if pending is not None:
        return LinkPassword(pending.email_key, pending.password_hash)
    try:
        user = one_time.holder(session, token, "verify")
    except BadOneTimeToken:
        return None
    return LinkPassword(user.email_key, user.password_hash)


def _pending(token: str):  # type: ignore[no-untyped-def]
    return select(PendingRegistration).where(
        PendingRegistration.digest == digest_of(token),
        col(PendingRegistration.expires_at) > utc_now(),
    )


def count_link_password(session: Session, token: str) -> None:
    """Count a try before its hash. Raises `BadOneTimeToken` when the link has had its share."""
    for table in (PendingRegistration, OneTimeToken):
        row = update(table).where(
            col(table.digest) == digest_of(token),
            col(table.wrong_passwords) < MOST_WRONG_PASSWORDS,
        )
        done = session.execute(row.values(wrong_passwords=col(table.wrong_passwords) + 1))
        if done.rowcount:  # type: ignore[attr-defined]
            return
    raise BadOneTimeToken


def uncount_link_password(session: Session, token: str) -> None:
    """It was right: what the link has its share of is wrong ones."""
    for table in (PendingRegistration, OneTimeToken):
        row = update(table).where(
            col(table.digest) == digest_of(token), col(table.wrong_passwords) > 0
        )
        session.execute(row.values(wrong_passwords=col(table.wrong_passwords) - 1))


def note_wrong_link_password(session: Session, token: str, origin: Origin) -> None:
    """A link that has had its share of wrong passwords is good no more."""
    record(session, "login_failed", origin)
    for table in (PendingRegistration, OneTimeToken):
        spent = delete(table).where(
            col(table.digest) == digest_of(token),
            col(table.wrong_passwords) >= MOST_WRONG_PASSWORDS,
        )
        session.execute(spent)


def confirm(session: Session, token: str, origin: Origin, hooks: Hooks) -> None:
    """Take the address that a token was mailed to as proved. Raises `BadOneTimeToken`.

    Of a registration it makes the account; IntegrityError where another got the address first.
    """
    try:
        user_id = one_time.holder(session, token, "verify", "change_email").id
    except BadOneTimeToken:
        return _confirm_registration(session, token, origin, hooks)
    user = lock_user(session, user_id)
    if user is None:
        raise BadOneTimeToken
    redeemed = one_time.redeem(session, token, user, "verify", "change_email")
    if redeemed.purpose == "change_email":
        set_email(session, user, redeemed.email, origin.by(user.id))
    elif user.email != redeemed.email:
        raise BadOneTimeToken
    else:
        user.email_verified_at = utc_now()
        session.add(user)
        one_time.retire(session, user.id, "verify")
        record(session, "email_verified", origin.by(user.id), user_id=user.id)
    session.flush()
    return None


def _confirm_registration(session: Session, token: str, origin: Origin, hooks: Hooks) -> None:
    found = session.exec(_pending(token)).one_or_none()
    if found is None:
        raise BadOneTimeToken
    user = lock_address(session, found.email_key)
    # All of the address, in one order: of two links of it at once the second waits for the first,
    # in place of each for the other.
    of_address = select(PendingRegistration.id).where(
        PendingRegistration.email_key == found.email_key
    )
    session.exec(of_address.order_by(col(PendingRegistration.id)).with_for_update()).all()
    used = delete(PendingRegistration).where(
        col(PendingRegistration.id) == found.id, col(PendingRegistration.digest) == found.digest
    )
    if not session.execute(used).rowcount:  # type: ignore[attr-defined]
        raise BadOneTimeToken
    if user is not None and not _may_take_over(user, found):
        raise BadOneTimeToken
    if user is None:
        _make_proved(session, found, origin, hooks)
    else:
        _take_over(session, user, found, origin)
    session.execute(
        delete(PendingRegistration).where(col(PendingRegistration.email_key) == found.email_key)
    )


def _make_proved(
    session: Session, pending: PendingRegistration, origin: Origin, hooks: Hooks
) -> None:
    user = User(
        email=pending.email,
        email_key=pending.email_key,
        password_hash=pending.password_hash,
        role="user",
        email_verified_at=utc_now(),
    )
    session.add(user)
    session.flush()
    record(session, "registered", origin.by(user.id), user_id=user.id)
    record(session, "email_verified", origin.by(user.id), user_id=user.id)
    hooks.on_registered(session, user)


def _may_take_over(user: User, pending: PendingRegistration) -> bool:
    """Whose address nobody has proved, and to which this very link was mailed."""
    return user.is_active and user.email_verified_at is None and user.email == pending.email


def _take_over(
    session: Session, user: LockedUser, pending: PendingRegistration, origin: Origin
) -> None:
    """An account that nobody has proved, made by an earlier release or an import."""
    user.email_verified_at = utc_now()
    acting = origin.by(user.id)
    record(session, "email_verified", acting, user_id=user.id)
    set_password(session, user, pending.password_hash, "password_reset", acting)


HANDLERS: Mapping[str, Handler] = {"register": register, "verify": verify}
