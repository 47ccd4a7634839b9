"""The engine, its sessions and threads for them, for SQLite and PostgreSQL."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from sqlite3 import Connection as SqliteConnection
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as Busy
from sqlmodel import Session

from gatehouse.refusal import StartRefused

P = ParamSpec("P")
T = TypeVar("T")

TURN_WAIT = 15  # seconds that a write waits for the other writes of this process, on SQLite
LOCK_WAIT = 5  # seconds that SQLite waits for another writer
POOL_WAIT = 3  # seconds that a request waits for a connection before it is refused (503)
CONNECT_WAIT = 5  # seconds that PostgreSQL may take to accept a connection
STATEMENT_LIMIT = 10  # seconds that PostgreSQL may take over one statement
SESSIONS = 12  # at once, of one process: of its 20 connections some are left for looks
SESSIONS_WAITING = 12  # threads; with those above, fewer than the 40 of FastAPI's plain routes
THREADS = 8  # of `run`; more would wait for each other: for Python's lock, for rows, on disk
CALLS_WAITING = 128  # calls of `run` that wait for one of these, as many as may wait for a hash
CALL_WAIT = 5.0  # seconds that one waits before it is refused

NOTES = "gatehouse_notes"  # the key in `session.info` of what others hear after the commit


class CommittedRefusal(Exception):
    """Raised in a transaction it undoes nothing: what was written before it must survive it."""


class DatabasePool:
    """One process's connections. Sessions are synchronous: use them in a thread.

    A plain `def` route already runs in one, others `run` what asks. `read` rolls back at its end,
    `write` commits; either raises SQLAlchemy's errors, which the service answers with 503 where
    the database is down, busy or locked.
    """

    def __init__(self, url: str) -> None:
        self.engine = create_database_engine(url)
        self._writer = self.engine.execution_options(gatehouse_write=True)
        self._one_writer = threading.Lock() if self.engine.dialect.name == "sqlite" else None
        self._places = threading.BoundedSemaphore(SESSIONS)
        self._waiting = threading.BoundedSemaphore(SESSIONS_WAITING)
        self._holders: set[int] = set()  # the threads that have a place
        self._executor = self._new_executor()
        self._calls, self._counting = 0, threading.Lock()
        # Called after a commit with what verbs have noted in the session, if they have.
        self.committed: Callable[[Sequence[object]], None] = lambda _: None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading. Rows stay readable after its end."""
        with self._place(), self.look() as session:
            yield session

    @contextmanager
    def look(self) -> Iterator[Session]:
        """A session to read with that takes no place: for looks that every guard waits for.

        There are connections for them beside the places, so whoever uses it does one at a time.
        """
        with Session(self.engine, expire_on_commit=False) as session:
            session.connection()  # the transaction begins here, and not at the first query
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session in one transaction, committed at the end, rolled back by an exception.

        But not by a `CommittedRefusal`: that is raised after the commit. What the verbs noted in
        the session (who is out, that mail waits) is heard after the commit, and only after it.
        """
        refusal: CommittedRefusal | None = None
        with self._turn(), self._place(), Session(self._writer, expire_on_commit=False) as session:
            with session.begin():
                session.connection()
                try:
                    yield session
                except CommittedRefusal as raised:
                    refusal = raised
            noted = session.info.get(NOTES)
        if noted:
            self.committed(noted)
        if refusal is not None:
            raise refusal

    @contextmanager
    def _place(self) -> Iterator[None]:
        """At most `SESSIONS` at once. When the database hangs, further ones are refused (503), so
        that threads are left for routes without a query. One inside another needs no place."""
        thread = threading.get_ident()
        if thread in self._holders:
            yield
            return
        if not self._places.acquire(blocking=False):
            if not self._waiting.acquire(blocking=False):
                raise Busy("too many threads wait for the database")
            try:
                if not self._places.acquire(timeout=POOL_WAIT):
                    raise Busy("the database did not come to this thread in time")
            finally:
                self._waiting.release()
        self._holders.add(thread)
        try:
            yield
        finally:
            self._holders.discard(thread)  # a dependency that yields may end in another thread
            self._places.release()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """SQLite has one writer. A second one sleeps and tries again, and may never be the one
        that gets the lock: within a process they queue, before a connection is taken."""
        if self._one_writer is None:
            yield
            return
        if not self._one_writer.acquire(timeout=TURN_WAIT):
            raise OperationalError(
                "BEGIN IMMEDIATE", None, TimeoutError("other writers were first")
            )
        try:
            yield
        finally:
            self._one_writer.release()

    def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """The result of `work`, done in one of a few threads of its own.

        Not in those that FastAPI has for a service's plain routes: when the database hangs, what
        waits for it would take all of them. Raises `Busy` (503) at once where too many calls
        wait, and after `CALL_WAIT` for one that did not get its turn. It wakes its task once,
        where anyio's `to_thread` wakes it three times.
        """
        loop = asyncio.get_running_loop()
        with self._counting:
            if self._calls >= THREADS + CALLS_WAITING:
                raise Busy("too many calls wait for the database")
            self._calls += 1
        answer: asyncio.Future[T] = loop.create_future()
        try:
            call = self._executor.submit(partial(copy_context().run, work, *args, **kwargs))
        except RuntimeError:  # such as "can't start new thread"
            self._uncount()
            raise

        def refuse() -> None:
            if not answer.done() and call.cancel():
                answer.set_exception(Busy("the database did not come to this call in time"))

        # These are handed the call: did they name it, what it holds would wait for the collector.
        def settle(done: Future[T]) -> None:
            refusal.cancel()
            if not answer.done():
                _copy(done, answer)

        def end(done: Future[T]) -> None:
            self._uncount()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, done)

        refusal = loop.call_later(CALL_WAIT, refuse)
        answer.add_done_callback(lambda _: call.cancel())
        call.add_done_callback(end)
        return answer

    def _uncount(self) -> None:
        with self._counting:
            self._calls -= 1

    def _new_executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(THREADS, "database")

    def close(self) -> None:
        """Close the connections and let go of the threads, which come back when they are needed."""
        executor, self._executor = self._executor, self._new_executor()
        executor.shutdown(wait=False, cancel_futures=True)
        self.engine.dispose()


def _copy(done: Future[T], answer: asyncio.Future[T]) -> None:
    """How a call has ended. No future takes a StopIteration, such as a hook's `next` may raise."""
    if done.cancelled():
        answer.set_exception(Busy("the database was closed before this call's turn"))
    elif (error := done.exception()) is None:
        answer.set_result(done.result())
    elif isinstance(error, StopIteration):
        wrapped = RuntimeError("a call of the database raised StopIteration")
        wrapped.__cause__ = error
        answer.set_exception(wrapped)
    else:
        answer.set_exception(error)


def create_database_engine(
    url: str,
    *,
    foreign_keys: bool = True,
    lock_wait: int = LOCK_WAIT,
    statement_limit: int = STATEMENT_LIMIT,
) -> Engine:
    """An engine that never writes bound values (hashes, addresses) into an error or a log.

    `foreign_keys` and `lock_wait` are for SQLite, `statement_limit` (seconds, 0 for none) for
    PostgreSQL. Raises `StartRefused` for a number in the URL that is none.
    """
    if make_url(url).get_backend_name() != "sqlite":
        return _postgresql(make_url(url), statement_limit)
    _create_file(make_url(url).database)
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=POOL_WAIT,
        connect_args={"timeout": lock_wait},
    )

    @event.listens_for(engine, "connect")
    def connect(connection: SqliteConnection, _: Any) -> None:
        # The driver opens transactions late and by guessing; we open them ourselves, below.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later fails at once when another one commits
        # in between, whatever the busy timeout. One that will write takes its turn at the start.
        write = connection.get_execution_options().get("gatehouse_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _postgresql(url: URL, statement_limit: int) -> Engine:
    """Also behind a pooler that lends a server's connection for one transaction (PgBouncer).

    Such a one takes no `options` at the start, loses what `SET` says between two transactions,
    and knows nothing of statements that were prepared on another connection.
    """
    engine = create_engine(
        _with_limits(url),
        hide_parameters=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=POOL_WAIT,
        pool_pre_ping=True,
        # To prepare statements won nothing that could be measured with queries as short as ours.
        connect_args={"prepare_threshold": _threshold(url)},
    )
    limit = ""
    if "statement_timeout" not in str(url.query.get("options", "")):
        limit = f"SET LOCAL statement_timeout = {statement_limit * 1000}"

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _: Any) -> None:
        connection.autocommit = True  # the driver begins no transaction: we do, below

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # One message for both: a round trip of its own for the limit cost 40 % of a short read.
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            return
        driver = connection.connection.driver_connection
        own = getattr(driver, "autocommit", False)  # not where a level of isolation was asked for
        if statement := "; ".join(filter(None, ("BEGIN" if own else "", limit))):
            connection.exec_driver_sql(statement)

    return engine


def _threshold(url: URL) -> int | None:
    """After how many times the driver prepares a statement. 0 is never, as in other drivers."""
    given = url.query.get("prepare_threshold", "0")
    if not (isinstance(given, str) and given.isascii() and given.isdecimal()):
        raise StartRefused("DATABASE_URL is refused: prepare_threshold is a number, 0 for never.")
    return int(given) or None


def _with_limits(url: URL) -> URL:
    """Bounds on how long PostgreSQL may take. What the URL itself says goes first."""
    limits = {
        "connect_timeout": str(CONNECT_WAIT),
        "tcp_user_timeout": str(STATEMENT_LIMIT * 1000),
        "keepalives_idle": "5",
        "keepalives_interval": "2",
        "keepalives_count": "3",
        **url.query,
    }
    limits.pop("prepare_threshold", None)  # the driver would get it as text
    return url.set(query=limits)


def _create_file(path: str | None) -> None:
    """A new SQLite file is its owner's alone: it holds hashes and addresses."""
    if path:
        with suppress(OSError):  # there already, or SQLite will say what is wrong
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
