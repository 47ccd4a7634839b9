"""Does the jobs, in every process, from a table that survives a crash.

At least once: a job goes when its mail has been sent. A process that dies between the two
leaves it to be done again, and then the mail comes twice; its newer link is the good one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, select

from gatehouse.mailer.jobs import Handler, JobContext, Mail
from gatehouse.mailer.sender import Mailer, MailNotSent
from gatehouse.store.database import DatabasePool
from gatehouse.store.tables import Job, utc_now

log = logging.getLogger("gatehouse.outbox")

# A moment in which jobs of several requests come together: what one of them costs does not
# show in the time of the request after it.
GATHER = 1.0  # seconds
LOOK = 15.0  # seconds between two looks for what another process has left
LEASE = timedelta(seconds=60)  # longer than a mail server may take
KEPT = timedelta(hours=24)
MAIL_TROUBLE = "The task that sends mail does not work."


class Outbox:
    """One process's share of the jobs. `handlers`: what is done for each kind of them."""

    def __init__(
        self,
        database: DatabasePool,
        mailer: Mailer,
        context: JobContext,
        handlers: Mapping[str, Handler],
    ) -> None:
        self.context = context
        self.handlers = handlers
        self._database = database
        self._mailer = mailer
        self._left = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failed = False

    @property
    def alive(self) -> bool:
        """Whether mail is sent here: the task runs, and could read the jobs the last time."""
        return self._task is not None and not self._task.done() and not self._failed

    def trouble(self) -> str:
        """What `/readyz` says where the task was started and does not work; "" otherwise."""
        return "" if self._task is None or self.alive else MAIL_TROUBLE

    def start(self) -> None:
        """Begin with whatever a process before this one has left."""
        self._stopping = self._failed = False
        self._left = asyncio.Event()
        self._left.set()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    async def stop(self) -> None:
        """Finish the job under way; the others stay in the table."""
        self._stopping = True
        self._loop = None
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def poke(self) -> None:
        """A job was left. From any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._left.set)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), LOOK)
            await asyncio.sleep(GATHER)
            self._left.clear()
            try:
                await asyncio.to_thread(self.do_due)
                self._failed = False
            except SQLAlchemyError as error:
                log.error("jobs could not be read: %s", type(error).__name__)
            except Exception as error:
                # Such as "can't start new thread": the task that ends here is started by nobody.
                self._failed = True
                log.error(
                    "mail could not be sent, and will be tried again: %s", type(error).__name__
                )

    def do_due(self) -> int:
        """Do every job that is due now; returns how many there were. Blocks."""
        done = 0
        while not self._stopping and (job := self.claim()) is not None:
            self.do(job)
            done += 1
        return done

    def claim(self) -> Job | None:
        """The job that is due longest, for this process alone until its lease is over."""
        now = utc_now()
        due = select(Job).where(col(Job.due_at) <= now).order_by(col(Job.due_at)).limit(1)
        with self._database.read() as session:
            if session.exec(due).first() is None:  # so that an idle look takes no lock on SQLite
                return None
        with self._database.write() as session:
            job = session.exec(due.with_for_update(skip_locked=True)).one_or_none()
            if job is not None:
                job.attempts += 1
                job.due_at = now + LEASE
                session.add(job)
            return job

    def do(self, job: Job) -> None:
        """One claimed job. It goes with its mail, or is put off."""
        try:
            with self._database.write() as session:
                mail = self._prepare(session, job)
            if mail is not None:
                self._mailer.send(mail.to, mail.template, mail.values)
                with self._database.write() as session:
                    session.execute(delete(Job).where(col(Job.id) == job.id))
        except (MailNotSent, SQLAlchemyError) as error:
            reason = str(error) if isinstance(error, MailNotSent) else type(error).__name__
            self._put_off(job, reason)
        except Exception:  # of an owner's hook
            log.exception("the job %s failed", job.kind)
            self._put_off(job, "an error, see above")

    def _prepare(self, session: Session, job: Job) -> Mail | None:
        """The database's part of a job. One that needs no mail is done with it."""
        current = session.get(Job, job.id)
        if current is None:
            return None
        mail = self.handlers[current.kind](session, current, self.context)
        if mail is None:
            session.delete(current)
        return mail

    def _put_off(self, job: Job, reason: str) -> None:
        """Try again later: after half a minute, then twice as long each time, up to an hour."""
        age = utc_now() - job.created_at
        log.error("mail %s (%s) was not sent: %s", job.id, job.kind, reason)
        with self._database.write() as session:
            current = session.get(Job, job.id)
            if current is None:
                return
            if age > KEPT:
                log.error("mail %s is given up after %d attempts", job.id, current.attempts)
                session.delete(current)
            else:
                wait = min(3_600, 30 * 2 ** (current.attempts - 1))
                current.due_at = utc_now() + timedelta(seconds=wait)
                session.add(current)
