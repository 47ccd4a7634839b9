"""Jobs survive what happens to the process, the mail server and each other."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.message import EmailMessage
from typing import Any, cast

import pytest
import time_machine
from sqlalchemy import delete
from starlette.testclient import TestClient
from steps import BOB, event_names, forgot, rows_of

from gatehouse import utc_now
from gatehouse.mailer import outbox
from gatehouse.mailer.outbox import KEPT, LEASE, Outbox
from gatehouse.mailer.sender import Mailer, MailNotSent
from gatehouse.state import Gatehouse
from gatehouse.store.tables import Job, User
from gatehouse.testing import CreateUser, Mails


@pytest.fixture
def asked(client: TestClient, create_user: CreateUser) -> None:
    """A mail is to be sent."""
    create_user(BOB)
    assert forgot(client) == 202


class Broken:
    """A mail server that fails until it is mended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.tries = 0
        monkeypatch.setattr(Mailer, "_deliver", self.fail)

    def fail(self, *_: Any) -> None:
        self.tries += 1
        raise MailNotSent("the server is away")

    def mend(self) -> None:
        self.monkeypatch.undo()


def test_a_mail_that_cannot_be_sent_is_tried_again_ever_more_rarely(
    core: Gatehouse, asked: None, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        broken = Broken(patch)
        with time_machine.travel(utc_now(), tick=False) as clock:
            for wait in (30, 60, 120, 240):
                assert core.outbox.do_due() == 1
                clock.shift(timedelta(seconds=wait - 1))
                assert core.outbox.do_due() == 0
                clock.shift(timedelta(seconds=1))
        assert broken.tries == 4
    with time_machine.travel(utc_now() + timedelta(hours=1), tick=False):
        (mail,) = mails()
    assert mail["To"] == BOB
    assert rows_of(core, Job) == []


def test_a_request_whose_first_try_died_is_an_event_once(
    core: Gatehouse, client: TestClient, create_user: CreateUser, mails: Mails
) -> None:
    create_user(BOB)
    forgot(client)
    assert core.outbox.claim() is not None  # and then its process is no more
    with time_machine.travel(utc_now() + LEASE + timedelta(seconds=1)) as clock:
        with pytest.MonkeyPatch.context() as patch:
            Broken(patch)
            assert core.outbox.do_due() == 1
        clock.shift(timedelta(hours=1))
        assert len(mails()) == 1
    assert event_names(core) == ["password_reset_requested"]


def test_a_mail_that_could_not_be_sent_for_a_day_is_given_up(
    core: Gatehouse, asked: None, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Broken(patch)
        with time_machine.travel(utc_now() + KEPT + timedelta(seconds=1), tick=False):
            assert core.outbox.do_due() == 1
    assert rows_of(core, Job) == []
    assert "given up" in caplog.text
    assert BOB not in caplog.text


def test_an_job_of_a_process_that_died_is_done_by_another(
    core: Gatehouse, asked: None, mails: Mails
) -> None:
    assert core.outbox.claim() is not None  # and then its process is no more
    assert mails() == []
    with time_machine.travel(utc_now() + LEASE + timedelta(seconds=1), tick=False):
        (mail,) = mails()
    assert mail["To"] == BOB


def test_what_needs_no_mail_is_over_at_once(
    core: Gatehouse, client: TestClient, mails: Mails
) -> None:
    forgot(client, "nobody@example.com")
    assert len(rows_of(core, Job)) == 1
    assert mails() == []
    assert rows_of(core, Job) == []


def test_what_another_has_done_meanwhile_is_not_done_again(
    core: Gatehouse, asked: None, mails: Mails
) -> None:
    slow = core.outbox.claim()
    assert slow is not None
    with time_machine.travel(utc_now() + LEASE + timedelta(seconds=1), tick=False):
        assert len(mails()) == 1
    core.outbox.do(slow)
    assert mails() == []


def test_a_job_that_was_dropped_while_its_mail_was_sent_is_no_failure(
    core: Gatehouse, asked: None, caplog: pytest.LogCaptureFixture
) -> None:
    def drop(*_: Any) -> None:
        with core.database.write() as session:
            session.execute(delete(Job))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mailer, "_deliver", drop)
        assert core.outbox.do_due() == 1
    assert "not sent" not in caplog.text
    assert rows_of(core, Job) == []


def another(core: Gatehouse) -> Outbox:
    """The outbox of another process."""
    own = core.outbox
    return Outbox(core.database, core.mailer, own.context, own.handlers)


def test_a_mail_is_sent_once_however_many_look_for_it(core: Gatehouse, mails: Mails) -> None:
    with core.database.write() as session:
        for number in range(20):
            session.add(_notice(number))
    others = [another(core) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = sum(pool.map(Outbox.do_due, others))
    assert done == 20
    sent = [mail["To"] for mail in mails()]
    assert sorted(sent) == sorted({f"user{number}@example.com" for number in range(20)})


def _notice(number: int) -> Job:
    email = f"user{number}@example.com"
    return Job(
        kind="password_changed", email=email, email_key=email, ip="", user_agent="", request_id=""
    )


def test_asking_twice_in_a_moment_is_one_mail(
    client: TestClient, asked: None, mails: Mails
) -> None:
    forgot(client)
    assert len(mails()) == 1


def test_a_later_request_of_another_kind_or_address_takes_no_ones_place(
    client: TestClient, asked: None, create_user: CreateUser, mails: Mails
) -> None:
    create_user("new@example.com", verified=False)
    for path in ("verify-email/resend", "forgot-password"):
        client.post(f"/auth/{path}", json={"email": "new@example.com"})
    assert [mail["To"] for mail in mails()] == [BOB, "new@example.com", "new@example.com"]


def test_a_hook_that_fails_does_not_hold_the_others_up(
    client: TestClient, core: Gatehouse, create_user: CreateUser, mails: Mails
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    new = {"email": "new@example.com", "password": "seven quiet herons at dawn"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cast(dict[str, Any], core.outbox.handlers), "register", fail)
        client.post("/auth/register", json=new)
        create_user(BOB)
        forgot(client)
        assert [mail["To"] for mail in mails()] == [BOB]
    assert len(rows_of(core, User)) == 1
    with time_machine.travel(utc_now() + timedelta(seconds=31), tick=False):
        assert [mail["To"] for mail in mails()] == ["new@example.com"]


def test_a_crash_between_sending_and_noting_sends_twice_and_the_newer_link_works(
    client: TestClient, core: Gatehouse, asked: None, mails: Mails
) -> None:
    sent: list[EmailMessage] = []

    def die(_: Mailer, message: EmailMessage) -> None:
        sent.append(message)
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mailer, "_deliver", die)
        with pytest.raises(SystemExit):
            core.outbox.do_due()
    with time_machine.travel(utc_now() + LEASE + timedelta(seconds=1), tick=False):
        (again,) = mails()
    assert again["Subject"] == sent[0]["Subject"]
    assert again.as_string() != sent[0].as_string()


def test_the_task_that_mails_outlives_any_error_and_says_so(
    core: Gatehouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process out of threads mailed nothing for the rest of its life, and nobody knew."""
    looks: list[bool] = []
    third = threading.Event()

    def fail_once() -> int:
        looks.append(box.alive)
        if len(looks) == 3:
            third.set()
        if len(looks) == 1:
            raise RuntimeError("can't start new thread")
        return 0

    box = another(core)
    monkeypatch.setattr(box, "do_due", fail_once)
    monkeypatch.setattr(outbox, "GATHER", 0.0)
    monkeypatch.setattr(outbox, "LOOK", 0.01)

    async def live() -> None:
        assert not box.alive
        box.start()
        await asyncio.to_thread(third.wait, 10)
        assert box.alive
        await box.stop()
        assert not box.alive

    asyncio.run(asyncio.wait_for(live(), 10))
    assert looks[:3] == [True, False, True]
    assert "RuntimeError" in caplog.text
