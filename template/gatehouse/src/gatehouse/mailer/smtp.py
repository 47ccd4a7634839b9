"""The way of a mail to a mail server: TLS, login, and an end in time (RFC 5321, 3207, 8314)."""

import logging
import smtplib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

log = logging.getLogger("gatehouse.smtp")

STEP = 15.0  # seconds for each of the mail server's answers
WHOLE = 45.0  # seconds for all of them: the outbox lends a job for 60


class NoTls(Exception):
    """The server offers no STARTTLS, and others may listen on the way to it."""


class _Server(smtplib.SMTP):
    """A connection that ends in time, whatever the server does between two commands."""

    def __init__(self, host: str, port: int, name: str, **options: Any) -> None:
        self._end = time.monotonic() + WHOLE
        super().__init__(host, port, name, timeout=STEP, **options)

    def getreply(self) -> tuple[int, bytes]:
        """Wait for an answer, no longer than is left."""
        if self.sock is not None:
            self.sock.settimeout(max(0.001, min(STEP, self._end - time.monotonic())))
        return super().getreply()


class _TlsServer(_Server, smtplib.SMTP_SSL):
    """The same, in TLS from the first byte."""


def send_by_smtp(url: str, message: EmailMessage) -> None:
    """Send a mail with one sender and one recipient by the server of `SMTP_URL`.

    Blocks, for about a minute at most. What it raises, `in_words` can tell.
    """
    [sender], [to] = message["From"].addresses, message["To"].addresses
    parts = urlsplit(url)
    with _connected(url, sender.domain) as server:
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message, sender.addr_spec, [to.addr_spec])


def reach(url: str) -> str:
    """Connect, with TLS as for a mail, and go: empty, or why it fails. Blocks as sending does."""
    try:
        with _connected(url, "localhost") as server:
            server.ehlo_or_helo_if_needed()
    except Exception as error:
        return in_words(error)
    return ""


@contextmanager
def _connected(url: str, name: str) -> Iterator[_Server]:
    """A connection to the server of `SMTP_URL`, in TLS where it must or can be."""
    # The name in the greeting is the sender's domain: the host's own name is private, and to look
    # it up may take long.
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "smtps":
        context = ssl.create_default_context()
        server: _Server = _TlsServer(host, parts.port or 465, name, context=context)
    else:
        server = _Server(host, parts.port or 587, name)
    try:
        if parts.scheme == "smtp":
            _start_tls(server, host)
        yield server
    finally:
        # The mail was accepted or refused before: a failed farewell does not make it come twice.
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
        server.close()


def _start_tls(server: smtplib.SMTP, host: str) -> None:
    """TLS wherever it is offered. To another host nothing is sent without it."""
    server.ehlo()
    if server.has_extn("starttls"):
        context = ssl.create_default_context()
        if _is_loopback(host):
            # Here plain text is accepted too. What a distribution makes for its Postfix is signed
            # by itself, for another name, and no setting of ours would help.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            say_unchecked()
        server.starttls(context=context)
    elif not _is_loopback(host):
        raise NoTls


@cache
def say_unchecked() -> None:
    """Once in a process."""
    log.warning("SMTP_URL is this machine itself: the mail server's certificate is not checked")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_KINDS: tuple[tuple[type[Exception], str], ...] = (  # the first that fits
    (NoTls, "the mail server is on another host and offers no STARTTLS"),
    (smtplib.SMTPAuthenticationError, "the mail server refused the login of SMTP_URL"),
    (smtplib.SMTPRecipientsRefused, "the mail server refused the recipient"),
    (smtplib.SMTPSenderRefused, "the mail server refused the sender, which MAIL_FROM sets"),
    (smtplib.SMTPServerDisconnected, "the mail server closed the connection, or took too long"),
    (smtplib.SMTPNotSupportedError, "the mail server cannot do what this mail needs"),
    (smtplib.SMTPResponseException, "the mail server answered with an error"),
    (ssl.SSLCertVerificationError, "the mail server's certificate is not trusted"),
    (ssl.SSLError, "TLS with the mail server failed"),
    (TimeoutError, "the mail server did not answer in time"),
    (OSError, "the mail server cannot be reached"),
    (UnicodeError, "SMTP_URL or an address holds characters that cannot be sent"),
)


def in_words(error: Exception) -> str:
    """The kind of failure, and an SMTP code: never the server's text, which may hold an address."""
    words = next((words for kind, words in _KINDS if isinstance(error, kind)), "it failed")
    code = getattr(error, "smtp_code", "")
    return f"{words} ({type(error).__name__}{f' {code}' if code else ''})"
