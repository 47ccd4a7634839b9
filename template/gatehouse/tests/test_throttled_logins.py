"""Guessing, seen from the door: who is held up, for how long, and who is not."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import argon2
import pytest
import time_machine
from fastapi import FastAPI
from starlette.testclient import TestClient
from steps import BOB, PASSWORD, WRONG, events, log_in

from gatehouse import User, utc_now
from gatehouse.accounts.one_time import issue
from gatehouse.accounts.users import find_user
from gatehouse.routes import grants, sessions
from gatehouse.state import Gatehouse
from gatehouse.testing import CreateUser, Mails
from gatehouse.throttling.throttle import FORGOT, ONE_TIME, REFRESH, REGISTER, RESEND, Limit

From = Callable[[str], TestClient]


@pytest.fixture
def at(app: FastAPI, client: TestClient) -> From:
    """A client at an address of its own."""

    def client_at(address: str) -> TestClient:
        found = TestClient(app, raise_server_exceptions=False, client=(address, 1))
        found.portal = client.portal
        return found

    return client_at


def fail(client: TestClient, times: int, email: str = BOB) -> Counter[int]:
    return Counter(log_in(client, email, WRONG).status_code for _ in range(times))


@pytest.mark.asvs("6.3.1")
def test_after_ten_failures_even_the_right_password_waits_and_is_not_looked_at(
    at: From, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = at("203.0.113.1")
    assert fail(thief, 15) == {400: 10, 429: 5}

    def never(*_: Any) -> None:
        raise AssertionError("a hash was computed")

    with monkeypatch.context() as patch:
        patch.setattr(argon2.PasswordHasher, "verify", never)
        refused = log_in(thief)
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert 890 <= int(refused.headers["Retry-After"]) <= 900
    assert refused.json() == log_in(thief, password=WRONG).json()
    with time_machine.travel(utc_now() + timedelta(minutes=15, seconds=1), tick=False):
        assert log_in(thief).status_code == 200


@pytest.mark.asvs("6.3.1")
def test_the_owner_logs_in_from_elsewhere_meanwhile(at: From, bob: User) -> None:
    fail(at("203.0.113.1"), 12)
    assert log_in(at("203.0.113.2")).status_code == 200


def test_an_account_that_is_not_there_is_throttled_alike(at: From, bob: User) -> None:
    known, nobody = at("203.0.113.1"), at("203.0.113.2")
    assert fail(known, 12) == fail(nobody, 12, "nobody@example.com") == {400: 10, 429: 2}
    answers = [log_in(known, password=WRONG), log_in(nobody, "nobody@example.com", WRONG)]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize("spelling", ["BOB@EXAMPLE.COM", " bob@example.com ", "ｂｏｂ@example.com"])
def test_other_spellings_are_the_same_account(at: From, bob: User, spelling: str) -> None:
    thief = at("203.0.113.1")
    fail(thief, 10)
    assert log_in(thief, spelling, WRONG).status_code == 429


@pytest.mark.asvs("6.3.1")
def test_an_address_may_fail_fifty_times_over_all_accounts(at: From, bob: User) -> None:
    thief = at("203.0.113.1")
    found = Counter(
        log_in(thief, f"user{number}@example.com", WRONG).status_code for number in range(60)
    )
    assert found == {400: 50, 429: 10}
    assert log_in(thief).status_code == 429
    assert log_in(at("203.0.113.2")).status_code == 200


def test_a_right_login_now_and_then_buys_no_guesses_at_others(at: From, bob: User) -> None:
    thief = at("203.0.113.1")
    guesses = 0
    for number in range(30):
        if log_in(thief).status_code == 429:
            break
        guesses += fail(thief, 4, f"victim{number}@example.com")[400]
    assert guesses == 50


def test_sixty_right_logins_from_one_office_are_fine(at: From, bob: User) -> None:
    office = at("203.0.113.1")
    assert {log_in(office).status_code for _ in range(60)} == {200}


def test_beyond_sixty_right_logins_in_a_minute_no_hash_is_computed(
    at: From, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = at("203.0.113.1")
    assert {log_in(office).status_code for _ in range(60)} == {200}

    def never(*_: Any) -> None:
        raise AssertionError("a hash was computed")

    monkeypatch.setattr(argon2.PasswordHasher, "verify", never)
    assert log_in(office).status_code == 429


@pytest.mark.asvs("6.3.1")
def test_guesses_at_the_same_moment_do_not_slip_through(at: From, bob: User) -> None:
    thief = at("203.0.113.1")
    with ThreadPoolExecutor(30) as pool:
        found = Counter(pool.map(lambda _: log_in(thief, password=WRONG).status_code, range(60)))
    assert found == {400: 10, 429: 50}


def test_the_addresses_of_one_ipv6_network_are_one_client(at: From, bob: User) -> None:
    for number in range(10):
        fail(at(f"2001:db8:1:2::{number:x}"), 1)
    assert log_in(at("2001:db8:1:2:ffff::1")).status_code == 429
    assert log_in(at("2001:db8:1:3::1")).status_code == 200
    fail(at("203.0.113.1"), 10)
    assert log_in(at("::ffff:203.0.113.1")).status_code == 429  # the same one, seen otherwise


def test_a_header_of_the_clients_changes_nothing(at: From, bob: User) -> None:
    thief = at("203.0.113.1")
    found = Counter[int]()
    for number in range(15):
        forged = f"198.51.100.{number}"
        headers = {
            "X-Forwarded-For": forged,
            "Forwarded": f"for={forged}",
            "X-Real-IP": forged,
            "CF-Connecting-IP": forged,
        }
        found[log_in(thief, password=WRONG, headers=headers).status_code] += 1
    assert found == {400: 10, 429: 5}


def test_the_first_refusal_of_a_series_is_an_event_and_each_failure_is(
    at: From, core: Gatehouse, bob: User
) -> None:
    fail(at("203.0.113.1"), 14)
    rows = events(core)
    assert Counter(row.event for row in rows) == {"login_failed": 10, "throttled": 1}
    assert {row.ip for row in rows} == {"203.0.113.1"}


def set_failures(core: Gatehouse, user: User, failures: int) -> None:
    with core.database.write() as session:
        session.get_one(User, user.id).failed_logins = failures


def failures_of(core: Gatehouse, user: User) -> int:
    with core.database.read() as session:
        return session.get_one(User, user.id).failed_logins


def test_failures_in_a_row_are_counted_and_a_login_forgives_them(
    at: From, core: Gatehouse, bob: User, create_user: CreateUser
) -> None:
    other = create_user(None, PASSWORD)
    for number in range(3):
        fail(at(f"203.0.113.{number}"), 2)
    assert (failures_of(core, bob), failures_of(core, other)) == (6, 0)
    assert log_in(at("203.0.113.9")).status_code == 200
    assert failures_of(core, bob) == 0


@pytest.mark.asvs("6.3.1")
def test_after_a_hundred_failures_only_a_known_address_gets_in(
    at: From, core: Gatehouse, bob: User, create_user: CreateUser
) -> None:
    home = at("2001:db8:1:2::1")
    assert log_in(home).status_code == 200
    set_failures(core, bob, 100)
    # What else was done from an address makes it known to nobody: failures, another's login.
    fail(at("203.0.113.1"), 1)
    assert log_in(at("203.0.113.1"), email=create_user(None, PASSWORD).email).status_code == 200
    stranger = log_in(at("203.0.113.1"))
    assert stranger.status_code == 400
    assert stranger.json() == log_in(at("203.0.113.2"), "nobody@example.com", WRONG).json()
    # The same network is enough: the last half of an IPv6 address changes by the day.
    assert log_in(at("2001:db8:1:2:aaaa::9")).status_code == 200
    assert log_in(at("203.0.113.1")).status_code == 200


def test_a_reset_lets_the_owner_in_from_anywhere_again(
    at: From, client: TestClient, core: Gatehouse, bob: User
) -> None:
    set_failures(core, bob, 1_000)
    with core.database.write() as session:
        token = issue(session, "reset", find_user(session, BOB), BOB)
    new = {"token": token, "password": "seven quiet herons at dawn"}
    assert client.post("/auth/reset-password", json=new).status_code == 204
    assert log_in(at("203.0.113.1"), password=new["password"]).status_code == 200


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/auth/token", {"grant_type": "password", "username": BOB, "password": PASSWORD}),
        ("/auth/register", {"email": "new@example.com", "password": PASSWORD}),
    ],
)
def test_who_has_half_of_the_hashes_is_refused_alone(
    at: From, core: Gatehouse, bob: User, path: str, sent: dict[str, str]
) -> None:
    queue, body = core.passwords._queue, "data" if path == "/auth/token" else "json"

    def status(address: str) -> int:
        return at(address).request("POST", path, **{body: sent}).status_code  # type: ignore[arg-type]

    for _ in range(queue._share):
        queue._enter("203.0.113.1")
    try:
        assert status("203.0.113.1") == 503
        assert status("203.0.113.2") in (200, 202)
    finally:
        for _ in range(queue._share):
            queue._release("203.0.113.1")


LINK = {"token": "x", "password": PASSWORD}
FORMS: list[tuple[Limit, str, dict[str, str]]] = [
    (REGISTER, "register", {"email": BOB, "password": PASSWORD}),
    (RESEND, "verify-email/resend", {"email": BOB}),
    (FORGOT, "forgot-password", {"email": BOB}),
    (ONE_TIME, "verify-email", LINK),
    (ONE_TIME, "reset-password", LINK),
]


@pytest.mark.parametrize(("limit", "path", "body"), FORMS)
def test_each_form_has_a_limit_for_one_client(
    at: From, core: Gatehouse, limit: Limit, path: str, body: dict[str, str]
) -> None:
    for _ in range(limit.amount):
        core.throttle.count(limit, "203.0.113.1")
    assert at("203.0.113.1").post(f"/auth/{path}", json=body).status_code == 429
    # What is refused for its form is counted before.
    assert at("203.0.113.1").post(f"/auth/{path}", json={}).status_code == 429
    assert at("203.0.113.2").post(f"/auth/{path}", json=body).status_code in (202, 400)


@pytest.mark.parametrize("path", [path for _, path, body in FORMS if "email" in body])
def test_a_stranger_does_not_use_up_the_mails_of_an_address(
    at: From, create_user: CreateUser, mails: Mails, path: str
) -> None:
    create_user(BOB, PASSWORD, verified=False)
    body = {"email": BOB, **({"password": PASSWORD} if path == "register" else {})}

    def mailed(address: str) -> int:
        assert at(address).post(f"/auth/{path}", json=body).status_code == 202
        return len(mails())

    assert sum(mailed("203.0.113.1") for _ in range(8)) == 5
    assert mailed("203.0.113.2") == 1


@pytest.mark.parametrize("grant", ["refresh", "revoke"])
def test_refresh_tokens_cannot_be_guessed_without_end(
    at: From, monkeypatch: pytest.MonkeyPatch, grant: str
) -> None:
    few = replace(REFRESH, amount=5)  # its real one is compared with the documents elsewhere
    monkeypatch.setattr(grants if grant == "refresh" else sessions, "REFRESH", few)
    client = at("203.0.113.1")
    found = Counter[int]()
    for number in range(8):
        if grant == "refresh":
            form = {"grant_type": "refresh_token", "refresh_token": f"guess{number}"}
            found[client.post("/auth/token", data=form).status_code] += 1
        else:
            found[client.post("/auth/revoke", data={"token": f"guess{number}"}).status_code] += 1
    assert found == {400 if grant == "refresh" else 200: 5, 429: 3}
