"""Keys: what is refused as one, and what a ring does with the others."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI

from gatehouse.key_weakness import WELL_KNOWN
from gatehouse.keys import BadKey, new_key, read_keys
from gatehouse.refusal import StartRefused


def b64(content: bytes | str) -> str:
    raw = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


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
    "a placeholder": "<the output of: keys new>",
}


@pytest.mark.parametrize("text", WEAK.values(), ids=WEAK.keys())
def test_a_weak_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadKey) as refused:
        read_keys(text)
    assert len(text.strip(" ,")) < 4 or text not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", WELL_KNOWN)
def test_a_key_that_everyone_knows_is_refused(text: str) -> None:
    with pytest.raises(BadKey, match="well-known"):
        read_keys(text)


@pytest.mark.parametrize(
    "text", [*(WEAK[name] for name in ("empty", "a word", "31 bytes", "32 equal bytes"))]
)
def test_the_service_does_not_start_with_a_weak_key(
    create_app: Callable[[], FastAPI],
    auth_key: str,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
) -> None:
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
    for _ in range(300):
        read_keys(new_key())


def test_random_keys_of_other_lengths_are_accepted() -> None:
    for size in (32, 33, 48, 64, 128):
        for _ in range(50):
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
    assert repr(ring.signing.secret) not in repr(ring)


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
