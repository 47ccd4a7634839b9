"""The OpenAPI document as the service sends it, and routes that a test adds to be described."""

from typing import Any

from pydantic import BaseModel
from starlette.testclient import TestClient

from gatehouse import public

METHODS = {"get", "post", "put", "patch", "delete", "head", "options"}


class Pet(BaseModel):
    """A body for the routes that these tests add."""

    name: str


@public
async def add_test_pet(pet: Pet) -> Pet:
    return pet


@public
async def list_test_pets() -> list[Pet]:
    return []


def document(client: TestClient) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(client: TestClient) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document(client)["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }
