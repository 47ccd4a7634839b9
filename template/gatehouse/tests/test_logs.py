"""Logs: one line an event, no secret in any, at any level."""

import json
import logging
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from gatehouse import public
from gatehouse.testing import CreateUser
from gatehouse.web.logs import JsonFormatter, log_config

pytestmark = pytest.mark.thorough

PASSWORD = "correct horse battery staple"


def test_no_password_token_or_key_is_logged_at_any_level(
    client: TestClient,
    create_user: CreateUser,
    auth_key: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(1)
    user = create_user("bob@example.com")
    form = {"grant_type": "password", "username": "bob@example.com", "password": PASSWORD}
    token = client.post("/auth/token", data=form).json()["access_token"]
    client.get("/users/me", headers={"Authorization": f"Bearer {token}"})
    client.get("/users/me", headers={"Authorization": f"Bearer {token}x"})
    client.post("/auth/token", data={**form, "password": f"{PASSWORD} wrong"})
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


@pytest.mark.parametrize("readable", [True, False])
def test_the_log_configuration_is_one_that_python_takes(readable: bool) -> None:
    from logging.config import DictConfigurator

    config = log_config(readable=readable)
    for formatter in config["formatters"].values():
        assert DictConfigurator({"version": 1}).configure_formatter(dict(formatter))
