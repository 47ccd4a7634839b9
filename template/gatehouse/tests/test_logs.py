"""Logs: one line an event, no secret in any, at any level."""

import asyncio
import errno
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient
from starlette.types import Message
from steps import BOB, PASSWORD, log_in, tokens_of, with_token

from gatehouse import public
from gatehouse.testing import CreateUser, Factory
from gatehouse.web.logs import ACCESS, JsonFormatter, JsonHandler, log_access, log_config

pytestmark = pytest.mark.thorough


def test_no_password_token_or_key_is_logged_at_any_level(
    client: TestClient,
    create_user: CreateUser,
    auth_key: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(1)
    user = create_user(BOB)
    token = tokens_of(log_in(client))["access_token"]
    client.get("/users/me", headers=with_token(token))
    client.get("/users/me", headers=with_token(f"{token}x"))
    log_in(client, password=f"{PASSWORD} wrong")
    logged = caplog.text
    for secret in (PASSWORD, token, token.split(".")[2], auth_key, user.password_hash):
        assert secret not in logged


def test_an_unexpected_error_is_logged_once_with_its_traceback_and_request_id(
    app: FastAPI, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/probe/fail")
    @public
    def fail() -> None:
        raise RuntimeError("the reason")

    lines: list[dict[str, Any]] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter().format(record)))

    handler = Collect()
    logging.getLogger("gatehouse").addHandler(handler)
    try:
        client.get("/probe/fail", headers={"X-Request-ID": "abc-1"})
    finally:
        logging.getLogger("gatehouse").removeHandler(handler)
    (entry,) = lines
    assert entry["request_id"] == "abc-1"
    assert "the reason" in entry["traceback"]
    assert entry["level"] == "error"


@pytest.mark.parametrize("text", ["a\nb", "a\r\n{}", "\x1b[2J", "\u2028", '"}', "é", "\ud800"])
def test_a_line_of_the_json_log_is_one_line(text: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 1, "said %s", (text,), None)
    line = JsonFormatter().format(record)
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert json.loads(line)["message"] == f"said {text}"


def test_the_access_log_holds_no_query_string(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "uvicorn.access")
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", "/users/me?access_token=s3cret", "1.1", 401
    )
    assert "/users/me" in caplog.text
    assert "s3cret" not in caplog.text


@contextmanager
def as_served() -> Iterator[io.StringIO]:
    """What `serve` writes: the log as `log_config` sets it up.

    No fixture, for pytest adds its own handlers before a test's first line.
    """
    root, levels = logging.root, [logging.root.level, ACCESS.level]
    handlers, written = root.handlers[:], io.StringIO()
    root.handlers[:] = [handler := JsonHandler(written)]
    handler.setFormatter(JsonFormatter())
    root.setLevel(logging.INFO)
    ACCESS.setLevel(log_config(readable=False)["loggers"][ACCESS.name]["level"])
    try:
        yield written
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        ACCESS.setLevel(levels[1])


def lines_of_answers(written: io.StringIO) -> list[dict[str, str]]:
    entries = [json.loads(line) for line in written.getvalue().splitlines()]
    return [entry for entry in entries if entry["logger"] == "uvicorn.access"]


class Plain(logging.Handler):
    """A handler of an owner's, which keeps what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.mark.parametrize("with_a_handler", ["", "root", "uvicorn.access", "gatehouse"])
def test_the_line_of_an_answer_is_that_of_the_server(
    client: TestClient, with_a_handler: str
) -> None:
    """In name, words and arguments, whichever way it goes; of a 500 too, and never two."""
    plain, logger = Plain(), logging.getLogger(with_a_handler.removeprefix("root"))
    with as_served() as written:
        if with_a_handler:
            logger.addHandler(plain)
        client.get("/users/me?access_token=s3cret", headers={"X-Request-ID": "abc-1"})
        client.get("/n%C3%B6/%22x%22%0A", headers={"X-Request-ID": "abc-2"})
        client.get("/healthz", headers={"X-Request-ID": "abc-3"})
        logger.removeHandler(plain)
    found = lines_of_answers(written)
    assert [(line["request_id"], line["message"], line["level"]) for line in found] == [
        ("abc-1", 'testclient:50000 - "GET /users/me HTTP/1.1" 401', "info"),
        ("abc-2", 'testclient:50000 - "GET /n%C3%B6/%22x%22%0A HTTP/1.1" 404', "info"),
        ("abc-3", 'testclient:50000 - "GET /healthz HTTP/1.1" 200', "info"),
    ]
    assert {tuple(line) for line in found} == {
        ("time", "level", "logger", "message", "request_id"),
    }
    assert "s3cret" not in str(found)
    of_owner = [record.args for record in plain.records if record.name == "uvicorn.access"]
    expected = ("testclient:50000", "GET", "/healthz", "1.1", 200)
    assert of_owner[-1:] == ([expected] if with_a_handler else [])


def test_an_unexpected_error_has_its_line_too(app: FastAPI, client: TestClient) -> None:
    @app.get("/probe/fail")
    @public
    def fail() -> None:
        raise RuntimeError

    with as_served() as written:
        client.get("/probe/fail")
    (line,) = lines_of_answers(written)
    assert line["message"].endswith('"GET /probe/fail HTTP/1.1" 500')


@pytest.mark.parametrize(
    ("leaves", "lines"), [(True, []), (False, ['- "POST /probe/body HTTP/1.1" 500'])]
)
def test_a_client_that_leaves_while_it_sends_is_no_error_of_ours(
    app: FastAPI, client: TestClient, leaves: bool, lines: list[str]
) -> None:
    """Or anyone could have 500s written, for which somebody may be woken."""

    @app.post("/probe/body")
    @public
    async def read(request: Request) -> None:
        await request.body()
        raise RuntimeError

    async def receive() -> Message:
        return {"type": "http.disconnect" if leaves else "http.request"}

    async def send(_: Message) -> None:
        return

    client.get("/healthz")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/probe/body",
        "query_string": b"",
        "headers": [(b"content-length", b"10")],
        "client": None,
    }
    with as_served() as written:
        asyncio.run(app(scope, receive, send))
    assert [line["message"].strip() for line in lines_of_answers(written)] == lines


def test_a_filter_or_level_of_an_owner_holds(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is often done, to leave out what a probe asks for."""
    server = logging.getLogger("uvicorn.access")

    def no_probes(record: logging.LogRecord) -> bool:
        return "/healthz" not in record.getMessage()

    with as_served() as written:
        server.addFilter(no_probes)
        client.get("/healthz")
        client.get("/users/me")
        server.removeFilter(no_probes)
        monkeypatch.setattr(server, "disabled", True)
        client.get("/users/me")
    assert len(lines_of_answers(written)) == 1


def test_a_formatter_or_level_that_an_owner_gives_our_handler_holds(client: TestClient) -> None:
    with as_served() as written:
        (ours,) = logging.root.handlers
        ours.setFormatter(logging.Formatter("own: %(message)s"))
        client.get("/healthz")
        ours.setFormatter(JsonFormatter())
        ours.setLevel(logging.WARNING)
        client.get("/users/me")
    lines = [line for line in written.getvalue().splitlines() if "testclient" in line]
    assert lines == ['own: testclient:50000 - "GET /healthz HTTP/1.1" 200']


@pytest.mark.usefixtures("auth_key")
def test_a_handler_on_the_server_s_log_hears_each_answer_once(create_app: Factory) -> None:
    """The server would take it away at its start, or write to it beside us."""
    plain, server = Plain(), logging.getLogger("uvicorn.access")
    server.addHandler(plain)
    try:
        with as_served(), TestClient(create_app()) as client:
            assert plain not in server.handlers
            client.get("/healthz")
        assert [record.args for record in plain.records] == [
            ("testclient:50000", "GET", "/healthz", "1.1", 200)
        ]
    finally:
        server.removeHandler(plain)
        ACCESS.removeHandler(plain)


def test_a_log_that_takes_no_line_stops_no_answer(client: TestClient) -> None:
    """The disk is full, or who read the lines has gone."""

    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with as_served():
        (ours,) = logging.root.handlers
        assert isinstance(ours, JsonHandler)
        ours.setStream(Full())
        assert client.get("/healthz").status_code == 200


def test_where_the_server_writes_its_own_lines_ours_are_not_written(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.get("/healthz")
    assert "uvicorn.access" not in {record.name for record in caplog.records}


@pytest.mark.usefixtures("client")
def test_a_client_s_address_cannot_forge_a_line() -> None:
    """A middleware may have put a header's text there."""
    scope = {"client": ('"}\n{"', 1), "method": "GET", "path": "/", "http_version": "1.1"}
    with as_served() as written:
        log_access(scope, 200)
    (line,) = lines_of_answers(written)
    assert line["message"] == '"}\n{":1 - "GET / HTTP/1.1" 200'


@pytest.mark.parametrize("readable", [True, False])
def test_the_log_configuration_is_one_that_python_takes(readable: bool) -> None:
    from logging.config import DictConfigurator

    config = log_config(readable=readable)
    for formatter in config["formatters"].values():
        assert DictConfigurator({"version": 1}).configure_formatter(dict(formatter))
