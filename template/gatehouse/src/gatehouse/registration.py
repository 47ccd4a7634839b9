"""Sign-up and the proof of an address. The parts that see accounts run after the answer."""

from sqlmodel import Session, select

from gatehouse import one_time
from gatehouse.addresses import normalise
from gatehouse.audit import Origin, record
from gatehouse.errands import Letter, Terms, is_superseded, leave, origin_of
from gatehouse.one_time import BadOneTimeToken, Redeemed
from gatehouse.tables import Errand, User, utc_now

HOURS = {"hours": str(int(one_time.LIVES["verify"].total_seconds() // 3600))}


def register(session: Session, errand: Errand, terms: Terms) -> Letter | None:
    """An account for an address that has none; else a mail that says it has one.

    Whoever registers an address that nobody has proved yet replaces the password that was given
    before: who signed up first with somebody else's address gets nothing by it. Where unproved
    accounts may log in, theirs is not replaced; a reset, by mail, takes such an account back.
    """
    if is_superseded(session, errand):
        return None
    if errand.password_hash is None:  # all but the mail was done before
        return _prove(session, errand, terms)
    user = _user_of(session, errand)
    if user is None:
        user = _make(session, errand, terms)
    elif user.is_active and user.email_verified_at is None and terms.must_verify:
        user.password_hash = errand.password_hash
        one_time.retire(session, user.id)
    else:
        return Letter(user.email, "already_registered", {"link": terms.home})
    errand.user_id, errand.password_hash = user.id, None
    session.add_all((user, errand))
    session.flush()
    return _prove(session, errand, terms)


def _user_of(session: Session, errand: Errand) -> User | None:
    return session.exec(select(User).where(User.email_key == errand.email_key)).one_or_none()


def _make(session: Session, errand: Errand, terms: Terms) -> User:
    user = User(
        email=errand.email,
        email_key=errand.email_key,
        password_hash=errand.password_hash or "",
        role="user",
    )
    session.add(user)
    session.flush()
    record(session, "registered", origin_of(errand), user_id=user.id)
    terms.hooks.on_registered(session, user)
    return user


def verify(session: Session, errand: Errand, terms: Terms) -> Letter | None:
    """The mail with the link that proves an address, to an account that has yet to."""
    return None if is_superseded(session, errand) else _prove(session, errand, terms)


def _prove(session: Session, errand: Errand, terms: Terms) -> Letter | None:
    user = _user_of(session, errand)
    if user is None or not user.is_active or user.email_verified_at is not None:
        return None
    token = one_time.issue(session, "verify", user.id, user.email)
    return Letter(user.email, "verify_email", {"link": terms.link("verify-email", token), **HOURS})


def confirm(session: Session, token: str, origin: Origin) -> None:
    """Take the address that a token was mailed to as proved. Raises `BadOneTimeToken`."""
    redeemed = one_time.redeem(session, token, "verify", "change_email")
    user = session.get(User, redeemed.user_id)
    if user is None or not user.is_active:
        raise BadOneTimeToken
    if redeemed.purpose == "change_email":
        _move(session, user, redeemed, origin)
    elif user.email != redeemed.email:
        raise BadOneTimeToken
    else:
        record(session, "email_verified", origin, user_id=user.id)
    user.email_verified_at = utc_now()
    session.add(user)
    session.flush()
    one_time.retire(session, user.id)


def _move(session: Session, user: User, redeemed: Redeemed, origin: Origin) -> None:
    """The account's new address. The old one is told, so that a thief cannot do it unseen."""
    leave(
        session,
        "address_changed",
        origin,
        email=user.email,
        email_key=user.email_key,
        user_id=user.id,
    )
    user.email, user.email_key = normalise(redeemed.email)
    record(session, "email_changed", origin, user_id=user.id)
