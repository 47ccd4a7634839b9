"""What holds for every answer: headers, request id, limits. Put around the finished application.

A middleware inside the application does not see the answer to an unhandled exception: that one
is sent by the layer outside all middleware. So this wraps the whole stack.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from secrets import token_hex

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatehouse.problems import TOO_LARGE, problem
from gatehouse.refusal import StartRefused
from gatehouse.state import Gatehouse

log = logging.getLogger("gatehouse.errors")

MAX_BODY = 64 * 1024  # bytes
MAX_HEADERS = 64 * 1024  # bytes; httptools, unlike h11, has no limit of its own
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

request_id: ContextVar[str] = ContextVar("request_id", default="-")

Headers = list[tuple[bytes, bytes]]

ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# Added where the answer does not bring its own: a page has its own policy and caching.
UNLESS_SET: Headers = [
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    ),
]
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Hardening:
    """The outermost layer: hands the core to the guards, completes every answer's headers.

    An exception that reaches it has been answered already (500) and is logged here, with its
    traceback and the request id; it goes no further.
    """

    def __init__(self, app: ASGIApp, core: Gatehouse, start: Callable[[], Awaitable[None]]) -> None:
        self.app = app
        self.core = core
        self.start = start
        https = core.settings.public_base_url.startswith("https://")
        self.always = [*ALWAYS, HSTS] if https else ALWAYS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        scope["gatehouse"] = self.core
        identity = _request_id(scope)
        request_id.set(identity.decode())
        own: Headers = [*self.always, (b"x-request-id", identity)]

        async def send_completed(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.start" or kind == "websocket.http.response.start":
                headers = message["headers"] = list(message.get("headers", ()))
                present = {name for name, _ in headers}
                headers += [header for header in UNLESS_SET if header[0] not in present]
                headers += own
            await send(message)

        try:
            await self.app(scope, receive, send_completed)
        except Exception:
            log.exception("unhandled error in %s %s", scope.get("method", ""), scope["path"])

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.start()
        except StartRefused as refusal:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(refusal)})
            raise RuntimeError(str(refusal)) from None
        try:
            await self.app(scope, receive, send)
        finally:
            self.core.passwords.close()
            self.core.database.close()


class Limits:
    """Refuses what is too large or not UTF-8 before the application reads it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        size = 0
        length = media_type = b""
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name == b"content-length":
                length = value
            elif name == b"content-type":
                media_type = value
        if size > MAX_HEADERS:
            await problem(431, TOO_LARGE, _CLOSE)(scope, receive, send)
        elif length.isdigit() and int(length[:20]) > MAX_BODY:
            await problem(413, TOO_LARGE, _CLOSE)(scope, receive, send)
        elif b"json" in media_type.lower():
            await self.app(scope, _utf8_only(receive), send)
        else:
            await self.app(scope, receive, send)


_CLOSE = {"Connection": "close"}  # the rest of the request is not read


def _utf8_only(receive: Receive) -> Receive:
    """Refuse JSON in UTF-16 or UTF-32, which Python's parser would accept (RFC 8259 8.1)."""

    async def checked() -> Message:
        message = await receive()
        body = message.get("body", b"")
        if b"\x00" in body or body.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
            raise HTTPException(400, "The body is not JSON in UTF-8.")
        return message

    return checked


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return token_hex(16).encode()
