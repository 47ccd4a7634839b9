"""The OpenAPI document: stable operation ids and every problem answer, for client generators."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from gatehouse.refusal import StartRefused
from gatehouse.web.api_names import known_names

Json = dict[str, Any]

SCHEMA = "#/components/schemas/"


def _object(title: str, description: str, /, **members: Json) -> Json:
    required = list(members)
    words = {"title": title, "description": description}
    return {**words, "type": "object", "properties": members, "required": required}


TEXT: Json = {"type": "string"}
PLACE: Json = {"type": "array", "items": {"anyOf": [TEXT, {"type": "integer"}]}}
INVALID = _object("InvalidValue", "Where, and what is wrong.", loc=PLACE, msg=TEXT, type=TEXT)
MEMBERS: dict[str, Json] = {
    "type": {"type": "string", "format": "uri-reference"},
    "title": TEXT,
    "status": {"type": "integer"},
    "detail": TEXT,
}
OURS = (
    _object("Problem", "What went wrong, as RFC 9457 writes it.", **MEMBERS),
    _object(
        "ValidationProblem",
        "A problem that lists what was refused, without repeating what was sent.",
        **MEMBERS,
        errors={"type": "array", "items": INVALID},
    ),
)

# Words of our own: Python's phrases for these numbers differ between its versions.
MEANING = {
    "401": "No valid access token was sent.",
    "403": "The access token lacks a scope that this operation needs.",
    "404": "There is no such thing, or it is not yours.",
    "413": "The body is larger than this service accepts.",
    "415": "The body is not of the content type that this operation reads.",
    "422": "A value in the request cannot be accepted.",
    "500": "The service failed. Its log says why.",
    "503": "Something that the service needs is not available. Try again later.",
}
RETRY: Json = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
CHALLENGE: Json = {"WWW-Authenticate": {"description": "RFC 6750.", "schema": TEXT}}
HEADERS = {"401": CHALLENGE, "403": CHALLENGE, "429": RETRY, "503": RETRY}


class Operation(NamedTuple):
    """One method of one documented route, with the id FastAPI gave it and ours."""

    path: str
    method: str
    given_id: str
    id: str


def add_openapi(app: FastAPI) -> None:
    """Replace `app.openapi` by one that finishes FastAPI's document and keeps the result.

    An operation's id is the `operation_id` of its route, or else its function's name. The
    core's own start with `auth_`: an operation that an update adds cannot meet yours.
    """
    fastapi_document = app.openapi
    finished: Json = {}

    def openapi() -> Json:
        nonlocal finished
        document = fastapi_document()
        # FastAPI hands out its stored document until a route is added, then a new one.
        if document is not finished:
            finished = app.openapi_schema = _finish(app, document)
        return finished

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def check_openapi(app: FastAPI) -> None:
    """Raise `StartRefused`, with the remedy, when names meet each other in the document."""
    try:
        known_names(app)  # makes the document too, so that no request waits for either
    except ValueError as error:
        raise StartRefused(str(error)) from None


def _finish(app: FastAPI, document: Json) -> Json:
    operations = _operations(app)
    finished: Json = _renamed(document, _new_names(operations))
    schemas: Json = finished.setdefault("components", {}).setdefault("schemas", {})
    for schema in OURS:
        name = schema["title"]
        if schemas.setdefault(name, schema) != schema:
            raise ValueError(
                f"the API document needs the name {name!r} for its problem answers: "
                f"rename your class {name}"
            )
    for operation in operations:
        described = finished["paths"][operation.path][operation.method.lower()]
        described["operationId"] = operation.id
        _describe_problems(operation, described)
    for scheme in finished["components"].get("securitySchemes", {}).values():
        if "password" in scheme.get("flows", {}):
            scheme["flows"]["password"]["scopes"] = dict(app.state.gatehouse.scopes)
    # FastAPI's own form of a 422 is gone, unless a webhook or callback still uses it.
    for name in ("HTTPValidationError", "ValidationError"):
        if SCHEMA + name + '"' not in json.dumps(finished):
            schemas.pop(name, None)
    finished["components"]["schemas"] = dict(sorted(schemas.items()))
    return finished


def _operations(app: FastAPI) -> list[Operation]:
    operations: dict[str, Operation] = {}
    for operation in _each_operation(app):
        other = operations.setdefault(operation.id, operation)
        if other is not operation:
            raise ValueError(
                f"two operations have the id {operation.id!r} in the API document, "
                f"{other.method} {other.path} and {operation.method} {operation.path}: "
                "rename one function, or give one route an operation_id"
            )
    return list(operations.values())


def _each_operation(app: FastAPI) -> Iterator[Operation]:
    for route in iter_route_contexts(app.routes):
        if not isinstance(route.original_route, APIRoute) or not route.include_in_schema:
            continue
        methods = sorted(route.methods or ())
        for method in methods:
            suffix = f"_{method.lower()}" if len(methods) > 1 else ""
            id_ = route.operation_id or f"{_name(route)}{suffix}"
            yield Operation(str(route.path_format), method, route.unique_id, id_)


def _name(route: RouteContext) -> str:
    of_core = getattr(route.endpoint, "__module__", "").startswith("gatehouse.routes.")
    return f"auth_{route.name}" if of_core else str(route.name)


def _new_names(operations: list[Operation]) -> dict[str, str]:
    """FastAPI names forms and lists after its ids, and client generators take classes from them."""
    names: dict[str, str] = {}
    for operation in operations:
        old, new = f"Body_{operation.given_id}", f"Body_{operation.id}"
        names |= {old: new, SCHEMA + old: SCHEMA + new}
        old, new = f"Response {operation.given_id}", f"Response {operation.id}"
        names[old.replace("_", " ").title()] = new.replace("_", " ").title()
    return names


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def _describe_problems(operation: Operation, described: Json) -> None:
    answers: Json = described["responses"]
    if SCHEMA + "HTTPValidationError" in json.dumps(answers.get("422", {})):
        answers["422"] = {"description": MEANING["422"], "content": _content("ValidationProblem")}
    for status in _expected_problems(operation, described):
        answers.setdefault(status, {"description": MEANING[status]})
    for status, answer in answers.items():
        # Where a route gave only the words for an error, its form is the one of all others.
        if status.isdigit() and int(status) >= 400 and answer.keys() <= {"description"}:
            answer["content"] = _content("Problem")
            if status in HEADERS:
                answer["headers"] = HEADERS[status]
    described["responses"] = dict(sorted(answers.items()))


def _expected_problems(operation: Operation, described: Json) -> Iterator[str]:
    security = described.get("security", [])
    if security:
        yield "401"
    if any(scopes for scheme in security for scopes in scheme.values()):
        yield "403"
    if "{" in operation.path:
        yield "404"
    if "requestBody" in described:
        yield from ("413", "415")
    yield "500"
    # What is guarded or changes something comes to the database or the password queue.
    if security or operation.method not in ("GET", "HEAD", "OPTIONS"):
        yield "503"


def _content(schema: str) -> Json:
    return {"application/problem+json": {"schema": {"$ref": SCHEMA + schema}}}
