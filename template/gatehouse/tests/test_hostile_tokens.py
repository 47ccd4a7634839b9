"""Tokens that are forged, or signed by us and still wrong: one refusal for all of them."""

import json
import secrets
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import jwt
import pytest
from starlette.testclient import TestClient
from steps import b64, comparable, token_of

from gatehouse.signing import tokens as tokens_module
from gatehouse.signing.key_weakness import WELL_KNOWN
from gatehouse.signing.keys import new_key, read_keys
from gatehouse.signing.token_checks import STAMP
from gatehouse.signing.tokens import AccessToken, BadAccessToken, Tokens
from gatehouse.state import Gatehouse
from gatehouse.testing import SignIn

Forge = Callable[..., str]
BAD = 'Bearer error="invalid_token"'


def ask(client: TestClient, token: str | bytes) -> Any:
    text = token.encode() if isinstance(token, str) else token
    return client.get("/users/me", headers={b"Authorization": b"Bearer " + text})


@pytest.fixture
def refused(client: TestClient) -> Callable[[str | bytes], None]:
    """Check that a token gets the one refusal, equal in every byte."""
    reference = comparable(ask(client, "a.b.c"))
    assert reference[0] == 401
    assert reference[1]["www-authenticate"] == BAD

    def check(token: str | bytes) -> None:
        assert comparable(ask(client, token)) == reference

    return check


Refused = Callable[[str | bytes], None]


def test_the_forging_fixture_makes_a_good_token(client: TestClient, forge: Forge) -> None:
    assert ask(client, forge()).status_code == 200


@pytest.mark.asvs("9.1.2")
def test_no_spelling_of_none_is_an_algorithm(refused: Refused, forge: Forge) -> None:
    alg: object
    for alg in ["none", "None", "NONE", "nOnE", " none", "none\u0000", "", None, True, "hs256"]:
        token = forge(header={"alg": alg})
        refused(token)
        refused(token.rpartition(".")[0] + ".")
        refused(token.rpartition(".")[0])


@pytest.mark.asvs("9.1.2")
def test_the_header_does_not_choose_the_algorithm(refused: Refused, forge: Forge) -> None:
    alg: object
    for alg in [["HS256"], {"HS256": 1}, 7, "HS384", "HS512", "ES256K", "PS256"]:
        refused(forge(header={"alg": alg}))


def test_the_right_key_with_another_hash_is_refused(refused: Refused, forge: Forge) -> None:
    for alg, digest in [("HS384", "sha384"), ("HS512", "sha512")]:
        refused(forge(header={"alg": alg}, digest=digest))


def test_a_key_long_enough_for_another_algorithm_keeps_to_its_own() -> None:
    key = b64(secrets.token_bytes(64))
    tokens = Tokens(ring=read_keys(key), issuer="i", audience="a", client_id="c", lifetime=60)
    good, _ = tokens.issue(
        stamp=0,
        epoch=0,
        user_id=uuid4(),
        session_id=uuid4(),
        scopes=(),
        session_end=time.time() + 60,
    )
    assert tokens.read(good)
    (only,) = tokens.expected.ring.keys
    for algorithm in ("HS384", "HS512"):
        claims = jwt.decode(good, options={"verify_signature": False})
        header = {"typ": "at+jwt", "kid": only.kid}
        other = jwt.encode(claims, only.signing, algorithm=algorithm, headers=header)
        with pytest.raises(BadAccessToken):
            tokens.read(other)


@pytest.mark.asvs("9.1.1")
def test_a_changed_signature_is_refused(refused: Refused, forge: Forge) -> None:
    head, body, signature = forge().split(".")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for changed in (signature[:-4], flipped, "A" * len(signature), ""):
        refused(f"{head}.{body}.{changed}")


@pytest.mark.asvs("9.1.1")
def test_a_changed_payload_is_refused(refused: Refused, forge: Forge) -> None:
    head, _, signature = forge().split(".")
    _, other, _ = forge(claims={"sub": str(uuid4())}).split(".")
    refused(f"{head}.{other}.{signature}")


@pytest.mark.asvs("9.1.1")
def test_a_guessable_key_is_of_no_use(refused: Refused, forge: Forge) -> None:
    for key in ("secret", "changeme", "", "your-256-bit-secret", *WELL_KNOWN, new_key()):
        refused(forge(key=key.encode() or b"\0"))


@pytest.mark.asvs("9.1.3")
def test_an_unknown_kid_is_refused(refused: Refused, forge: Forge) -> None:
    kid: object
    for kid in [
        "../../../../dev/null",
        "/proc/self/environ",
        "x' UNION SELECT 'a'--",
        "' OR 1=1--",
        1,
        None,
        ["a"],
        {"a": 1},
        "",
        "k" * 4000,
        "\0",
        "a\nb",
        "$(id)",
        "{{7*7}}",
        True,
    ]:
        refused(forge(header={"kid": kid}))
        refused(forge(header={"kid": kid}, key=b"a"))


@pytest.mark.asvs("9.1.3")
def test_a_key_that_the_token_brings_is_not_used(refused: Refused, forge: Forge) -> None:
    members: list[dict[str, Any]] = [
        {"jku": "http://127.0.0.1:9/jwks.json"},
        {"x5u": "http://127.0.0.1:9/cert"},
        {"jwk": {"kty": "oct", "k": b64(b"a" * 32)}},
    ]
    for member in members:
        refused(forge(header={**member, "kid": "theirs"}, key=b"a" * 32))
        refused(forge(header=member, key=b"a" * 32))


def test_header_members_that_change_the_meaning_are_refused(refused: Refused, forge: Forge) -> None:
    members: list[dict[str, Any]] = [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": True},
        {"crit": []},
        {"crit": "b64"},
        {"crit": [1]},
        {"b64": 0},
        {"b64": True},
        {"zip": "DEF"},
    ]
    for member in members:
        refused(forge(header=member))


@pytest.mark.asvs("9.2.2")
def test_another_type_of_token_is_refused(refused: Refused, forge: Forge) -> None:
    typ: object
    for typ in [None, "JWT", "jwt", "rt+jwt", "id_token", 7, "application/jwt", ["at+jwt"], ""]:
        refused(forge(header={"typ": typ}))


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_media_type_of_a_token_ignores_case(client: TestClient, forge: Forge, typ: str) -> None:
    assert ask(client, forge(header={"typ": typ})).status_code == 200


@pytest.mark.asvs("10.3.3")
def test_another_issuer_is_refused(core: Gatehouse, refused: Refused, forge: Forge) -> None:
    ours = core.tokens.expected.issuer
    wrong: tuple[object, ...] = (
        None,
        "https://x.example",
        ours[:-1],
        ours + "/",
        ours.upper(),
        [ours],
        1,
        "",
        {},
    )
    for issuer in wrong:
        refused(forge(claims={"iss": issuer}))


@pytest.mark.asvs("9.2.3", "9.2.4", "10.3.1")
def test_another_audience_is_refused(core: Gatehouse, refused: Refused, forge: Forge) -> None:
    ours = core.tokens.expected.audience
    wrong: tuple[object, ...] = (
        None,
        "x",
        [],
        [[ours]],
        [ours, 1],
        {ours: 1},
        ours.upper(),
        ours + "/",
        "",
        ["x"],
    )
    for audience in wrong:
        refused(forge(claims={"aud": audience}))


def test_an_audience_list_that_holds_this_service_is_accepted(
    core: Gatehouse, client: TestClient, forge: Forge
) -> None:
    both = ["https://other.example", core.tokens.expected.audience]
    assert ask(client, forge(claims={"aud": both})).status_code == 200


def test_a_time_that_is_no_number_is_refused(refused: Refused, forge: Forge) -> None:
    claim: str
    for claim in ["exp", "iat", "auth_time"]:
        value: object
        for value in [
            "9999999999",
            " 9999999999 ",
            "9_999_999_999",
            "٩٩٩٩٩٩٩٩٩٩",
            True,
            False,
            [],
            {},
            [1],
            None,
            "",
        ]:
            refused(forge(claims={claim: value}))


def test_an_expiry_beyond_every_date_is_refused(refused: Refused, forge: Forge) -> None:
    number: str
    for number in [
        "-1",
        "0",
        "-0",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "1e308",
        "1" + "0" * 300,
        "9" * 4000,
        "9" * 5000,
        "253402300800",
    ]:
        claims = json.loads(unsigned(forge()))
        text = json.dumps({**claims, "exp": 0}).replace('"exp": 0', f'"exp": {number}')
        refused(forge(raw_claims=text.encode()))


def test_a_login_outside_of_every_date_is_refused(refused: Refused, forge: Forge) -> None:
    """Of `exp` the lifetime is checked as well; this claim has its own range alone."""
    for moment in (-1, 253_402_300_800, 1e308):
        refused(forge(claims={"auth_time": moment}))


def test_a_number_that_json_does_not_have_is_refused_in_any_member(
    refused: Refused, forge: Forge
) -> None:
    token = forge()
    for number in (b"NaN", b"Infinity", b"-Infinity"):
        refused(forge(raw_claims=unsigned(token)[:-1] + b', "more": %b}' % number))
        refused(forge(raw_header=b'{"typ": "at+jwt", "more": %b}' % number))


def unsigned(token: str) -> bytes:
    body = token.split(".")[1]
    return urlsafe_b64decode(body + "=" * (-len(body) % 4))


@pytest.mark.asvs("9.2.1")
def test_a_life_longer_than_configured_is_refused(
    core: Gatehouse, client: TestClient, refused: Refused, forge: Forge, now: int
) -> None:
    lifetime = core.tokens.expected.lifetime
    assert ask(client, forge(claims={"iat": now, "exp": now + lifetime})).status_code == 200
    refused(forge(claims={"iat": now, "exp": now + lifetime + 1}))
    refused(forge(claims={"iat": now, "exp": now + 10 * 365 * 86_400}))
    refused(forge(claims={"iat": now - 2 * lifetime, "exp": now + 60}))


@pytest.mark.asvs("9.2.1")
def test_a_token_of_the_future_is_refused_and_a_small_skew_is_not(
    client: TestClient, refused: Refused, forge: Forge, now: int
) -> None:
    refused(forge(claims={"iat": now + 3600, "exp": now + 3700}))
    refused(forge(claims={"nbf": now + 3600}))
    refused(forge(claims={"iat": now + 60, "exp": now + 120}))
    refused(forge(claims={"nbf": "0"}))
    assert ask(client, forge(claims={"iat": now + 3})).status_code == 200


@pytest.mark.asvs("9.2.1")
def test_there_is_no_leeway_after_the_expiry(refused: Refused, forge: Forge, now: int) -> None:
    refused(forge(claims={"iat": now - 60, "exp": now - 1}))
    refused(forge(claims={"iat": now - 60, "exp": now}))


def test_an_id_that_is_no_uuid_is_refused(refused: Refused, forge: Forge) -> None:
    claim: str
    for claim in ["sub", "sid", "jti"]:
        value: object
        for value in [
            None,
            "",
            7,
            [],
            "bob",
            "00000000-0000-0000-0000-00000000000A",
            "{00000000-0000-0000-0000-000000000000}",
            "urn:uuid:00000000-0000-0000-0000-000000000000",
            "00000000000000000000000000000000",
            "00000000-0000-0000-0000-000000000000\n",
            "a\0b",
            "\ud800",
            "1 OR 1=1",
        ]:
            refused(forge(claims={claim: value}))


@pytest.mark.asvs("10.3.3")
def test_a_user_or_session_that_is_not_there_is_refused(refused: Refused, forge: Forge) -> None:
    refused(forge(claims={"sub": str(uuid4())}))
    refused(forge(claims={"sid": str(uuid4())}))


def test_a_token_without_a_client_is_refused(refused: Refused, forge: Forge) -> None:
    client_id: object
    for client_id in [None, "", 7, []]:
        refused(forge(claims={"client_id": client_id}))


def test_a_scope_of_another_form_is_refused(refused: Refused, forge: Forge) -> None:
    scope: object
    for scope in [None, ["notes:read"], {}, 7, "notes:read admin\0", "a  b", " a", 'a"b', "a\nb"]:
        refused(forge(claims={"scope": scope}))


def test_claims_that_we_do_not_know_give_no_right(client: TestClient, forge: Forge) -> None:
    extra = {"is_superuser": True, "role": "admin", "scopes": ["users:write"]}
    answer = ask(client, forge(claims=extra))
    assert answer.status_code == 200
    assert answer.json()["role"] == "user"


def test_a_member_that_is_there_twice_is_refused(refused: Refused, forge: Forge) -> None:
    claims = unsigned(forge()).decode()
    for name, value in (("exp", "1"), ("sub", '"x"'), ("scope", '"users:write"')):
        refused(forge(raw_claims=f'{{"{name}": {value}, {claims[1:]}'.encode()))
    refused(forge(raw_header=b'{"alg": "none", "alg": "HS256", "typ": "at+jwt"}'))


def test_claims_in_another_encoding_are_refused(refused: Refused, forge: Forge) -> None:
    encoding: str
    for encoding in ["utf-16-le", "utf-16-be", "utf-16", "utf-32", "utf-8-sig"]:
        refused(forge(raw_claims=unsigned(forge()).decode().encode(encoding)))
        refused(forge(raw_header='{"alg":"HS256","typ":"at+jwt"}'.encode(encoding)))


def test_a_part_that_is_no_json_object_is_refused(refused: Refused, forge: Forge) -> None:
    content: bytes
    for content in [b"", b"[]", b"1", b'"x"', b"\xff", b"{", b"[" * 4000]:
        refused(forge(raw_claims=content))
        refused(forge(raw_header=content))


def test_padding_blanks_dots_and_other_alphabets_are_refused(
    refused: Refused, forge: Forge
) -> None:
    token = forge()
    head, body, signature = token.split(".")
    for odd in (
        f"{token}=",
        f"{token}==",
        f"{head}=.{body}.{signature}",
        f"{head}.{body}=.{signature}",
        f"{token} ",
        f" {token}",
        f"{token}\t",
        f"{token}.",
        f".{token}",
        f"{token}.{signature}",
        f"{token}.a.b",
        f"{head}.{body}",
        f"{head}.{body}.{signature[:-1]}+",
        f"{head}.{body}.{signature[:-1]}/",
        f"{token}%3D",
        "..",
        ".",
        "eyJhbGciOiJkaXIifQ..a.b.c",
    ):
        refused(odd)


def test_the_last_character_of_a_signature_is_the_only_one_that_fits(
    refused: Refused, forge: Forge
) -> None:
    token = forge()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place = alphabet.index(token[-1])
    refused(token[:-1] + alphabet[place ^ 1])


def test_a_very_long_token_is_refused(refused: Refused) -> None:
    size: int
    for size in [8 * 1024 + 1, 32 * 1024]:
        refused("a" * (size - 4) + ".b.c")


def test_a_token_too_long_for_any_header_gets_431(client: TestClient) -> None:
    assert ask(client, "a" * 70_000 + ".b.c").status_code == 431


@pytest.mark.asvs("9.2.1")
def test_a_verified_token_is_refused_when_its_time_is_up(
    client: TestClient, refused: Refused, sign_in: SignIn, core: Gatehouse
) -> None:
    import time_machine

    token = token_of(sign_in())
    assert ask(client, token).status_code == 200  # from here on it is remembered
    end = time.time() + core.tokens.expected.lifetime
    with time_machine.travel(end - 30, tick=False):
        assert ask(client, token).status_code == 200
    with time_machine.travel(end + 1, tick=False):
        refused(token)


# --- the stamp: of the account and of the service, since 0.5.0


def test_a_token_says_under_which_stamps_it_was_issued(core: Gatehouse, forge: Forge) -> None:
    def issued(**given: Any) -> tuple[int | None, int]:
        text, _ = core.tokens.issue(
            user_id=uuid4(), session_id=uuid4(), scopes=[], session_end=time.time() + 99, **given
        )
        token = core.tokens.read(text)
        assert not token.extra
        return token.stamp, token.epoch

    assert issued(stamp=3, epoch=2) == (3, 2)
    assert issued(stamp=0) == (0, 0)
    assert issued() == (None, 0)
    older = core.tokens.read(forge(claims={STAMP: None}))  # that is, without the claim
    assert (older.stamp, older.epoch) == (None, 0)


@pytest.mark.parametrize(
    "odd",
    [
        *("[]", "[1]", "[1,2,3]", "[-1,0]", "[0,-1]", "[true,0]", "[1.0,0]", '["1",0]'),
        *("[null,0]", "[[1],0]", "[1e3,0]", "null", "1", '"1,0"', '{"0":1}'),
    ],
)
def test_a_stamp_is_two_whole_numbers_or_is_not_there(
    refused: Refused, forge: Forge, core: Gatehouse, odd: str
) -> None:
    claims = {**json.loads(urlsafe_b64decode(forge().split(".")[1] + "==")), STAMP: json.loads(odd)}
    refused(forge(raw_claims=json.dumps(claims).encode()))


def test_the_stamp_is_not_for_a_service_s_own_claims(core: Gatehouse) -> None:
    def issue(**extra: Any) -> AccessToken:
        text, _ = core.tokens.issue(
            user_id=uuid4(),
            session_id=uuid4(),
            scopes=[],
            session_end=time.time() + 99,
            stamp=1,
            extra=extra,
        )
        return core.tokens.read(text)

    with pytest.raises(ValueError, match=STAMP):
        issue(**{STAMP: [9, 9]})
    # Names that a service may have used before are still its own.
    mine = issue(stamp="blue", gatehouse_stamp=[9, 9])
    assert (mine.stamp, mine.extra["stamp"]) == (1, "blue")


# --- the verified tokens that are remembered


class Slow(dict[str, AccessToken]):
    """A dictionary in which other threads get their turn between finding the oldest and more."""

    def __iter__(self) -> Iterator[str]:
        for key in super().__iter__():
            time.sleep(0.0001)
            yield key


def test_threads_that_verify_at_once_do_not_stumble_over_each_other(
    core: Gatehouse, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards read tokens on the event loop, a log-out in a thread: both took away the oldest."""
    token = core.tokens.read(token_of(sign_in()))
    monkeypatch.setattr(tokens_module, "CACHE_SIZE", 2)
    monkeypatch.setattr(core.tokens, "_verify", lambda _: token)
    monkeypatch.setattr(core.tokens, "_verified", Slow())
    failures: list[Exception] = []

    def read(name: str) -> None:
        try:
            for number in range(100):
                core.tokens.read(f"{name}.{number}")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(core.tokens._verified) == 2


@pytest.mark.parametrize("text", ["\ud800", "a.\udfff.c", "\ud800.\ud800.\ud800", "", "\0"])
def test_text_that_no_encoder_takes_is_a_bad_token(core: Gatehouse, text: str) -> None:
    with pytest.raises(BadAccessToken):
        core.tokens.read(text)
    assert text not in core.tokens._verified
