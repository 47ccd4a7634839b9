"""What others need to verify our tokens by themselves: the public keys, and the metadata."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from gatehouse.signing.key_file import JWKS_MAX_AGE
from gatehouse.state import Core
from gatehouse.web.guards import public

router = APIRouter(prefix="/.well-known", tags=["discovery"])

_CACHEABLE = f"public, max-age={JWKS_MAX_AGE}"


class PublicKey(BaseModel):
    """A public key (RFC 7517). Its algorithm is the only one that tokens of it may have."""

    kty: str
    kid: str
    use: Literal["sig"]
    alg: str
    crv: str | None = None
    x: str | None = None
    y: str | None = None
    n: str | None = None
    e: str | None = None


class PublicKeys(BaseModel):
    """Every public key, those that retire included; empty where HMAC keys sign."""

    keys: list[PublicKey]


class Metadata(BaseModel):
    """What this authorization server offers (RFC 8414)."""

    issuer: str
    token_endpoint: str
    revocation_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    grant_types_supported: list[str]
    response_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]


@router.get("/jwks.json", response_model_exclude_none=True)
@public
async def read_public_keys(core: Core, response: Response) -> PublicKeys:
    """The keys that verify access tokens."""
    response.headers["Cache-Control"] = _CACHEABLE
    return PublicKeys.model_validate(core.tokens.expected.ring.jwks())


@router.get("/oauth-authorization-server")
@public
async def read_metadata(core: Core, response: Response) -> Metadata:
    """Where to get, refresh and revoke tokens, and which kinds there are."""
    response.headers["Cache-Control"] = _CACHEABLE
    base = core.settings.public_base_url
    return Metadata(
        issuer=core.settings.auth_issuer,
        token_endpoint=f"{base}/auth/token",
        revocation_endpoint=f"{base}/auth/revoke",
        jwks_uri=f"{base}/.well-known/jwks.json",
        scopes_supported=sorted(core.scopes),
        grant_types_supported=["password", "refresh_token"],
        response_types_supported=[],  # there is no authorization endpoint
        token_endpoint_auth_methods_supported=["none"],
        revocation_endpoint_auth_methods_supported=["none"],
    )
