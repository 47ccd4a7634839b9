"""Notes through HTTP: who may do what, and what comes back."""

import json
from uuid import uuid4

import pytest
from gatehouse.testing import SignIn
from starlette.testclient import TestClient


def write_note(client: TestClient, title: str = "Milk", body: str = "") -> dict[str, str]:
    answer = client.post("/notes", json={"title": title, "body": body})
    assert answer.status_code == 201
    note: dict[str, str] = answer.json()
    return note


def test_a_note_can_be_written_read_changed_and_deleted(sign_in: SignIn) -> None:
    client = sign_in()
    note = write_note(client, "Milk", "Two litres")
    assert note.keys() == {"id", "title", "body", "created_at"}
    path = f"/notes/{note['id']}"

    assert client.get(path).json() == note
    changed = client.patch(path, json={"title": "Bread"})
    assert changed.status_code == 200
    assert changed.json() == {**note, "title": "Bread"}
    assert client.get(path).json() == changed.json()
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_another_users_note_is_not_found(sign_in: SignIn) -> None:
    owner, stranger = sign_in(), sign_in()
    note = write_note(owner)
    path = f"/notes/{note['id']}"

    refusals = [
        stranger.get(path),
        stranger.patch(path, json={"title": "Mine now"}),
        stranger.delete(path),
    ]
    unknown = stranger.get(f"/notes/{uuid4()}")
    assert [answer.status_code for answer in refusals] == [404, 404, 404]
    assert all(answer.json() == unknown.json() for answer in refusals)
    assert stranger.get("/notes").json() == {"items": [], "next": None}
    assert owner.get(path).json() == note


def test_an_administrator_reads_only_their_own_notes_too(sign_in: SignIn) -> None:
    note = write_note(sign_in())
    assert sign_in("admin").get(f"/notes/{note['id']}").status_code == 404


def test_without_a_token_there_are_no_notes(client: TestClient) -> None:
    assert client.get("/notes").status_code == 401
    assert client.post("/notes", json={"title": "Milk"}).status_code == 401


def test_each_scope_opens_its_own_routes(sign_in: SignIn) -> None:
    reader = sign_in(scopes={"notes:read"})
    writer = sign_in(scopes={"notes:write"})
    path = f"/notes/{uuid4()}"

    assert reader.get("/notes").status_code == 200
    assert reader.post("/notes", json={"title": "Milk"}).status_code == 403
    assert reader.patch(path, json={}).status_code == 403
    assert reader.delete(path).status_code == 403
    write_note(writer)
    assert writer.get("/notes").status_code == 403
    assert writer.get(path).status_code == 403


def test_pages_hold_every_note_once_oldest_first(sign_in: SignIn) -> None:
    client = sign_in()
    written = [write_note(client, f"Note {number}")["id"] for number in range(5)]

    read: list[str] = []
    after = None
    for expected in (2, 2, 1):
        page = client.get("/notes", params={"limit": 2} | ({"after": after} if after else {}))
        items, after = page.json()["items"], page.json()["next"]
        assert len(items) == expected
        read += [note["id"] for note in items]
    assert after is None
    assert read == written


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=many", "after=garbage"])
def test_a_page_that_cannot_be_is_refused(sign_in: SignIn, query: str) -> None:
    assert sign_in().get(f"/notes?{query}").status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ""},
        {"title": None},
        {"title": "a" * 201},
        {"title": "Milk", "body": "a" * 10_001},
        {"title": "Milk", "colour": "red"},
        {"title": "Milk\0"},
        {"title": "Milk", "body": "\ud800"},
    ],
    ids=str,
)
def test_a_note_that_cannot_be_stored_is_refused(
    sign_in: SignIn, body: dict[str, str | None]
) -> None:
    # Written here, because no client sends half a surrogate pair by itself.
    content, headers = json.dumps(body), {"Content-Type": "application/json"}
    assert sign_in().post("/notes", content=content, headers=headers).status_code == 422


def test_a_change_touches_only_what_was_sent(sign_in: SignIn) -> None:
    client = sign_in()
    note = write_note(client, "Milk", "Two litres")
    path = f"/notes/{note['id']}"

    assert client.patch(path, json={}).json() == note
    assert client.patch(path, json={"body": ""}).json() == {**note, "body": ""}
    for refused in ({"title": None}, {"title": ""}, {"body": None}, {"id": note["id"]}):
        assert client.patch(path, json=refused).status_code == 422
    assert client.get(path).json() == {**note, "body": ""}
