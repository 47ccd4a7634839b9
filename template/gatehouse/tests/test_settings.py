"""Settings: what is unsafe is refused in one line that names the variable and not the value."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from gatehouse import Settings
from gatehouse.refusal import StartRefused
from gatehouse.throttling.proxies import client_address

pytestmark = pytest.mark.thorough

MARKER = "s3cret-marker-77"


@pytest.mark.asvs("6.2.1", "7.3.2")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH_ACCESS_TOKEN_SECONDS", "0"),
        ("AUTH_ACCESS_TOKEN_SECONDS", "-1"),
        ("AUTH_ACCESS_TOKEN_SECONDS", "86401"),
        ("AUTH_ACCESS_TOKEN_SECONDS", "1000000000"),
        ("AUTH_ACCESS_TOKEN_SECONDS", f"15m{MARKER}"),
        ("AUTH_ACCESS_TOKEN_SECONDS", "NaN"),
        ("AUTH_SESSION_DAYS", "0"),
        ("AUTH_SESSION_DAYS", "31"),
        ("AUTH_REFRESH_GRACE_SECONDS", "61"),
        ("AUTH_KEYS_RELOAD_SECONDS", "61"),
        ("AUTH_KEYS_RELOAD_SECONDS", "0"),
        ("AUTH_REVOCATION_SECONDS", "0"),
        ("AUTH_REVOCATION_MAX_STALE_SECONDS", "3601"),
        ("AUTH_THROTTLE_STORAGE", f"memcached://{MARKER}"),
        ("AUTH_THROTTLE_STORAGE", f"redis://{MARKER}:port"),
        ("SMTP_URL", f"http://{MARKER}"),
        ("SMTP_URL", f"smtp://mail.example.com/{MARKER}"),
        ("MAIL_FROM", f"{MARKER}\r\nBcc: eve@example.com"),
        ("AUTH_PASSWORD_MIN_LENGTH", "7"),
        ("AUTH_HASH_CONCURRENCY", "0"),
        ("AUTH_HASH_QUEUE", "-1"),
        ("AUTH_REQUIRE_VERIFIED_EMAIL", MARKER),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", f"https://app.example.com/{MARKER}"),
        ("CORS_ORIGINS", MARKER),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "::/0"),
        ("TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/1"),
        ("CORS_ORIGINS", "https://"),
        ("CORS_ORIGINS", f"https://{MARKER}@app.example.com"),
        ("PUBLIC_BASE_URL", "http://127.0.0.1:99999"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", f"postgresql://u:{MARKER}@127.0.0.1:port/x"),
        ("DATABASE_URL", "sqlite:///a%00b"),
        ("TRUSTED_PROXIES", MARKER),
        ("AUTH_ISSUER", f"https://id.example.com/?{MARKER}"),
        ("AUTH_ISSUER", "https://id.example.com/#x"),
        ("AUTH_ISSUER", MARKER),
        ("PUBLIC_BASE_URL", f"ftp://{MARKER}"),
        ("PUBLIC_BASE_URL", f"https://user:{MARKER}@api.example.com"),
        ("DATABASE_URL", f"mysql://user:{MARKER}@127.0.0.1/x"),
        ("DATABASE_URL", MARKER),
    ],
)
def test_an_unsafe_setting_is_refused_by_name(
    create_app: Callable[[], FastAPI],
    auth_key: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StartRefused) as refused:
        create_app()
    message = str(refused.value)
    assert message.startswith(f"{name} is refused: ")
    assert "\n" not in message
    assert MARKER not in message


def test_the_issuer_and_the_audience_follow_the_base_url(
    auth_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://api.example.com/")
    settings = Settings()
    assert settings.auth_issuer == settings.auth_audience == "https://api.example.com"
    monkeypatch.setenv("AUTH_AUDIENCE", "notes")
    assert Settings().auth_audience == "notes"


def test_a_printed_settings_object_shows_nothing(
    auth_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:{MARKER}@127.0.0.1/x")
    settings = Settings()
    for text in (repr(settings), str(settings), f"{settings}"):
        assert MARKER not in text
        assert auth_key not in text


def test_a_plain_postgresql_url_gets_the_installed_driver(
    auth_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        monkeypatch.setenv("DATABASE_URL", f"{scheme}://127.0.0.1/x")
        assert Settings().database_url == "postgresql+psycopg://127.0.0.1/x"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_an_env_file_in_another_encoding_is_refused_in_one_line(
    auth_key: str, tmp_path: Path, encoding: str
) -> None:
    (tmp_path / ".env").write_text("GREETING=ä\n", encoding=encoding)
    with pytest.raises(StartRefused, match=r"^\.env is refused: it is not UTF-8 text"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("AUTH_KEYS_FILE", "keys", "AUTH_KEYS and AUTH_KEYS_FILE are both set"),
        ("AUTH_SESSION_IDLE_DAYS", "30", "AUTH_SESSION_IDLE_DAYS is longer"),
        ("AUTH_REVOCATION_MAX_STALE_SECONDS", "1", "AUTH_REVOCATION_MAX_STALE_SECONDS is shorter"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    auth_key: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, word: str
) -> None:
    monkeypatch.setenv("AUTH_SESSION_DAYS", "20")
    monkeypatch.setenv(name, value)
    with pytest.raises(StartRefused, match=word):
        Settings()


def test_the_list_of_ended_sessions_is_never_older_than_a_minute(
    auth_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_REVOCATION_MAX_STALE_SECONDS", "600")
    monkeypatch.setenv("AUTH_REVOCATION_SECONDS", "61")
    with pytest.raises(StartRefused, match="AUTH_REVOCATION_SECONDS is refused"):
        Settings()


def test_a_misspelt_setting_is_told(
    create_app: Callable[[], FastAPI],
    auth_key: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("AUTH_ISUER", MARKER)
    create_app()
    assert "AUTH_ISUER" in caplog.text
    assert MARKER not in caplog.text


@pytest.mark.parametrize(
    ("peer", "sent", "client"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["2001:DB8::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["fe80::1%<script>"], "10.0.0.1"),
        ("10.0.0.1", ["<script>"], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, 127.0.0.1:99999"], "10.0.0.1"),
        ("10.0.0.1", [", ".join(["10.0.0.3"] * 1000)], "10.0.0.3"),
        ("testclient", ["198.51.100.1"], "testclient"),
        # Azure's gateway sends the port, IIS and AWS may.
        ("10.0.0.1", ["198.51.100.1:51234"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["[::ffff:198.51.100.1]:443"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1:1, 10.0.0.2:443"], "198.51.100.1"),
        ("10.0.0.1", ["2001:db8::1:443"], "2001:db8::1:443"),  # an address, and so no port
        # RFC 9110 section 5.6.1.2: an empty element of a list is none.
        ("10.0.0.1", ["198.51.100.1,"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, ,", ""], "198.51.100.1"),
        ("10.0.0.1", [","], "10.0.0.1"),
        # Nothing else is guessed.
        ("10.0.0.1", ["198.51.100.1:"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:65536"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:1:2"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:-1"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:\u0661"], "10.0.0.1"),
        ("10.0.0.1", ["[198.51.100.1]:80"], "10.0.0.1"),
        ("10.0.0.1", ["[2001:db8::1"], "10.0.0.1"),
        ("10.0.0.1", ["2001:db8::1]:80"], "10.0.0.1"),
        ("10.0.0.1", ["[2001:db8::1]80"], "10.0.0.1"),
        ("10.0.0.1", ["[fe80::1%eth0]:80"], "10.0.0.1"),
        ("10.0.0.1", ['"[2001:db8::1]:80"'], "10.0.0.1"),
        ("10.0.0.1", ["for=198.51.100.1"], "10.0.0.1"),
    ],
)
def test_the_client_is_the_right_most_address_that_is_no_trusted_proxy(
    auth_key: str, monkeypatch: pytest.MonkeyPatch, peer: str, sent: list[str], client: str
) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7")
    headers = [(b"x-forwarded-for", value.encode()) for value in sent]
    scope = {"type": "http", "client": (peer, 1), "headers": headers}
    assert client_address(HTTPConnection(scope), Settings().trusted_proxies) == client


def test_a_proxy_that_cannot_be_read_is_said_once_a_minute_without_its_words(
    auth_key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All its clients then count as one, and one attacker locks them all out."""
    from gatehouse.throttling import proxies

    monkeypatch.setattr(proxies, "_said", -proxies.AGAIN)
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8")
    trusted = Settings().trusted_proxies

    def ask(peer: str, *sent: str) -> None:
        headers = [(b"x-forwarded-for", value.encode()) for value in sent]
        scope = {"type": "http", "client": (peer, 1), "headers": headers}
        client_address(HTTPConnection(scope), trusted)

    ask("203.0.113.9", MARKER)  # no proxy of ours
    ask("10.0.0.1")  # a health check of the proxy's own
    ask("10.0.0.1", f"{MARKER}, 198.51.100.1")  # what a client made up is never read
    assert caplog.text == ""
    for _ in range(3):
        ask("10.0.0.1", MARKER)
    assert caplog.text.count("X-Forwarded-For") == 1
    assert MARKER not in caplog.text
    monkeypatch.setattr(proxies, "_said", time.monotonic() - proxies.AGAIN)
    ask("10.0.0.1", MARKER)
    assert caplog.text.count("X-Forwarded-For") == 2
