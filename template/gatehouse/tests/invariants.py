"""What holds of an account whatever was done to it, in whichever order. Each raises if it does not.

`INVARIANTS` is all of them; those that try things out come last, for they use things up.
"""

from collections import Counter
from typing import Any

from sqlmodel import col, select
from steps import with_token
from world import BOB, MOVED, PASSWORDS, Given, Voided, World

from gatehouse import User
from gatehouse.store.tables import AuditEvent, Job, LoginSession, RefreshToken

SESSIONS_ALONE = ("end_all", "end_all_by_command", "end_others", "revoke", "replay")
NOTICES = ("password_changed", "address_change_requested", "address_changed")


def rows(world: World, table: Any, *where: Any) -> list[Any]:
    with world.core.database.read() as session:
        return list(session.exec(select(table).where(*where)))


def an_administrator_is_left(world: World) -> None:
    assert rows(world, User, User.role == "admin", col(User.is_active).is_(True))


def a_session_has_one_live_successor(world: World) -> None:
    alive = Counter(
        one.session_id for one in rows(world, RefreshToken, col(RefreshToken.retired_at).is_(None))
    )
    assert not alive or max(alive.values()) == 1


def a_session_is_of_its_account_as_it_is_now(world: World) -> None:
    """What is left of older sessions would come alive with a stamp that is set back."""
    users = {user.id: user for user in rows(world, User)}
    for login in rows(world, LoginSession):
        assert login.stamp <= users[login.user_id].stamp
        if login.stamp == users[login.user_id].stamp:
            assert users[login.user_id].is_active


def each_guess_is_counted_once(world: World) -> None:
    counted = failures(world) - world.failures
    wrong = [one for one in world.done if one.verb.startswith("guess") and one.answer == 400]
    others = [
        one
        for one in world.done
        if one.answer == 400 and one.verb in ("log_in", "change_password", "change_email", "delete")
    ]
    assert len(wrong) <= counted <= len(wrong) + len(others), "a guess is not counted once"


def failures(world: World) -> int:
    return len(rows(world, AuditEvent, AuditEvent.event == "login_failed"))


def every_change_has_an_event_with_an_actor(world: World) -> None:
    wanted = Counter(one.event for one in world.done if one.worked and one.event)
    for event in ("user_disabled", "user_enabled", "role_changed"):
        wanted[event] = min(wanted[event], 1)  # the second of two may have found it done
    found = Counter[str]()
    for row in rows(world, AuditEvent, col(AuditEvent.event).in_(wanted)):
        found[row.event] += 1
        assert row.actor, f"nobody did {row.event}"
    assert not wanted - found, "a change has no event"


def every_change_is_told_to_the_address_of_that_moment(world: World) -> None:
    wanted = Counter(one.notice for one in world.done if one.worked and one.notice)
    told = Counter((mail.template, mail.to) for mail in world.outgoing)
    queued = Counter((job.kind, job.email) for job in rows(world, Job))
    if any(one.verb == "confirm_email" and one.worked for one in world.done):
        # The address moved meanwhile: whichever of both it was.
        wanted, told, queued = (by_template(of) for of in (wanted, told, queued))
    assert not wanted - (told + queued), "a change is told to nobody"


def by_template(notices: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    found = Counter[tuple[str, str]]()
    for (template, to), count in notices.items():
        assert to in (BOB, MOVED) or template not in NOTICES, f"a notice went to {to}"
        found[template, ""] += count
    return found


def an_unproved_address_owns_no_password(world: World) -> None:
    for user in rows(world, User, col(User.email_verified_at).is_(None)):
        for password in PASSWORDS:
            form = {"grant_type": "password", "username": user.email, "password": password}
            assert world.client.post("/auth/token", data=form).status_code != 200


def scopes_are_those_of_the_role(world: World) -> None:
    """Of whatever token still opens a door."""
    for one in world.given:
        if one.kind == "access":
            answer = world.client.get("/users/me", headers=with_token(one.value))
            if answer.status_code == 200:
                me = answer.json()
                allowed = world.core.roles[me["role"]]
                claims = world.core.tokens.read(one.value)
                assert claims.scopes <= frozenset(allowed), "a token holds more than the role"


def nothing_works_from_before_what_makes_it_void(world: World) -> None:
    for one in world.given:
        for event in world.voided:
            assert not (is_void(one, event) and _works(world, one.kind, one.value)), (
                f"{one.kind} of {one.session} works after {event.by}"
            )


def nothing_void_allows_an_act(world: World) -> None:
    """Neither what was void when the act began, nor what has become so while it was under way."""
    for act in world.done:
        for one in world.given:
            if act.worked and act.used == one.value:
                for event in world.voided:
                    assert event.at > act.decided or not is_void(one, event), (
                        f"{act.verb} works by {one.kind} of {one.session} after {event.by}"
                    )


def is_void(one: Given, event: Voided) -> bool:
    if one.session == event.excepted or (event.session and event.session != one.session):
        return False
    if event.by in SESSIONS_ALONE:  # what is under way may open a session after it
        return one.kind in ("access", "refresh") and one.over < event.since
    if one.session == "registration":  # not begun under the account that it may take over
        return event.by.startswith("confirm") and one.over < event.since
    return one.begun < event.at


def _works(world: World, kind: str, value: str) -> bool:
    if kind == "access":
        paths = ("/users/me", "/auth/sessions")
        return any(
            world.client.get(path, headers=with_token(value)).status_code == 200 for path in paths
        )
    if kind == "refresh":
        form = {"grant_type": "refresh_token", "refresh_token": value}
        return bool(world.client.post("/auth/token", data=form).status_code == 200)
    more = {"password": PASSWORDS[0]} if kind == "reset-password" else {}
    answer = world.client.post(f"/auth/{kind}", json={"token": value, **more})
    return bool(answer.status_code == 204)


def one_account_has_the_address(world: World) -> None:
    keys = [user.email_key for user in rows(world, User)]
    assert len(keys) == len(set(keys))
    assert {user.email for user in rows(world, User) if user.id == world.bob} <= {BOB, MOVED}


INVARIANTS = (
    an_administrator_is_left,
    a_session_has_one_live_successor,
    a_session_is_of_its_account_as_it_is_now,
    each_guess_is_counted_once,
    every_change_has_an_event_with_an_actor,
    every_change_is_told_to_the_address_of_that_moment,
    one_account_has_the_address,
    an_unproved_address_owns_no_password,
    scopes_are_those_of_the_role,
    nothing_void_allows_an_act,
    nothing_works_from_before_what_makes_it_void,
)
