"""What an access token must be, one named check after the other. RFC 9068, RFC 8725bis.

PyJWT checks the signature. What it does not check by itself (the compact form, UTF-8,
duplicate members, strict claim types, the lifetime, `typ`, `crit`) is checked here. Guarded
routes and `token inspect` run this same list.
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import jwt
from jwt.utils import base64url_decode
from pydantic import BaseModel, ConfigDict, Field

from gatehouse.signing.keys import Key, KeyRing

T = TypeVar("T")

MAX_LENGTH = 8 * 1024  # characters; a longer token is refused unread
LEEWAY = 10  # seconds, for `iat` and `nbf` of a host whose clock is ahead; none on `exp`
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_TYPES = ("at+jwt", "application/at+jwt")  # RFC 9068 section 4; media types ignore case

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
Id = Annotated[str, Field(pattern=_UUID)]
# Seconds since 1970, up to the year 9999: what a date function can take.
NumericDate = Annotated[float, Field(ge=0, le=253_402_300_799, allow_inf_nan=False)]
# RFC 6749 section 3.3
_SCOPE = r"[\x21\x23-\x5B\x5D-\x7E]+"
Scope = Annotated[str, Field(pattern=rf"^({_SCOPE}( {_SCOPE})*)?$")]

STAMP = "urn:gatehouse:stamp"  # the claim's name; a URN is nobody else's (RFC 7519 section 4.2)


@dataclass(frozen=True, slots=True)
class Expected:
    """What this service accepts. `lifetime` is in seconds."""

    ring: KeyRing
    issuer: str
    audience: str
    lifetime: int


class Claims(BaseModel):
    """The claims as they must be, every one of them: numbers are numbers, ids are UUID strings."""

    model_config = ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)

    iss: str
    aud: str | list[str]
    sub: Id
    client_id: Annotated[str, Field(min_length=1)]
    jti: Id
    sid: Id
    iat: NumericDate
    nbf: NumericDate = 0
    exp: NumericDate
    auth_time: NumericDate
    scope: Scope
    # The account's stamp and the service's epoch; a token of before 0.5.0 has neither.
    gatehouse_stamp: list[Annotated[int, Field(ge=0)]] = Field(
        alias=STAMP, default_factory=list, min_length=2, max_length=2
    )


# What a service's own claims may not be called: ours, and those that a later version may read.
_OURS = {field.alias or name for name, field in Claims.model_fields.items()}
RESERVED = frozenset({*_OURS, "act", "amr", "acr", "cnf", "azp"})


@dataclass(slots=True)
class Candidate:
    """A token on its way through the checks, each of which may fill in what the next needs."""

    text: str
    header: dict[str, Any] = field(default_factory=dict)
    key: Key | None = None
    claims: Claims | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `run` raises anything when it fails; `passed` says what success means."""

    name: str
    passed: str
    run: Callable[[Expected, Candidate], None]


def _check_form(_: Expected, candidate: Candidate) -> None:
    if len(candidate.text) > MAX_LENGTH or not _COMPACT.fullmatch(candidate.text):
        raise ValueError("not three base64url parts")


def _check_header(_: Expected, candidate: Candidate) -> None:
    candidate.header = read_segment(candidate.text.split(".")[0])
    if refused := {"crit", "b64", "zip"} & candidate.header.keys():
        raise ValueError(f"holds {', '.join(sorted(refused))}")
    if str(candidate.header.get("typ")).lower() not in _TYPES:
        raise ValueError("typ is not at+jwt")


def _check_key(expected: Expected, candidate: Candidate) -> None:
    candidate.key = expected.ring.find(candidate.header.get("kid"))
    if candidate.key is None:
        raise ValueError("no key of this kid is in the ring")


def _check_signature(_: Expected, candidate: Candidate) -> None:
    key = _need(candidate.key)
    jwt.decode_complete(
        candidate.text,
        key.verifying,
        algorithms=[key.algorithm],  # the key's own, whatever the header says
        options={
            "enforce_minimum_key_length": True,
            # The claims have checks of their own, below.
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
            "verify_aud": False,
            "verify_iss": False,
            "verify_sub": False,
            "verify_jti": False,
        },
    )


def _check_claims(_: Expected, candidate: Candidate) -> None:
    candidate.claims = Claims.model_validate(read_segment(candidate.text.split(".")[1]))


def _check_issuer(expected: Expected, candidate: Candidate) -> None:
    if _need(candidate.claims).iss != expected.issuer:
        raise ValueError("iss is another issuer")


def _check_audience(expected: Expected, candidate: Candidate) -> None:
    audience = _need(candidate.claims).aud
    if expected.audience not in ([audience] if isinstance(audience, str) else audience):
        raise ValueError("aud does not hold this service")


def _check_lifetime(expected: Expected, candidate: Candidate) -> None:
    claims = _need(candidate.claims)
    if not 0 < claims.exp - claims.iat <= expected.lifetime:
        raise ValueError("exp is too far from iat")


def _check_start(_: Expected, candidate: Candidate) -> None:
    claims = _need(candidate.claims)
    if max(claims.iat, claims.nbf) > time.time() + LEEWAY:
        raise ValueError("iat or nbf lies in the future")


def _check_expiry(_: Expected, candidate: Candidate) -> None:
    if _need(candidate.claims).exp <= time.time():
        raise ValueError("exp has passed")


CHECKS: Sequence[Check] = (
    Check("form", "three base64url parts, not too long", _check_form),
    Check("header", "UTF-8 JSON, typ is at+jwt, no crit, b64 or zip", _check_header),
    Check("key", "kid is in the ring", _check_key),
    Check("signature", "that key signed exactly this, by its own algorithm", _check_signature),
    Check("claims", "every claim is there and of its type", _check_claims),
    Check("issuer", "iss is this service's issuer", _check_issuer),
    Check("audience", "aud holds this service", _check_audience),
    Check("lifetime", "exp is within the configured lifetime of iat", _check_lifetime),
    Check("start", "iat and nbf are not in the future", _check_start),
    Check("expiry", "exp has not passed", _check_expiry),
)


def read_segment(segment: str) -> dict[str, Any]:
    """The JSON object in one part of a token: UTF-8 only, no member twice, no NaN."""
    content = json.loads(
        base64url_decode(segment).decode("utf-8"),
        object_pairs_hook=_no_duplicates,
        parse_constant=_no_constant,
    )
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _need(value: T | None) -> T:
    if value is None:
        raise ValueError("an earlier check failed")
    return value
