"""HMAC and public keys in one ring: each key keeps to its algorithm, whatever a token says."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from jwt.algorithms import get_default_algorithms
from starlette.testclient import TestClient
from steps import b64, comparable, token_of, with_token

from gatehouse.signing.algorithms import ALGORITHMS
from gatehouse.signing.keys import Key, KeyRing, new_key, read_keys
from gatehouse.state import Gatehouse
from gatehouse.testing import SignIn

pytestmark = pytest.mark.thorough

ASYMMETRIC = ["EdDSA", "ES256", "RS256"]
# The order of the group of P-256 (SEC 2 section 2.4.2), and of that of Ed25519 (RFC 8032).
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.fixture(scope="module")
def text() -> str:
    """A ring with a key of each algorithm; the first one signs."""
    return "\n".join(new_key(algorithm) for algorithm in ALGORITHMS)


@dataclass
class Service:
    """A running service with that ring, and the claims of someone who is logged in."""

    client: TestClient
    core: Gatehouse
    claims: dict[str, Any]

    def __post_init__(self) -> None:
        self.refusal = comparable(self.ask("a.b.c"))
        assert self.refusal[0] == 401

    @property
    def ring(self) -> KeyRing:
        return self.core.tokens.expected.ring

    def key(self, algorithm: str) -> Key:
        return next(key for key in self.ring.keys if key.algorithm == algorithm)

    def signed(self, key: Key, algorithm: str | None = None, **header: Any) -> str:
        """A good token of that key, but for what is given. `header` replaces members."""
        signer = get_default_algorithms()[algorithm or key.algorithm]
        return self.token(
            lambda message: signer.sign(message, key.signing),
            **{"alg": algorithm or key.algorithm, "kid": key.kid, **header},
        )

    def token(self, sign: Callable[[bytes], bytes], **header: Any) -> str:
        parts = [{"typ": "at+jwt", **header}, self.claims]
        message = ".".join(b64(json.dumps(part).encode()) for part in parts)
        return f"{message}.{b64(sign(message.encode()))}"

    def ask(self, token: str) -> Any:
        return self.client.get("/users/me", headers=with_token(token))

    def accepts(self, token: str) -> bool:
        return bool(self.ask(token).status_code == 200)

    def refuses(self, token: str) -> bool:
        """Whether it gets the one refusal, equal in every byte."""
        return comparable(self.ask(token)) == self.refusal


@pytest.fixture
def service(
    create_app: Callable[[], FastAPI],
    auth_key: str,
    sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
) -> Iterator[Service]:
    sent = token_of(sign_in())
    monkeypatch.setenv("AUTH_KEYS", text)
    app = create_app()
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        claims = jwt.decode(sent, options={"verify_signature": False})
        yield Service(client, app.state.gatehouse, claims)


def test_a_token_of_every_key_in_the_ring_is_accepted(service: Service) -> None:
    assert [key.algorithm for key in service.ring.keys] == list(ALGORITHMS)
    for key in service.ring.keys:
        assert service.accepts(service.signed(key))


def test_the_first_key_signs(service: Service) -> None:
    token, _ = service.core.tokens.issue(
        stamp=0,
        epoch=0,
        user_id=service.claims["sub"],
        session_id=service.claims["sid"],
        scopes=(),
        session_end=time.time() + 60,
    )
    header = jwt.get_unverified_header(token)
    assert header == {"typ": "at+jwt", "kid": service.ring.signing.kid, "alg": ALGORITHMS[0]}
    assert service.accepts(token)


@pytest.mark.asvs("9.1.2")
@pytest.mark.parametrize(("mine", "other"), [*permutations(ALGORITHMS, 2)])
def test_the_kid_of_one_key_with_the_algorithm_of_another_is_refused(
    service: Service, mine: str, other: str
) -> None:
    key, another = service.key(mine), service.key(other)
    assert service.refuses(service.signed(key, alg=other))
    assert service.refuses(service.signed(key, kid=another.kid))
    assert service.refuses(service.signed(key, kid=another.kid, alg=other))
    assert service.refuses(service.signed(another, kid=key.kid))


@pytest.mark.parametrize("mine", ALGORITHMS)
def test_a_key_of_the_same_kind_that_is_not_in_the_ring_is_refused(
    service: Service, mine: str
) -> None:
    stranger = read_keys(new_key(mine)).signing
    assert service.refuses(service.signed(stranger))
    assert service.refuses(service.signed(stranger, kid=service.key(mine).kid))
    assert service.refuses(service.signed(stranger, kid=None))


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        ("RS256", "RS384"),
        ("RS256", "RS512"),
        ("RS256", "PS256"),
        ("RS256", "PS512"),
        ("HS256", "HS384"),
        ("HS256", "HS512"),
    ],
)
def test_another_algorithm_of_the_same_family_is_refused(
    service: Service, mine: str, other: str
) -> None:
    key = service.key(mine)
    assert service.refuses(service.signed(key, other))
    assert service.refuses(service.signed(key, other, alg=mine))
    assert service.refuses(service.signed(key, alg=other))


@pytest.mark.asvs("9.1.2")
@pytest.mark.parametrize("mine", ALGORITHMS)
def test_no_name_of_an_algorithm_opens_a_door(service: Service, mine: str) -> None:
    key = service.key(mine)
    name: object
    for name in ("none", "None", "", "ES256K", "ES384", "Ed25519", "ed25519", mine.lower(), None):
        assert service.refuses(service.signed(key, alg=name))
        assert service.refuses(service.token(lambda _: b"", kid=key.kid, alg=name) + "AA")
    for odd in (["HS256"], {"alg": mine}, 7, True):
        assert service.refuses(service.signed(key, alg=odd))


# --- a public key as an HMAC secret (A9, A10)


def shapes(key: Key) -> dict[str, bytes]:
    """Every form in which a public key lies about, each of them known to everyone."""
    assert key.public
    public = key.verifying
    pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    found: dict[str, bytes] = {
        "PEM": pem,
        "PEM without the last line end": pem.rstrip(b"\n"),
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "PEM in one line": pem.replace(b"\n", b""),
        "PEM body": b"".join(pem.splitlines()[1:-1]),
        "PEM body in lines": b"\n".join(pem.splitlines()[1:-1]) + b"\n",
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "SSH": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "SSH body": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1],
        "kid": key.kid.encode(),
        "kid decoded": base64.urlsafe_b64decode(key.kid + "="),
        "empty": b"",
    }
    bare = {name: value for name, value in key.public.items() if name in ("kty", "crv", *"xyne")}
    for title, members in (("JWK", key.public), ("bare JWK", bare)):
        for sort in (False, True):
            for separators in ((",", ":"), (", ", ": ")):
                words = json.dumps(members, sort_keys=sort, separators=separators)
                found[f"{title} {sort} {separators}"] = words.encode()
        found[f"{title} indented"] = json.dumps(members, indent=2).encode()
    for name in ("x", "y", "n"):
        if name in bare:
            found[name] = bare[name].encode()
            found[f"{name} decoded"] = base64.urlsafe_b64decode(bare[name] + "==")
    if key.algorithm == "EdDSA":
        found["raw"] = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    if key.algorithm == "ES256":
        for point in (PublicFormat.UncompressedPoint, PublicFormat.CompressedPoint):
            found[str(point)] = public.public_bytes(Encoding.X962, point)
    if key.algorithm == "RS256":
        found["PKCS#1"] = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
        found["PKCS#1 DER"] = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return found


@pytest.mark.asvs("9.1.2")
@pytest.mark.parametrize("alone", [False, True], ids=["mixed ring", "alone"])
@pytest.mark.parametrize("mine", ASYMMETRIC)
def test_a_public_key_in_any_shape_is_no_hmac_secret(
    service: Service, mine: str, alone: bool
) -> None:
    key, secret_kid = service.key(mine), service.key("HS256").kid
    if alone:
        service.core.tokens.use(KeyRing((key,)))
    for name, shape in shapes(key).items():
        for digest, alg in (("sha256", "HS256"), ("sha256", mine), ("sha512", "HS512")):

            def sign(message: bytes, shape: bytes = shape, digest: str = digest) -> bytes:
                return hmac.digest(shape, message, digest)

            for kid in (key.kid, secret_kid, None):
                assert service.refuses(service.token(sign, alg=alg, kid=kid)), name
    assert service.accepts(service.signed(key))


@pytest.mark.asvs("9.1.3")
@pytest.mark.parametrize("mine", ASYMMETRIC)
def test_a_key_that_the_token_brings_is_not_used(service: Service, mine: str) -> None:
    key, theirs = service.key(mine), read_keys(new_key(mine)).signing
    members: list[dict[str, Any]] = [
        {"jwk": theirs.public},
        {"jku": "http://127.0.0.1:9/jwks.json"},
        {"x5u": "http://127.0.0.1:9/certificate"},
        {"x5c": [b64(b"a certificate")]},
        {"jwk": theirs.public, "kid": theirs.kid},
        {"jwk": {**(theirs.public or {}), "kid": key.kid}},
    ]
    for member in members:
        assert service.refuses(service.signed(theirs, **{"kid": key.kid, **member}))
    for critical in ({"crit": ["exp"]}, {"crit": ["b64"], "b64": False}, {"zip": "DEF"}):
        assert service.refuses(service.signed(key, **critical))


# --- signatures


def test_an_ecdsa_signature_in_another_form_or_of_zeros_is_refused(service: Service) -> None:
    key = service.key("ES256")
    message, _, signature = service.signed(key).rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    for odd in (
        bytes(64),
        bytes(63) + b"\1",
        P256_ORDER.to_bytes(32) * 2,
        b"\xff" * 64,
        encode_dss_signature(r, s),
        raw + b"\0",
        raw[:-1],
        raw[:32],
        raw[32:] + raw[:32],
    ):
        assert service.refuses(f"{message}.{b64(odd)}")


def test_the_twin_of_an_ecdsa_token_is_the_same_token_and_ends_with_it(service: Service) -> None:
    """Of a signature (r, s) everyone can make (r, n - s), which is as good: JWA does not say which
    to use. So nothing may go by a token's text: revocation goes by `sid` and `jti`."""
    token = service.signed(service.key("ES256"))
    message, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    other = P256_ORDER - int.from_bytes(raw[32:])
    twin = f"{message}.{b64(raw[:32] + other.to_bytes(32))}"
    assert twin != token
    assert service.accepts(token)
    assert service.accepts(twin)
    assert service.core.tokens.read(twin) == service.core.tokens.read(token)
    answer = service.client.post("/auth/revoke", data={"token": twin})
    assert answer.status_code == 200
    assert service.refuses(token)
    assert service.refuses(twin)


def test_the_twin_of_an_eddsa_signature_is_refused(service: Service) -> None:
    token = service.signed(service.key("EdDSA"))
    message, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    s = int.from_bytes(raw[32:], "little") + ED25519_ORDER
    assert service.refuses(f"{message}.{b64(raw[:32] + s.to_bytes(32, 'little'))}")
    assert service.accepts(token)


# --- a ring that changes


def test_an_old_key_verifies_until_it_is_taken_away(service: Service) -> None:
    old = service.key("EdDSA")
    token = service.signed(old)
    new = read_keys(new_key("ES256")).signing
    service.core.tokens.use(KeyRing((old, new)))
    assert service.accepts(token)
    service.core.tokens.use(KeyRing((new, old)))
    assert service.accepts(token)
    assert service.accepts(service.signed(new))
    service.core.tokens.use(KeyRing((new,)))
    assert service.refuses(token)
    assert service.accepts(service.signed(new))


@pytest.mark.parametrize("mine", ALGORITHMS)
def test_a_withdrawn_key_is_refused_at_once_although_its_token_is_remembered(
    service: Service, mine: str
) -> None:
    key = service.key(mine)
    token = service.signed(key)
    others = KeyRing(tuple(other for other in service.ring.keys if other is not key))
    assert service.accepts(token)
    assert service.accepts(token)
    service.core.tokens.use(others)
    assert service.refuses(token)


def test_a_token_that_was_refused_is_not_remembered_as_refused(service: Service) -> None:
    ring, key = service.ring, service.key("ES256")
    token = service.signed(key)
    service.core.tokens.use(KeyRing((service.key("HS256"),)))
    assert service.refuses(token)
    service.core.tokens.use(ring)
    assert service.accepts(token)


def test_a_rsa_key_has_one_algorithm_for_ever(service: Service) -> None:
    """There is no way to say that it is for PS256: the kind of the key fixes RS256."""
    key = service.key("RS256")
    service.core.tokens.use(KeyRing((key,)))
    assert service.accepts(service.signed(key))
    assert service.refuses(service.signed(key, "PS256"))
