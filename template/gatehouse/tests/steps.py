"""What most tests do and look at: a login, the header that follows from it, mails, events."""

import asyncio
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlmodel import SQLModel, col, select
from starlette.testclient import TestClient

from gatehouse.accounts.one_time import PREFIX
from gatehouse.hashing.passwords import Passwords, Verified
from gatehouse.signing.tokens import AccessToken
from gatehouse.state import Gatehouse
from gatehouse.store.tables import AuditEvent

BOB = "bob@example.com"
PASSWORD = "correct horse battery staple"
NEXT = "seven quiet herons at dawn"
WRONG = "nine wrong words in a row"

Tokens = dict[str, Any]  # the members of a login's or a refresh's answer
Headers = dict[str, str]
Row = TypeVar("Row", bound=SQLModel)


def log_in(
    client: TestClient,
    email: str = BOB,
    password: str = PASSWORD,
    *,
    headers: Headers | None = None,
    **form: str,
) -> Any:
    """The answer to a login, right or wrong. `form` is what else is sent, such as a scope."""
    sent = {"grant_type": "password", "username": email, "password": password, **form}
    return client.post("/auth/token", data=sent, headers=headers)


def tokens_of(answer: Any) -> Tokens:
    """The members of an answer that gave tokens."""
    assert answer.status_code == 200, answer.text
    found: Tokens = answer.json()
    return found


def refresh(client: TestClient, token: str, **form: str) -> Any:
    """The answer to a refresh, right or wrong."""
    sent = {"grant_type": "refresh_token", "refresh_token": token, **form}
    return client.post("/auth/token", data=sent)


def with_token(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def bearer(tokens: Tokens) -> Headers:
    """What a client sends that has these tokens."""
    return with_token(tokens["access_token"])


def logged_in(client: TestClient, email: str = BOB, password: str = PASSWORD) -> Headers:
    """What a client sends after a login, which must be right."""
    return bearer(tokens_of(log_in(client, email, password)))


def opens(client: TestClient, headers: Headers) -> bool:
    """Whether a guarded route lets these headers in."""
    return client.get("/auth/sessions", headers=headers).status_code == 200


def forgot(client: TestClient, email: str = BOB) -> int:
    """The status of a request for a link that sets a new password."""
    status: int = client.post("/auth/forgot-password", json={"email": email}).status_code
    return status


def token_of(client: TestClient) -> str:
    """The access token that a client of `sign_in` sends."""
    return str(client.headers["Authorization"]).partition(" ")[2]


def core_of(client: TestClient) -> Gatehouse:
    """The core of the application that a client calls."""
    core: Gatehouse = client.app.state.gatehouse  # type: ignore[attr-defined]
    return core


def confirm(client: TestClient, token: str) -> int:
    """The status of a use of a link that proves an address."""
    status: int = client.post("/auth/verify-email", json={"token": token}).status_code
    return status


def text_of(mail: Any) -> str:
    return str(mail.get_body(("plain",)).get_content())


def token_in(mail: Any) -> str:
    """The token of the link in a mail's text."""
    text = text_of(mail)
    found = re.search(rf"#token=({PREFIX}[\w-]+)", text)
    assert found, text
    return found[1]


def rows_of(core: Gatehouse, table: type[Row]) -> list[Row]:
    """All of a table."""
    with core.database.read() as session:
        return list(session.exec(select(table)))


def events(core: Gatehouse, *names: str) -> list[AuditEvent]:
    """The audit events with these names, by default all, oldest first."""
    query = select(AuditEvent).order_by(col(AuditEvent.time))
    with core.database.read() as session:
        return list(session.exec(query.where(col(AuditEvent.event).in_(names)) if names else query))


def event_names(core: Gatehouse) -> list[str]:
    return [row.event for row in events(core)]


def comparable(answer: Any) -> tuple[int, Mapping[str, str], bytes]:
    """All of an answer that must not differ from another one's."""
    headers = {k: v for k, v in answer.headers.items() if k not in ("date", "x-request-id")}
    return answer.status_code, headers, answer.content


def b64(content: bytes | str) -> str:
    """base64url without padding, as in a JWT."""
    raw = content.encode() if isinstance(content, str) else content
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def access_token(
    session_id: UUID | None = None,
    user_id: UUID | None = None,
    stamp: int | None = 0,
    epoch: int = 0,
) -> AccessToken:
    """What a guard reads of a token: of nobody and nothing but for what is given."""
    return AccessToken(
        user_id=user_id or uuid4(),
        session_id=session_id or uuid4(),
        token_id=uuid4(),
        scopes=frozenset(),
        auth_time=0,
        expires_at=0,
        extra=MappingProxyType({}),
        stamp=stamp,
        epoch=epoch,
    )


def verified_by(
    pool: Passwords, password: str, known: str | None, before: Callable[[], None] | None = None
) -> Verified | None:
    """What `Passwords.verify` answers, where no event loop runs."""

    async def ask() -> Verified | None:
        return await pool.verify(password, known, before)

    return asyncio.run(ask())
