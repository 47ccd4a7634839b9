"""The OpenAPI document is valid, and its names stay what they are for client generators."""

from typing import Annotated

import pytest
from fastapi import Body, FastAPI
from openapi_spec_validator import validate
from pydantic import BaseModel
from served_openapi import Pet, add_test_pet, document, list_test_pets, operations
from starlette.testclient import TestClient

from gatehouse import public
from gatehouse.refusal import StartRefused
from gatehouse.web.openapi import check_openapi

pytestmark = pytest.mark.usefixtures("docs_enabled")


def test_document_is_valid_openapi(client: TestClient) -> None:
    validate(document(client))


def test_every_operation_has_an_id_that_no_other_has(client: TestClient) -> None:
    ids = [operation["operationId"] for operation in operations(client).values()]

    assert len(ids) == len(set(ids))


def test_operation_id_is_the_name_of_the_function(app: FastAPI, client: TestClient) -> None:
    app.get("/_test/pets")(list_test_pets)

    assert operations(client)["get", "/_test/pets"]["operationId"] == "list_test_pets"


def test_operations_of_the_core_have_a_prefix_of_their_own(client: TestClient) -> None:
    found = operations(client)

    assert found["post", "/auth/token"]["operationId"] == "auth_issue_token"
    assert found["get", "/users/me"]["operationId"] == "auth_read_me"


def test_operation_ids_stay_when_another_route_is_added(app: FastAPI, client: TestClient) -> None:
    before = {key: found["operationId"] for key, found in operations(client).items()}

    app.post("/_test/pets")(add_test_pet)
    after = {key: found["operationId"] for key, found in operations(client).items()}

    assert after == {**before, ("post", "/_test/pets"): "add_test_pet"}


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")  # FastAPI's own, not ours
def test_each_method_of_one_function_has_its_own_id(app: FastAPI, client: TestClient) -> None:
    app.api_route("/_test/pets", methods=["GET", "PUT"])(list_test_pets)

    found = operations(client)

    assert found["get", "/_test/pets"]["operationId"] == "list_test_pets_get"
    assert found["put", "/_test/pets"]["operationId"] == "list_test_pets_put"


def test_id_that_a_route_names_itself_is_kept(app: FastAPI, client: TestClient) -> None:
    app.get("/_test/pets", operation_id="everyPet")(list_test_pets)

    assert operations(client)["get", "/_test/pets"]["operationId"] == "everyPet"


def test_two_functions_of_one_name_stop_the_start(app: FastAPI) -> None:
    app.get("/_test/pets")(list_test_pets)
    app.get("/_test/cats")(list_test_pets)

    with pytest.raises(
        StartRefused, match=r"'list_test_pets'.* GET /_test/pets and GET /_test/cats: rename"
    ):
        check_openapi(app)


def test_class_with_the_name_of_the_problem_answers_stops_the_start(app: FastAPI) -> None:
    class Problem(BaseModel):
        severity: int

    @app.get("/_test/tickets")
    @public
    async def read_test_ticket() -> Problem:
        return Problem(severity=1)

    with pytest.raises(StartRefused, match="rename your class Problem"):
        check_openapi(app)


def test_names_of_bodies_and_lists_follow_the_operation_id(
    app: FastAPI, client: TestClient
) -> None:
    @app.post("/_test/pets")
    @public
    async def rename_test_pet(
        old: Annotated[str, Body()], new: Annotated[str, Body()]
    ) -> list[Pet]:
        return [Pet(name=f"{old} {new}")]

    found = document(client)
    operation = found["paths"]["/_test/pets"]["post"]
    listed = operation["responses"]["200"]["content"]["application/json"]["schema"]

    assert found["components"]["schemas"]["Body_rename_test_pet"]["title"] == "Body_rename_test_pet"
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Body_rename_test_pet"
    }
    assert listed["title"] == "Response Rename Test Pet"


def test_document_is_kept_until_a_route_is_added(app: FastAPI, client: TestClient) -> None:
    document(client)
    kept = app.openapi()

    assert app.openapi() is kept is app.openapi_schema

    app.get("/_test/pets")(list_test_pets)

    assert app.openapi() is not kept
    assert "/_test/pets" in document(client)["paths"]


def test_the_document_lists_the_scopes_and_where_to_log_in(
    app: FastAPI, client: TestClient
) -> None:
    flow = document(client)["components"]["securitySchemes"]["password"]["flows"]["password"]

    assert flow == {"tokenUrl": "auth/token", "scopes": dict(app.state.gatehouse.scopes)}
