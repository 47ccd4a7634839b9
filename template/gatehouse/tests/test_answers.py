"""Every answer, the refusals too: its form, its headers, and nothing of what was sent."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, EmailStr
from sqlalchemy.exc import OperationalError
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from gatehouse import PlainText, public
from gatehouse.state import Gatehouse
from gatehouse.store.tables import User
from gatehouse.testing import SignIn

MARKER = "s3cret-marker-77"


class Body(BaseModel):
    """Every kind of field."""

    model_config = {"extra": "forbid"}

    title: PlainText
    number: int
    ratio: float


@pytest.fixture
def probe(app: FastAPI, client: TestClient) -> TestClient:
    """The application with routes that take a body and that fail in every way."""

    @app.post("/probe/body")
    @public
    def take_body(body: Body) -> Body:
        return body

    @app.post("/probe/echo")
    @public
    def echo(body: dict[str, Any]) -> dict[str, Any]:
        return body

    @app.post("/probe/plain")
    @public
    def echo_plain(body: dict[str, Any]) -> JSONResponse:
        return JSONResponse(body)

    @app.get("/probe/fail")
    @public
    def fail() -> None:
        raise RuntimeError(MARKER)

    @app.get("/probe/down")
    @public
    def down() -> None:
        raise OperationalError(f"SELECT '{MARKER}'", {}, Exception(MARKER))

    @app.get("/probe/gone")
    @public
    def gone() -> None:
        raise HTTPException(410, "It was here until Tuesday.")

    return client


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail"} <= set(body)
    assert body["status"] == status
    assert MARKER not in answer.text
    assert "Traceback" not in answer.text
    return body


def test_every_kind_of_answer_has_every_header_once(probe: TestClient) -> None:
    answers = {
        200: probe.get("/healthz"),
        401: probe.get("/users/me"),
        404: probe.get("/nothing"),
        405: probe.delete("/healthz"),
        410: probe.get("/probe/gone"),
        413: probe.post("/probe/body", content=b"x" * 65_537),
        415: probe.post("/auth/token", content="x"),
        422: probe.post("/probe/body", json={}),
        431: probe.get("/healthz", headers={"X-Long": "x" * 66_000}),
        500: probe.get("/probe/fail"),
        503: probe.get("/probe/down"),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        names = [name for name, _ in answer.headers.multi_items()]
        for name, value in (
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
            ),
        ):
            assert names.count(name) == 1, (status, name)
            assert answer.headers[name] == value
        assert names.count("x-request-id") == 1
        assert "server" not in names
        assert "strict-transport-security" not in names
        if status > 400:
            problem(answer, status)


def test_https_is_demanded_where_the_service_is_served_over_it(
    create_app: Any, auth_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://api.example.com")
    with TestClient(create_app()) as client:
        for path in ("/healthz", "/nothing"):
            hsts = client.get(path).headers["strict-transport-security"]
            assert hsts == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize("given", ["abc-1.2_3", "A" * 64])
def test_a_good_request_id_is_kept(client: TestClient, given: str) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "A" * 65, "a b", "a/b", "<script>", "é"])
def test_another_request_id_is_replaced(client: TestClient, given: str) -> None:
    answer = client.get("/healthz", headers={b"X-Request-ID": given.encode()})
    assert len(answer.headers["x-request-id"]) == 32


def test_an_error_of_the_service_s_own_keeps_its_words(probe: TestClient) -> None:
    assert problem(probe.get("/probe/gone"), 410)["detail"] == "It was here until Tuesday."


def test_a_busy_database_names_the_seconds_to_wait_and_nothing_of_its_own(
    probe: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = probe.get("/probe/down")
    problem(answer, 503)
    assert answer.headers["retry-after"].isdigit()
    assert "unavailable: OperationalError" in caplog.text
    assert MARKER not in caplog.text


GOOD = {"title": "x", "number": 1, "ratio": 1.5}


@pytest.mark.parametrize(
    "body",
    [
        {**GOOD, "title": [MARKER]},
        {**GOOD, "title": {MARKER: MARKER}},
        {**GOOD, "number": MARKER},
        {**GOOD, MARKER: 1},
        {**GOOD, MARKER + " with blanks <b>": 1},
        {"title": MARKER, "number": 1},
        [MARKER],
        MARKER,
    ],
)
def test_a_validation_error_never_repeats_what_was_sent(probe: TestClient, body: object) -> None:
    found = problem(probe.post("/probe/body", json=body), 422)
    assert found["errors"]
    for error in found["errors"]:
        assert set(error) == {"loc", "msg", "type"}


def test_a_refused_id_or_address_is_not_shown_in_part_either(
    app: FastAPI, client: TestClient
) -> None:
    """The libraries name the character that they met."""

    @app.get("/probe/named")
    @public
    def take_named(id_: UUID, email: EmailStr) -> None: ...

    found = problem(client.get("/probe/named?id_=!&email=a@b!c.com"), 422)
    assert [error["loc"] for error in found["errors"]] == [["query", "id_"], ["query", "email"]]
    assert "!" not in str(found["errors"])


@pytest.mark.parametrize(
    "raw",
    [
        '{"title": NaN, "number": 1, "ratio": 1}',
        '{"title": "x", "number": NaN, "ratio": 1}',
        '{"title": "x", "number": Infinity, "ratio": 1}',
        '{"title": "x", "number": 1e400, "ratio": 1}',
        '{"title": "\\ud800", "number": 1, "ratio": 1}',
        '{"title": "\\u0000", "number": 1, "ratio": 1}',
        '{"title": "\\ud800", "number": "\\udfff", "ratio": 1}',
        '{"\\ud800": 1}',
        '{"title": "s3cret-marker-77", }',
        "{",
        "nothing",
        "",
    ],
)
def test_text_that_cannot_be_stored_is_422(probe: TestClient, raw: str) -> None:
    answer = probe.post("/probe/body", content=raw, headers={"Content-Type": "application/json"})
    problem(answer, 422)


@pytest.mark.parametrize("raw", ["[" * 60_000, '{"number": ' + "9" * 5000 + "}"])
def test_json_that_no_parser_should_take_is_refused(probe: TestClient, raw: str) -> None:
    answer = probe.post("/probe/body", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code)


def test_an_answer_that_cannot_be_encoded_is_not_a_500(probe: TestClient) -> None:
    raw = '{"a": "\\ud800"}'
    for path in ("/probe/echo", "/probe/plain"):
        answer = probe.post(path, content=raw, headers={"Content-Type": "application/json"})
        problem(answer, 422)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_json_is_utf8(probe: TestClient, encoding: str) -> None:
    raw = '{"title": "x", "number": 1, "ratio": 1}'.encode(encoding)
    answer = probe.post("/probe/body", content=raw, headers={"Content-Type": "application/json"})
    problem(answer, 400)


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_json_route_takes_json_only(probe: TestClient, media_type: str) -> None:
    raw = '{"title": "x", "number": 1, "ratio": 1}'
    answer = probe.post("/probe/body", content=raw, headers={"Content-Type": media_type})
    problem(answer, 415)


def test_a_body_is_limited_as_it_streams(probe: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    answer = probe.post(
        "/probe/body", content=chunks(), headers={"Content-Type": "application/json"}
    )
    problem(answer, 413)


def test_a_length_of_any_number_of_digits_is_too_large(probe: TestClient) -> None:
    """Python reads no number of more than 4,300 digits."""
    problem(probe.post("/probe/body", content=b"x", headers={"Content-Length": "9" * 5000}), 413)


def test_a_request_of_two_lengths_is_refused(probe: TestClient) -> None:
    """RFC 9112 section 6.1: one of them may be another server's, and hide a second request."""
    both = {"Content-Length": "2", "Transfer-Encoding": "chunked"}
    answer = probe.post("/probe/echo", content=b"{}", headers=both)
    problem(answer, 400)
    assert answer.headers["connection"] == "close"


def test_a_body_of_64_kib_is_taken(probe: TestClient) -> None:
    raw = b'{"title": "x", "number": 1, "ratio": 1}'
    answer = probe.post(
        "/probe/body",
        content=raw + b" " * (65_536 - len(raw)),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/users/me/",
        "//users/me",
        "/Users/Me",
        "/users/..;/me",
        "/users/me/x.css",
        "/healthz/",
        "/docs/",
    ],
)
def test_another_path_is_404_and_never_a_redirect(client: TestClient, path: str) -> None:
    answer = client.get(f"http://testserver{path}", headers={"Host": "evil.example"})
    problem(answer, 404)
    assert "location" not in answer.headers


@pytest.mark.parametrize("path", ["/users/me.json", "/users/me;a=b", "/users/x"])
def test_what_looks_like_ones_own_account_is_guarded(
    client: TestClient, sign_in: SignIn, path: str
) -> None:
    if "users:read" in client.app.state.gatehouse.scopes:  # type: ignore[attr-defined]
        problem(client.get(path), 401)
    assert sign_in().get(path).status_code in (403, 404)
    assert sign_in("admin").get(path).status_code in (404, 422)


@pytest.mark.parametrize("method", ["TRACE", "FOO", "HEAD", "OPTIONS", "PUT", "get"])
def test_only_declared_methods_are_taken(client: TestClient, method: str) -> None:
    answer = client.request(method, "/users/me")
    if method == "get":
        assert answer.status_code in (401, 405)
    else:
        assert answer.status_code == 405


def test_a_listed_origin_may_read_every_answer_and_another_none(
    create_app: Any, auth_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://app.example.com")
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        for path, size in (("/users/me", 0), ("/nothing", 0), ("/auth/token", 70_000)):
            for origin in ("https://app.example.com", "https://evil.example"):
                answer = client.request(
                    "POST" if size else "GET", path, content=b"x" * size, headers={"Origin": origin}
                )
                allowed = answer.headers.get("access-control-allow-origin")
                assert allowed == (origin if "app" in origin else None)
                assert "access-control-allow-credentials" not in answer.headers
        preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
        assert client.options("/users/me", headers=preflight).status_code == 400


def test_without_origins_nothing_is_shared(client: TestClient) -> None:
    answer = client.get("/healthz", headers={"Origin": "https://app.example.com"})
    assert "access-control-allow-origin" not in answer.headers


def test_health_and_readiness(client: TestClient, core: Gatehouse) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}


def test_a_write_that_a_constraint_refuses_is_a_conflict(
    app: FastAPI, client: TestClient, core: Gatehouse
) -> None:
    @app.get("/probe/twice")
    @public
    def twice() -> None:
        for _ in range(2):
            with core.database.write() as session:
                session.add(User(email="a", email_key="a", password_hash="!", role="user"))

    assert "email_key" not in problem(client.get("/probe/twice"), 409)["detail"]


def test_a_debug_switch_changes_nothing(
    create_app: Any, auth_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DEBUG", "FASTAPI_DEBUG"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("ENVIRONMENT", "local")
    app: FastAPI = create_app()
    app.debug = True

    @app.get("/probe/fail")
    @public
    def fail() -> None:
        raise RuntimeError(MARKER)

    with TestClient(app, raise_server_exceptions=False) as client:
        problem(client.get("/probe/fail"), 500)
