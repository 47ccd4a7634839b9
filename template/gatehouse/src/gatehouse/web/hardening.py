"""What holds for every answer: headers, request id. Put around the finished application.

A middleware inside the application does not see the answer to an unhandled exception: that one
is sent by the layer outside all middleware. So this wraps the whole stack.
"""

import gc
import logging
import re
from collections.abc import Callable, Iterable
from secrets import token_hex

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatehouse.refusal import StartRefused
from gatehouse.state import Gatehouse
from gatehouse.throttling.origin import request_id
from gatehouse.web.logs import log_access
from gatehouse.web.problems import NOTHING_HERE, UNEXPECTED, problem

log = logging.getLogger("gatehouse.errors")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

RawHeader = tuple[bytes, bytes]

ALWAYS: list[RawHeader] = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# Added where the answer does not bring its own: a page has its own policy and caching.
UNLESS_SET: list[RawHeader] = [
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    ),
]
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
OURS = frozenset({name for name, _ in [*ALWAYS, HSTS]} | {b"x-request-id"})
_STARTS = ("http.response.start", "websocket.http.response.start")
SPECIAL = OURS | {name for name, _ in UNLESS_SET}


class Hardening:
    """The outermost layer: hands the core to the guards, completes every answer's headers.

    An exception that reaches it has been answered already (500) and is logged here, with its
    traceback and the request id; it goes no further.
    """

    def __init__(self, app: ASGIApp, core: Gatehouse, check: Callable[[], None]) -> None:
        self.app = app
        self.core = core
        self.check = check
        self.checked = False
        https = core.settings.public_base_url.startswith("https://")
        self.always = [*ALWAYS, HSTS] if https else ALWAYS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        scope["gatehouse"] = self.core
        identity = _request_id(scope)
        request_id.set(identity.decode())
        answer = _Answer(scope, send, [*self.always, (b"x-request-id", identity)])
        try:
            if not self.checked:
                self._check()
            if scope["type"] == "http":
                await self.app(scope, receive, answer.send)
            else:
                await self.app(scope, receive, _refusing(answer, scope, receive))
        except ClientDisconnect:
            return  # nobody is left to answer, and there is nothing to mend
        except Exception:
            log.exception("unhandled error in %s %a", scope.get("method", ""), scope["path"])
            if not answer.begun and scope["type"] == "http":
                await problem(500, UNEXPECTED)(scope, receive, answer.send)
        if answer.failed:
            log_access(scope, 500)

    def _check(self) -> None:
        """At the start-up, or at the first request where there was none: nothing is unchecked."""
        try:
            self.check()
        except StartRefused as refusal:
            raise RuntimeError(str(refusal)) from None
        self.checked = True

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        failed = False

        async def send_checked(message: Message) -> None:
            nonlocal failed
            if failed:
                return  # the framework's own report of what was reported already
            if message["type"] == "lifespan.startup.complete":
                # Only now are the routes there that the owner's own start-up adds.
                try:
                    self._check()
                    await self.core.start()
                    # What is there now stays: a full collection of it would halt every request
                    # for some 30 ms, again and again.
                    gc.collect()
                    gc.freeze()
                except RuntimeError as refusal:
                    failed = True
                    await send({"type": "lifespan.startup.failed", "message": str(refusal)})
                    raise
            await send(message)

        try:
            await self.app(scope, receive, send_checked)
        finally:
            await self.core.stop()


class _Answer:
    """The answer to one request: its headers are completed, and its line goes to the log.

    A class, for a function that names itself is a cycle, and then all that a request holds waits
    for the garbage collector.
    """

    __slots__ = ("_always", "_scope", "_send", "begun", "failed")

    def __init__(self, scope: Scope, send: Send, always: list[RawHeader]) -> None:
        self._scope = scope
        self._send = send
        self._always = always
        self.begun = False
        # With 500, whose line is written when it is known why: it is also what the framework
        # would answer to a client that has left while it sent.
        self.failed = False

    async def send(self, message: Message) -> None:
        if not self.begun:
            self.begun = True
            if message["type"] in _STARTS:
                message["headers"] = self._completed(message.get("headers", ()))
                if message["status"] == 500:
                    self.failed = self._scope["type"] == "http"
                elif self._scope["type"] == "http":
                    log_access(self._scope, message["status"])
        await self._send(message)

    def _completed(self, given: Iterable[RawHeader]) -> list[RawHeader]:
        """A route's headers with ours: each of ours once, whatever the route set."""
        headers = [*given]
        names = {name for name, _ in headers}
        if names.isdisjoint(SPECIAL):  # nearly every answer
            return [*headers, *UNLESS_SET, *self._always]
        kept = [header for header in headers if header[0] not in OURS]
        return [*kept, *(h for h in UNLESS_SET if h[0] not in names), *self._always]


def _refusing(answer: _Answer, scope: Scope, receive: Receive) -> Send:
    """How a websocket is answered. Refused, it gets an answer like any other where the server
    lets an upgrade be answered in HTTP; its own would have no headers."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        return answer.send

    async def send(message: Message) -> None:
        if message["type"] == "websocket.close" and not answer.begun:
            await problem(404, NOTHING_HERE)(scope, receive, answer.send)
        else:
            await answer.send(message)

    return send


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return token_hex(16).encode()
