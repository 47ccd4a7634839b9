"""The list of what has ended: what it says, what it reads, and what it forgets."""

import asyncio
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text, update
from sqlalchemy.exc import OperationalError
from sqlmodel import select
from starlette.testclient import TestClient
from steps import access_token
from world import somebody_waits

from gatehouse.accounts import stamps
from gatehouse.accounts.cleaning import ENDED_KEPT, clean_some
from gatehouse.accounts.revocation import OVERLAP, RevocationList, RevocationStale
from gatehouse.accounts.stamps import Ended
from gatehouse.signing.tokens import AccessToken
from gatehouse.state import Gatehouse
from gatehouse.store.database import NOTES
from gatehouse.store.tables import EndedAccount, EndedSession, User, utc_now
from gatehouse.testing import CreateUser, SignIn

LIFETIME = 1800


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("gatehouse.accounts.revocation.time.monotonic", found.monotonic)
    return found


@pytest.fixture
def on_postgresql(core: Gatehouse) -> None:
    if core.database.engine.dialect.name != "postgresql":
        pytest.skip("transactions that write at the same time are PostgreSQL's alone")


def make(core: Gatehouse) -> RevocationList:
    return RevocationList(core.database, interval=5, max_stale=60, lifetime=LIFETIME)


def end(core: Gatehouse, *ids: UUID) -> None:
    """End sessions as another process would: nobody tells this one."""
    with core.database.write() as session:
        stamps.end_sessions_on_list(session, ids)


def raise_stamp(core: Gatehouse, user_id: UUID, excepted: UUID | None = None) -> int:
    with core.database.write() as session:
        return stamps.raise_stamp(session, session.get_one(User, user_id), excepted=excepted)


def raise_epoch(core: Gatehouse) -> int:
    with core.database.write() as session:
        return stamps.raise_epoch(session)


# --- what the list says


def test_an_account_s_event_ends_older_tokens_but_those_of_the_excepted_session(
    core: Gatehouse, create_user: CreateUser
) -> None:
    bob, kept, revocation = create_user().id, uuid4(), make(core)
    assert raise_stamp(core, bob, kept) == 1
    revocation.read()
    for stamp in (None, 0):
        assert revocation.ends(access_token(user_id=bob, stamp=stamp))
        assert not revocation.ends(access_token(kept, bob, stamp))
        assert not revocation.ends(access_token(stamp=stamp))
    assert not revocation.ends(access_token(user_id=bob, stamp=1))
    assert raise_stamp(core, bob) == 2
    revocation.read()
    for stamp in (None, 0, 1):
        assert revocation.ends(access_token(kept, bob, stamp))
    assert not revocation.ends(access_token(user_id=bob, stamp=2))


@pytest.mark.asvs("7.4.2")
def test_an_account_that_is_deleted_takes_all_its_tokens_along(
    core: Gatehouse, create_user: CreateUser
) -> None:
    bob, kept, revocation = create_user().id, uuid4(), make(core)
    stamp = raise_stamp(core, bob, kept)
    with core.database.write() as session:
        stamps.end_account(session, bob, stamp)
        session.delete(session.get_one(User, bob))
    revocation.read()
    assert revocation.ends(access_token(kept, bob, stamp))


@pytest.mark.asvs("7.4.5")
def test_everyone_out_ends_every_older_token_and_no_newer_one(core: Gatehouse) -> None:
    revocation = make(core)
    for epoch in (1, 2):
        assert raise_epoch(core) == epoch
        revocation.read()
        for stamp in (None, 0, 7):
            assert revocation.ends(access_token(stamp=stamp, epoch=epoch - 1))
        assert not revocation.ends(access_token(stamp=0, epoch=epoch))
    with core.database.write() as session:
        assert stamps.epoch_of(session) == stamps.epoch_of(session, lock=True) == 2
    revocation.note([Ended(session_ids=(uuid4(),))])  # says nothing of the others
    assert revocation.ends(access_token(epoch=1))


def test_everyone_out_costs_one_number_however_many_they_are(core: Gatehouse) -> None:
    raise_epoch(core)
    make(core).read()
    with core.database.read() as session:
        assert session.exec(select(EndedSession)).all() == []
        assert session.exec(select(EndedAccount)).all() == []


def test_an_account_has_one_entry_however_many_events(
    core: Gatehouse, create_user: CreateUser
) -> None:
    bob = create_user().id
    for _ in range(3):
        raise_stamp(core, bob)
    with core.database.read() as session:
        assert [row.stamp for row in session.exec(select(EndedAccount))] == [3]


def test_a_stamp_rises_by_what_the_database_holds_not_by_what_was_loaded(
    core: Gatehouse, create_user: CreateUser
) -> None:
    bob = create_user().id
    with core.database.read() as session:
        stale = session.get_one(User, bob)
    raise_stamp(core, bob)
    with core.database.write() as session:
        session.add(stale)
        assert stamps.raise_stamp(session, stale) == 2


def test_a_transaction_notes_what_it_ended(core: Gatehouse, create_user: CreateUser) -> None:
    bob, one, kept = create_user().id, uuid4(), uuid4()
    revocation = make(core)
    with core.database.write() as session:
        stamps.end_sessions_on_list(session, [one])
        stamps.end_sessions_on_list(session, [])
        stamps.raise_stamp(session, session.get_one(User, bob), excepted=kept)
        stamps.raise_epoch(session)
        noted = session.info[NOTES]
    assert noted == [
        Ended(session_ids=(one,)),
        Ended(user_id=bob, stamp=1, excepted=kept),
        Ended(epoch=1),
    ]
    revocation.note(noted)  # and without any query:
    assert revocation.ends(access_token(one, epoch=1))
    assert revocation.ends(access_token(user_id=bob, epoch=1))
    assert not revocation.ends(access_token(kept, bob, epoch=1))
    assert revocation.ends(access_token())


def test_an_older_event_does_not_undo_a_newer_one(core: Gatehouse) -> None:
    bob, kept, revocation = uuid4(), uuid4(), make(core)
    revocation.note([Ended(user_id=bob, stamp=2), Ended(epoch=2)])
    revocation.note([Ended(user_id=bob, stamp=1, excepted=kept), Ended(epoch=1)])
    assert revocation.ends(access_token(kept, bob, stamp=1, epoch=2))
    assert revocation.ends(access_token(epoch=1))


ACCOUNTS, SESSIONS = 2, 3
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "end", "event", "event but one", "everyone", "read"]),
        st.integers(0, ACCOUNTS - 1),
        st.integers(0, SESSIONS - 1),
    ),
    max_size=12,
)


@given(steps=STEPS)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.asvs("7.4.1")
def test_a_token_is_void_where_its_session_is(
    core: Gatehouse, create_user: CreateUser, steps: list[tuple[str, int, int]]
) -> None:
    """The list against a plain account of which sessions live."""
    users = [create_user(f"{uuid4()}@example.com").id for _ in range(ACCOUNTS)]
    told, read = make(core), make(core)
    with core.database.read() as session:
        epoch = stamps.epoch_of(session)
    raised, live = [0] * ACCOUNTS, dict[tuple[int, int], UUID]()
    issued: list[tuple[AccessToken, tuple[int, int], UUID]] = []

    def close(account: int, but: UUID | None = None) -> None:
        for place, session_id in list(live.items()):
            if place[0] == account and session_id != but:
                del live[place]

    for what, account, number in (*steps, ("read", 0, 0)):
        place = account, number
        with core.database.write() as session:
            if what == "open":
                live.setdefault(place, uuid4())
            elif what == "end" and place in live:
                stamps.end_sessions_on_list(session, [live.pop(place)])
            elif what == "event" or (what == "event but one" and place in live):
                kept = live[place] if what == "event but one" else None
                user = session.get_one(User, users[account])
                raised[account] = stamps.raise_stamp(session, user, excepted=kept)
                close(account, but=kept)
            elif what == "everyone":
                epoch = stamps.raise_epoch(session)
                live.clear()
            told.note(session.info.get(NOTES, []))
        for place, session_id in live.items():  # each is refreshed, and so has a token of now
            fresh = access_token(session_id, users[place[0]], raised[place[0]], epoch)
            issued.append((fresh, place, session_id))
        if what == "read":
            read.read()
        for old, place, session_id in issued:
            assert told.ends(old) == (live.get(place) != session_id)
            if what == "read":
                assert read.ends(old) == (live.get(place) != session_id)


# --- when it is read


def ask(revocation: RevocationList, times: int = 1) -> list[Any]:
    async def one() -> bool:  # as the guard of a route does
        if not revocation.is_fresh():
            await revocation.refresh()
        return revocation.ends(access_token())

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(one() for _ in range(times)), return_exceptions=True)

    return asyncio.run(all_at_once())


def test_many_who_ask_at_once_cost_one_reading(
    client: TestClient, core: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    revocation, queries = make(core), list[int]()
    query = revocation.read

    def counted() -> None:
        queries.append(1)
        query()

    monkeypatch.setattr(revocation, "read", counted)
    assert ask(revocation, 50) == [False] * 50
    assert ask(revocation, 50) == [False] * 50
    assert len(queries) == 1


def test_a_list_that_was_forgotten_is_read_at_the_next_call(core: Gatehouse) -> None:
    revocation, session_id = make(core), uuid4()
    assert ask(revocation) == [False]
    end(core, session_id)
    assert revocation.is_fresh()
    revocation.forget()
    assert not revocation.is_fresh()
    assert ask(revocation) == [False]
    assert revocation.ends(access_token(session_id=session_id))


def down() -> None:
    raise OperationalError("", {}, Exception())


def test_without_a_database_the_old_list_serves_until_its_limit(
    client: TestClient, core: Gatehouse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    revocation = make(core)
    assert ask(revocation) == [False]
    working = revocation.read
    monkeypatch.setattr(revocation, "read", down)
    clock.now += 59
    assert ask(revocation) == [False]
    clock.now += 5
    (answer,) = ask(revocation)
    assert isinstance(answer, RevocationStale)
    monkeypatch.setattr(revocation, "read", working)
    clock.now += 5
    assert ask(revocation) == [False]


def test_a_look_that_hangs_is_waited_for_once_and_not_once_a_request(
    client: TestClient, core: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the age of the list decides, at once: it is good until its limit."""
    revocation, released, looks = make(core), threading.Event(), list[int]()
    query, waits, wait = revocation.read, list[int](), asyncio.wait

    def hanging() -> None:
        looks.append(1)
        assert released.wait(60)
        query()

    async def waited(*given: Any, **named: Any) -> Any:
        waits.append(1)
        return await wait(*given, **named)

    async def ask_in_turn() -> list[Any]:
        answers = []
        for _ in range(5):
            answers.append(revocation.ends(access_token()) if await served() else "503")
        revocation._read_at -= 60
        answers.append(await served())
        released.set()
        assert revocation._reading is not None
        await revocation._reading
        return [*answers, await served()]

    async def served() -> bool:
        try:
            await revocation.refresh()
        except RevocationStale:
            return False
        return True

    assert ask(revocation) == [False]
    monkeypatch.setattr(revocation, "read", hanging)
    monkeypatch.setattr("gatehouse.accounts.revocation.PATIENCE", 0.001)
    monkeypatch.setattr("gatehouse.accounts.revocation.asyncio.wait", waited)
    revocation._read_at -= 5
    revocation._tried_at -= 5
    assert asyncio.run(ask_in_turn()) == [*[False] * 5, False, True]
    assert len(looks) == len(waits) == 1


def test_a_process_that_nobody_asked_for_long_waits_longer_for_its_list(
    client: TestClient, core: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has none that would do. Once the database is known to be away, nobody waits."""
    monkeypatch.setattr("gatehouse.accounts.revocation.PATIENCE", 0.0)
    assert ask(make(core)) == [False]
    away = make(core)
    away._lost = True
    (answer,) = ask(away)
    assert isinstance(answer, RevocationStale)


def test_a_database_that_is_back_is_seen_a_second_later(
    client: TestClient, core: Gatehouse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    revocation, looks = make(core), list[float]()
    query = revocation.read

    def look() -> None:
        looks.append(clock.now)
        down() if len(looks) == 2 else query()

    monkeypatch.setattr(revocation, "read", look)
    began = clock.now
    for moved in (0, 5, 0.9, 0.2, 4.9, 0.2):
        clock.now += moved
        ask(revocation)
    assert [moment - began for moment in looks] == pytest.approx([0, 5, 6.1, 11.2])


@pytest.mark.asvs("7.4.1")
def test_a_list_that_was_never_read_lets_nobody_in(
    client: TestClient, core: Gatehouse, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = sign_in()
    monkeypatch.setattr(core.revocation, "read", down)
    core.revocation.forget()
    answer = me.get("/auth/sessions")
    assert answer.status_code == 503
    assert answer.headers["retry-after"].isdigit()


# --- what it reads


def rows_read(core: Gatehouse, revocation: RevocationList) -> int:
    """How many sessions and accounts one reading brings."""
    found: list[Ended] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(revocation, "note", lambda ended: found.extend(ended))
        revocation.read()
    return sum(len(one.session_ids) + (one.user_id is not None) for one in found)


def test_only_what_is_new_is_read(core: Gatehouse, create_user: CreateUser) -> None:
    revocation, bob = make(core), create_user().id
    end(core, uuid4(), uuid4())
    raise_stamp(core, bob)
    assert rows_read(core, revocation) == 3
    assert rows_read(core, revocation) == 0
    end(core, uuid4())
    raise_stamp(core, bob)
    assert rows_read(core, revocation) == 2
    assert rows_read(core, revocation) == 0


def test_a_host_whose_clock_is_wrong_blinds_nobody(core: Gatehouse) -> None:
    """A row from a host ten minutes ahead was the newest, and hid what came after it."""
    revocation = make(core)
    for minutes in (0, 10, -60, 60, 0):
        ended = uuid4()
        with time_machine.travel(time.time() + 60 * minutes, tick=False):
            end(core, ended)
        revocation.read()
        assert revocation.ends(access_token(ended)), minutes


def test_the_first_reading_goes_back_as_far_as_a_token_may_live(core: Gatehouse) -> None:
    ids, moment = [uuid4() for _ in range(2)], utc_now()
    ages = (LIFETIME + OVERLAP - 60, LIFETIME + OVERLAP + 60)
    with core.database.write() as session:
        for number, (session_id, age) in enumerate(zip(ids, ages, strict=True), 1):
            ended_at = moment - timedelta(seconds=age)
            session.add(EndedSession(session_id=session_id, ended_at=ended_at, position=number))
    revocation = make(core)
    revocation.read()
    assert [revocation.ends(access_token(session_id)) for session_id in ids] == [True, False]


def test_what_a_process_of_an_older_release_ends_is_found(core: Gatehouse) -> None:
    """It writes no position: both run for a while where a service is updated host by host."""
    revocation, ended = make(core), uuid4()
    end(core, uuid4())
    revocation.read()
    with core.database.write() as session:
        session.add(EndedSession(session_id=ended, ended_at=utc_now()))
    revocation.read()
    assert revocation.ends(access_token(ended))


def test_positions_rise_even_after_cleanup(core: Gatehouse) -> None:
    revocation = make(core)
    for _ in range(3):
        end(core, uuid4())
    revocation.read()
    with core.database.write() as session:
        for row in session.exec(select(EndedSession)):
            session.delete(row)
    with time_machine.travel(time.time() + 172_800, tick=False):  # what cleanup takes is as old
        ids = [uuid4() for _ in range(4)]
        for session_id in ids:
            end(core, session_id)
        revocation.read()
    assert all(revocation.ends(access_token(session_id)) for session_id in ids)


def test_cleaning_leaves_an_entry_that_became_fresh_while_it_waited(
    core: Gatehouse, create_user: CreateUser, on_postgresql: None
) -> None:
    """An account's second event, days after its first: the entry looks old until that commits."""
    user, cleaned = create_user(), threading.Event()
    raise_stamp(core, user.id)
    with core.database.write() as session:
        session.execute(update(EndedAccount).values(ended_at=utc_now() - 2 * ENDED_KEPT))

    def clean() -> None:
        clean_some(core.database, core.lifetimes.idle)
        cleaned.set()

    cleaning = threading.Thread(target=clean)
    with core.database.write() as session:
        stamps.raise_stamp(session, session.get_one(User, user.id))
        cleaning.start()
        while not somebody_waits(core):
            assert not cleaned.wait(0.002), "it did not even wait"
    cleaning.join()
    with core.database.read() as session:
        assert session.get_one(EndedAccount, user.id).stamp == 2


def test_a_database_from_a_backup_is_read_from_the_start(core: Gatehouse) -> None:
    revocation, ended = make(core), uuid4()
    end(core, uuid4())
    revocation.read()
    later = 1 << 40  # where the order of the database before stood
    revocation._seen = f"{later}:{later}:" if ":" in str(revocation._seen) else str(later)
    end(core, ended)
    revocation.read()
    assert revocation.ends(access_token(ended))


def test_a_transaction_that_commits_late_is_found(core: Gatehouse, on_postgresql: None) -> None:
    revocation = make(core)
    late, others = uuid4(), [uuid4() for _ in range(3)]
    with ExitStack() as stack:
        open_one = stack.enter_context(core.database.write())
        stamps.end_sessions_on_list(open_one, [late])
        for other in others:
            end(core, other)
            revocation.read()
            assert revocation.ends(access_token(other))
        assert not revocation.ends(access_token(late))
    revocation.read()
    assert revocation.ends(access_token(late))
    assert rows_read(core, revocation) == 0


def test_a_long_transaction_of_others_makes_nothing_be_read_twice(
    core: Gatehouse, on_postgresql: None
) -> None:
    revocation = make(core)
    revocation.read()
    with core.database.write() as foreign:
        # It has a number from here on, and holds the oldest one back.
        foreign.execute(text("SELECT pg_current_xact_id()"))
        end(core, *(uuid4() for _ in range(5)))
        assert rows_read(core, revocation) == 5
        end(core, uuid4())
        assert rows_read(core, revocation) == 1
        assert rows_read(core, revocation) == 0


def test_a_session_opened_while_everyone_is_sent_out_waits(
    core: Gatehouse, on_postgresql: None
) -> None:
    raise_epoch(core)  # so that there is a row to lock
    raised = threading.Event()

    def everyone_out() -> None:
        raise_epoch(core)
        raised.set()

    with core.database.write() as opening:
        assert stamps.epoch_of(opening, lock=True) == 1
        other = threading.Thread(target=everyone_out)
        other.start()
        assert not raised.wait(0.3)
    other.join()
    assert raised.is_set()


def test_every_query_can_use_an_index(core: Gatehouse) -> None:
    if core.database.engine.dialect.name != "sqlite":
        pytest.skip("SQLite says it plainly, whatever the number of rows")
    asked: list[tuple[str, Any]] = []

    def before(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    revocation = make(core)
    event.listen(core.database.engine, "before_cursor_execute", before)
    revocation.read()
    revocation.read()
    event.remove(core.database.engine, "before_cursor_execute", before)
    assert len(asked) == 10
    with core.database.read() as session:
        connection = session.connection()
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [row[3] for row in plan]
            scans = [step for step in steps if step.startswith("SCAN") and "INDEX" not in step]
            # The epoch's table has one row.
            assert all("gatehouse_service_epoch" in step for step in scans), steps


# --- what it forgets


def test_the_list_forgets_what_no_token_can_outlive(core: Gatehouse, clock: Clock) -> None:
    revocation, ended, bob = make(core), uuid4(), uuid4()
    revocation.note([Ended(session_ids=(ended,)), Ended(user_id=bob, stamp=1)])
    clock.now += LIFETIME + OVERLAP - 1
    revocation.read()
    assert revocation.ends(access_token(ended))
    assert revocation.ends(access_token(user_id=bob))
    clock.now += 2
    revocation.read()
    assert not revocation.ends(access_token(ended))
    assert not revocation.ends(access_token(user_id=bob))


def test_no_change_of_the_host_s_clock_makes_it_forget(core: Gatehouse, clock: Clock) -> None:
    revocation, ended = make(core), uuid4()
    revocation.note([Ended(session_ids=(ended,))])
    for hours in (-48, 48):
        with time_machine.travel(time.time() + 3600 * hours, tick=False):
            revocation.read()
        assert revocation.ends(access_token(ended))


def test_what_threads_note_while_the_list_is_read_is_kept(core: Gatehouse) -> None:
    revocation = make(core)
    ids = [[uuid4() for _ in range(200)] for _ in range(4)]

    def note(mine: list[UUID]) -> None:
        for session_id in mine:
            revocation.note([Ended(session_ids=(session_id,))])

    threads = [threading.Thread(target=note, args=(mine,)) for mine in ids]
    for thread in threads:
        thread.start()
    for _ in range(5):
        revocation.read()
    for thread in threads:
        thread.join()
    assert all(revocation.ends(access_token(one)) for mine in ids for one in mine)
