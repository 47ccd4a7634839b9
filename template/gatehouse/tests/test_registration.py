"""Sign-up, the proof of an address, and that nobody learns who has an account."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import argon2
import pytest
import time_machine
from sqlalchemy import event
from sqlmodel import select
from starlette.testclient import TestClient
from steps import (
    PASSWORD,
    bearer,
    confirm,
    event_names,
    events,
    log_in,
    logged_in,
    rows_of,
    text_of,
    token_in,
    tokens_of,
)

from gatehouse import User, utc_now
from gatehouse.mailer.sender import Mailer, MailNotSent
from gatehouse.state import Gatehouse
from gatehouse.store.tables import Job, PendingRegistration
from gatehouse.testing import CreateUser, Mails

OTHER = "seven quiet herons at dawn"
NEW = "carol@example.com"


def register(client: TestClient, email: str = NEW, password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/auth/register", json={"email": email, "password": password, **more})


def test_a_new_account_logs_in_once_its_address_is_proved(client: TestClient, mails: Mails) -> None:
    assert register(client).status_code == 202
    (mail,) = mails()
    assert mail["To"] == NEW
    assert log_in(client, NEW).json()["error"] == "invalid_grant"
    assert confirm(client, token_in(mail)) == 204
    tokens = log_in(client, NEW)
    assert tokens.status_code == 200
    me = client.get("/users/me", headers=bearer(tokens_of(tokens))).json()
    assert (me["email"], me["email_verified"], me["role"]) == (NEW, True, "user")


def test_nobody_registers_an_address_with_a_character_that_cannot_be_seen(
    client: TestClient, mails: Mails
) -> None:
    assert register(client, "car\ufe0fol@example.com").status_code == 422
    assert mails() == []


@pytest.mark.asvs("6.4.1", "6.5.1")
def test_a_link_works_once(client: TestClient, mails: Mails) -> None:
    register(client)
    token = token_in(mails()[0])
    assert [confirm(client, token) for _ in range(3)] == [204, 400, 400]


@pytest.mark.asvs("6.4.1", "6.5.5")
def test_a_link_is_too_old_after_a_day(client: TestClient, mails: Mails) -> None:
    register(client)
    token = token_in(mails()[0])
    with time_machine.travel(utc_now() + timedelta(hours=24, seconds=1), tick=False):
        assert confirm(client, token) == 400


def test_links_lead_to_the_base_url_whatever_the_host_header_says(
    client: TestClient, core: Gatehouse, mails: Mails
) -> None:
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    client.post("/auth/register", json={"email": NEW, "password": PASSWORD}, headers=evil)
    (mail,) = mails()
    base = core.settings.public_base_url
    assert token_in(mail)
    assert f"{base}/account/verify-email#token=" in text_of(mail)
    assert "evil" not in mail.as_string()


@pytest.mark.parametrize("spelling", [NEW, "CAROL@EXAMPLE.COM", "ｃａｒｏｌ@example.com"])
def test_an_address_that_is_taken_gets_the_same_answer_and_another_mail(
    client: TestClient, core: Gatehouse, create_user: CreateUser, mails: Mails, spelling: str
) -> None:
    free = register(client, "free@example.com")
    create_user(NEW, OTHER)
    taken = register(client, spelling)
    assert (taken.status_code, taken.content) == (free.status_code, free.content)
    first, second = mails()
    assert "#token=" in first.as_string()
    assert second["To"] == NEW
    assert "#token=" not in second.as_string()
    assert log_in(client, NEW, password=OTHER).status_code == 200
    assert log_in(client, NEW, password=PASSWORD).status_code == 400


def test_who_registers_first_with_a_strangers_address_gets_nothing_by_it(
    client: TestClient, mails: Mails
) -> None:
    register(client, password=OTHER)
    (theirs,) = mails()
    register(client, password=PASSWORD)
    (mine,) = mails()
    assert confirm(client, token_in(mine)) == 204
    assert confirm(client, token_in(theirs)) == 400
    assert log_in(client, NEW, password=OTHER).status_code == 400
    assert log_in(client, NEW, password=PASSWORD).status_code == 200


def test_many_registrations_at_once_make_one_account(
    client: TestClient, core: Gatehouse, mails: Mails
) -> None:
    spellings = [NEW, NEW.upper()] * 10
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda email: register(client, email).status_code, spellings))
        assert set(answers) == {202}
        list(pool.map(lambda _: core.outbox.do_due(), range(4)))
    assert rows_of(core, User) == []
    # Each link is of a registration of its own; the first that is used makes the account.
    assert [confirm(client, token_in(mail)) for mail in mails()].count(204) == 1
    assert len(rows_of(core, User)) == 1


@pytest.mark.asvs("6.6.2")
@pytest.mark.parametrize("first", [True, False])
def test_a_link_confirms_the_registration_that_it_was_mailed_for(
    client: TestClient, mails: Mails, first: bool
) -> None:
    """Whoever registers the same address, before or after, changes nothing for the other."""
    register(client, password=OTHER)
    register(client, password=PASSWORD)
    tokens = [token_in(mail) for mail in mails()]
    assert confirm(client, tokens[0 if first else 1]) == 204
    assert log_in(client, NEW, password=OTHER if first else PASSWORD).status_code == 200
    assert log_in(client, NEW, password=PASSWORD if first else OTHER).status_code == 400
    assert confirm(client, tokens[1 if first else 0]) == 400


@pytest.mark.asvs("6.4.2")
@pytest.mark.parametrize(
    "member",
    ["is_superuser", "role", "is_active", "email_verified", "id", "scopes", "password_hash"],
)
def test_a_member_that_is_not_asked_for_is_refused(
    client: TestClient, core: Gatehouse, mails: Mails, member: str
) -> None:
    answer = register(client, **{member: "s3cret-marker"})
    assert answer.status_code == 422
    assert "s3cret-marker" not in answer.text
    assert mails() == []
    assert rows_of(core, User) == []


@pytest.mark.parametrize(
    "email",
    [
        *("", "x", "a@b", "a@", "@b.org", "a b@example.com", "a@example.com,b@example.com"),
        *("Carol <carol@example.com>", "a\r\nBcc: b@example.com", "a@example.com\nBcc: x@y.org"),
        *("a@example.com%0aBcc:x@y.org", "a\x00b@example.com", "\ud800@example.com"),
        f"{'a' * 400}@example.com",
    ],
)
def test_text_that_is_no_single_address_is_refused(
    client: TestClient, core: Gatehouse, mails: Mails, email: str
) -> None:
    body = b'{"email": "%s", "password": "%s"}' % (
        email.encode("ascii", "backslashreplace")
        .replace(b"\x00", b"\\u0000")
        .replace(b"\r", b"\\r")
        .replace(b"\n", b"\\n"),
        PASSWORD.encode(),
    )
    json_type = {"Content-Type": "application/json"}
    answer = client.post("/auth/register", content=body, headers=json_type)
    assert answer.status_code == 422, answer.text
    assert mails() == []


@pytest.mark.asvs("6.2.1", "6.2.4", "6.2.11")
@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "at least"),
        ("passwordpassword", "common"),
        ("carol@example.com", "address"),
        ("carolcarol12345", "address"),
        ("a" * 257, "at most"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(
    client: TestClient, mails: Mails, password: str, reason: str
) -> None:
    answer = register(client, password=password)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["loc"] == ["body", "password"]
    assert reason in error["msg"]
    assert password not in answer.text
    assert mails() == []


def test_a_password_must_be_as_long_as_the_settings_say(
    client: TestClient, core: Gatehouse
) -> None:
    least = core.settings.auth_password_min_length
    short = register(client, password=PASSWORD[: least - 1])
    assert f"at least {least}" in short.json()["errors"][0]["msg"]
    assert register(client, password=PASSWORD[:least]).status_code == 202


def test_the_link_is_mailed_again_and_the_one_before_is_good_no_more(
    client: TestClient, mails: Mails
) -> None:
    register(client)
    (first,) = mails()
    again = client.post("/auth/verify-email/resend", json={"email": NEW.upper()})
    assert again.status_code == 202
    (second,) = mails()
    assert confirm(client, token_in(first)) == 400
    assert confirm(client, token_in(second)) == 204


def test_a_registration_that_is_over_is_not_mailed_again(client: TestClient, mails: Mails) -> None:
    register(client)
    assert len(mails()) == 1
    with time_machine.travel(utc_now() + timedelta(hours=24, seconds=1), tick=False):
        client.post("/auth/verify-email/resend", json={"email": NEW})
        assert mails() == []


def test_of_several_registrations_the_newest_is_mailed_again(
    client: TestClient, core: Gatehouse, mails: Mails
) -> None:
    for password in (PASSWORD, OTHER):
        register(client, password=password)
        assert len(mails()) == 1
    client.post("/auth/verify-email/resend", json={"email": NEW})
    (again,) = mails()
    assert "&purpose=registration" in text_of(again)
    assert confirm(client, token_in(again)) == 204
    assert log_in(client, NEW, password=OTHER).status_code == 200
    with core.database.read() as session:  # the others are of no more use
        assert session.exec(select(PendingRegistration)).all() == []


def test_nobody_is_mailed_a_link_who_needs_none(
    client: TestClient, create_user: CreateUser, mails: Mails
) -> None:
    create_user("proved@example.com")
    create_user("off@example.com", verified=False, active=False)
    for email in ("proved@example.com", "off@example.com", "nobody@example.com"):
        answer = client.post("/auth/verify-email/resend", json={"email": email})
        assert answer.status_code == 202
    assert mails() == []


def test_an_address_is_mailed_five_times_an_hour_and_the_answer_stays(
    client: TestClient, mails: Mails
) -> None:
    sent = 0
    for _ in range(8):
        assert register(client).status_code == 202
        sent += len(mails())
    assert sent == 5
    with time_machine.travel(utc_now() + timedelta(hours=1, seconds=1), tick=False):
        register(client)
        assert len(mails()) == 1


def test_a_registration_is_an_audit_event_and_so_is_the_proof(
    client: TestClient, core: Gatehouse, mails: Mails
) -> None:
    register(client)
    confirm(client, token_in(mails()[0]))
    (user,) = rows_of(core, User)
    found = events(core)
    assert [row.event for row in found] == ["registered", "email_verified"]
    assert {row.user_id for row in found} == {user.id}
    assert all(row.user_agent for row in found)


def test_the_proof_of_an_account_that_is_there_is_an_audit_event(
    client: TestClient, core: Gatehouse, create_user: CreateUser, mails: Mails
) -> None:
    create_user(NEW, verified=False)
    client.post("/auth/verify-email/resend", json={"email": NEW})
    assert confirm(client, token_in(mails()[0])) == 204
    assert event_names(core) == ["email_verified"]


def test_a_disabled_account_is_no_free_address(
    client: TestClient, create_user: CreateUser, mails: Mails
) -> None:
    create_user(NEW, active=False, verified=False)
    register(client)
    (mail,) = mails()
    assert "#token=" not in mail.as_string()


def test_a_registration_whose_mail_waits_is_there_once_and_its_job_keeps_no_hash(
    client: TestClient, core: Gatehouse, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put_off(*_: object) -> None:
        raise MailNotSent("450")

    register(client)
    monkeypatch.setattr(Mailer, "send", put_off)
    with time_machine.travel(utc_now(), tick=False) as clock:
        for _ in range(2):
            assert mails() == []
            clock.shift(timedelta(minutes=5))
    with core.database.read() as session:
        (job,) = session.exec(select(Job)).all()
        (pending,) = session.exec(select(PendingRegistration)).all()
    assert (job.attempts, job.password_hash) == (2, None)
    assert job.registration_id == pending.id


@pytest.mark.asvs("6.5.2")
def test_no_token_and_no_password_lies_in_the_database(
    client: TestClient, core: Gatehouse, mails: Mails
) -> None:
    register(client)
    (job,) = rows_of(core, Job)
    assert PASSWORD not in str(job.model_dump())
    token = token_in(mails()[0])
    with core.database.read() as session:
        (row,) = session.exec(select(PendingRegistration)).all()
        assert session.exec(select(Job)).all() == []
    assert token not in str(row.model_dump())
    assert PASSWORD not in str(row.model_dump())
    assert row.digest
    assert confirm(client, row.digest) == 400


# --- equal work


class Counted:
    """What one request costs: statements, hashes, rows left behind."""

    def __init__(self, core: Gatehouse, monkeypatch: pytest.MonkeyPatch) -> None:
        self.core = core
        self.statements: list[str] = []
        self.hashes = 0
        event.listen(core.database.engine, "before_cursor_execute", self._statement)
        for library, name in ((argon2.PasswordHasher, "hash"), (argon2.PasswordHasher, "verify")):
            monkeypatch.setattr(library, name, self._counting(getattr(library, name)))

    def _statement(self, *arguments: Any) -> None:
        self.statements.append(re.sub(r"\s+", " ", arguments[2]))

    def _counting(self, original: Any) -> Any:
        def counting(*arguments: Any, **named: Any) -> Any:
            try:
                return original(*arguments, **named)
            except argon2.exceptions.InvalidHashError:
                self.hashes -= 1  # nothing was computed
                raise
            finally:
                self.hashes += 1

        return counting

    def of(self, request: Any) -> tuple[int, bytes, list[str], int, list[str], int]:
        """Status, body, header names, hashes, statements and jobs of one request."""
        before = self.jobs()
        self.statements.clear()
        self.hashes = 0
        answer = request()
        names = [name for name, _ in answer.headers.multi_items()]
        done = list(self.statements)
        left = self.jobs() - before
        return answer.status_code, answer.content, names, self.hashes, done, left

    def jobs(self) -> int:
        with self.core.database.read() as session:
            return len(session.exec(select(Job)).all())

    def stop(self) -> None:
        event.remove(self.core.database.engine, "before_cursor_execute", self._statement)


@pytest.fixture
def counted(core: Gatehouse, monkeypatch: pytest.MonkeyPatch) -> Any:
    found = Counted(core, monkeypatch)
    yield found
    found.stop()


FORMS: dict[str, Any] = {
    "login": lambda client, email: log_in(client, email, "nine wrong words in a row"),
    "register": register,
    "forgot": lambda client, email: client.post("/auth/forgot-password", json={"email": email}),
    "resend": lambda client, email: client.post("/auth/verify-email/resend", json={"email": email}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_door_does_the_same_work_whoever_has_an_account(
    client: TestClient, create_user: CreateUser, counted: Counted, form: str
) -> None:
    create_user("known@example.com")
    create_user("pending@example.com", verified=False)
    create_user("closed@example.com", active=False)
    send = FORMS[form]
    send(client, "first@example.com")  # whatever is done only once is done
    costs = [
        counted.of(lambda email=f"{name}@example.com": send(client, email))
        for name in ("nobody", "known", "pending", "closed")
    ]
    assert costs[0][3] == {"login": 1, "register": 1}.get(form, 0)
    assert costs[0][5] == (0 if form == "login" else 1)
    for cost in costs[1:]:
        assert cost == costs[0]


@pytest.mark.asvs("10.3.3")
def test_a_deleted_address_registered_anew_is_another_account(
    client: TestClient, core: Gatehouse, mails: Mails
) -> None:
    ids: set[UUID] = set()
    for _ in range(2):
        register(client)
        confirm(client, token_in(mails()[0]))
        ids.add(rows_of(core, User)[0].id)
        mine = logged_in(client, NEW)
        gone = client.request(
            "DELETE", "/users/me", json={"current_password": PASSWORD}, headers=mine
        )
        assert gone.status_code == 204
        assert client.get("/users/me", headers=mine).status_code == 401
    assert len(ids) == 2
