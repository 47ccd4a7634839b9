"""Access tokens: issue and read. A JWT of the profile RFC 9068."""

import math
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

import jwt

from gatehouse.signing.keys import KeyRing
from gatehouse.signing.token_checks import CHECKS, MAX_LENGTH, RESERVED, STAMP, Candidate, Expected

CACHE_SIZE = 10_000  # verified tokens remembered by one process, about 1 KiB each


class BadAccessToken(Exception):
    """The token is no good. Holds the failed check's name, for the log; clients see one answer."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified token says. Times are seconds since 1970."""

    user_id: UUID
    session_id: UUID
    token_id: UUID
    scopes: frozenset[str]
    auth_time: float
    expires_at: float
    extra: Mapping[str, Any]  # the claims that the service's own hook added
    stamp: int | None = None  # its account's when it was issued; None: by an older release
    epoch: int = 0  # the service's


class Tokens:
    """Issues and reads the access tokens of one service.

    `lifetime` is in seconds. `read` remembers tokens that it has verified, by their text, until
    `use` brings another ring: the tokens of a withdrawn key are forgotten with it.
    """

    def __init__(
        self, *, ring: KeyRing, issuer: str, audience: str, client_id: str, lifetime: int
    ) -> None:
        self.expected = Expected(ring, issuer, audience, lifetime)
        self.client_id = client_id
        self._verified: dict[str, AccessToken] = {}
        # Guards read on the event loop, log-out in a worker thread: without it, both may take
        # the oldest away.
        self._changing = threading.Lock()

    def use(self, ring: KeyRing) -> None:
        """From now on these keys. Every remembered token is forgotten."""
        # In this order: a thread that verifies with the old ring remembers it in the old place.
        self.expected = replace(self.expected, ring=ring)
        self._verified = {}

    def issue(
        self,
        *,
        user_id: UUID,
        session_id: UUID,
        scopes: Iterable[str],
        session_end: float,
        auth_time: float | None = None,
        stamp: int | None = None,
        epoch: int = 0,
        extra: Mapping[str, Any] = MappingProxyType({}),
    ) -> tuple[str, int]:
        """A new access token and the seconds that it lives: never beyond its session's end.

        Times are seconds since 1970. `auth_time` is when the password was shown: now, unless
        given. `stamp` is the account's and `epoch` the service's, both as they were when it was
        decided to issue. `extra` are more claims; ValueError if one of them is the profile's own.
        """
        now = int(time.time())
        expected = self.expected
        lifetime = min(expected.lifetime, max(1, math.ceil(session_end) - now))
        claims: dict[str, Any] = {
            "iss": expected.issuer,
            "aud": expected.audience,
            "sub": str(user_id),
            "client_id": self.client_id,
            "jti": str(uuid4()),
            "sid": str(session_id),
            "iat": now,
            "exp": now + lifetime,
            "auth_time": now if auth_time is None else int(auth_time),
            "scope": " ".join(sorted(scopes)),
        }
        if stamp is not None:
            claims[STAMP] = [stamp, epoch]
        if taken := RESERVED & extra.keys():
            raise ValueError(f"extra_claims must not set {', '.join(sorted(taken))}")
        claims = {**extra, **claims}
        key = expected.ring.keys[0]  # the first signs
        header = {"typ": "at+jwt", "kid": key.kid}
        text = jwt.encode(claims, key.signing, algorithm=key.algorithm, headers=header)
        return text, lifetime

    def read(self, text: str) -> AccessToken:
        """The verified content of a token; raises `BadAccessToken`."""
        if len(text) > MAX_LENGTH:
            raise BadAccessToken("length")
        verified = self._verified
        token = verified.get(text)
        if token is None:
            token = self._verify(text)
            with self._changing:
                while len(verified) >= CACHE_SIZE:
                    del verified[next(iter(verified))]
                verified[text] = token
        if token.expires_at <= time.time():
            with self._changing:
                verified.pop(text, None)
            raise BadAccessToken("expiry")
        return token

    def _verify(self, text: str) -> AccessToken:
        candidate = Candidate(text)
        for check in CHECKS:
            # Whatever a hostile token makes a parser raise, the answer is the same refusal.
            try:
                check.run(self.expected, candidate)
            except Exception as error:
                raise BadAccessToken(check.name) from error
        claims = candidate.claims
        assert claims is not None  # noqa: S101 - the check of that name has filled it in
        stamp, epoch = claims.gatehouse_stamp or (None, 0)
        return AccessToken(
            user_id=UUID(claims.sub),
            session_id=UUID(claims.sid),
            token_id=UUID(claims.jti),
            scopes=frozenset(claims.scope.split()),
            auth_time=claims.auth_time,
            expires_at=claims.exp,
            extra=MappingProxyType(claims.model_extra or {}),
            stamp=stamp,
            epoch=epoch,
        )
