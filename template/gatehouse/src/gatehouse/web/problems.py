"""Every refusal in one form: RFC 9457 `application/problem+json`."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import PydanticSerializationError
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from gatehouse.hashing.passwords import HashQueueFull
from gatehouse.throttling.throttle import Throttled
from gatehouse.web.api_names import known_names

log = logging.getLogger("gatehouse.problems")

RETRY_AFTER = 5  # seconds; how long the database or the hash queue is likely to need
NOTHING_HERE = "There is nothing at this path."
UNEXPECTED = "The service met an unexpected error."
TOO_LARGE = "The request is larger than this service accepts."
MAX_ERRORS, MAX_ERRORS_BYTES = 20, 14 * 1024  # of one answer
MAX_DEPTH, MAX_MESSAGE = 50, 500  # parts of a place, characters
UNREADABLE = "The request holds text that cannot be stored or encoded."


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any
) -> Response:
    """A problem answer. `detail` is a constant of ours or the owner's, never a client's words."""
    title = _TITLES.get(status, "Error")
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return Response(
        json.dumps(content), status, dict(headers or {}), media_type="application/problem+json"
    )


class OAuthError(Exception):
    """A 400 of the two OAuth endpoints, in the form of RFC 6749 section 5.2."""

    def __init__(self, error: str, description: str) -> None:
        self.error = error
        self.description = description


class WrongLinkPassword(Exception):
    """A 400 of its own type: the link is good, the password sent with it is not."""


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every exception of the application as a problem."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(OAuthError, _oauth)
    app.add_exception_handler(WrongLinkPassword, _wrong_link_password)
    app.add_exception_handler(Throttled, _throttled)
    app.add_exception_handler(Exception, _unexpected)
    for unreadable in (UnicodeEncodeError, DataError):
        app.add_exception_handler(unreadable, _unreadable)
    app.add_exception_handler(PydanticSerializationError, _serialization)
    app.add_exception_handler(IntegrityError, _conflict)
    for busy in (OperationalError, InterfaceError, PoolTimeout, HashQueueFull):
        app.add_exception_handler(busy, _unavailable)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what the handler is registered for
    if error.status_code in (204, 304) or error.status_code < 200:
        return Response(status_code=error.status_code, headers=error.headers)
    status = error.status_code
    detail = error.detail if isinstance(error.detail, str) else json.dumps(error.detail)
    if detail == _TITLES.get(status):
        detail = _DETAILS.get(status, detail)
    # What every such answer carries, also one that the owner's own code raises.
    headers = {**_HEADERS.get(status, {}), **(error.headers or {})}
    return problem(status, detail, headers)


_TITLES = {status.value: status.phrase for status in HTTPStatus}
_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    429: {"Retry-After": str(RETRY_AFTER)},
    503: {"Retry-After": str(RETRY_AFTER)},
}


_DETAILS = {
    404: NOTHING_HERE,
    405: "This path does not take that method.",
    413: TOO_LARGE,
}


async def _oauth(_: Request, error: Exception) -> Response:
    assert isinstance(error, OAuthError)  # noqa: S101
    return JSONResponse({"error": error.error, "error_description": error.description}, 400)


async def _wrong_link_password(_: Request, __: Exception) -> Response:
    detail = "This is not the password of the registration that the link is for."
    return problem(400, detail, type="urn:gatehouse:password")


async def _validation(request: Request, error: Exception) -> Response:
    """422 with where and what, never with the value: that may be a password (ASVS 16.5.1)."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    if _is_wrong_media_type(request, error):
        return problem(415, "Send the body as application/json.")
    errors = list(_shown(error.errors(), known_names(request.app)))
    return problem(422, "A value in the request is missing or not valid.", errors=errors)


def _shown(errors: Sequence[Any], known: AbstractSet[str]) -> Iterator[dict[str, Any]]:
    """The first mistakes: a body has room for ten thousand, and an answer is not to be larger
    than what asked for it."""
    room = MAX_ERRORS_BYTES
    for found in errors[:MAX_ERRORS]:
        shown = {
            "loc": _location(found["loc"][:MAX_DEPTH], known),
            "msg": _message(found)[:MAX_MESSAGE],
            "type": found["type"],
        }
        room -= len(json.dumps(shown))
        if room < 0:
            return
        yield shown


def _is_wrong_media_type(request: Request, error: RequestValidationError) -> bool:
    """Whether the body failed only because FastAPI did not read it as JSON (ASVS 4.1.1)."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return isinstance(error.body, bytes) and sent != "application/json"


def _location(loc: tuple[Any, ...], known: AbstractSet[str]) -> list[Any]:
    """Where the mistake is. A name that the API document does not have is a client's own word."""
    return [part if isinstance(part, int) or part in known else "…" for part in loc]


def _message(found: Mapping[str, Any]) -> str:
    if found["type"] == "value_error":
        # pydantic's check of e-mail addresses goes on to name what it found.
        start = "value is not a valid email address"
        text = str(found["msg"]).removeprefix("Value error, ")
        return start if text.startswith(start) else text
    return _MESSAGES.get(found["type"], str(found["msg"]))


# pydantic's own words where they repeat what was sent.
_MESSAGES = {
    "json_invalid": "The body is not valid JSON",
    "union_tag_invalid": "The tag is not one of those expected",
    "extra_forbidden": "This field is not one of the operation's",
    "uuid_parsing": "Input should be a valid UUID",
    "datetime_parsing": "Input should be a valid datetime",
    "datetime_from_date_parsing": "Input should be a valid datetime",
    "url_parsing": "Input should be a valid URL",
}


async def _unreadable(_: Request, __: Exception) -> Response:
    return problem(422, UNREADABLE, errors=[])


async def _conflict(request: Request, _: Exception) -> Response:
    log.warning("a constraint of the database refused a write at %a", request.scope["path"])
    return problem(409, "The request does not fit what is stored.")


async def _serialization(request: Request, error: Exception) -> Response:
    if "surrogates not allowed" in str(error):
        return await _unreadable(request, error)
    log.error("an answer could not be written at %a", request.scope["path"], exc_info=error)
    return await _unexpected(request, error)


async def _unavailable(request: Request, error: Exception) -> Response:
    # Only the kind of error: a driver's message may hold an address or a statement.
    cause = getattr(error, "orig", None)
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", "")
    log.error("unavailable: %s %s at %a", type(error).__name__, code, request.scope["path"])
    return problem(503, "The service is busy; try again.", {"Retry-After": str(RETRY_AFTER)})


async def _throttled(_: Request, error: Exception) -> Response:
    assert isinstance(error, Throttled)  # noqa: S101
    wait = {"Retry-After": str(error.retry_after)}
    return problem(429, "Too many tries. Wait before the next one.", wait)


async def _unexpected(_: Request, __: Exception) -> Response:
    return problem(500, UNEXPECTED)
