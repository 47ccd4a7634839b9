"""The published keys and metadata: what others verify our tokens with, and that it is true."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import jwt
import pytest
from fastapi import FastAPI
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from starlette.testclient import TestClient
from steps import PASSWORD, core_of

from gatehouse.signing.keys import new_key, read_keys
from gatehouse.state import Gatehouse
from gatehouse.testing import CreateUser

pytestmark = pytest.mark.thorough

JWKS = "/.well-known/jwks.json"
METADATA = "/.well-known/oauth-authorization-server"
ASYMMETRIC = ["EdDSA", "ES256", "RS256"]
PRIVATE = {"k", "d", "p", "q", "dp", "dq", "qi", "oth"}

Service = Callable[..., Any]


@pytest.fixture
def service(
    create_app: Callable[[], FastAPI], auth_key: str, monkeypatch: pytest.MonkeyPatch
) -> Service:
    """`with service(AUTH_KEYS=…) as client`: an application of its own, on the same database."""

    @contextmanager
    def start(**variables: str) -> Iterator[TestClient]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with TestClient(create_app(), raise_server_exceptions=False) as client:
            yield client

    return start


def issue(core: Gatehouse) -> str:
    token, _ = core.tokens.issue(
        stamp=0,
        epoch=0,
        user_id=uuid4(),
        session_id=uuid4(),
        scopes=["notes:read"],
        session_end=time.time() + 60,
    )
    return token


def decode(core: Gatehouse, token: str, jwks: dict[str, Any], algorithm: str) -> dict[str, Any]:
    """What a client in Python does, with the key that the token's `kid` names."""
    kid = jwt.get_unverified_header(token)["kid"]
    claims: dict[str, Any] = jwt.decode(
        token,
        jwt.PyJWKSet.from_dict(jwks)[kid],
        algorithms=[algorithm],
        audience=core.tokens.expected.audience,
        issuer=core.tokens.expected.issuer,
    )
    return claims


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_token_is_verified_by_others_with_the_published_keys(
    service: Service, algorithm: str
) -> None:
    keys = "\n".join(new_key(name) for name in (algorithm, *ASYMMETRIC, "HS256"))
    with service(AUTH_KEYS=keys) as client:
        core, jwks = core_of(client), client.get(JWKS).json()
    token = issue(core)
    claims = decode(core, token, jwks, algorithm)
    by_joserfc = joserfc_jwt.decode(token, KeySet.import_key_set(jwks), algorithms=[algorithm])
    assert by_joserfc.claims == claims
    assert claims["iss"] == core.settings.auth_issuer
    assert by_joserfc.header["typ"] == "at+jwt"


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_variable_with_a_pem_in_one_line_starts_a_service(
    service: Service, algorithm: str
) -> None:
    with service(AUTH_KEYS=new_key(algorithm).replace("\n", "\\n")) as client:
        assert len(client.get(JWKS).json()["keys"]) == 1


def test_the_published_keys_are_public_current_and_retiring(
    service: Service, auth_key: str
) -> None:
    text = "\n".join([auth_key, *(new_key(name) for name in ASYMMETRIC)])
    ring = read_keys(text)
    with service(AUTH_KEYS=text) as client:
        answer = client.get(JWKS)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys = answer.json()["keys"]
    assert [key["kid"] for key in keys] == [key.kid for key in ring.keys[1:]]
    assert {key["use"] for key in keys} == {"sig"}
    for key in keys:
        assert not PRIVATE & key.keys()
        assert key["kty"] != "oct"
        assert None not in key.values()
    secret = base64.urlsafe_b64encode(ring.signing.signing).rstrip(b"=").decode()
    assert secret not in answer.text
    assert ring.signing.kid not in answer.text


def test_hmac_keys_are_never_published(client: TestClient) -> None:
    answer = client.get(JWKS)
    assert answer.json() == {"keys": []}


@pytest.mark.parametrize("path", [JWKS, METADATA])
def test_the_documents_are_for_reading_by_everyone(client: TestClient, path: str) -> None:
    assert client.get(path).headers["cache-control"] == "public, max-age=300"
    assert "set-cookie" not in client.get(path).headers
    assert client.get(path, headers={"Authorization": "Bearer x"}).status_code == 200
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, path).status_code == 405
    assert client.get(f"{path}/").status_code == 404


def test_a_new_ring_is_published_at_once(service: Service) -> None:
    with service(AUTH_KEYS=new_key("EdDSA")) as client:
        ring = read_keys(new_key("ES256"))
        core_of(client).tokens.use(ring)
        (key,) = client.get(JWKS).json()["keys"]
        assert key["kid"] == ring.signing.kid


@pytest.mark.asvs(
    "10.4.1", "10.4.2", "10.4.3", "10.4.4", "10.4.6", "10.4.7", "10.4.10", "10.6.1", "10.6.2"
)
def test_the_metadata_follows_the_base_url_and_the_issuer(service: Service) -> None:
    with service(PUBLIC_BASE_URL="https://api.example.com/") as client:
        document = client.get(METADATA).json()
        scopes = sorted(core_of(client).scopes)
    assert document == {
        "issuer": "https://api.example.com",
        "token_endpoint": "https://api.example.com/auth/token",
        "revocation_endpoint": "https://api.example.com/auth/revoke",
        "jwks_uri": "https://api.example.com/.well-known/jwks.json",
        "scopes_supported": scopes,
        "grant_types_supported": ["password", "refresh_token"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
    }
    with service(AUTH_ISSUER="https://id.example.com") as client:
        document = client.get(METADATA).json()
        claims = jwt.decode(issue(core_of(client)), options={"verify_signature": False})
    assert document["issuer"] == claims["iss"] == "https://id.example.com"
    assert document["token_endpoint"].startswith("https://api.example.com/")


def test_the_host_of_a_request_is_not_in_the_metadata(client: TestClient) -> None:
    for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}):
        assert "evil" not in client.get(METADATA, headers=headers).text


@pytest.mark.asvs("10.4.1", "10.4.2", "10.4.3", "10.4.4", "10.4.6")
def test_the_metadata_is_true(client: TestClient, create_user: CreateUser) -> None:
    """Each endpoint answers, each grant is known, each scope can be asked for by name."""
    document = json.loads(client.get(METADATA).text)
    base = document["issuer"]
    token_path = document["token_endpoint"].removeprefix(base)
    revoke_path = document["revocation_endpoint"].removeprefix(base)
    assert client.get(document["jwks_uri"].removeprefix(base)).status_code == 200
    user = create_user(password=PASSWORD, role="admin")
    login = {
        "grant_type": "password",
        "username": user.email,
        "password": PASSWORD,
        "scope": " ".join(document["scopes_supported"]),
    }
    answer = client.post(token_path, data=login)
    assert answer.status_code == 200
    assert answer.json()["scope"].split() == document["scopes_supported"]
    refresh_token = answer.json()["refresh_token"]
    refresh = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    assert client.post(token_path, data=refresh).status_code == 200
    for grant in ("authorization_code", "client_credentials", "implicit"):
        assert grant not in document["grant_types_supported"]
        refused = client.post(token_path, data={"grant_type": grant})
        assert refused.json()["error"] == "unsupported_grant_type"
    assert client.post(revoke_path, data={"token": refresh_token}).status_code == 200
