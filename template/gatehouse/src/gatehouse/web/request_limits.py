"""What is too large, or not UTF-8, is refused before the application reads it."""

from collections.abc import Awaitable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatehouse.web.problems import TOO_LARGE, problem

MAX_BODY = 64 * 1024  # bytes
MAX_HEADERS = 64 * 1024  # bytes; httptools, unlike h11, has no limit of its own


class Limits:
    """Refuses what is too large or not UTF-8 before the application reads it.

    It has nothing to do afterwards, so it hands on what there is to await and waits for nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self.app(scope, receive, send)
        size, has_body = 0, False
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name in _OF_A_BODY:
                has_body = True
        if size > MAX_HEADERS:
            return problem(431, TOO_LARGE, _CLOSE)(scope, receive, send)
        if has_body:
            return self._with_body(scope, receive, send)
        return self.app(scope, receive, send)

    def _with_body(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "").lstrip("0")
        if length and "transfer-encoding" in headers:
            # RFC 9112 section 6.1: two lengths are how one request is smuggled inside another.
            return problem(400, "The request has two lengths.", _CLOSE)(scope, receive, send)
        if length.isdigit() and int(length[:20]) > MAX_BODY:
            return problem(413, TOO_LARGE, _CLOSE)(scope, receive, send)
        is_json = any("json" in given.lower() for given in headers.getlist("content-type"))
        return self._with_checked_body(_Body(receive, is_json), scope, send)

    def _with_checked_body(self, body: "_Body", scope: Scope, send: Send) -> Awaitable[None]:
        """Whatever the application makes of a refused body, the answer is our refusal.

        A middleware of the owner's may turn the exception into another one (400 or 500).
        """
        started = refused = False

        def send_checked(message: Message) -> Awaitable[None]:
            nonlocal started
            if body.refusal is not None and not started:
                return refuse(body.refusal)
            started = True
            return send(message)

        async def refuse(error: HTTPException) -> None:
            nonlocal refused
            if not refused:
                refused = True
                answer = problem(error.status_code, error.detail, error.headers)
                await answer(scope, body.receive, send)

        return self.app(scope, body.receive, send_checked)


_OF_A_BODY = (b"content-length", b"transfer-encoding")
_CLOSE = {"Connection": "close"}  # the rest of the request is not read
_NO_UTF8 = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")


class _Body:
    """A body that is limited as it streams. JSON in UTF-16 or UTF-32, which Python's parser would
    accept, is refused too (RFC 8259 section 8.1)."""

    def __init__(self, receive: Receive, is_json: bool) -> None:
        self.refusal: HTTPException | None = None
        self._receive = receive
        self._is_json = is_json
        self._size = 0

    async def receive(self) -> Message:
        """The next part; raises the refusal, which stays, for one that is too much."""
        message = await self._receive()
        part = message.get("body", b"")
        if self._is_json and (b"\x00" in part or (self._size == 0 and part.startswith(_NO_UTF8))):
            self.refusal = HTTPException(400, "The body is not JSON in UTF-8.")
        self._size += len(part)
        if self._size > MAX_BODY:
            self.refusal = HTTPException(413, TOO_LARGE, _CLOSE)
        if self.refusal:
            raise self.refusal
        return message
