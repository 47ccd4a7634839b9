"""Guards: a route is guarded or public, or the service does not start."""

import time
from typing import Annotated, Any
from uuid import UUID

import pytest
import time_machine
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from sqlmodel import select
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from steps import BOB

from gatehouse import Caller, CurrentUser, public, recent_login, requires
from gatehouse.install import check_start
from gatehouse.refusal import StartRefused
from gatehouse.routes.health import read_health
from gatehouse.state import Gatehouse
from gatehouse.store.tables import LoginSession, User, utc_now
from gatehouse.testing import SignIn


@pytest.fixture
def scope(core: Gatehouse) -> str:
    """A scope of this service, whichever role has it."""
    if not core.scopes:
        pytest.skip("this service has no scopes")
    return sorted(core.scopes)[0]


@pytest.fixture
def scoped(app: FastAPI, scope: str) -> None:
    """Two more routes in the application, which ask for scopes."""

    @app.get("/probe/scoped")
    async def read_scoped(caller: Annotated[Caller, requires(scope)]) -> dict[str, str]:
        return {"user": str(caller.user_id)}

    @app.get("/probe/admin", dependencies=[requires(scope)])
    async def read_admin(caller: Caller) -> list[str]:
        return sorted(caller.scopes)


def test_a_scope_that_the_token_holds_opens_the_route(
    scoped: None, sign_in: SignIn, scope: str
) -> None:
    assert sign_in(scopes=[scope]).get("/probe/scoped").status_code == 200


@pytest.mark.asvs("10.3.2")
def test_a_missing_scope_is_403_with_the_route_s_own_scopes(
    scoped: None, sign_in: SignIn, scope: str
) -> None:
    answer = sign_in(scopes=[]).get("/probe/scoped")
    assert answer.status_code == 403
    challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
    assert answer.headers["www-authenticate"] == challenge
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_scope_asked_for_on_the_route_holds_beside_a_plain_caller(
    scoped: None, sign_in: SignIn, scope: str
) -> None:
    assert sign_in(scopes=[]).get("/probe/admin").status_code == 403
    assert sign_in(scopes=[scope]).get("/probe/admin").status_code == 200


@pytest.mark.asvs("7.2.1")
def test_every_route_that_is_not_public_asks_for_a_token(app: FastAPI, client: TestClient) -> None:
    """Whatever this service has: one request without a token to every documented operation."""
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            if operation.get("security"):
                answer = client.request(method, path.replace("{", "").replace("}", ""))
                assert answer.status_code == 401, f"{method} {path}"
                assert answer.headers["www-authenticate"] == "Bearer", f"{method} {path}"


def test_the_current_user_is_read_anew_each_time(
    client: TestClient, core: Gatehouse, sign_in: SignIn
) -> None:
    me = sign_in()
    row = me.get("/users/me").json()
    with core.database.write() as session:
        session.get_one(User, UUID(row["id"])).is_active = False
    assert me.get("/users/me").status_code == 401


def test_an_ended_or_expired_session_has_no_current_user(
    client: TestClient, core: Gatehouse, sign_in: SignIn
) -> None:
    ended, expired = sign_in(), sign_in()
    for signed_in in (ended, expired):
        user_id = UUID(signed_in.get("/users/me").json()["id"])
        with core.database.write() as session:
            found = session.exec(select(LoginSession).where(LoginSession.user_id == user_id)).one()
            if signed_in is ended:
                session.delete(found)
            else:
                found.expires_at = utc_now()
        assert signed_in.get("/users/me").status_code == 401


@pytest.mark.asvs("10.3.2")
def test_a_token_without_scopes_reads_its_own_account_and_changes_it_with_the_password_alone(
    sign_in: SignIn,
) -> None:
    me = sign_in(scopes=[])
    assert me.get("/users/me").status_code == 200
    assert me.delete("/auth/sessions").status_code == 204
    wrong = {"current_password": "nine wrong words in a row"}
    change = {**wrong, "new_password": "seven quiet herons at dawn"}
    assert me.post("/auth/change-password", json=change).status_code == 400
    move = {**wrong, "new_email": "new@example.com"}
    assert me.post("/auth/change-email", json=move).status_code == 400
    assert me.request("DELETE", "/users/me", json=wrong).status_code == 400
    for path in ("/users", f"/users/{me.get('/users/me').json()['id']}"):
        assert me.get(path).status_code == 403


# --- start-up


def add_plain(app: FastAPI) -> None:
    app.add_api_route("/probe/open", lambda: {})


def add_router(app: FastAPI) -> None:
    router = APIRouter(prefix="/probe")
    router.add_api_route("/open", lambda: {})
    app.include_router(router)


def add_nested_router(app: FastAPI) -> None:
    inner = APIRouter()
    inner.add_api_route("/open", lambda: {})
    outer = APIRouter(prefix="/probe")
    outer.include_router(inner)
    app.include_router(outer)


def add_starlette_route(app: FastAPI) -> None:
    app.add_route("/probe/open", lambda _: PlainTextResponse("x"))


def add_mounted_application(app: FastAPI) -> None:
    inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    inner.add_api_route("/open", lambda: {})
    app.mount("/probe", inner)


def add_mounted_bare_application(app: FastAPI) -> None:
    app.mount("/probe/open", PlainTextResponse("x"))


def add_websocket(app: FastAPI) -> None:
    @app.websocket("/probe/open")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()


def add_dependency_that_is_no_guard(app: FastAPI) -> None:
    async def nothing() -> None: ...

    app.add_api_route("/probe/open", lambda: {}, dependencies=[Depends(nothing)])


@pytest.mark.asvs("7.2.1")
@pytest.mark.parametrize(
    "add",
    [
        add_plain,
        add_router,
        add_nested_router,
        add_starlette_route,
        add_mounted_application,
        add_mounted_bare_application,
        add_websocket,
        add_dependency_that_is_no_guard,
    ],
)
def test_a_route_that_is_neither_guarded_nor_public_stops_the_start(app: FastAPI, add: Any) -> None:
    check_start(app)
    add(app)
    with pytest.raises(StartRefused, match="/probe/open is neither guarded nor public"):
        check_start(app)


def test_plain_uvicorn_does_not_start_an_unguarded_route_either(
    create_app: Any, auth_key: str
) -> None:
    app = create_app()
    add_plain(app)
    with pytest.raises(RuntimeError, match="/probe/open"), TestClient(app):
        pass


def test_a_guard_on_a_router_guards_its_routes(app: FastAPI, scope: str) -> None:
    router = APIRouter(prefix="/probe", dependencies=[requires(scope)])
    router.add_api_route("/open", lambda: {})
    app.include_router(router)
    check_start(app)


def test_a_public_route_or_application_starts(app: FastAPI, client: TestClient) -> None:
    @app.get("/probe/public")
    @public
    def read_public() -> str:
        return "all may read"

    app.mount("/probe/files", public(PlainTextResponse("x")))
    check_start(app)
    assert client.get("/probe/public").json() == "all may read"
    assert client.get("/probe/files/x").text == "x"


def test_a_scope_that_roles_do_not_know_stops_the_start(app: FastAPI) -> None:
    app.add_api_route("/probe/open", lambda: {}, dependencies=[requires("notes:raed")])
    with pytest.raises(StartRefused, match="notes:raed"):
        check_start(app)


def test_a_scope_that_roles_do_not_know_is_found_above_the_guard_too(app: FastAPI) -> None:
    """What a dependency asks for, its guard has to meet."""

    async def load(caller: Caller) -> str:
        return str(caller.user_id)

    @app.get("/probe/open")
    async def read(loaded: Annotated[str, Security(load, scopes=["notes:raed"])]) -> str:
        return loaded

    with pytest.raises(StartRefused, match="notes:raed"):
        check_start(app)


def test_guards_work_in_a_mounted_application(app: FastAPI, sign_in: SignIn, scope: str) -> None:
    inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @inner.get("/me")
    async def read_inner(user: CurrentUser) -> str:
        return user.email

    app.mount("/probe", inner)
    assert sign_in(email=BOB).get("/probe/me").json() == BOB


@pytest.mark.asvs("10.3.4")
def test_a_recent_login_is_asked_for_where_a_route_says_so(app: FastAPI, sign_in: SignIn) -> None:
    @app.get("/probe/recent")
    async def read_recent(caller: Annotated[Caller, recent_login(minutes=5)]) -> str:
        return str(caller.user_id)

    check_start(app)
    me = sign_in()
    assert me.get("/probe/recent").status_code == 200
    with time_machine.travel(time.time() + 301, tick=False):
        answer = me.get("/probe/recent")
        assert me.get("/auth/sessions").status_code == 200
    assert answer.status_code == 401
    challenge = 'Bearer error="insufficient_user_authentication", max_age=300'
    assert answer.headers["www-authenticate"] == challenge


def test_a_recent_login_is_not_enough_where_a_scope_is_asked_for_as_well(
    app: FastAPI, sign_in: SignIn, scope: str
) -> None:
    @app.get("/probe/recent")
    async def read_recent(
        caller: Annotated[Caller, recent_login(minutes=5, scopes=[scope])],
    ) -> str:
        return str(caller.user_id)

    assert sign_in(scopes=[scope]).get("/probe/recent").status_code == 200
    assert sign_in(scopes=[]).get("/probe/recent").status_code == 403


def test_a_websocket_is_guarded_like_a_route(app: FastAPI, sign_in: SignIn, scope: str) -> None:
    from starlette.testclient import WebSocketDenialResponse

    @app.websocket("/probe/socket")
    async def talk(websocket: WebSocket, caller: Annotated[Caller, requires(scope)]) -> None:
        await websocket.accept()
        await websocket.send_text(str(caller.user_id))
        await websocket.close()

    client = sign_in(scopes=[scope])
    with client.websocket_connect("/probe/socket") as socket:
        assert len(socket.receive_text()) == 36
    del client.headers["Authorization"]
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        client.websocket_connect("/probe/socket"),
    ):
        pass
    assert denied.value.status_code == 401
    assert denied.value.headers["x-content-type-options"] == "nosniff"


def test_public_gives_back_what_it_marks() -> None:
    assert public(read_health) is read_health
