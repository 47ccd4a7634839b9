"""The key ring: which keys sign and verify access tokens. The algorithm is the key's own."""

import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import get_default_algorithms
from jwt.utils import base64url_decode, base64url_encode

from gatehouse.signing.key_weakness import KEY_BYTES, weakness

RSA_BITS = 3072  # ASVS 11.2.3; PyJWT's own floor is 2048, and only a warning
OTHER_KIND = f"is of a type that is not supported: use Ed25519, P-256 or RSA of {RSA_BITS} bits"
_PEM = r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----"
_ITEM = re.compile(rf"{_PEM}|[^,\s](?:[^,\n]*[^,\s])?", re.DOTALL)
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
# The public members of a JWK, which its thumbprint covers: RFC 7638 section 3.2, RFC 8037.
_PUBLIC = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


class BadKey(ValueError):
    """A key is refused. The text says why and never holds the key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. The algorithm belongs to the key: a token's header never chooses it.

    `public` is the JWK that others verify with; None for an HMAC key, which is never published.
    """

    kid: str
    algorithm: str
    strength: str
    signing: Any = field(repr=False)
    verifying: Any = field(repr=False)
    public: dict[str, Any] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys in force: the first signs, all verify."""

    keys: tuple[Key, ...]

    @property
    def signing(self) -> Key:
        return self.keys[0]

    def find(self, kid: object) -> Key | None:
        """The key of that id. `kid` is a stranger's word: it is compared and nothing else."""
        return next((key for key in self.keys if key.kid == kid), None)

    def jwks(self) -> dict[str, Any]:
        """RFC 7517: the public members of the asymmetric keys, those that retire included."""
        return {"keys": [key.public for key in self.keys if key.public]}


def new_key(algorithm: str = "HS256") -> str:
    """A fresh key in the form that `read_keys` takes: base64url for HS256, else a PEM."""
    if algorithm == "HS256":
        while weakness(text := secrets.token_urlsafe(KEY_BYTES)):
            continue  # one key in some hundred thousand looks weak by chance
        return text
    private = _MAKERS[algorithm]()
    pem: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode().strip()


_MAKERS: dict[str, Callable[[], Any]] = {
    "EdDSA": Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(65537, RSA_BITS),
}


def read_keys(text: str) -> KeyRing:
    """The ring that a text describes: base64url keys and PEM private keys, one after another.

    Commas or line ends stand between, lines that start with # are comments. Raises `BadKey`
    for none, for a weak one and for a duplicate.
    """
    items = find_keys(plain(text))
    if not items:
        raise BadKey("no key is set")
    keys: list[Key] = []
    for number, item in enumerate(items, start=1):
        try:
            key = _read_pem(item[0]) if item[0].startswith("-----") else _read_hmac(item[0])
        except BadKey as error:
            raise BadKey(f"key {number} {error}") from None
        if any(key.kid == other.kid for other in keys):
            raise BadKey(f"key {number} is there twice; remove one")
        keys.append(key)
    _refuse_shared(keys)
    return KeyRing(tuple(keys))


def plain(text: str) -> str:
    """A text with one kind of line end. A variable may hold a PEM with its own written out."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return text if "\n" in text.strip() else text.replace("\\n", "\n")


def find_keys(text: str) -> list[re.Match[str]]:
    """The keys in a plain text, good or not, each with its place there."""
    bare = _COMMENT.sub(lambda comment: " " * len(comment[0]), text)  # no place changes
    return list(_ITEM.finditer(bare))


def _refuse_shared(keys: list[Key]) -> None:
    """A secret that is a member of another key: one key for two algorithms, or a public one."""
    known: set[str] = set()
    for key in keys:
        if key.public:
            known |= {key.kid, *map(str, _members(key.algorithm, key.signing).values())}
    for number, key in enumerate(keys, start=1):
        if key.public is None and base64url_encode(key.signing).decode() in known:
            raise BadKey(f"key {number} is a part of another key here; make a new one")


def _read_hmac(text: str) -> Key:
    if reason := weakness(text):
        raise BadKey(reason)
    secret = base64url_decode(text.rstrip("="))
    strength = f"{8 * len(secret)} random bits"
    return Key(hmac_kid(secret), "HS256", strength, secret, secret, None)


def hmac_kid(secret: bytes) -> str:
    """The id of an HMAC key: 128 bits of an HMAC of a fixed label under that key.

    It tells no more than any token signed with the key. A hash of the secret itself
    (RFC 7638 section 7) would let a stranger test guesses without a token.
    """
    return base64url_encode(hmac.digest(secret, b"gatehouse kid", sha256)[:16]).decode()


def _read_pem(text: str) -> Key:
    private = _load_pem(text)
    algorithm, strength = _kind(private)
    members = _members(algorithm, private)
    public = {name: members[name] for name in _PUBLIC[members["kty"]]}
    # RFC 7638: the SHA-256 of the public members, in order, with no blanks.
    ordered = json.dumps(public, separators=(",", ":"), sort_keys=True)
    kid = base64url_encode(sha256(ordered.encode()).digest()).decode()
    public |= {"kid": kid, "use": "sig", "alg": algorithm}
    return Key(kid, algorithm, strength, private, private.public_key(), public)


def _members(algorithm: str, private: Any) -> dict[str, Any]:
    """The members of a private key's JWK."""
    members: dict[str, Any] = get_default_algorithms()[algorithm].to_jwk(private, as_dict=True)
    return members


def _load_pem(text: str) -> Any:
    if "PRIVATE KEY-----" not in text.split("\n", 1)[0]:
        raise BadKey("is not a private key: a public key or a certificate cannot sign")
    try:
        return load_pem_private_key(text.encode(), None)
    except TypeError:
        raise BadKey("is encrypted: give it without a pass phrase, in a file of mode 600") from None
    except UnsupportedAlgorithm:
        raise BadKey(OTHER_KIND) from None
    except ValueError:
        raise BadKey("is a PEM that cannot be read: give a whole PKCS#8 private key") from None


def _kind(private: object) -> tuple[str, str]:
    """The algorithm that the key's type fixes, and its strength in words."""
    if isinstance(private, Ed25519PrivateKey):
        return "EdDSA", "Ed25519"
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        return "ES256", "P-256"
    if isinstance(private, rsa.RSAPrivateKey):
        if private.key_size < RSA_BITS:
            raise BadKey(f"is RSA of {private.key_size} bits: use {RSA_BITS} or more")
        return "RS256", f"RSA, {private.key_size} bits"
    raise BadKey(OTHER_KIND)
