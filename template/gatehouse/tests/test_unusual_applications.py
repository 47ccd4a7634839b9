"""What an owner may build around the core: the guards, the answers and the log hold there too."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, Field
from pydantic_core import PydanticSerializationError
from sqlalchemy.exc import IntegrityError, OperationalError
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient, WebSocketDenialResponse

from gatehouse import CurrentUser, Settings, install, public, requires
from gatehouse.install import check_start
from gatehouse.refusal import StartRefused
from gatehouse.state import Gatehouse
from gatehouse.testing import SignIn
from gatehouse.web.hardening import Hardening
from gatehouse.web.logs import JsonFormatter

MARKER = "s3cret-marker-77"


def test_a_folder_of_files_is_no_way_around_the_guards(app: FastAPI, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("x")
    app.frontend("/probe/ui", directory=tmp_path)
    try:
        with pytest.raises(StartRefused, match="is neither guarded nor public"):
            check_start(app)
    finally:
        app.router._low_priority_routes.clear()  # FastAPI's own list, which we look into as well
    router = APIRouter(prefix="/probe")
    router.frontend("/ui", directory=tmp_path)
    app.include_router(router)
    with pytest.raises(StartRefused, match="neither guarded nor public"):
        check_start(app)


def test_a_route_that_the_owner_s_own_start_up_adds_is_checked(
    create_app: Callable[[], FastAPI], auth_key: str
) -> None:
    app = create_app()

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        app.add_api_route("/probe/metrics", lambda: {})
        yield

    app.router.lifespan_context = life
    with pytest.raises(RuntimeError, match="/probe/metrics is neither"), TestClient(app):
        pass


def test_an_application_that_is_served_without_a_start_is_checked_all_the_same(
    create_app: Callable[[], FastAPI], auth_key: str
) -> None:
    app = create_app()
    app.add_api_route("/probe/open", lambda: {})
    outer = Starlette(routes=[Mount("/api", app)])
    client = TestClient(outer, raise_server_exceptions=False)
    for _ in range(2):
        answer = client.get("/api/probe/open")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.thorough
def test_an_application_can_be_started_again(
    create_app: Callable[[], FastAPI], auth_key: str
) -> None:
    app = create_app()
    form = {"grant_type": "password", "username": "a@example.com", "password": "x" * 20}
    for _ in range(2):
        with TestClient(app) as client:
            assert client.post("/auth/token", data=form).status_code == 400


def test_a_mounted_application_answers_like_the_rest(app: FastAPI, client: TestClient) -> None:
    class Body(BaseModel):
        number: int

    inner = FastAPI()

    @inner.post("/take")
    @public
    def take(body: Body) -> Body:
        return body

    for route in inner.routes:
        public(getattr(route, "endpoint", take))
    app.mount("/probe", inner)
    check_start(app)
    refused = client.post("/probe/take", json={"number": MARKER})
    assert refused.status_code == 422
    assert MARKER not in refused.text
    for answer in (refused, client.get("/probe/nothing"), client.get("/probe/take")):
        assert answer.headers["content-type"] == "application/problem+json"
    slash = client.post("/probe/take/", json={"number": 1}, headers={"Host": "evil.example"})
    assert slash.status_code == 404


def test_a_current_user_is_never_exchanged_for_a_mere_token(app: FastAPI, core: Gatehouse) -> None:
    scope = next(iter(core.scopes), None)

    @app.get("/probe/both")
    def both(user: Annotated[CurrentUser, requires(*[scope] if scope else [])]) -> str:
        return user.email

    with pytest.raises(StartRefused, match=r"/probe/both gives user both CurrentUser and requires"):
        check_start(app)


def test_a_refused_upgrade_is_an_answer_like_any_other(client: TestClient) -> None:
    for path in ("/users/me", "/nothing", "/healthz"):
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(path):
            pass
        assert denied.value.status_code == 404
        assert denied.value.headers["content-type"] == "application/problem+json"
        assert denied.value.headers["cache-control"] == "no-store"


def test_a_header_that_a_route_sets_is_there_once(app: FastAPI, client: TestClient) -> None:
    @app.get("/probe/headers")
    @public
    def set_headers(response: Response) -> None:
        for name in ("X-Frame-Options", "X-Request-ID", "Referrer-Policy"):
            response.headers[name] = "theirs"

    names = [name for name, _ in client.get("/probe/headers").headers.multi_items()]
    for name in ("x-frame-options", "x-request-id", "referrer-policy"):
        assert names.count(name) == 1


@pytest.mark.parametrize(
    ("status", "header"),
    [
        (401, "www-authenticate"),
        (429, "retry-after"),
        (503, "retry-after"),
        (420, None),
        (599, None),
    ],
)
def test_an_error_that_a_route_raises_is_completed(
    app: FastAPI, client: TestClient, status: int, header: str | None
) -> None:
    @app.get("/probe/raise")
    @public
    def fail() -> None:
        raise HTTPException(status, "No.")

    answer = client.get("/probe/raise")
    assert answer.status_code == status
    assert answer.json()["detail"] == "No."
    assert header is None or answer.headers[header]


def test_a_tag_of_a_union_is_not_repeated(app: FastAPI, client: TestClient) -> None:
    class Cat(BaseModel):
        kind: Literal["cat"]

    class Dog(BaseModel):
        kind: Literal["dog"]

    class Owner(BaseModel):
        pet: Annotated[Cat | Dog, Field(discriminator="kind")]

    @app.post("/probe/pets")
    @public
    def take(owner: Owner) -> None: ...

    answer = client.post("/probe/pets", json={"pet": {"kind": MARKER}})
    assert answer.status_code == 422
    assert MARKER not in answer.text


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ({"user": {"a"}}, "no role admin"),
        ({"admin": {"a"}}, "no role user"),
        ({"user": set(), "admin": {"a", "b"}}, "does not list: b"),
    ],
)
def test_roles_that_do_not_fit_the_scopes_stop_the_start(
    auth_key: str, roles: dict[str, set[str]], said: str
) -> None:
    with pytest.raises(StartRefused, match=said):
        install(FastAPI(), name="x", settings=Settings(), roles=roles, scopes={"a": "A"})


@pytest.mark.thorough
def test_a_client_that_leaves_is_no_error(
    core: Gatehouse, caplog: pytest.LogCaptureFixture
) -> None:
    import asyncio

    from starlette.requests import ClientDisconnect

    async def gone(*_: Any) -> None:
        raise ClientDisconnect

    hardening = Hardening(gone, core, lambda: None)
    scope = {"type": "http", "method": "POST", "path": "/auth/token", "headers": []}
    asyncio.run(hardening(scope, None, None))  # type: ignore[arg-type]
    assert caplog.records == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("x"),
        IntegrityError("x", None, Exception()),
        OperationalError("x", None, Exception()),
        PydanticSerializationError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_path_cannot_forge_a_line_of_the_log(
    app: FastAPI, client: TestClient, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    @app.get("/probe/fail/{rest}")
    @public
    def fail(rest: str) -> None:
        raise error

    client.get("/probe/fail/a%0AERROR%20forged%1B[31m")
    ours = [found for found in caplog.records if found.name.startswith("gatehouse.")]
    assert any("forged" in record.getMessage() for record in ours)
    for record in ours:
        assert "\n" not in record.getMessage()
        assert "\x1b" not in record.getMessage()


@pytest.mark.thorough
def test_the_values_of_a_refused_row_stay_out_of_the_log() -> None:
    try:
        raise RuntimeError(f"refused\nDETAIL:  Failing row contains ({MARKER}).\nCONTEXT: {MARKER}")
    except RuntimeError as error:
        info = (type(error), error, error.__traceback__)
        record = logging.LogRecord("x", logging.ERROR, "", 1, "failed", (), info)
    assert MARKER not in JsonFormatter().format(record).replace("raise RuntimeError", "")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "message", "arguments"),
    [
        ("uvicorn.error", '%s - "WebSocket %s" 403', ("127.0.0.1:1", f"/x?token={MARKER}")),
        ("uvicorn.error", "< %s", (f"authorization: Bearer {MARKER}",)),
        ("uvicorn.asgi", "%s", (f"query_string {MARKER}",)),
    ],
)
def test_the_server_s_own_lines_hold_no_token(
    client: TestClient,
    caplog: pytest.LogCaptureFixture,
    name: str,
    message: str,
    arguments: tuple[str, ...],
) -> None:
    caplog.set_level(1)
    level = logging.INFO if "403" in message else logging.DEBUG
    logging.getLogger(name).log(level, message, *arguments)
    assert MARKER not in caplog.text


def test_a_role_without_scopes_can_still_call(client: TestClient, sign_in: SignIn) -> None:
    assert sign_in(scopes=[]).get("/users/me").status_code == 200


@pytest.mark.parametrize(
    ("body", "status"), [(b" " * 70_000, 413), ('{"title": "x"}'.encode("utf-16"), 400)]
)
def test_a_middleware_of_the_owners_does_not_change_a_refusal(
    create_app: Callable[[], FastAPI], auth_key: str, body: bytes, status: int
) -> None:
    app = create_app()

    @app.middleware("http")
    async def pass_on(request: Request, call_next: Callable[[Request], Any]) -> Any:
        return await call_next(request)

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 1024):
            yield body[start : start + 1024]

    json_type = {"Content-Type": "application/json"}
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.post("/auth/forgot-password", content=chunks(), headers=json_type)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.post("/auth/forgot-password", json={"email": "x"}).status_code == 422
