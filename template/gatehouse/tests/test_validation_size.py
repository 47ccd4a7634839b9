"""A refusal is small and cheap, whatever was sent."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field, field_validator
from starlette.testclient import TestClient

from gatehouse import public
from gatehouse.web import api_names
from gatehouse.web.openapi import check_openapi
from gatehouse.web.problems import MAX_ERRORS, MAX_ERRORS_BYTES

pytestmark = pytest.mark.thorough

ROOM = 16 * 1024  # bytes that an answer may have


class Strict(BaseModel):
    """As the core's bodies are."""

    model_config = {"extra": "forbid"}

    numbers: list[int] = Field(default_factory=list)
    tree: dict[str, Any] = Field(default_factory=dict)
    more_of_the_same_kind_below_this_one: list["Strict"] = Field(default_factory=list)
    worded: str = ""

    @field_validator("worded")
    @classmethod
    def _long_words(cls, value: str) -> str:
        if value:
            raise ValueError("\U0001f600" * 20_000)
        return value


@pytest.fixture
def strict(app: FastAPI, client: TestClient) -> TestClient:
    @app.post("/strict")
    @public
    async def take(body: Strict) -> None:
        """Never reached."""

    return client


def refused(client: TestClient, content: str) -> list[dict[str, Any]]:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/strict", content=content, headers=headers)
    assert answer.status_code == 422
    assert len(answer.content) <= ROOM
    errors: list[dict[str, Any]] = answer.json()["errors"]
    assert 1 <= len(errors) <= MAX_ERRORS
    for error in errors:
        assert set(error) == {"loc", "msg", "type"}
    return errors


def of_unknown_members() -> str:
    """The most that fit into a body, with the shortest names."""
    members = ",".join(f'"m{number:x}":0' for number in range(6_500))
    assert 57_000 < len(members) < 65_000
    return "{" + members + "}"


def test_a_thousand_unknown_members_make_twenty_errors(strict: TestClient) -> None:
    errors = refused(strict, of_unknown_members())
    assert len(errors) == 20
    assert {json.dumps(error["loc"]) for error in errors} == {json.dumps(["body", "…"])}


def test_a_list_of_mistakes_makes_twenty_errors(strict: TestClient) -> None:
    errors = refused(strict, json.dumps({"numbers": ["x"] * 12_000}))
    assert [error["loc"] for error in errors] == [["body", "numbers", n] for n in range(20)]


def test_few_mistakes_are_all_told(strict: TestClient) -> None:
    errors = refused(strict, json.dumps({"numbers": ["x"] * 19, "more": 1}))
    assert len(errors) == 20
    assert errors[-1]["type"] == "extra_forbidden"


def test_a_message_of_any_length_is_cut(strict: TestClient) -> None:
    (error,) = refused(strict, json.dumps({"worded": "x"}))
    assert error["loc"] == ["body", "worded"]
    assert set(error["msg"]) == {"\U0001f600"}


def test_mistakes_far_inside_are_told_as_far_as_there_is_room(strict: TestClient) -> None:
    body: dict[str, Any] = {"numbers": ["x"] * 30}
    for _ in range(100):
        body = {"more_of_the_same_kind_below_this_one": [body]}
    errors = refused(strict, json.dumps(body))
    assert len(errors) < 20
    assert {len(error["loc"]) for error in errors} == {50}


def test_the_document_is_walked_once_and_not_for_an_answer(
    strict: TestClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: list[object] = []
    walk = api_names._names

    def watched(document: object) -> Iterator[str]:
        walked.append(document)
        return walk(document)

    refused(strict, '{"more": 1}')
    monkeypatch.setattr(api_names, "_names", watched)
    for _ in range(5):
        refused(strict, '{"more": 1}')
    assert not walked

    @app.post("/later")
    @public
    async def later(body: Strict, number: int) -> None:
        """A route that came later has its names too."""

    found = strict.post("/later?number=x", json={}).json()["errors"]
    assert found[0]["loc"] == ["query", "number"]
    assert walked


def test_the_names_are_known_when_the_application_starts(app: FastAPI, client: TestClient) -> None:
    """The first mistake of a client is no dearer than the next."""
    check_openapi(app)
    assert "current_password" in app.state.gatehouse_names[1]


def test_the_budget_leaves_room_for_the_rest_of_the_problem() -> None:
    assert MAX_ERRORS_BYTES < ROOM - 1024
