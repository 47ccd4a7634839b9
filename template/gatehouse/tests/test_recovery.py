"""Forgotten passwords, changes of password and address, and the end of an account."""

from base64 import urlsafe_b64decode
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
import time_machine
from sqlmodel import select
from starlette.testclient import TestClient
from steps import (
    BOB,
    NEXT,
    PASSWORD,
    bearer,
    confirm,
    event_names,
    forgot,
    log_in,
    logged_in,
    opens,
    refresh,
    rows_of,
    token_in,
    tokens_of,
    with_token,
)

from gatehouse import User, utc_now
from gatehouse.accounts.one_time import PREFIX, BadOneTimeToken, issue, new_token, redeem
from gatehouse.accounts.users import find_user
from gatehouse.state import Gatehouse
from gatehouse.store.tables import Job, LoginSession, OneTimeToken
from gatehouse.testing import CreateUser, Mails
from gatehouse.throttling.throttle import FORGOT, ONE_TIME, Limit

Json = dict[str, Any]


def reset(client: TestClient, token: str, password: str = NEXT) -> int:
    sent = {"token": token, "password": password}
    return client.post("/auth/reset-password", json=sent).status_code


# --- a forgotten password


@pytest.mark.asvs("6.4.3", "7.4.3", "7.6.2")
def test_a_reset_sets_the_password_ends_every_session_and_opens_none(
    client: TestClient, core: Gatehouse, bob: User, create_user: CreateUser, mails: Mails
) -> None:
    other = create_user("eve@example.com", PASSWORD)
    before, others = logged_in(client), log_in(client, other.email)
    assert forgot(client) == 202
    assert opens(client, before)  # nothing happens before the token is used
    (mail,) = mails()
    answer = client.post("/auth/reset-password", json={"token": token_in(mail), "password": NEXT})
    assert (answer.status_code, answer.content) == (204, b"")
    assert not opens(client, before)
    assert log_in(client).status_code == 400
    assert log_in(client, password=NEXT).status_code == 200
    kept = refresh(client, others.json()["refresh_token"])
    assert kept.status_code == 200  # another's is none of them
    (notice,) = mails()
    assert notice["To"] == BOB
    assert "#token=" not in notice.as_string()
    assert event_names(core) == [
        *("login", "login", "password_reset_requested", "password_reset"),
        *("login_failed", "login", "refresh"),
    ]


@pytest.mark.asvs("6.4.3", "6.5.5", "6.6.2")
def test_a_reset_link_works_once_for_half_an_hour_and_only_the_newest(
    client: TestClient, bob: User, mails: Mails
) -> None:
    forgot(client)
    old = token_in(mails()[0])
    forgot(client)
    new = token_in(mails()[0])
    assert reset(client, old) == 400
    with time_machine.travel(utc_now() + timedelta(minutes=30, seconds=1), tick=False):
        assert reset(client, new) == 400
    assert reset(client, new) == 204
    assert reset(client, new) == 400


@pytest.mark.asvs("6.5.5")
def test_a_link_that_ends_while_the_new_password_is_hashed_is_over(
    client: TestClient,
    core: Gatehouse,
    bob: User,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forgot(client)
    token, hash_slowly = token_in(mails()[0]), core.passwords.hash
    with time_machine.travel(utc_now() + timedelta(minutes=29, seconds=50), tick=False) as clock:

        async def ten_seconds(*arguments: Any, **more: Any) -> str:
            found = await hash_slowly(*arguments, **more)
            clock.shift(timedelta(seconds=11))
            return found

        monkeypatch.setattr(core.passwords, "hash", ten_seconds)
        assert reset(client, token) == 400
    assert log_in(client).status_code == 200


@pytest.mark.parametrize("broken", ["purpose", "disabled"])
def test_a_token_is_used_for_its_purpose_by_an_active_account_alone(
    core: Gatehouse, bob: User, broken: str
) -> None:
    """Whoever asks `holder` first sees it there; who acts looks again, at what is locked."""
    with core.database.write() as session:
        user = find_user(session, BOB)
        token = issue(session, "reset", user, BOB)
        user.is_active = broken != "disabled"
        with pytest.raises(BadOneTimeToken), session.begin_nested():
            redeem(session, token, user, "verify" if broken == "purpose" else "reset")
        user.is_active = True
        assert redeem(session, token, user, "reset").email == BOB
        with pytest.raises(BadOneTimeToken):  # it is used up
            redeem(session, token, user, "reset")


@pytest.mark.asvs("6.4.1", "6.5.2", "6.5.3", "6.5.4", "6.6.3")
def test_the_token_of_a_link_has_256_bits_and_only_its_digest_is_kept(
    client: TestClient, core: Gatehouse, bob: User, mails: Mails
) -> None:
    forgot(client)
    token = token_in(mails()[0])
    assert len(urlsafe_b64decode(token.removeprefix(PREFIX) + "=")) == 32
    assert len({new_token()[0] for _ in range(100)}) == 100
    (row,) = rows_of(core, OneTimeToken)
    assert row.digest == sha256(token.encode()).hexdigest()
    assert token not in str(row.model_dump())
    assert reset(client, row.digest) == 400


@pytest.mark.asvs("6.4.3", "6.5.1")
def test_of_many_who_use_a_reset_link_at_once_one_succeeds(
    client: TestClient, core: Gatehouse, bob: User, mails: Mails
) -> None:
    forgot(client)
    token = token_in(mails()[0])
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda _: reset(client, token), range(50)))
    assert sorted(answers) == [204] + [400] * 49
    assert event_names(core).count("password_reset") == 1


@pytest.mark.asvs("6.2.4", "6.2.11")
def test_a_weak_password_leaves_the_link_good(client: TestClient, bob: User, mails: Mails) -> None:
    forgot(client)
    token = token_in(mails()[0])
    for weak in ("short", BOB, "passwordpassword"):
        assert reset(client, token, weak) == 422
    assert reset(client, token) == 204


@pytest.mark.asvs("6.4.3")
def test_only_an_active_account_is_mailed_a_reset_link_and_at_its_own_address(
    client: TestClient, create_user: CreateUser, mails: Mails
) -> None:
    create_user("off@example.com", active=False)
    create_user("pending@example.com", verified=False)
    for email in ("off@example.com", "nobody@example.com", "PENDING@example.com"):
        assert forgot(client, email) == 202
    (mail,) = mails()
    assert mail["To"] == "pending@example.com"
    # Whoever reads the mail has proved the address.
    assert reset(client, token_in(mail)) == 204
    assert log_in(client, "pending@example.com", NEXT).status_code == 200


def test_a_disabled_account_cannot_use_a_link_that_it_still_has(
    client: TestClient, core: Gatehouse, bob: User, mails: Mails
) -> None:
    forgot(client)
    token = token_in(mails()[0])
    with core.database.write() as session:
        session.get_one(User, bob.id).is_active = False
    assert reset(client, token) == 400


def test_a_look_alike_address_is_another_one(client: TestClient, bob: User, mails: Mails) -> None:
    assert forgot(client, "bob@\u0435xample.com") == 202  # a Cyrillic letter
    assert mails() == []


@pytest.mark.asvs("6.4.1", "6.6.2", "9.2.2")
def test_a_token_opens_no_door_but_its_own(client: TestClient, bob: User, mails: Mails) -> None:
    me = logged_in(client)
    change = {"new_email": "new@example.com", "current_password": PASSWORD}
    client.post("/auth/change-email", json=change, headers=me)
    forgot(client)
    sent = {mail["To"]: token_in(mail) for mail in mails() if "#token=" in mail.as_string()}
    assert confirm(client, sent[BOB]) == 400
    assert reset(client, sent["new@example.com"]) == 400
    for token in sent.values():
        assert client.get("/users/me", headers=with_token(token)).status_code == 401
        assert refresh(client, token).status_code == 400
    access = me["Authorization"].split(" ")[1]
    assert confirm(client, access) == 400
    assert confirm(client, sent["new@example.com"]) == 204


# --- a change of password


def change_password(
    client: TestClient, headers: dict[str, str], current: str = PASSWORD, new: str = NEXT
) -> Any:
    body = {"current_password": current, "new_password": new}
    return client.post("/auth/change-password", json=body, headers=headers)


@pytest.mark.asvs("6.2.2", "7.4.3")
def test_a_new_password_ends_every_other_session_and_every_link(
    client: TestClient, core: Gatehouse, bob: User, mails: Mails
) -> None:
    forgot(client)
    link = token_in(mails()[0])
    mine, other = logged_in(client), logged_in(client)
    assert change_password(client, mine).status_code == 204
    assert opens(client, mine)
    assert not opens(client, other)
    assert reset(client, link) == 400
    assert log_in(client).status_code == 400
    assert log_in(client, password=NEXT).status_code == 200
    assert [mail["To"] for mail in mails()] == [BOB]
    assert "password_changed" in event_names(core)


@pytest.mark.asvs("6.2.3", "7.5.1")
@pytest.mark.parametrize(
    ("current", "new", "status"),
    [
        ("nine wrong words in a row", NEXT, 400),
        ("", NEXT, 400),
        (PASSWORD, "short", 422),
        (PASSWORD, PASSWORD, 422),
        (PASSWORD, BOB, 422),
    ],
)
def test_a_change_that_is_refused_changes_nothing(
    client: TestClient, bob: User, mails: Mails, current: str, new: str, status: int
) -> None:
    mine, other = logged_in(client), logged_in(client)
    answer = change_password(client, mine, current, new)
    assert answer.status_code == status
    assert "wrong words" not in answer.text
    assert opens(client, other)
    assert log_in(client).status_code == 200
    assert mails() == []


@pytest.mark.asvs("7.5.1")
def test_the_current_password_cannot_be_guessed_with_a_stolen_token(
    client: TestClient, bob: User
) -> None:
    mine = logged_in(client)
    answers = [
        change_password(client, mine, f"wrong words in a row {number}").status_code
        for number in range(15)
    ]
    assert answers == [400] * 10 + [429] * 5
    assert change_password(client, mine).status_code == 429


# --- a change of address


def change_email(client: TestClient, headers: dict[str, str], **more: str) -> Any:
    body = {"new_email": "new@example.com", "current_password": PASSWORD, **more}
    return client.post("/auth/change-email", json=body, headers=headers)


def test_an_address_changes_when_the_new_one_is_proved_and_the_old_one_is_told(
    client: TestClient, core: Gatehouse, bob: User, mails: Mails
) -> None:
    mine = logged_in(client)
    assert change_email(client, mine).status_code == 202
    sent = {mail["To"]: mail for mail in mails()}
    assert set(sent) == {BOB, "new@example.com"}
    assert "email_change_requested" in event_names(core)
    assert "#token=" not in sent[BOB].as_string()
    assert client.get("/users/me", headers=mine).json()["email"] == BOB
    assert confirm(client, token_in(sent["new@example.com"])) == 204
    # What was begun under the old address is void, the session that asked for it too.
    assert client.get("/users/me", headers=mine).status_code == 401
    assert [mail["To"] for mail in mails()] == [BOB]
    assert log_in(client).status_code == 400
    assert log_in(client, "new@example.com").status_code == 200
    assert "email_changed" in event_names(core)


def test_an_address_is_mailed_five_changes_an_hour_and_the_answer_stays(
    client: TestClient, bob: User, mails: Mails
) -> None:
    mine = logged_in(client)
    sent = []
    for _ in range(7):
        assert change_email(client, mine).status_code == 202
        sent += [mail["To"] for mail in mails()]
    assert sent.count("new@example.com") == sent.count(BOB) == 5


@pytest.mark.asvs("7.5.1")
def test_a_change_of_address_needs_the_password(
    client: TestClient, bob: User, mails: Mails
) -> None:
    mine = logged_in(client)
    assert change_email(client, mine, current_password="nine wrong words").status_code == 400
    assert mails() == []


def test_an_address_that_is_taken_is_not_told_to_the_one_who_asks(
    client: TestClient, core: Gatehouse, bob: User, create_user: CreateUser, mails: Mails
) -> None:
    create_user("new@example.com", NEXT)
    mine = logged_in(client)
    taken = change_email(client, mine, new_email="NEW@example.com")
    sent = mails()  # before the next: a later change drops what is left of an earlier one
    assert sorted(mail["To"] for mail in sent) == [BOB, "new@example.com"]
    free = change_email(client, mine, new_email="free@example.com")
    assert (taken.status_code, taken.content) == (free.status_code, free.content)
    links = [mail["To"] for mail in sent + mails() if "#token=" in mail.as_string()]
    assert links == ["free@example.com"]


def test_who_asks_for_the_same_address_later_takes_no_ones_place(
    client: TestClient, bob: User, create_user: CreateUser, mails: Mails
) -> None:
    create_user("eve@example.com", PASSWORD)
    for email in (BOB, "eve@example.com"):
        assert change_email(client, logged_in(client, email)).status_code == 202
    assert [mail["To"] for mail in mails() if "#token=" in mail.as_string()] == [
        "new@example.com",
        "new@example.com",
    ]


def test_an_address_that_was_taken_meanwhile_is_refused_and_nothing_is_lost(
    client: TestClient, bob: User, create_user: CreateUser, mails: Mails
) -> None:
    mine = logged_in(client)
    change_email(client, mine)
    token = next(token_in(mail) for mail in mails() if mail["To"] == "new@example.com")
    create_user("new@example.com", NEXT)
    assert confirm(client, token) == 400
    assert client.get("/users/me", headers=mine).json()["email"] == BOB


@pytest.mark.asvs("6.6.2")
def test_the_link_of_an_earlier_change_is_good_no_more(
    client: TestClient, bob: User, mails: Mails
) -> None:
    mine = logged_in(client)
    change_email(client, mine)
    old = next(token_in(mail) for mail in mails() if "#token=" in mail.as_string())
    change_email(client, mine, new_email="newer@example.com")
    new = next(token_in(mail) for mail in mails() if "#token=" in mail.as_string())
    assert confirm(client, old) == 400
    with time_machine.travel(utc_now() + timedelta(hours=24, seconds=1), tick=False):
        assert confirm(client, new) == 400
    assert confirm(client, new) == 204


@pytest.mark.parametrize("later", ["taken@example.com", "free@example.com"])
def test_the_link_of_an_earlier_change_does_not_tell_whether_a_later_address_is_taken(
    client: TestClient, bob: User, create_user: CreateUser, mails: Mails, later: str
) -> None:
    create_user("taken@example.com", NEXT)
    mine = logged_in(client)
    change_email(client, mine)
    earlier = next(token_in(mail) for mail in mails() if mail["To"] == "new@example.com")
    assert change_email(client, mine, new_email=later).status_code == 202
    assert later in {mail["To"] for mail in mails()}
    assert confirm(client, earlier) == 400


def test_the_link_of_a_change_of_address_asks_for_no_password(
    client: TestClient, bob: User, mails: Mails
) -> None:
    change_email(client, logged_in(client))
    token = next(token_in(mail) for mail in mails() if "#token=" in mail.as_string())
    sent = {"token": token, "password": "nine wrong words"}
    assert client.post("/auth/verify-email", json=sent).status_code == 204


def test_no_account_moves_to_an_address_with_a_character_that_cannot_be_seen(
    client: TestClient, bob: User, mails: Mails
) -> None:
    answer = change_email(client, logged_in(client), new_email="bo\ufe0fb@example.com")
    assert answer.status_code == 422
    assert mails() == []


# --- the end of an account


def delete(client: TestClient, headers: dict[str, str], password: str = PASSWORD) -> int:
    body = {"current_password": password}
    return client.request("DELETE", "/users/me", json=body, headers=headers).status_code


@pytest.mark.asvs("7.4.2")
def test_a_deleted_account_leaves_nothing_but_its_events(
    client: TestClient, core: Gatehouse, bob: User, mails: Mails
) -> None:
    answer = log_in(client)
    mine = bearer(tokens_of(answer))
    forgot(client)
    link = token_in(mails()[0])
    forgot(client)  # a job that is still to be done
    assert delete(client, mine) == 204
    assert not opens(client, mine)
    assert log_in(client).status_code == 400
    assert refresh(client, answer.json()["refresh_token"]).status_code == 400
    assert reset(client, link) == 400
    assert mails() == []
    with core.database.read() as session:
        for table in (User, LoginSession, OneTimeToken, Job):
            assert session.exec(select(table)).all() == [], table
    assert "account_deleted" in event_names(core)


def test_an_account_is_not_deleted_without_its_password(client: TestClient, bob: User) -> None:
    mine = logged_in(client)
    assert delete(client, mine, "nine wrong words in a row") == 400
    assert client.request("DELETE", "/users/me", headers=mine).status_code == 422
    assert opens(client, mine)


def test_the_last_administrator_cannot_delete_the_account(
    client: TestClient, create_user: CreateUser
) -> None:
    create_user("admin@example.com", PASSWORD, "admin")
    mine = logged_in(client, "admin@example.com")
    assert delete(client, mine) == 409
    assert opens(client, mine)
    create_user("other@example.com", NEXT, "admin")
    assert delete(client, mine) == 204


# --- notices


def test_a_login_after_many_failures_is_told_to_the_owner(
    client: TestClient, core: Gatehouse, bob: User, mails: Mails
) -> None:
    with core.database.write() as session:
        session.get_one(User, bob.id).failed_logins = 10
    assert log_in(client).status_code == 200
    (mail,) = mails()
    assert mail["To"] == BOB
    assert log_in(client).status_code == 200
    assert mails() == []


@pytest.mark.asvs("6.6.3")
@pytest.mark.parametrize("door", ["/auth/verify-email", "/auth/reset-password"])
def test_tokens_cannot_be_guessed_without_end(
    client: TestClient, core: Gatehouse, door: str
) -> None:
    for _ in range(ONE_TIME.amount - 5):
        core.throttle.count(ONE_TIME, "testclient")
    body = {"token": "x"} if "verify" in door else {"token": "x", "password": NEXT}
    answers = [client.post(door, json=body).status_code for _ in range(7)]
    assert answers == [400] * 5 + [429] * 2


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"email": 1}', b"\xff"])
@pytest.mark.parametrize(
    ("door", "limit"),
    [
        ("/auth/forgot-password", FORGOT),
        ("/auth/reset-password", ONE_TIME),
        ("/auth/verify-email", ONE_TIME),
    ],
)
def test_bodies_that_are_refused_are_counted_too(
    client: TestClient, core: Gatehouse, door: str, limit: Limit, body: bytes
) -> None:
    """Also those that nobody can read: to look at them is what costs."""
    for _ in range(limit.amount - 2):
        core.throttle.count(limit, "testclient")
    json = {"Content-Type": "application/json"}
    answers = [client.post(door, content=body, headers=json).status_code for _ in range(3)]
    assert answers[2] == 429
    assert 429 not in answers[:2]


@pytest.mark.parametrize("token", ["", "x", PREFIX, "\x00", "é" * 500, "a" * 20_000])
def test_a_token_of_any_shape_is_refused_alike(client: TestClient, token: str) -> None:
    answer = client.post("/auth/verify-email", json={"token": token})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == client.post("/auth/verify-email", json={"token": "y"}).json()
