"""Keys: what is refused as one, and what a ring does with the others."""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from fastapi import FastAPI
from steps import b64

from gatehouse.refusal import StartRefused
from gatehouse.signing.algorithms import ALGORITHMS
from gatehouse.signing.key_weakness import WELL_KNOWN
from gatehouse.signing.keys import BadKey, new_key, read_keys

pytestmark = pytest.mark.thorough


WEAK = {
    "empty": "",
    "blank": "   ",
    "commas": " , ,",
    "a word": "changeme",
    "another": "secret",
    "31 bytes": b64(secrets.token_bytes(31)),
    "16 bytes": b64(secrets.token_bytes(16)),
    "hexadecimal": secrets.token_hex(32),
    "16 bytes in hexadecimal": secrets.token_hex(16),
    "32 equal bytes": b64(b"a" * 32),
    "32 zeros": b64(bytes(32)),
    "43 equal characters": "a" * 43,
    "a repeated word": "secret" * 8,
    "a repeated word, encoded": b64("secret" * 6),
    "a short pattern": b64("abcd" * 8),
    "0 to 31": b64(bytes(range(32))),
    "digits": b64("0123456789" * 4),
    "digits as they stand": "0123456789" * 5,
    "the alphabet": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "a sentence": b64("this is the secret key of our service"),
    "a sentence as it stands": "this-is-the-secret-key-of-our-service-in-production",
    "a sentence with blanks": "this is the secret key of our service, all of it",
    "camel case": "ThisIsTheVerySecretKeyOfOurServiceInProduction",
    "a UUID": "123e4567-e89b-42d3-a456-426614174000",
    "a UUID, encoded": b64("123e4567-e89b-42d3-a456-426614174000"),
    "few values": b64(bytes(secrets.choice(b"abcdef") for _ in range(40))),
    "not base64url": "+/" + new_key()[2:],
    "a PEM": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----",
    "a public PEM": "-----BEGIN PUBLIC KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PUBLIC KEY-----",
    "an ssh key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",
    "words and a year": "MySuperSecretKey2024ForTheProductionServer01",
    "words with hyphens": "Super-Secret-JWT-Signing-Key-Do-Not-Share-2026-x",
    "a pass phrase with digits": "CorrectHorseBatteryStaple1CorrectHorse2XyzzyPlugh3",
    "rows of the keyboard": "Qwertyuiop1234567890AsdfghjklZxcvbnm0987654321",
    "half of it zeros": b64(secrets.token_bytes(16) + bytes(16)),
    "the hash of a word": b64(hashlib.sha256(b"changeme").digest()),
    "the hash of nothing": b64(hashlib.sha256(b"").digest()),
    "a public key without its lines": b64(
        Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ),
    "a public key as ssh has it": b64(
        Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        .split()[1]
    ),
    "a public key of ssh without its words": Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    .split()[1]
    .decode()
    .replace("+", "-")
    .replace("/", "_"),
    "a placeholder": "<the output of: keys new>",
}


@pytest.mark.parametrize("text", WEAK.values(), ids=WEAK.keys())
def test_a_weak_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadKey) as refused:
        read_keys(text)
    assert len(text.strip(" ,")) < 4 or text not in str(refused.value)
    assert "\n" not in str(refused.value)


def in_both_cases(text: str) -> str:
    return "".join(c.upper() if place % 2 else c for place, c in enumerate(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (in_both_cases(secrets.token_hex(32)), "hexadecimal"),
        (b64(secrets.token_bytes(24) * 2), "repeats one pattern"),
        (b64(bytes(0x80 + byte % 16 * 8 for byte in hashlib.sha256(b"few").digest())), "too few"),
        (b64(secrets.token_bytes(28) + bytes(4)), "sequential"),
        (b64(b"\x30\x82\x01\x2c" + secrets.token_bytes(300)), "body of a PEM"),
    ],
    ids=["hexadecimal", "repeated", "few", "zeros", "certificate"],
)
def test_a_weak_key_that_no_other_check_would_notice_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadKey, match=reason):
        read_keys(text)


@pytest.mark.parametrize("text", sorted(WELL_KNOWN))
def test_a_key_that_everyone_knows_is_refused(text: str) -> None:
    with pytest.raises(BadKey, match="well-known"):
        read_keys(text)


@pytest.mark.parametrize("name", ["empty", "a word", "31 bytes", "32 equal bytes"])
def test_the_service_does_not_start_with_a_weak_key(
    create_app: Callable[[], FastAPI],
    auth_key: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    text = WEAK[name]
    monkeypatch.setenv("AUTH_KEYS", text)
    with pytest.raises(StartRefused) as refused:
        create_app()
    message = str(refused.value)
    assert message.startswith("AUTH_KEYS is refused: ")
    assert "keys new" in message
    assert "\n" not in message
    assert not text or text not in message


def test_one_weak_key_among_good_ones_is_refused_by_its_number() -> None:
    with pytest.raises(BadKey, match="key 2"):
        read_keys(f"{new_key()},changeme")


def test_a_key_that_is_there_twice_is_refused() -> None:
    key = new_key()
    for second in (key, key + "=", f" {key} "):
        with pytest.raises(BadKey, match="twice"):
            read_keys(f"{key},{second}")


def test_a_new_key_is_always_accepted() -> None:
    for _ in range(60):
        read_keys(new_key())


def test_random_keys_of_other_lengths_are_accepted() -> None:
    for size in (32, 33, 48, 64, 128):
        for _ in range(10):
            read_keys(b64(secrets.token_bytes(size)))


def test_the_first_key_signs_and_all_are_found_by_their_id() -> None:
    first, second = new_key(), new_key()
    ring = read_keys(f"{first},{second}")
    assert ring.signing == ring.keys[0]
    assert [ring.find(key.kid) for key in ring.keys] == list(ring.keys)
    strangers: tuple[object, ...] = ("", None, 7, [], "x")
    for stranger in strangers:
        assert ring.find(stranger) is None


def test_the_id_of_a_key_is_128_bits_of_an_hmac_under_it() -> None:
    secret = secrets.token_bytes(32)
    (key,) = read_keys(b64(secret)).keys
    expected = hmac.new(secret, b"gatehouse kid", hashlib.sha256).digest()[:16]
    assert key.kid == b64(expected)


def test_a_key_ring_shows_no_secret_when_it_is_printed() -> None:
    text = new_key()
    ring = read_keys(text)
    assert text not in repr(ring)
    assert repr(ring.signing.signing) not in repr(ring)


# --- PEM keys


def pem(
    private: Any,
    form: PrivateFormat = PrivateFormat.PKCS8,
    pass_phrase: bytes | None = None,
) -> str:
    sealed = BestAvailableEncryption(pass_phrase) if pass_phrase else NoEncryption()
    text: bytes = private.private_bytes(Encoding.PEM, form, sealed)
    return text.decode()


def public_pem(private: Any) -> str:
    form = PublicFormat.SubjectPublicKeyInfo
    text: bytes = private.public_key().public_bytes(Encoding.PEM, form)
    return text.decode()


def with_trailing_bytes(text: str) -> str:
    der = base64.b64decode("".join(text.splitlines()[1:-1]))
    body = base64.encodebytes(der + b"\0\0").decode()
    return f"-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n"


def labelled(label: str) -> str:
    body = base64.encodebytes(secrets.token_bytes(90)).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n"


ED = Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())
BAD_PEMS: dict[str, tuple[str, str]] = {
    "RSA 1024": (pem(rsa.generate_private_key(65537, 1024)), "3072"),  # noqa: S505
    "RSA 2048": (pem(rsa.generate_private_key(65537, 2048)), "3072"),
    "P-192": (pem(ec.generate_private_key(ec.SECP192R1())), "P-256"),
    "P-384": (pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
    "secp256k1": (pem(ec.generate_private_key(ec.SECP256K1())), "P-256"),
    "Ed448": (pem(ed448.Ed448PrivateKey.generate()), "Ed25519"),
    "X25519": (pem(x25519.X25519PrivateKey.generate()), "Ed25519"),
    "encrypted": (pem(ED, pass_phrase=b"pass phrase"), "without a pass phrase"),
    "encrypted as OpenSSL once did": (
        pem(P256, PrivateFormat.TraditionalOpenSSL, b"pass phrase"),
        "without a pass phrase",
    ),
    "OpenSSH": (pem(ED, PrivateFormat.OpenSSH), "PKCS#8"),
    "a public key": (public_pem(ED), "not a private key"),
    "a certificate": (labelled("CERTIFICATE"), "not a private key"),
    "noise": (labelled("PRIVATE KEY"), "PKCS#8"),
    "bytes behind the key": (with_trailing_bytes(pem(ED)), "PKCS#8"),
    "text behind the key": (pem(ED) + "and a little more", "key 2"),
    "text behind the end": (pem(ED).strip() + "x", "key 2"),
    "no end": (pem(P256).rpartition("-----END")[0], "PKCS#8"),
    "no beginning": (pem(P256).partition("KEY-----")[2], ""),
    "another end": (pem(P256).replace("END PRIVATE", "END PUBLIC"), "PKCS#8"),
    "half of it": (pem(P256)[:100] + "\n-----END PRIVATE KEY-----", "PKCS#8"),
    "the certificate too": (pem(ED) + labelled("CERTIFICATE"), "key 2"),
}


@pytest.mark.parametrize(("text", "word"), BAD_PEMS.values(), ids=BAD_PEMS.keys())
@pytest.mark.parametrize("end", ["\n", "\r\n", "\\n"], ids=["LF", "CRLF", "written out"])
def test_a_bad_pem_is_refused_with_the_remedy_and_without_being_shown(
    text: str, word: str, end: str
) -> None:
    with pytest.raises(BadKey) as refused:
        read_keys(text.replace("\n", end))
    message = str(refused.value)
    assert word in message
    assert "\n" not in message
    for line in text.splitlines()[1:-1]:
        assert len(line) < 20 or line not in message


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_new_key_of_each_algorithm_is_bound_to_it(algorithm: str) -> None:
    (key,) = read_keys(new_key(algorithm)).keys
    assert key.algorithm == algorithm
    assert (key.public is None) == (algorithm == "HS256")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.strip().replace("\n", "\\n"),
        lambda text: "\ufeff" + text,
        lambda text: "# ours\n\n" + text + "# the end",
        lambda text: text.replace("\n", "\n  "),
        lambda text: text.replace("KEY-----\n", "KEY-----\n# a comment\n", 1),
    ],
    ids=["CRLF", "CR", "written out", "BOM", "comments", "indented", "a comment inside"],
)
def test_a_pem_is_read_however_it_was_saved(change: Callable[[str], str]) -> None:
    assert read_keys(change(pem(P256))).signing.kid == read_keys(pem(P256)).signing.kid


def test_several_keys_stand_one_after_another_in_any_mixture() -> None:
    texts = [new_key(algorithm) for algorithm in ("HS256", "EdDSA", "ES256", "HS256", "RS256")]
    single = [read_keys(text).signing.kid for text in texts]
    for mixture in ("\n".join(texts), ",\n".join(texts), "\r\n# next\r\n".join(texts)):
        assert [key.kid for key in read_keys(mixture).keys] == single
    first, second, *_ = texts
    assert len(read_keys(f"{second},{first}".replace("\n", "\\n")).keys) == 2


@pytest.mark.parametrize("private", [P256, rsa.generate_private_key(65537, 3072)])
def test_one_key_in_two_forms_is_there_twice(private: Any) -> None:
    with pytest.raises(BadKey, match="key 2 is there twice"):
        read_keys(pem(private) + pem(private, PrivateFormat.TraditionalOpenSSL))


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_a_part_of_a_key_is_no_secret_beside_it(algorithm: str) -> None:
    """The public parts are known to everyone; the private ones would be one key for two uses."""
    text = new_key(algorithm)
    (key,) = read_keys(text).keys
    assert key.public
    private = load_pem_private_key(text.encode(), None)
    parts = [key.kid, *(key.public[name] for name in ("x", "y", "n") if name in key.public)]
    if algorithm == "EdDSA":
        raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        parts.append(b64(raw))
    for part in parts:
        for both in (f"{part}\n{text}", f"{text}\n{part}"):
            with pytest.raises(BadKey) as refused:
                read_keys(both)
            assert part not in str(refused.value)


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_a_published_key_has_its_public_members_and_no_other(algorithm: str) -> None:
    ring = read_keys(new_key(algorithm) + "\n" + new_key())
    (published,) = ring.jwks()["keys"]
    members = {"EdDSA": {"crv", "x"}, "ES256": {"crv", "x", "y"}, "RS256": {"n", "e"}}[algorithm]
    assert published.keys() == {"kty", "kid", "use", "alg"} | members
    own = {name: published[name] for name in sorted({"kty"} | members)}
    thumbprint = hashlib.sha256(json.dumps(own, separators=(",", ":")).encode()).digest()
    assert published["kid"] == ring.signing.kid == b64(thumbprint)
    assert published["use"] == "sig"
    assert published["alg"] == algorithm


def test_no_text_in_this_service_holds_a_key_that_would_be_accepted() -> None:
    """Whoever copies an example from a document must be refused."""
    root = Path(__file__).parents[2]
    folders = {".git", ".venv", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache"}
    kinds = {".md", ".py", ".toml", ".yaml", ".yml", ".example", ".js", ".txt", ".mako", ".cfg"}
    for path in root.rglob("*"):
        if path.suffix not in kinds or folders & set(path.parts) or not path.is_file():
            continue
        for text in re.findall(r"[A-Za-z0-9_-]{43,}=?", path.read_text(errors="replace")):
            with pytest.raises(BadKey):
                print(path, read_keys(text))
