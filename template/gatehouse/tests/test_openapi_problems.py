"""Every refusal is in the OpenAPI document, in the form in which it is really sent."""

from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from openapi_schema_validator import OAS31Validator
from served_openapi import Pet, add_test_pet, document, list_test_pets, operations
from starlette.testclient import TestClient

from gatehouse import Caller, requires

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("docs_enabled")]

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
INVALID = {
    "application/problem+json": {"schema": {"$ref": "#/components/schemas/ValidationProblem"}}
}


def answers(client: TestClient, method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = operations(client)[method, path]["responses"]
    return found


def test_guarded_operation_documents_a_missing_token(client: TestClient) -> None:
    found = answers(client, "get", "/users/me")

    for status in ("401", "500", "503"):
        assert found[status]["content"] == PROBLEM
    assert "WWW-Authenticate" in found["401"]["headers"]
    assert "Retry-After" in found["503"]["headers"]
    assert not {"403", "404", "413", "415", "422"} & found.keys()


def test_operation_with_a_scope_documents_its_lack(app: FastAPI, client: TestClient) -> None:
    @app.get("/_test/pets/{name}")
    async def read_test_pet(name: str, caller: Annotated[Caller, requires("notes:read")]) -> Pet:
        return Pet(name=f"{name} of {caller.user_id}")

    found = answers(client, "get", "/_test/pets/{name}")

    assert found["403"]["content"] == found["404"]["content"] == PROBLEM
    assert "WWW-Authenticate" in found["403"]["headers"]


def test_operation_with_a_body_documents_its_refusals(app: FastAPI, client: TestClient) -> None:
    app.post("/_test/pets")(add_test_pet)

    found = answers(client, "post", "/_test/pets")

    assert found["413"]["content"] == found["415"]["content"] == found["503"]["content"] == PROBLEM
    assert found["422"]["content"] == INVALID
    assert not {"401", "403", "404"} & found.keys()


def test_every_error_of_the_core_but_the_oauth_one_is_a_problem(client: TestClient) -> None:
    found = operations(client)
    for (method, path), operation in found.items():
        if not operation["operationId"].startswith("auth_"):
            continue
        errors = {s: a for s, a in operation["responses"].items() if s.isdigit() and s >= "400"}
        assert "500" in errors, (method, path)
        for status, answer in errors.items():
            oauth = path in ("/auth/token", "/auth/revoke") and status == "400"
            form = "application/json" if oauth else "application/problem+json"
            assert list(answer["content"]) == [form], (method, path, status)


def test_token_endpoint_documents_the_oauth_form_of_its_refusals(client: TestClient) -> None:
    found = document(client)
    refusal = found["paths"]["/auth/token"]["post"]["responses"]["400"]
    reference = refusal["content"]["application/json"]["schema"]["$ref"]
    schema = found["components"]["schemas"][reference.rpartition("/")[2]]

    assert schema["properties"].keys() == {"error", "error_description"}


def test_nothing_is_left_of_the_form_that_fastapi_documents(
    app: FastAPI, client: TestClient
) -> None:
    app.post("/_test/pets")(add_test_pet)

    schemas = document(client)["components"]["schemas"]

    assert "HTTPValidationError" not in client.get("/openapi.json").text
    assert "ValidationError" not in schemas
    assert list(schemas) == sorted(schemas)


def test_answer_that_a_route_declares_is_left_as_it_is(app: FastAPI, client: TestClient) -> None:
    teapot = {"description": "Short and stout", "content": {"text/plain": {}}}
    app.get("/_test/pets", responses={418: teapot, 500: teapot})(list_test_pets)

    found = answers(client, "get", "/_test/pets")

    assert found["418"] == found["500"] == teapot


def test_error_that_a_route_only_describes_is_a_problem(app: FastAPI, client: TestClient) -> None:
    app.get("/_test/pets", responses={429: {"description": "Too many pets"}})(list_test_pets)

    found = answers(client, "get", "/_test/pets")["429"]

    assert found["description"] == "Too many pets"
    assert found["content"] == PROBLEM
    assert "Retry-After" in found["headers"]


def test_real_refusals_have_the_documented_form(app: FastAPI, client: TestClient) -> None:
    app.post("/_test/pets")(add_test_pet)
    schemas = document(client)["components"]["schemas"]

    for name, refusal in {
        "Problem": client.get("/users/me"),
        "ValidationProblem": client.post("/_test/pets", json={"nome": "Tom"}),
    }.items():
        assert refusal.headers["content-type"] == "application/problem+json"
        OAS31Validator({**schemas[name], "additionalProperties": False}).validate(refusal.json())
