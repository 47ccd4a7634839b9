"""A check that could be taken away without a test turning red would be no check.

Each case takes one line of defence out of a copy and expects the named tests to fail.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from rendering import REPOSITORY, replace

CORE = "gatehouse/src/gatehouse"


@dataclass(frozen=True)
class Mutation:
    """`old` becomes `new` in `file`; then `tests` must fail."""

    file: str
    old: str
    new: str
    tests: str


MUTATIONS = {
    "scope check": Mutation(
        f"{CORE}/guards.py",
        "if not token.scopes.issuperset(needed.scopes):",
        "if False:",
        "gatehouse/tests/test_guards.py",
    ),
    "audience check": Mutation(
        f"{CORE}/token_checks.py",
        "if expected.audience not in ([audience] if isinstance(audience, str) else audience):",
        "if False:",
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "issuer check": Mutation(
        f"{CORE}/token_checks.py",
        "if _need(candidate.claims).iss != expected.issuer:",
        "if False:",
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "lifetime check": Mutation(
        f"{CORE}/token_checks.py",
        "if not 0 < claims.exp - claims.iat <= expected.lifetime:",
        "if False:",
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "expiry of a remembered token": Mutation(
        f"{CORE}/tokens.py",
        "if token.expires_at <= time.time():",
        "if False:",
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "type of the token": Mutation(
        f"{CORE}/token_checks.py",
        'if str(candidate.header.get("typ")).lower() not in _TYPES:',
        "if False:",
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "algorithm of the key": Mutation(
        f"{CORE}/token_checks.py",
        "algorithms=[key.algorithm],",
        'algorithms=["HS256", "HS384", "HS512"],',
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "decoy hash": Mutation(
        f"{CORE}/routes/grants.py",
        "checked = await core.passwords.verify(password, found.password_hash if found else None)",
        "checked = await core.passwords.verify(password, found.password_hash) if found else None",
        "gatehouse/tests/test_login.py",
    ),
    "ended sessions": Mutation(
        f"{CORE}/guards.py",
        "if revocation.holds(token.session_id):",
        "if False:",
        "gatehouse/tests/test_sessions.py",
    ),
    "one successor": Mutation(
        f"{CORE}/refresh.py",
        ", col(RefreshToken.retired_at).is_(None)",
        "",
        "gatehouse/tests/test_refresh.py",
    ),
    "guard of every route": Mutation(
        f"{CORE}/install.py",
        "    check_routes(app.router, frozenset(app.state.gatehouse.scopes))\n",
        "    pass\n",
        "gatehouse/tests/test_guards.py",
    ),
    "owner check": Mutation(
        "src/demo_service/notes/routes.py",
        "if note is None or note.owner_id != caller.user_id:",
        "if note is None:",
        "tests/test_notes.py",
    ),
    "owner's list": Mutation(
        "src/demo_service/notes/routes.py",
        "select(Note).where(Note.owner_id == caller.user_id)",
        "select(Note)",
        "tests/test_notes.py",
    ),
}


def run_tests(service: Path, tests: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join((str(service / "gatehouse" / "src"), str(service / "src")))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests],
        cwd=service,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def service(default_render: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_render, tmp_path / "service"))


@pytest.mark.parametrize("tests", sorted({mutation.tests for mutation in MUTATIONS.values()}))
def test_unchanged_the_tests_are_green(service: Path, tests: str) -> None:
    done = run_tests(service, tests)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", MUTATIONS)
def test_without_it_a_test_is_red(service: Path, name: str) -> None:
    mutation = MUTATIONS[name]
    replace(service / mutation.file, mutation.old, mutation.new)
    done = run_tests(service, mutation.tests)
    assert done.returncode == 1, done.stdout
    assert " failed" in done.stdout, done.stdout


def test_the_mutations_name_files_of_the_repository() -> None:
    for mutation in MUTATIONS.values():
        if mutation.file.startswith("gatehouse/"):
            assert (REPOSITORY / "template" / mutation.file).is_file()
