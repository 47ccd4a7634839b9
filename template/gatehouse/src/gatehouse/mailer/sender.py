"""A mail: filled into its templates, sent by SMTP, printed by `dev`, or handed to the owner."""

import html
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path
from traceback import extract_tb
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from gatehouse.mailer.mail_templates import MAILS, MailTemplates, read_mail, warn_of_strangers
from gatehouse.mailer.smtp import in_words, send_by_smtp
from gatehouse.settings import TERMINAL

_DOMAIN = re.compile(r"([a-z0-9_-]+\.)+[a-z][a-z0-9-]*")


class MailNotSent(Exception):
    """The kind of failure, for the log: no address, no secret and not the server's own text."""


class Mailer:
    """Writes and sends the mails of one service.

    `url` is `SMTP_URL`, `sender` is `MAIL_FROM`, `service` the name that a reader knows,
    `templates` the owner's folder: a file there takes the place of ours of the same name.
    `send` replaces SMTP. Raises `StartRefused` for a template of the owner's that is broken.
    """

    def __init__(
        self,
        *,
        url: str,
        sender: str,
        service: str,
        base_url: str,
        templates: Path | None = None,
        send: Callable[[EmailMessage], None] | None = None,
    ) -> None:
        self._url = url
        self._service = _one_line(service)
        self._sender = _sender(sender, self._service, base_url)
        self._send = send
        self._mails = {name: read_mail(name, templates) for name in MAILS}
        warn_of_strangers(templates)

    @property
    def can_send(self) -> bool:
        """Whether there is any way to send."""
        return bool(self._url) or self._send is not None

    def send(self, to: str, template: str, values: Mapping[str, str]) -> None:
        """Send one mail to one address. Blocks, for a minute at most. Raises `MailNotSent`."""
        try:
            message = self._write(to, self._mails[template], values)
        except EmailNotValidError:
            raise MailNotSent("the recipient's address is not valid") from None
        except (KeyError, ValueError) as error:
            raise MailNotSent(f"{template} cannot be written: {type(error).__name__}") from None
        try:
            self._deliver(message)
        except MailNotSent:
            raise
        except Exception as error:
            raise MailNotSent(in_words(error)) from None

    def _write(self, to: str, mail: MailTemplates, values: Mapping[str, str]) -> EmailMessage:
        recipient = validate_email(to, check_deliverability=False)  # one, with no line end
        given = {"service": self._service, "email": to, **values}
        message = EmailMessage(policy.SMTP)
        message["From"] = self._sender
        message["To"] = _address("", recipient)
        message["Subject"] = _one_line(mail.subject.substitute(given))
        message["Date"] = datetime.now(UTC)
        message["Message-ID"] = make_msgid(domain=self._sender.domain)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers
        escaped = {name: html.escape(value) for name, value in given.items()}
        text, page = mail.text.substitute(given), mail.html.substitute(escaped)
        message.set_content(text, cte=_encoding(text))
        message.add_alternative(page, subtype="html", cte=_encoding(page))
        return message

    def _deliver(self, message: EmailMessage) -> None:
        if self._send is not None:
            try:
                self._send(message)
            except Exception as error:
                # Where, and no more: what such a text holds, only its author can know.
                [*_, last] = extract_tb(error.__traceback__)
                where = f"{Path(last.filename).name}, line {last.lineno}"
                raise MailNotSent(f"send_mail raised {type(error).__name__} ({where})") from None
        elif self._url == TERMINAL:
            _print(message)
        elif self._url:
            send_by_smtp(self._url, message)
        else:
            raise MailNotSent("SMTP_URL is not set")


def _one_line(text: str) -> str:
    """For a header: what could end its line, or is invisible, becomes a blank."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _encoding(text: str) -> str:
    """As it stands where that is allowed (RFC 5322 section 2.1.1), so that a link is one piece.

    Else quoted-printable: base64 makes short mails look like those of a spammer.
    """
    plain = text.isascii() and all(len(line) < 900 for line in text.splitlines())
    return "7bit" if plain else "quoted-printable"


def _address(name: str, found: ValidatedEmail) -> Address:
    """The domain in ASCII, so that only a local part that is not ASCII asks for SMTPUTF8."""
    return Address(name, found.local_part, found.ascii_domain or found.domain)


def _sender(given: str, service: str, base_url: str) -> Address:
    if given:
        found = validate_email(given, check_deliverability=False, allow_display_name=True)
        return _address(found.display_name or service, found)
    try:
        host = (urlsplit(base_url).hostname or "").rstrip(".").encode("idna").decode()
    except UnicodeError:
        host = ""
    domain = host if _DOMAIN.fullmatch(host) else "localhost"
    return Address(service, "no-reply", domain)


def _print(message: EmailMessage) -> None:
    """On standard output, which no log collects: the text holds a link that opens an account."""
    body = message.get_body(("plain",))
    head = f"To: {message['To']}\nSubject: {message['Subject']}\n"
    text = "\n".join(body.get_content().splitlines()) if body else ""
    frame = f"{' mail ':-^72}\n{head}\n{text}\n{'-' * 72}"
    encoding = sys.stdout.encoding or "utf-8"
    print(frame.encode(encoding, "backslashreplace").decode(encoding), flush=True)
