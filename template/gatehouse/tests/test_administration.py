"""The accounts of others: who may see and change them, and that one administrator remains."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from sqlmodel import select
from starlette.testclient import TestClient
from steps import BOB, event_names, events

from gatehouse import User, utc_now
from gatehouse.state import Gatehouse
from gatehouse.testing import CreateUser, SignIn

ROUTES = [
    ("GET", "/users"),
    ("GET", "/users/{id}"),
    ("PATCH", "/users/{id}"),
    ("DELETE", "/users/{id}/sessions"),
]


@pytest.fixture
def admin(sign_in: SignIn) -> TestClient:
    return sign_in("admin", email="admin@example.com")


def id_of(client: TestClient) -> str:
    return str(client.get("/users/me").json()["id"])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_and_no_user_administers(
    client: TestClient, sign_in: SignIn, method: str, path: str
) -> None:
    user = sign_in()
    path = path.format(id=id_of(user))
    assert client.request(method, path, json={}).status_code == 401
    answer = user.request(method, path, json={})
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


@pytest.mark.asvs("10.3.2")
def test_to_read_is_not_to_write(sign_in: SignIn) -> None:
    reader = sign_in("admin", scopes={"users:read"})
    path = f"/users/{id_of(reader)}"
    assert reader.get(path).status_code == 200
    refused = reader.patch(path, json={"role": "user"})
    assert refused.status_code == 403
    assert 'scope="users:write"' in refused.headers["WWW-Authenticate"]


def test_an_account_is_shown_with_these_members_and_no_other(admin: TestClient) -> None:
    (row,) = admin.get("/users").json()["items"]
    assert row == admin.get(f"/users/{row['id']}").json()
    mine = admin.get("/users/me").json()
    assert row == {**mine, "is_active": True}


def test_accounts_come_in_pages_and_each_once(admin: TestClient, create_user: CreateUser) -> None:
    for number in range(6):
        create_user(f"user{number}@example.com")
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        query: dict[str, Any] = {"limit": 3, **({"after": after} if after else {})}
        page = admin.get("/users", params=query).json()
        assert len(page["items"]) <= 3
        seen += [row["email"] for row in page["items"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == 7


def test_accounts_of_one_moment_come_each_once(admin: TestClient, create_user: CreateUser) -> None:
    with time_machine.travel(utc_now(), tick=False):
        made = {str(create_user(f"user{number}@example.com").id) for number in range(5)}
    seen, after = list[str](), ""
    while after is not None:
        page = admin.get(f"/users?limit=2{after and f'&after={after}'}").json()
        seen += [row["id"] for row in page["items"]]
        after = page["next"]
    assert sorted(seen) == sorted({id_of(admin), *made})


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=NaN", "after=x", "after=" + "0" * 46]
)
def test_a_page_that_cannot_be_is_refused_or_empty(admin: TestClient, query: str) -> None:
    expected = (200,) if query.startswith("after=0") else (422,)
    assert admin.get(f"/users?{query}").status_code in expected


@pytest.mark.parametrize("bad", [str(UUID(int=7, version=4)), "1", "%00", "me2", "..%2fme"])
def test_an_account_that_is_not_there_is_missing(admin: TestClient, bad: str) -> None:
    for method, json in (("GET", None), ("PATCH", {"role": "user"})):
        assert admin.request(method, f"/users/{bad}", json=json).status_code in (404, 422)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "emperor"},
        {"role": None},
        {"is_active": None},
        {"is_active": "maybe"},
        {"is_active": "no"},  # as a form would send it; JSON has truth values
        {"is_active": 0},
        {"password": "seven quiet herons at dawn"},
        {"email": "new@example.com"},
        {"id": str(uuid4())},
        {"email_verified": True},
    ],
)
def test_a_change_that_is_not_offered_is_refused(
    admin: TestClient, create_user: CreateUser, change: dict[str, Any]
) -> None:
    bob = create_user(BOB)
    before = admin.get(f"/users/{bob.id}").json()
    assert admin.patch(f"/users/{bob.id}", json=change).status_code == 422
    assert admin.get(f"/users/{bob.id}").json() == before


@pytest.mark.asvs("7.4.2")
def test_a_disabled_account_is_out_at_once_and_comes_back_without_its_sessions(
    admin: TestClient, sign_in: SignIn, core: Gatehouse
) -> None:
    bob = sign_in(email=BOB)
    path = f"/users/{id_of(bob)}"
    assert admin.patch(path, json={"is_active": False}).json()["is_active"] is False
    assert bob.get("/auth/sessions").status_code == 401
    assert admin.patch(path, json={"is_active": True}).json()["is_active"] is True
    assert bob.get("/auth/sessions").status_code == 401
    assert event_names(core) == ["user_disabled", "user_enabled"]


def test_who_loses_scopes_loses_the_sessions_that_hold_them(
    admin: TestClient, sign_in: SignIn, core: Gatehouse
) -> None:
    bob = sign_in("admin", email=BOB)
    path = f"/users/{id_of(bob)}"
    assert admin.patch(path, json={"role": "user"}).json()["role"] == "user"
    assert bob.get("/users").status_code == 401
    risen = sign_in(email="eve@example.com")
    admin.patch(f"/users/{id_of(risen)}", json={"role": "admin"})
    assert risen.get("/users/me").status_code == 401
    assert event_names(core) == ["role_changed", "role_changed"]


def test_a_change_to_what_is_there_already_ends_nothing(
    admin: TestClient, sign_in: SignIn, core: Gatehouse
) -> None:
    bob = sign_in()
    same = {"role": "user", "is_active": True}
    assert admin.patch(f"/users/{id_of(bob)}", json=same).status_code == 200
    assert admin.patch(f"/users/{id_of(bob)}", json={}).status_code == 200
    assert bob.get("/auth/sessions").status_code == 200
    assert event_names(core) == []


@pytest.mark.asvs("7.4.5")
def test_an_administrator_logs_an_account_out_everywhere(
    admin: TestClient, core: Gatehouse, sign_in: SignIn
) -> None:
    bob = sign_in()
    assert admin.delete(f"/users/{id_of(bob)}/sessions").status_code == 204
    assert bob.get("/auth/sessions").status_code == 401
    assert admin.get("/auth/sessions").status_code == 200
    (done,) = events(core)
    assert (done.event, done.actor) == ("sessions_ended", id_of(admin))


@pytest.mark.parametrize("change", [{"role": "user"}, {"is_active": False}])
def test_the_last_active_administrator_stays(
    admin: TestClient, create_user: CreateUser, change: dict[str, Any]
) -> None:
    create_user("off@example.com", role="admin", active=False)
    path = f"/users/{id_of(admin)}"
    # Nobody changes their own role, which is looked at first.
    wanted = 403 if "role" in change else 409
    assert admin.patch(path, json=change).status_code == wanted
    assert admin.get("/users").status_code == 200
    create_user("other@example.com", role="admin")
    assert admin.patch(path, json=change).status_code == (403 if "role" in change else 200)


def test_who_holds_as_much_demotes_no_last_administrator(
    core: Gatehouse, sign_in: SignIn, create_user: CreateUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(core.roles, "owner", core.roles["admin"])
    owner, path = sign_in("owner"), f"/users/{create_user(role='admin').id}"
    assert owner.patch(path, json={"role": "user"}).status_code == 409
    create_user(role="admin")
    assert owner.patch(path, json={"role": "user"}).status_code == 200


def test_administrators_who_demote_each_other_at_once_leave_one(
    sign_in: SignIn, core: Gatehouse
) -> None:
    for _ in range(5):
        with core.database.write() as session:
            for user in session.exec(select(User)):
                session.delete(user)
        one, other = sign_in("admin"), sign_in("admin")
        ids = {one: UUID(id_of(one)), other: UUID(id_of(other))}
        pairs = [(one, ids[other]), (other, ids[one])]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda pair: demote(*pair), pairs))
        assert 200 in answers
        assert set(answers) <= {200, 401, 409}
        with core.database.read() as session:
            admins = session.exec(select(User).where(User.role == "admin")).all()
        assert len(admins) == 1


def demote(client: TestClient, user_id: UUID) -> int:
    return client.patch(f"/users/{user_id}", json={"role": "user"}).status_code
