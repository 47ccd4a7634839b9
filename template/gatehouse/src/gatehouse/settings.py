"""Every setting of the core, read from the environment and, in development, from `.env`."""

import os
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from email_validator import EmailNotValidError, validate_email
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from gatehouse.refusal import StartRefused

Network = IPv4Network | IPv6Network

TERMINAL = "terminal:"  # as SMTP_URL: mail is printed; what `dev` sets


class Settings(BaseSettings):
    """The core's settings. A service subclasses this to add its own.

    A real environment variable wins over `.env`. A value that is unsafe or cannot be read is
    refused by `StartRefused`, which names the variable and never shows the value. No setting
    is named after an environment, and none weakens another.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: str = "sqlite:///service.db"
    public_base_url: str = "http://127.0.0.1:8000"
    auth_keys: SecretStr = SecretStr("")
    auth_keys_file: Path | None = None
    # How old a worker's keys may be; the file is read again by each worker for itself.
    auth_keys_reload_seconds: int = Field(default=60, ge=1, le=60)
    auth_issuer: str = ""
    auth_audience: str = ""
    auth_access_token_seconds: int = Field(default=1800, ge=1, le=86_400)
    # NIST SP 800-63B-4 section 2.1.3: a session at this level ends after 30 days at the latest.
    auth_session_days: int = Field(default=30, ge=1, le=30)
    auth_session_idle_days: int = Field(default=14, ge=1, le=30)
    auth_refresh_grace_seconds: int = Field(default=10, ge=0, le=60)
    auth_revocation_seconds: int = Field(default=5, ge=1, le=60)
    auth_revocation_max_stale_seconds: int = Field(default=60, ge=1, le=3_600)
    # ASVS 6.2.1: never under 8, whatever else protects the account.
    auth_password_min_length: int = Field(default=15, ge=8, le=256)
    auth_require_verified_email: bool = True
    auth_hash_concurrency: int | None = Field(default=None, ge=1, le=64)
    auth_hash_queue: int = Field(default=128, ge=1, le=10_000)
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    docs_enabled: bool = True
    # None: open where mail can be sent.
    auth_registration: Literal["open", "closed"] | None = None
    auth_throttle_storage: str = "memory://"
    smtp_url: str = ""
    mail_from: str = ""
    account_pages_url: str = ""

    @property
    def registration_is_open(self) -> bool:
        """Whether anyone may make an account."""
        return self.auth_registration == "open" or (
            self.auth_registration is None and bool(self.smtp_url)
        )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise StartRefused("; ".join(_in_words(error))) from None
        except UnicodeDecodeError:
            raise StartRefused(".env is refused: it is not UTF-8 text. Save it as UTF-8.") from None

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Nothing: a settings object that is logged must not show a key or a database password."""
        return ()

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        scheme, separator, rest = url.partition("://")
        if scheme in ("postgres", "postgresql"):
            scheme = "postgresql+psycopg"
        if not separator or scheme not in ("sqlite", "postgresql+psycopg"):
            raise ValueError("give an SQLAlchemy URL: sqlite:///file.db or postgresql+psycopg://…")
        try:
            parsed = make_url(f"{scheme}://{rest}")
        except (ArgumentError, ValueError):
            raise ValueError(
                "this URL cannot be read; a password in it must be percent-encoded"
            ) from None
        if scheme == "sqlite" and (parsed.database or ":memory:") == ":memory:":
            raise ValueError("give a file: each thread would have another database in memory")
        if "\x00" in url or "%00" in url:
            raise ValueError("the URL must not contain a NUL")
        return f"{scheme}://{rest}"

    @field_validator("auth_throttle_storage")
    @classmethod
    def _known_store(cls, url: str) -> str:
        if url != "memory://" and not url.startswith(("redis://", "rediss://")):
            raise ValueError("give memory://, or the URL of a Redis or Valkey: redis://host:6379/0")
        try:
            urlsplit(url).port  # noqa: B018 - it raises
        except ValueError:
            raise ValueError("this URL cannot be read") from None
        return url

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, url: str) -> str:
        if url in ("", TERMINAL):
            return url
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(
                "give smtp://user:password@host:587, or smtps:// for TLS from the start"
            )
        return url

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, text: str) -> str:
        try:
            if text:
                validate_email(text, check_deliverability=False, allow_display_name=True)
        except EmailNotValidError:
            raise ValueError(
                "give an address, such as Notes <no-reply@example.com>, or none"
            ) from None
        return text

    @field_validator("public_base_url", "auth_issuer", "account_pages_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        """RFC 8414 section 2: an issuer is a URL with no query and no fragment."""
        if not url:
            return url
        if not _is_web_address(url):
            raise ValueError("give an http or https URL such as https://api.example.com")
        if "?" in url or "#" in url or any(c.isspace() for c in url):
            raise ValueError("give a URL with no query, fragment or blank")
        return url.rstrip("/")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            networks = tuple(ip_network(item) for item in _items(value))
        except ValueError:
            raise ValueError(
                "give the proxies' addresses or networks, such as 10.0.0.0/8, with commas between"
            ) from None
        if any(network.prefixlen == 0 for network in _collapsed(networks)):
            raise ValueError("this would trust every client; name the proxies' own addresses")
        return networks

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        origins = tuple(_items(value))
        for origin in origins:
            parts = urlsplit(origin)
            if "*" in origin:
                raise ValueError("* is refused: name each origin, such as https://app.example.com")
            if origin != f"{parts.scheme}://{parts.netloc}" or not _is_web_address(origin):
                raise ValueError("give origins such as https://app.example.com, with no path")
        return origins

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.auth_keys_file is not None and self.auth_keys.get_secret_value():
            raise ValueError("AUTH_KEYS and AUTH_KEYS_FILE are both set; keep one of them")
        if "auth_session_idle_days" not in self.model_fields_set:
            idle = min(self.auth_session_idle_days, self.auth_session_days)
            object.__setattr__(self, "auth_session_idle_days", idle)
        if self.auth_session_idle_days > self.auth_session_days:
            raise ValueError("AUTH_SESSION_IDLE_DAYS is longer than AUTH_SESSION_DAYS")
        if self.auth_revocation_max_stale_seconds < self.auth_revocation_seconds:
            raise ValueError(
                "AUTH_REVOCATION_MAX_STALE_SECONDS is shorter than AUTH_REVOCATION_SECONDS"
            )
        return self

    @model_validator(mode="after")
    def _follow_the_base_url(self) -> Self:
        issuer = self.auth_issuer or self.public_base_url
        object.__setattr__(self, "auth_issuer", issuer)
        object.__setattr__(self, "auth_audience", self.auth_audience or issuer)
        return self

    @classmethod
    def unknown_variables(cls) -> list[str]:
        """Names that start with `AUTH_` but are no setting: most likely misspelt."""
        known = {name.upper() for name in cls.model_fields}
        given = {name.upper() for name in (*os.environ, *dotenv_values(".env"))}
        return sorted(name for name in given - known if name.startswith("AUTH_"))


def _is_web_address(url: str) -> bool:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        return False
    named = bool(parts.hostname) and "@" not in parts.netloc and port != 0
    return parts.scheme in ("http", "https") and named


def _collapsed(networks: tuple[Network, ...]) -> list[Network]:
    """The same networks in as few as possible: two halves of everything are everything."""
    four = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    six = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return [*four, *six]


def _items(text: str) -> list[str]:
    return [item for item in (part.strip() for part in text.split(",")) if item]


def _in_words(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        text = problem["msg"].removeprefix("Value error, ")
        yield f"{str(problem['loc'][0]).upper()} is refused: {text}" if problem["loc"] else text
