"""The one place where an access token is taken from, and what is answered when it is not there."""

from typing import Any

import pytest
from starlette.testclient import TestClient
from steps import token_of

from gatehouse.testing import SignIn

NONE = "Bearer"
BAD = 'Bearer error="invalid_token"'


@pytest.fixture
def token(sign_in: SignIn) -> str:
    return token_of(sign_in())


def ask(client: TestClient, *headers: tuple[str, str | bytes]) -> Any:
    raw = [
        (name.encode(), value if isinstance(value, bytes) else value.encode("utf-8"))
        for name, value in headers
    ]
    return client.get("/users/me", headers=raw)


def challenge(answer: Any) -> str:
    assert answer.status_code == 401
    (only,) = [v for k, v in answer.headers.multi_items() if k == "www-authenticate"]
    return str(only)


def test_no_header_is_answered_without_an_error(client: TestClient) -> None:
    assert challenge(ask(client)) == NONE


@pytest.mark.parametrize("scheme", ["Basic", "Token", "JWT", "Digest", "DPoP", "Bearer2", ""])
def test_another_scheme_counts_as_no_token(client: TestClient, token: str, scheme: str) -> None:
    assert challenge(ask(client, ("Authorization", f"{scheme} {token}"))) == NONE


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_ignores_case(client: TestClient, token: str, scheme: str) -> None:
    assert ask(client, ("Authorization", f"{scheme} {token}")).status_code == 200


@pytest.mark.parametrize("value", ["Bearer", "Bearer "])
def test_an_empty_token_never_reaches_a_route(client: TestClient, value: str) -> None:
    assert challenge(ask(client, ("Authorization", value))) in (NONE, BAD)


def test_two_tokens_are_refused(client: TestClient, token: str) -> None:
    for value in (f"Bearer {token} {token}", f"Bearer {token},Bearer {token}"):
        assert challenge(ask(client, ("Authorization", value))) == BAD
    twice = ("Authorization", f"Bearer {token}")
    assert challenge(ask(client, twice, twice)) == BAD
    assert challenge(ask(client, ("Authorization", "Basic eDp5"), twice)) == BAD


@pytest.mark.parametrize("between", ["\t", "  ", "\u00a0"])
def test_one_space_separates_scheme_and_token(client: TestClient, token: str, between: str) -> None:
    assert ask(client, ("Authorization", f"Bearer{between}{token}")).status_code == 401


@pytest.mark.parametrize("value", ["é".encode("latin-1"), b"\xff", "🔑".encode()])
def test_bytes_that_are_no_token_are_refused(client: TestClient, value: bytes) -> None:
    assert challenge(ask(client, ("Authorization", b"Bearer " + value))) == BAD


@pytest.mark.parametrize("name", ["access_token", "token", "jwt"])
def test_a_token_in_the_query_is_ignored(client: TestClient, token: str, name: str) -> None:
    assert challenge(client.get("/users/me", params={name: token})) == NONE


def test_a_token_in_a_form_is_ignored(client: TestClient, token: str) -> None:
    answer = client.request("GET", "/users/me", data={"access_token": token})
    assert challenge(answer) == NONE


@pytest.mark.parametrize(
    "name",
    [
        "X-Authorization",
        "Proxy-Authorization",
        "X-Forwarded-User",
        "X-User-ID",
        "X-Original-URL",
        "X-HTTP-Method-Override",
        "Cookie",
    ],
)
def test_other_headers_prove_nothing(client: TestClient, token: str, name: str) -> None:
    assert challenge(ask(client, (name, f"Bearer {token}"))) == NONE


def test_personal_data_is_never_answered_in_part_or_from_a_cache(
    client: TestClient, token: str
) -> None:
    bearer = ("Authorization", f"Bearer {token}")
    for extra in (("If-None-Match", "*"), ("Range", "bytes=0-1")):
        answer = ask(client, bearer, extra)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
