"""What grows with the years: cleaning, and deletions. See `explained.py` for every statement."""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from sqlalchemy import event, func, update
from sqlmodel import SQLModel, select

from gatehouse import utc_now
from gatehouse.accounts.cleaning import ENDED_KEPT, clean_some
from gatehouse.state import Gatehouse
from gatehouse.store.tables import (
    CORE_TABLES,
    EndedAccount,
    EndedSession,
    LoginSession,
    OneTimeToken,
    PendingRegistration,
    User,
)
from gatehouse.testing import SignIn


def add_what_ends(core: Gatehouse) -> None:
    """What has ended, and a registration and a link that may be confirmed for an hour."""
    now = utc_now()
    eve = "eve@example.com"
    user = User(email=eve, email_key=eve, password_hash="!", role="user")
    link = OneTimeToken(
        digest="x",
        purpose="reset",
        user_id=user.id,
        email=eve,
        expires_at=now + timedelta(hours=1),
    )
    ended = EndedSession(session_id=uuid4(), ended_at=now, position=1)
    pending = PendingRegistration(
        email="ann@example.com",
        email_key="ann@example.com",
        password_hash="!",
        ip="",
        network="",
        user_agent="",
        request_id="",
        expires_at=now + timedelta(hours=1),
    )
    with core.database.write() as session:
        session.add_all(
            (user, pending, ended, EndedAccount(user_id=uuid4(), stamp=1, ended_at=now))
        )
        session.flush()
        session.add(link)


def left(core: Gatehouse) -> list[str]:
    with core.database.read() as session:
        tables = (EndedAccount, EndedSession, LoginSession, OneTimeToken, PendingRegistration)
        return [table.__name__ for table in tables if session.exec(select(table)).first()]


def test_cleaning_ends_each_kind_when_its_time_is_over(core: Gatehouse, sign_in: SignIn) -> None:
    add_what_ends(core)
    sign_in()
    assert clean_some(core.database, core.lifetimes.idle) == 0
    with time_machine.travel(utc_now() + timedelta(hours=2), tick=False):
        assert clean_some(core.database, core.lifetimes.idle) == 2
    assert left(core) == ["EndedAccount", "EndedSession", "LoginSession"]
    with time_machine.travel(utc_now() + timedelta(days=1, hours=1), tick=False):
        assert clean_some(core.database, timedelta(days=9)) == 1  # by age: it was for one day
    assert left(core) == ["EndedAccount", "EndedSession"]
    with time_machine.travel(utc_now() + ENDED_KEPT + timedelta(hours=1), tick=False):
        clean_some(core.database, core.lifetimes.idle)
        if core.database.engine.dialect.name != "sqlite":
            # A host's clock that is ahead drops nothing that the database calls fresh.
            assert left(core) == ["EndedAccount", "EndedSession"]
            with core.database.write() as session:
                older = func.now() - ENDED_KEPT - timedelta(hours=1)
                for table in (EndedAccount, EndedSession):
                    session.execute(update(table).values(ended_at=older))
            assert clean_some(core.database, core.lifetimes.idle) == 2
    assert left(core) == []


def test_a_session_unused_for_too_long_is_deleted_before_its_age(
    core: Gatehouse, sign_in: SignIn
) -> None:
    sign_in()
    with time_machine.travel(utc_now() + timedelta(hours=3), tick=False):
        assert clean_some(core.database, timedelta(hours=2)) == 1
    assert left(core) == []


def test_cleaning_writes_nothing_where_nothing_is_over(core: Gatehouse, sign_in: SignIn) -> None:
    add_what_ends(core)
    sign_in()
    begun: list[str] = []

    def keep(_: object, __: object, statement: str, *___: object) -> None:
        begun.append(statement.split()[0].rstrip(";"))

    event.listen(core.database.engine, "before_cursor_execute", keep)
    try:
        assert clean_some(core.database, core.lifetimes.idle) == 0
    finally:
        event.remove(core.database.engine, "before_cursor_execute", keep)
    assert set(begun) - {"BEGIN"} == {"SELECT"}


@pytest.mark.thorough
def test_what_refers_to_a_deleted_row_is_found_by_an_index() -> None:
    """The database looks for it by itself, in no statement that could be explained."""
    for name in CORE_TABLES:
        table = SQLModel.metadata.tables[name]
        led = {next(iter(index.columns)).name for index in table.indexes}
        assert {column.name for column in table.columns if column.foreign_keys} <= led, name
