"""What the core's own tests share: tokens made by hand, as an attacker or a sloppy issuer would."""

import hmac
import io
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import pytest
from explained import explained
from held_hasher import HeldHasher
from steps import BOB, PASSWORD, b64, token_of, unb64

from gatehouse import User
from gatehouse.cli import commands
from gatehouse.hashing import passwords
from gatehouse.refusal import StartRefused
from gatehouse.signing import keys
from gatehouse.state import Gatehouse
from gatehouse.testing import CreateUser, SignIn

Forge = Callable[..., str]
Run = Callable[..., int]


@pytest.fixture
def forge(core: Gatehouse, auth_key: str, sign_in: SignIn) -> Forge:
    """Make a token that is right but for what is given, signed with the service's own key.

    `header` and `claims` replace members (None takes one away), `raw_header` and `raw_claims`
    are bytes used as they stand, `key` signs in place of the real one.
    """
    good = token_of(sign_in(email="forged@example.com"))
    head, body, _ = good.split(".")
    good_header, good_claims = json.loads(unb64(head)), json.loads(unb64(body))

    def make(
        *,
        header: dict[str, Any] | None = None,
        claims: dict[str, Any] | None = None,
        raw_header: bytes | None = None,
        raw_claims: bytes | None = None,
        key: bytes | None = None,
        digest: str = "sha256",
    ) -> str:
        def merged(good: dict[str, Any], changes: dict[str, Any] | None) -> bytes:
            members = {**good, **(changes or {})}
            return json.dumps({k: v for k, v in members.items() if v is not None}).encode()

        first = b64(merged(good_header, header) if raw_header is None else raw_header)
        second = b64(merged(good_claims, claims) if raw_claims is None else raw_claims)
        signed = f"{first}.{second}".encode()
        secret = unb64(auth_key) if key is None else key
        return f"{first}.{second}.{b64(hmac.digest(secret, signed, digest))}"

    return make


@pytest.fixture(scope="session")
def database_url(pytestconfig: pytest.Config, database_url: str) -> Iterator[str]:
    """The database of the tests; where the core is developed, no statement may scan it."""
    if pytestconfig.inipath is None or pytestconfig.inipath.name != "in_place.ini":
        yield database_url
        return
    with explained(database_url):
        yield database_url


@pytest.fixture
def docs_enabled(core: Gatehouse) -> None:
    """Skip the test where the service's settings turn the document and its page off."""
    if not core.settings.docs_enabled:
        pytest.skip("this service has its docs off")


@pytest.fixture
def bob(create_user: CreateUser) -> User:
    """An account whose password is known."""
    return create_user(BOB, PASSWORD)


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldHasher]:
    """The hasher of whatever `Passwords` are made after this."""
    held = HeldHasher()
    monkeypatch.setattr(passwords, "argon2_hasher", lambda: held)
    yield held
    held.gate.set()


@pytest.fixture
def now() -> int:
    return int(time.time())


@pytest.fixture(scope="session", autouse=True)
def _few_rsa_keys() -> Iterator[None]:
    """Three RSA keys in turn: to make one takes longer than most tests do."""
    make, pool, count = keys._MAKERS["RS256"], list[Any](), itertools.count()

    def next_key() -> Any:
        place = next(count) % 3
        if place == len(pool):
            pool.append(make())
        return pool[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(keys._MAKERS, "RS256", next_key)
        patch.setattr(keys, "_load_pem", lru_cache(keys._load_pem))  # reading one is slow too
        yield


@pytest.fixture
def run(
    pytestconfig: pytest.Config,
    auth_key: str,
    core: Gatehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run a command and give its exit code; `stdin` is what it reads."""

    # The log of the tests stays as it is.
    monkeypatch.setattr("gatehouse.cli.serving.dictConfig", lambda _: None)

    def call(*arguments: str, stdin: str = "") -> int:
        raw = io.BytesIO(stdin.encode("utf-8", "surrogatepass"))
        text = io.TextIOWrapper(raw, "utf-8", errors="surrogateescape", newline=None)
        monkeypatch.setattr(sys, "stdin", text)
        try:
            commands.run(
                pytestconfig.getini("gatehouse_app"),
                migrations=core.migrations,
                arguments=arguments,
            )
        except StartRefused as refusal:
            print(refusal, file=sys.stderr)
            return 1
        except SystemExit as ended:
            return int(ended.code or 0)
        raise AssertionError("a command always ends with an exit code")

    return call


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many pairs of acts were run, where `test_pairs.py` was."""
    found = [dict(report.user_properties) for report in terminalreporter.getreports("passed")]
    pairs = [one for one in found if "boundaries" in one]
    if pairs:
        boundaries, waited = (sum(one[name] for one in pairs) for name in ("boundaries", "waited"))
        terminalreporter.write_line(
            f"{len(pairs)} pairs of acts, the second one at {boundaries} boundaries of the first; "
            f"at {waited} of them it would have waited."
        )
