"""Mails: what they say, whom they reach, and how they get to a mail server. Servers are real."""

import io
import ipaddress
import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import escape
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gatehouse.mailer import smtp
from gatehouse.mailer.mail_templates import MAILS, OURS
from gatehouse.mailer.sender import Mailer, MailNotSent
from gatehouse.refusal import StartRefused
from gatehouse.store.tables import utc_now

pytest.importorskip("aiosmtpd", reason="needs a mail server: the extra `testing`")
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

pytestmark = pytest.mark.thorough

DELIVER = Mailer._deliver  # taken before the test suite's own plugin keeps all mail back

ADA = "ada@example.com"
LINK = "https://notes.example.com/account/verify-email#token=gatehouse_ot_abc-_123"
VALUES = {"link": LINK, "hours": "24", "minutes": "30", "count": "many", "time": "noon"}
NAMES = sorted(MAILS)
WITH_LINK = [name for name in NAMES if "link" in MAILS[name]]

Make = Callable[..., Mailer]


@pytest.fixture(autouse=True)
def _deliver_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mailer, "_deliver", DELIVER)


def mailer(**given: Any) -> Mailer:
    usual: dict[str, Any] = {
        "url": "",
        "sender": "no-reply@example.com",
        "service": "Notes",
        "base_url": "https://notes.example.com",
    }
    return Mailer(**{**usual, **given})


def written(name: str = "verify_email", to: str = ADA, **given: Any) -> EmailMessage:
    """The mail as its bytes say, read by a parser that knows nothing of how it was made."""
    kept: list[EmailMessage] = []
    mailer(send=kept.append, **given).send(to, name, VALUES)
    [message] = kept
    return message_from_bytes(message.as_bytes(), EmailMessage, policy=policy.default)


def part(message: EmailMessage, subtype: str) -> str:
    found = message.get_body((subtype,))
    assert found is not None
    return "\n".join(found.get_content().splitlines())


class Inbox:
    """What a mail server took, and how it answers."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.envelopes: list[Any] = []
        self.sessions: list[Any] = []
        self.logins: list[tuple[bytes, bytes]] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("rcpt", "250 ok")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        self.sessions.append(session)
        return self.answers.get("data", "250 ok")

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answers.get("quit") == "":  # no answer: it breaks off
            server.transport.abort()
        return self.answers.get("quit") or "221 bye"

    def authenticate(
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(handled=False, success=data.password == b"p:a/s s%")


class OnAnyPort(Controller):
    """A server on a port that was free when it began to listen."""

    def __init__(self, handler: Inbox, **options: Any) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        port = self.listening.getsockname()[1]
        super().__init__(handler, hostname="127.0.0.1", port=port, **options)

    def _create_server(self) -> Any:
        return self.loop.create_server(
            self._factory_invoker, sock=self.listening, ssl=self.ssl_context
        )


@contextmanager
def serving(inbox: Inbox, **options: Any) -> Iterator[int]:
    """The port of a running mail server."""
    server = OnAnyPort(inbox, **options)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name leads to this host, as seen from the client a server somewhere else."""
    connect = socket.create_connection

    def connect_here(address: tuple[str, int], *rest: Any, **options: Any) -> socket.socket:
        return connect(("127.0.0.1", address[1]), *rest, **options)

    monkeypatch.setattr(socket, "create_connection", connect_here)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate with its key in one file, for this host alone, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a mail server")])
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = utc_now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


def failure(url: str, to: str = ADA) -> str:
    """Why a mail could not be sent, as the log will say it."""
    with pytest.raises(MailNotSent) as caught:
        mailer(url=url).send(to, "verify_email", VALUES)
    assert caught.value.__suppress_context__
    text = str(caught.value)
    for secret in ("ada", "gatehouse_ot", "p:a/s", "p%3A", "secret"):
        assert secret not in text
    return text


# What a mail holds


@pytest.mark.parametrize("name", NAMES)
def test_every_mail_has_a_text_and_a_page_and_its_headers(name: str) -> None:
    message = written(name)

    assert message.get_content_type() == "multipart/alternative"
    assert [p.get_content_type() for p in message.iter_parts()] == ["text/plain", "text/html"]
    assert message["To"] == ADA
    assert message["From"] == "Notes <no-reply@example.com>"
    assert "Notes" in message["Subject"]
    assert message["Date"].datetime.tzinfo is not None
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Auto-Submitted"] == "auto-generated"
    for subtype in ("plain", "html"):
        assert "$" not in part(message, subtype)
        assert len(part(message, subtype)) > 200


@pytest.mark.parametrize("name", WITH_LINK)
def test_link_is_whole_in_both_parts(name: str) -> None:
    message = written(name)

    assert LINK in part(message, "plain").splitlines()
    assert part(message, "html").count(f'<a href="{LINK}"') == 2
    assert f">{LINK}</a>" in part(message, "html")


@pytest.mark.parametrize("name", NAMES)
def test_page_of_a_mail_loads_nothing_and_runs_nothing(name: str) -> None:
    page = part(written(name), "html").lower()

    for forbidden in ("<img", "<script", "<link", "<form", "<iframe", "url(", "javascript:"):
        assert forbidden not in page
    assert page.replace(LINK.lower(), "").count("://") == 0
    assert page.startswith("<!doctype html>")


def test_mail_that_confirms_says_what_a_stranger_should_do() -> None:
    text = " ".join(part(written("confirm_new_address"), "plain").split())

    assert "If it was not you, do not press the button" in text
    assert 'ask for a new password with "forgot password"' in text
    text = " ".join(part(written("verify_email"), "plain").split())
    assert "If it was not you, you need do nothing" in text


def test_values_are_escaped_in_the_page_and_plain_in_the_text() -> None:
    service = "<b>Rock & \"Roll\"</b> 'n'"
    message = written("address_changed", service=service)

    assert service in part(message, "plain")
    assert service in message["Subject"]
    assert escape(service) in part(message, "html")
    assert "<b>" not in part(message, "html")


def test_text_in_any_script_arrives() -> None:
    message = written(service="Zażółć 测试 🙂, Ltd.")

    assert message["From"].addresses[0].display_name == "Zażółć 测试 🙂, Ltd."
    assert message["From"].addresses[0].addr_spec == "no-reply@example.com"
    assert "Zażółć 测试 🙂" in message["Subject"]
    assert "Zażółć 测试 🙂" in part(message, "plain")


# Whom it reaches


@pytest.mark.parametrize(
    "to",
    [
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\nBcc: eve@example.com",
        "ada@example.com, eve@example.com",
        "ada@example.com,eve@example.com",
        "ada@example.com;eve@example.com",
        "Ada <ada@example.com>",
        "<ada@example.com>",
        "eve@example.com <ada@example.com>",
        '"ada\r\n"@example.com',
        '"eve@example.com, "@example.com',
        "ada@example.com eve@example.com",
        "ada@exam\x00ple.com",
        "ada@[192.0.2.1]",
        "ad\ud800a@example.com",
        "",
    ],
)
def test_text_that_is_not_one_address_gets_no_mail(to: str) -> None:
    kept: list[EmailMessage] = []

    with pytest.raises(MailNotSent, match="recipient's address is not valid"):
        mailer(send=kept.append).send(to, "verify_email", VALUES)

    assert kept == []


def test_line_ends_in_values_add_no_header() -> None:
    message = written("password_changed", service="Notes\r\nBcc: eve@example.com\n\n\u2028x\x1b[2J")

    assert message["Bcc"] is None
    assert message["Subject"] == "Your password for Notes Bcc: eve@example.com x [2J was changed"
    assert message["From"].addresses[0].addr_spec == "no-reply@example.com"
    assert {name.lower() for name in message} == {
        *("from", "to", "subject", "date", "message-id", "auto-submitted"),
        *("content-type", "mime-version"),
    }


def test_line_ends_in_the_values_of_a_subject_add_no_header(tmp_path: Path) -> None:
    (tmp_path / "password_changed.txt").write_text("Subject: Changed $time\n\nText\n")
    kept: list[EmailMessage] = []
    values = {"time": "noon\r\nBcc: eve@example.com"}
    mailer(templates=tmp_path, send=kept.append).send(ADA, "password_changed", values)

    assert kept[0]["Subject"] == "Changed noon Bcc: eve@example.com"
    assert b"\nBcc:" not in kept[0].as_bytes().partition(b"\r\n\r\n")[0]


def test_server_gets_one_recipient_and_the_bare_sender() -> None:
    inbox = Inbox()
    with serving(inbox) as port:
        sender = '"Eve, of <eve@example.com>" <no-reply@example.com>'
        mailer(url=f"smtp://127.0.0.1:{port}", sender=sender).send(ADA, "verify_email", VALUES)

    [envelope] = inbox.envelopes
    assert envelope.rcpt_tos == [ADA]
    assert envelope.mail_from == "no-reply@example.com"
    assert inbox.sessions[0].host_name == "example.com"
    message = message_from_bytes(envelope.content, EmailMessage, policy=policy.default)
    assert LINK in part(message, "plain")


def test_domain_of_another_script_is_sent_in_ascii() -> None:
    assert written(to="ada@bücher.example.com")["To"] == "ada@xn--bcher-kva.example.com"


def test_local_part_of_another_script_is_sent_with_smtputf8() -> None:
    inbox = Inbox()
    with serving(inbox) as port:
        mailer(url=f"smtp://127.0.0.1:{port}").send("żółw@example.com", "verify_email", VALUES)

    [envelope] = inbox.envelopes
    assert envelope.rcpt_tos == ["żółw@example.com"]
    assert envelope.smtp_utf8
    assert "To: żółw@example.com" in envelope.content.decode()


def test_server_without_smtputf8_is_asked_for_no_such_mail() -> None:
    inbox = Inbox()
    with serving(inbox, enable_SMTPUTF8=False) as port:
        text = failure(f"smtp://127.0.0.1:{port}", to="żółw@example.com")

    assert "cannot do what this mail needs" in text
    assert inbox.envelopes == []


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("https://notes.example.com", "no-reply@notes.example.com"),
        ("https://Notes.Example.com:8443/api", "no-reply@notes.example.com"),
        ("https://bücher.example.com", "no-reply@xn--bcher-kva.example.com"),
        ("http://127.0.0.1:8000", "no-reply@localhost"),
        ("http://[2001:db8::1]:8000", "no-reply@localhost"),
        ("http://localhost:8000", "no-reply@localhost"),
        ("http://intranet", "no-reply@localhost"),
        ("http://a..example.com", "no-reply@localhost"),
    ],
)
def test_sender_follows_the_base_url_when_none_is_set(base_url: str, address: str) -> None:
    message = written(sender="", base_url=base_url)

    assert message["From"] == f"Notes <{address}>"
    assert message["Message-ID"].endswith(f"@{address.partition('@')[2]}>")


def test_sender_keeps_its_own_name() -> None:
    message = written(sender="The Notes Team <team@example.org>")

    assert message["From"] == "The Notes Team <team@example.org>"
    assert message["Message-ID"].endswith("@example.org>")


# Templates of the owner's


def test_owner_may_replace_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "verify_email.txt").write_text("Subject: Hi $email\n\nFor $$5: $link\n")

    message = written(templates=tmp_path)

    assert message["Subject"] == f"Hi {ADA}"
    assert part(message, "plain") == f"For $5: {LINK}"
    assert part(message, "html") == part(written(), "html")
    assert part(written("reset_password", templates=tmp_path), "plain")


def test_file_with_line_ends_and_mark_of_windows_is_read(tmp_path: Path) -> None:
    content = "\ufeffSubject: Hi\r\n\r\n$link\r\n".encode()
    (tmp_path / "verify_email.txt").write_bytes(content)

    message = written(templates=tmp_path)

    assert message["Subject"] == "Hi"
    assert part(message, "plain") == LINK


def test_folder_of_the_owners_may_be_absent_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert written(templates=tmp_path / "nowhere")["Subject"] == "Confirm your address for Notes"
    assert "is not there: every mail is the core's own" in caplog.text


@pytest.mark.parametrize(
    ("file", "content", "wrong"),
    [
        ("verify_email.txt", b"Subject: Hi\n\n$link $password\n", r"holds \$password"),
        ("verify_email.txt", b"Subject: $name\n\n$link\n", r"holds \$name"),
        ("verify_email.html", b"<p>$link $minutes</p>", r"holds \$minutes"),
        ("verify_email.txt", b"Subject: Hi\n\n$link costs 5 $\n", "is not followed by a name"),
        ("verify_email.html", b"<p>$link $5</p>", "is not followed by a name"),
        ("verify_email.txt", b"Hello\n\n$link\n", "must begin with a line Subject"),
        ("verify_email.txt", b"Subject:\n\n$link\n", "must begin with a line Subject"),
        ("verify_email.txt", b"Subject: Hi\n$link\n", "must begin with a line Subject"),
        ("verify_email.txt", b"Subject: Hi\n\n", "must begin with a line Subject"),
        ("verify_email.txt", b"", "must begin with a line Subject"),
        ("verify_email.txt", b"Subject: H\xefi\n\n$link\n", "not UTF-8"),
        ("verify_email.html", b"\xff\xfe<\x00p\x00>\x00", "not UTF-8"),
        ("verify_email.txt", b"Subject: Hi\n\nHello\n", r"lacks \$link"),
        ("reset_password.html", b"<p>Hello</p>", r"lacks \$link"),
    ],
)
def test_broken_file_of_the_owners_refuses_the_start_and_is_named(
    tmp_path: Path, file: str, content: bytes, wrong: str
) -> None:
    (tmp_path / file).write_bytes(content)

    with pytest.raises(StartRefused, match=wrong) as caught:
        mailer(templates=tmp_path)

    assert str(tmp_path / file) in str(caught.value)


def test_folder_in_the_place_of_a_file_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / "verify_email.txt").mkdir()

    with pytest.raises(StartRefused, match="cannot be read"):
        mailer(templates=tmp_path)


def test_file_of_no_mail_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "verify-email.txt").write_text("Subject: Hi\n\n$link\n")
    (tmp_path / "README.md").write_text("Our mails")

    mailer(templates=tmp_path)

    [record] = caplog.records
    assert "verify-email.txt" in record.getMessage()


def test_folder_of_the_core_holds_two_files_for_every_mail_and_no_others() -> None:
    expected = {f"{name}.{ending}" for name in NAMES for ending in ("txt", "html")}
    assert {path.name for path in OURS.iterdir()} == expected


# How it gets there


@pytest.mark.parametrize(
    ("url", "own", "able"),
    [
        ("", False, False),
        ("", True, True),
        ("terminal:", False, True),
        ("smtp://mail.example.com", False, True),
    ],
)
def test_mailer_knows_whether_it_can_send(url: str, own: bool, able: bool) -> None:
    assert mailer(url=url, send=(lambda _: None) if own else None).can_send is able


def test_without_any_way_to_send_the_log_is_told() -> None:
    with pytest.raises(MailNotSent, match="SMTP_URL is not set"):
        mailer(url="").send(ADA, "verify_email", VALUES)


def test_mail_for_the_terminal_is_printed_and_never_logged(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    mailer(url="terminal:").send(ADA, "verify_email", VALUES)

    printed = capsys.readouterr()
    assert f"\nTo: {ADA}\nSubject: Confirm your address for Notes\n\n" in printed.out
    assert LINK in printed.out.splitlines()
    assert printed.err == ""
    assert caplog.records == []


def test_terminal_without_unicode_still_gets_the_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, "ascii"))

    mailer(url="terminal:", service="Żółw").send(ADA, "verify_email", VALUES)

    assert LINK.encode() in output.getvalue().splitlines()


def test_own_way_to_send_takes_the_place_of_smtp() -> None:
    kept: list[EmailMessage] = []
    mailer(url="smtp://127.0.0.1:9", send=kept.append).send(ADA, "verify_email", VALUES)

    assert len(kept) == 1


def test_failure_of_the_own_way_is_a_mail_not_sent() -> None:
    def send(message: EmailMessage) -> None:
        raise LookupError(f"no route to {message['To']} with secret")

    with pytest.raises(MailNotSent) as caught:
        mailer(send=send).send(ADA, "verify_email", VALUES)

    assert "LookupError" in str(caught.value)
    assert "test_mailing.py" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_missing_value_is_a_mail_not_sent() -> None:
    with pytest.raises(MailNotSent, match="verify_email cannot be written: KeyError"):
        mailer(send=lambda _: None).send(ADA, "verify_email", {})


@pytest.mark.usefixtures("trusted")
def test_starttls_is_used_where_it_is_offered_and_the_login_follows(tls: ssl.SSLContext) -> None:
    inbox = Inbox()
    with serving(
        inbox, tls_context=tls, authenticator=inbox.authenticate, auth_required=True
    ) as port:
        url = f"smtp://ada%40home:p%3Aa%2Fs%20s%25@localhost:{port}"
        mailer(url=url).send(ADA, "verify_email", VALUES)

    assert inbox.sessions[0].ssl is not None
    assert inbox.logins == [(b"ada@home", b"p:a/s s%")]


@pytest.mark.usefixtures("trusted")
def test_smtps_is_tls_from_the_first_byte(tls: ssl.SSLContext) -> None:
    inbox = Inbox()
    with serving(
        inbox, ssl_context=tls, authenticator=inbox.authenticate, auth_require_tls=False
    ) as port:
        url = f"smtps://ada:p%3Aa%2Fs%20s%25@127.0.0.1:{port}"
        mailer(url=url).send(ADA, "verify_email", VALUES)

    assert len(inbox.envelopes) == len(inbox.logins) == 1


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_own_hosts_certificate_is_not_checked_and_the_log_says_so_once(
    tls: ssl.SSLContext, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What a distribution sets up for its Postfix is signed by itself, for another name."""
    smtp.say_unchecked.cache_clear()
    inbox = Inbox()
    with serving(inbox, tls_context=tls, authenticator=inbox.authenticate) as port:
        url = f"smtp://ada:p%3Aa%2Fs%20s%25@{host}:{port}"
        assert smtp.reach(url) == ""
        for _ in range(2):
            mailer(url=url).send(ADA, "verify_email", VALUES)

    assert all(session.ssl is not None for session in inbox.sessions)
    assert len(inbox.envelopes) == len(inbox.logins) == 2
    assert caplog.text.count("certificate is not checked") == 1


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_handshake_tells_what_a_mail_would_meet(tls: ssl.SSLContext, scheme: str) -> None:
    how = {"ssl_context": tls} if scheme == "smtps" else {"tls_context": tls}
    with serving(Inbox(), **how) as port:
        assert "not trusted" in smtp.reach(f"{scheme}://mail.example.com:{port}")
    assert "cannot be reached" in smtp.reach(f"{scheme}://mail.example.com:{port}")


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize(
    ("scheme", "host"),
    [("smtp", "mail.example.com"), ("smtp", "localhost.example.com"), ("smtps", "localhost")],
)
def test_certificate_that_nobody_vouches_for_is_refused(
    tls: ssl.SSLContext, scheme: str, host: str
) -> None:
    inbox = Inbox()
    how = {"ssl_context": tls} if scheme == "smtps" else {"tls_context": tls}
    with serving(inbox, authenticator=inbox.authenticate, auth_require_tls=False, **how) as port:
        text = failure(f"{scheme}://ada:secret@{host}:{port}")

    assert "certificate is not trusted" in text
    assert inbox.envelopes == inbox.logins == []


@pytest.mark.usefixtures("trusted", "anywhere")
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_certificate_for_another_host_is_refused(tls: ssl.SSLContext, scheme: str) -> None:
    inbox = Inbox()
    how = {"ssl_context": tls} if scheme == "smtps" else {"tls_context": tls}
    with serving(inbox, **how) as port:
        assert "certificate is not trusted" in failure(f"{scheme}://mail.example.com:{port}")

    assert inbox.envelopes == []


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("host", ["mail.example.com", "192.0.2.1", "localhost.example.com"])
def test_other_host_without_tls_gets_neither_mail_nor_password(host: str) -> None:
    inbox = Inbox()
    with serving(inbox, authenticator=inbox.authenticate, auth_require_tls=False) as port:
        text = failure(f"smtp://ada:secret@{host}:{port}")

    assert "offers no STARTTLS" in text
    assert inbox.envelopes == inbox.logins == []


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_own_host_is_reached_without_tls(host: str) -> None:
    inbox = Inbox()
    with serving(inbox, authenticator=inbox.authenticate, auth_require_tls=False) as port:
        url = f"smtp://ada:p%3Aa%2Fs%20s%25@{host}:{port}"
        mailer(url=url).send(ADA, "verify_email", VALUES)

    assert len(inbox.envelopes) == len(inbox.logins) == 1


@pytest.mark.parametrize(("scheme", "port"), [("smtp", 587), ("smtps", 465)])
def test_port_follows_the_scheme(monkeypatch: pytest.MonkeyPatch, scheme: str, port: int) -> None:
    asked: list[tuple[str, int]] = []

    def refuse(address: tuple[str, int], *_: Any, **__: Any) -> None:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)

    assert "cannot be reached" in failure(f"{scheme}://mail.example.com")
    assert asked == [("mail.example.com", port)]


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({"rcpt": "550 no secret ada here"}, "refused the recipient"),
        ({"rcpt": "451 later, secret ada"}, "refused the recipient"),
        ({"data": "451 later, secret ada"}, "answered with an error (SMTPDataError 451)"),
        ({"data": "554 spam, secret ada"}, "answered with an error (SMTPDataError 554)"),
    ],
)
def test_refusal_of_the_server_is_told_without_its_words(
    answers: dict[str, str], text: str
) -> None:
    with serving(Inbox(**answers)) as port:
        assert text in failure(f"smtp://127.0.0.1:{port}")


def test_wrong_password_is_told_without_the_servers_words() -> None:
    inbox = Inbox()
    with serving(inbox, authenticator=inbox.authenticate, auth_require_tls=False) as port:
        text = failure(f"smtp://ada:wrong@127.0.0.1:{port}")

    assert "refused the login of SMTP_URL" in text
    assert inbox.envelopes == []


def test_server_without_a_login_is_told_apart() -> None:
    with serving(Inbox()) as port:
        assert "cannot do what" in failure(f"smtp://ada:secret@127.0.0.1:{port}")


def test_password_of_other_letters_is_told_apart() -> None:
    inbox = Inbox()
    with serving(inbox, authenticator=inbox.authenticate, auth_require_tls=False) as port:
        assert "characters that cannot be sent" in failure(f"smtp://ada:%C5%BC@127.0.0.1:{port}")


def test_server_that_is_down_is_a_mail_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    assert "cannot be reached" in failure(f"smtp://127.0.0.1:{port}")


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setattr(smtp, "STEP", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = failure(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")

    assert "took too long" in text or "did not answer in time" in text


def test_all_answers_together_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "WHOLE", 0.0)
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "took too long" in failure(f"smtp://127.0.0.1:{silent.getsockname()[1]}")

    assert time.monotonic() - started < smtp.STEP / 2


@pytest.mark.parametrize("answer", ["500 secret", "421 secret", ""])
def test_failed_farewell_does_not_make_a_mail_come_twice(answer: str) -> None:
    inbox = Inbox(quit=answer)
    with serving(inbox) as port:
        mailer(url=f"smtp://127.0.0.1:{port}").send(ADA, "verify_email", VALUES)

    assert len(inbox.envelopes) == 1
