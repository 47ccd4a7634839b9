"""A mail server on loopback that keeps what it gets, for checks of a running service."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, TypeVar

from aiosmtpd.controller import Controller
from ports import free_port

PATIENCE = 90  # seconds
Found = TypeVar("Found")


class MailServer:
    """The mails so far, each with its recipient. `on_mail` is called before one is accepted.

    While it is `busy` it puts every mail off and keeps the recipients in `refused`.
    """

    def __init__(self) -> None:
        self.url = ""
        self.busy = False
        self.refused: list[str] = []
        self.mails: list[tuple[str, EmailMessage]] = []
        self.on_mail: Callable[[], None] = lambda: None
        self._came = threading.Condition()

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        (to,) = envelope.rcpt_tos
        with self._came:
            if self.busy:
                self.refused.append(to)
                return "450 4.3.2 Come back later"
            self.mails.append((to, mail))
            self._came.notify_all()
        self.on_mail()
        return "250 OK"

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for to, mail in self.mails if to == address]

    def next_to(self, address: str, after: int = 0) -> EmailMessage:
        """The mail after so many others to an address; waits for it."""
        return self._wait(lambda: self.to(address)[after : after + 1], address)

    def link(self, address: str, page: str) -> str:
        """The newest link to a page that was mailed to an address; waits for it."""

        def found() -> list[str]:
            texts = "\n".join(map(text_of, self.to(address)))
            return re.findall(rf"http\S+/{page}#token=\S+", texts)[-1:]

        return self._wait(found, address)

    def _wait(self, look: Callable[[], list[Found]], address: str) -> Found:
        with self._came:
            assert self._came.wait_for(lambda: bool(look()), PATIENCE), f"no mail to {address} came"
            return look()[0]


def text_of(mail: EmailMessage) -> str:
    """The plain text of a mail that also has HTML."""
    part: Any = mail.get_body(("plain",))
    return str(part.get_content())


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A server that is listening, at `url`."""
    server = MailServer()
    controller = Controller(server, hostname="127.0.0.1", port=free_port())
    controller.start()
    server.url = f"smtp://127.0.0.1:{controller.port}"
    try:
        yield server
    finally:
        controller.stop()
