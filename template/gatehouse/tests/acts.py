"""What is done with the account of `world.py`, each thing by the way that users take.

A verb is entered by its function's name, with what has to be there before it, and returns what it
must have left.
"""

import json
from collections.abc import Callable
from typing import Any

import argon2
from sqlmodel import select
from world import (
    BOB,
    CHANGED,
    CREATED,
    MOVED,
    OLD,
    REGISTERED,
    RESET,
    WRONG,
    Done,
    Voided,
    World,
    log_in_as,
)

from gatehouse import User
from gatehouse.accounts.cleaning import clean_some

IMPORTED = argon2.PasswordHasher(1, 8, 1).hash(OLD)

Act = Callable[[World, str], Done]
VERBS: dict[str, Act] = {}
PREPARED: dict[str, Callable[[World], object]] = {}


def verb(prepare: Callable[[World], object] | None = None) -> Callable[[Act], Act]:
    def enter(act: Act) -> Act:
        VERBS[act.__name__] = act
        if prepare:
            PREPARED[act.__name__] = prepare
        return act

    return enter


def _done(world: World, verb: str, begun: int, answer: Any, *good: int, **more: Any) -> Done:
    worked = answer.status_code in good
    return Done(verb, begun, answer.status_code, worked, decided=begun, **more)


def _administer(world: World, change: dict[str, Any], verb: str, event: str) -> Done:
    begun, before = world.tick(), world.row()
    assert world.root
    answer = world.root.patch(f"/users/{world.bob}", json=change)
    same = before and all(getattr(before, name) == value for name, value in change.items())
    return _done(world, verb, begun, answer, 200, event="" if same else event)


def _set_role(world: World) -> None:
    assert world.root
    assert world.root.patch(f"/users/{world.bob}", json={"role": "admin"}).status_code == 200
    _again(world)


def _set_inactive(world: World) -> None:
    assert world.root
    assert world.root.patch(f"/users/{world.bob}", json={"is_active": False}).status_code == 200
    world.voided.append(Voided("prepared", world.tick(), world.tick()))


def _again(world: World) -> None:
    """What was handed out before is void: begin anew."""
    world.voided.append(Voided("prepared", world.tick(), world.tick()))
    for one in (*world.given, *filter(None, [world.retired])):
        if one.session in ("first", "second"):
            one.session = f"former {one.session}"
    for name in ("first", "second"):
        log_in_as(world, OLD, name)


@verb()
def log_in(world: World, name: str) -> Done:
    begun = world.clock
    return _done(world, "log_in", begun, log_in_as(world, OLD, name), 200, event="login")


@verb()
def guess(world: World, name: str) -> Done:
    begun = world.clock
    answer = log_in_as(world, WRONG, name)
    return _done(world, "guess", begun, answer, event="")


@verb()
def guess_at_a_change(world: World, name: str) -> Done:
    begun = world.tick()
    change = {"current_password": WRONG, "new_password": CHANGED}
    answer = world.post("/auth/change-password", change, headers=world.as_bob())
    return _done(world, "guess_at_a_change", begun, answer)


@verb()
def refresh(world: World, name: str) -> Done:
    begun = world.tick()
    form = {"grant_type": "refresh_token", "refresh_token": world.token("first", "refresh")}
    answer = world.client.post("/auth/token", data=form)
    world.keep_tokens(answer, "first", begun)
    return _done(world, "refresh", begun, answer, 200, event="refresh")


def _refresh_twice(world: World) -> None:
    """Take from the first session a refresh token that no grace covers, where it has any left."""
    for _ in range(2):
        used = next(one for one in world.given if (one.session, one.kind) == ("first", "refresh"))
        if refresh(world, "prepared").worked:
            world.given.remove(used)
        world.retired = world.retired or used


@verb(_refresh_twice)
def replay(world: World, name: str) -> Done:
    """Of a token that was retired two refreshes ago: who has it is not who has the session."""
    begun = world.tick()
    assert world.retired
    form = {"grant_type": "refresh_token", "refresh_token": world.retired.value}
    answer = world.client.post("/auth/token", data=form)
    return _done(world, "replay", begun, answer)


@verb()
def revoke(world: World, name: str) -> Done:
    begun = world.tick()
    answer = world.client.post("/auth/revoke", data={"token": world.token("first", "refresh")})
    return _done(world, "revoke", begun, answer, 200)


@verb()
def end_others(world: World, name: str) -> Done:
    begun = world.tick()
    answer = world.client.delete("/auth/sessions", headers=world.as_bob())
    return _done(world, "end_others", begun, answer, 204, event="sessions_ended")


@verb()
def end_all(world: World, name: str) -> Done:
    begun = world.tick()
    assert world.root
    answer = world.root.delete(f"/users/{world.bob}/sessions")
    return _done(world, "end_all", begun, answer, 204, event="sessions_ended")


@verb()
def end_all_by_command(world: World, name: str) -> Done:
    """In another process: this one hears of it when it reads its list the next time."""
    begun = world.tick()
    code = world.command("user", "end-sessions", BOB)
    world.core.revocation.forget()
    event = "sessions_ended" if code == 0 else ""
    return Done("end_all_by_command", begun, code, code == 0, event=event)


@verb()
def change_password(world: World, name: str) -> Done:
    begun, used = world.tick(), world.token("first")
    change = {"current_password": OLD, "new_password": CHANGED}
    row = world.row()
    answer = world.post("/auth/change-password", change, headers=world.as_bob())
    notice = ("password_changed", row.email) if row else None
    return _done(
        world,
        "change_password",
        begun,
        answer,
        204,
        event="password_changed",
        notice=notice,
        used=used,
    )


@verb()
def change_email(world: World, name: str) -> Done:
    begun, used = world.tick(), world.token("first")
    row = world.row()
    change = {"new_email": MOVED, "current_password": OLD}
    answer = world.post("/auth/change-email", change, headers=world.as_bob())
    notice = ("address_change_requested", row.email) if row else None
    return _done(
        world,
        "change_email",
        begun,
        answer,
        202,
        event="email_change_requested",
        notice=notice,
        used=used,
    )


@verb()
def confirm_email(world: World, name: str) -> Done:
    begun = world.tick()
    row = world.row()
    answer = world.post("/auth/verify-email", {"token": world.links["confirm_new_address"]})
    notice = ("address_changed", row.email) if row else None
    return _done(
        world,
        "confirm_email",
        begun,
        answer,
        204,
        event="email_changed",
        notice=notice,
        used=world.links["confirm_new_address"],
    )


@verb()
def forgot(world: World, name: str) -> Done:
    begun = world.tick()
    return _done(world, "forgot", begun, world.post("/auth/forgot-password", {"email": BOB}), 202)


@verb()
def reset(world: World, name: str) -> Done:
    begun = world.tick()
    row = world.row()
    new = {"token": world.links["reset_password"], "password": RESET}
    answer = world.post("/auth/reset-password", new)
    notice = ("password_changed", row.email) if row else None
    return _done(
        world,
        "reset",
        begun,
        answer,
        204,
        event="password_reset",
        notice=notice,
        used=world.links["reset_password"],
    )


@verb()
def disable(world: World, name: str) -> Done:
    return _administer(world, {"is_active": False}, "disable", "user_disabled")


@verb(_set_inactive)
def enable(world: World, name: str) -> Done:
    return _administer(world, {"is_active": True}, "enable", "user_enabled")


@verb()
def promote(world: World, name: str) -> Done:
    return _administer(world, {"role": "admin"}, "promote", "role_changed")


@verb(_set_role)
def demote(world: World, name: str) -> Done:
    return _administer(world, {"role": "user"}, "demote", "role_changed")


@verb()
def delete(world: World, name: str) -> Done:
    begun, used = world.tick(), world.token("first")
    gone = {"current_password": OLD}
    answer = world.client.request("DELETE", "/users/me", json=gone, headers=world.as_bob())
    return _done(world, "delete", begun, answer, 204, event="account_deleted", used=used)


@verb()
def register(world: World, name: str) -> Done:
    begun = world.tick()
    answer = world.post("/auth/register", {"email": BOB, "password": REGISTERED})
    return _done(world, "register", begun, answer, 202)


@verb()
def confirm(world: World, name: str) -> Done:
    begun = world.tick()
    answer = world.post("/auth/verify-email", {"token": world.links["verify_email"]})
    return _done(
        world,
        "confirm",
        begun,
        answer,
        204,
        event="email_verified",
        used=world.links["verify_email"],
    )


@verb()
def confirm_with_password(world: World, name: str) -> Done:
    begun = world.tick()
    shown = {"token": world.links["verify_email"], "password": REGISTERED}
    answer = world.post("/auth/verify-email", shown)
    return _done(
        world,
        "confirm_with_password",
        begun,
        answer,
        204,
        event="email_verified",
        used=world.links["verify_email"],
    )


@verb()
def resend(world: World, name: str) -> Done:
    begun = world.tick()
    answer = world.post("/auth/verify-email/resend", {"email": BOB})
    return _done(world, "resend", begun, answer, 202)


def _job(request: Act) -> Callable[[World], object]:
    def close(world: World) -> None:
        finish(world, request(world, "job"))

    return close


def _mail(world: World) -> Done:
    begun = world.tick()
    world.mail()
    return Done("mail", begun, 0, True)


for request in (register, resend, forgot, change_email, change_password):
    VERBS[f"mail_{request.__name__}"] = lambda world, name: _mail(world)
    PREPARED[f"mail_{request.__name__}"] = _job(request)


@verb()
def clean(world: World, name: str) -> Done:
    begun = world.tick()
    clean_some(world.core.database, world.core.lifetimes.idle)
    return Done("clean", begun, 0, True)


@verb()
def create(world: World, name: str) -> Done:
    """By the command: an account at once, its address counts as proved."""
    begun = world.tick()
    code = world.command("user", "create", BOB, stdin=f"{CREATED}\n")
    return _made(world, Done("create", begun, code, code == 0, event="user_created"))


@verb()
def import_(world: World, name: str) -> Done:
    """By the command: an account whose address nobody has proved."""
    begun = world.tick()
    row = json.dumps({"email": BOB, "password_hash": IMPORTED, "verified": False})
    code = world.command("user", "import", "-", "--format", "jsonl", stdin=row)
    return _made(world, Done("import_", begun, code, code == 0, event="user_created"))


def _made(world: World, done: Done) -> Done:
    if done.worked:
        with world.core.database.read() as session:
            world.bob = session.exec(select(User.id).where(User.email == BOB)).one()
    return done


ALL_VOID = {
    *("change_password", "confirm_email", "reset", "disable", "enable", "promote", "demote"),
    *("delete", "end_all", "end_all_by_command", "confirm", "confirm_with_password"),
}


def finish(world: World, done: Done) -> None:
    """Enter what an act has made void."""
    world.done.append(done)
    now = world.tick()
    if done.verb == "revoke":
        world.voided.append(Voided("revoke", done.begun, now, session="first"))
    if done.verb == "replay" and world.retired:
        world.voided.append(Voided("replay", done.begun, now, session=world.retired.session))
    if done.worked and done.verb == "end_others":
        world.voided.append(Voided("end_others", done.begun, now, excepted="first"))
    changed = done.event or done.verb not in ("disable", "enable", "promote", "demote")
    if done.worked and changed and done.verb in ALL_VOID:
        excepted = "first" if done.verb == "change_password" else ""
        world.voided.append(Voided(done.verb, done.begun, now, excepted=excepted))
