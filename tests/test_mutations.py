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
        f"{CORE}/routes/doors.py",
        "core.passwords.verify(password, found.password_hash if found else None, count)",
        "core.passwords.verify(password, found.password_hash, count) if found else None",
        "gatehouse/tests/test_login.py",
    ),
    "count before the hash": Mutation(
        f"{CORE}/routes/doors.py",
        "found.password_hash if found else None, count)",
        "found.password_hash if found else None)",
        "gatehouse/tests/test_throttled_logins.py",
    ),
    "failures of an address": Mutation(
        f"{CORE}/throttle.py",
        'LOGIN_NETWORK = Limit("login-network", 50, 900)',
        'LOGIN_NETWORK = Limit("login-network", 5000, 900)',
        "gatehouse/tests/test_throttled_logins.py",
    ),
    "a hundred failures in a row": Mutation(
        f"{CORE}/users.py",
        "if is_closed or not user.is_active",
        "if not user.is_active",
        "gatehouse/tests/test_throttled_logins.py",
    ),
    "purpose of a mailed token": Mutation(
        f"{CORE}/one_time.py",
        "            col(OneTimeToken.purpose).in_(purposes),\n",
        "",
        "gatehouse/tests/test_recovery.py",
    ),
    "retirement of an older link": Mutation(
        f"{CORE}/one_time.py",
        "    retire(session, user_id, purpose)\n    token =",
        "    token =",
        "gatehouse/tests/test_recovery.py",
    ),
    "sessions end with a reset": Mutation(
        f"{CORE}/recovery.py",
        "return end_sessions(session, col(LoginSession.user_id) == user.id)",
        "return []",
        "gatehouse/tests/test_recovery.py",
    ),
    "password of who registered last": Mutation(
        f"{CORE}/registration.py",
        "        user.password_hash = errand.password_hash\n",
        "",
        "gatehouse/tests/test_registration.py",
    ),
    "current password": Mutation(
        f"{CORE}/routes/doors.py",
        "user.email_key, password, found) is None:",
        "user.email_key, password, found) is ...:",
        "gatehouse/tests/test_recovery.py",
    ),
    "mails to one address": Mutation(
        f"{CORE}/routes/doors.py",
        'if core.throttle.allows(MAIL, f"{kind}:{key}"):',
        "if True:",
        "gatehouse/tests/test_registration.py",
    ),
    "look for an account in the request": Mutation(
        f"{CORE}/routes/doors.py",
        "            leave(session, kind, origin, email=address,",
        "            if session.exec(users.select(User).where(User.email_key == key)).first():\n"
        "                return Accepted()\n"
        "            leave(session, kind, origin, email=address,",
        "gatehouse/tests/test_registration.py",
    ),
    "last administrator": Mutation(
        f"{CORE}/users.py",
        "    if [other.id for other in administrators] == [user.id]:",
        "    if False:",
        "gatehouse/tests/test_administration.py",
    ),
    "lease of an errand": Mutation(
        f"{CORE}/outbox.py",
        "                errand.due_at = now + LEASE\n",
        "",
        "gatehouse/tests/test_outbox.py",
    ),
    "ended sessions": Mutation(
        f"{CORE}/guards.py",
        "if revocation.ends(token):",
        "if False:",
        "gatehouse/tests/test_sessions.py",
    ),
    "older stamps of an account": Mutation(
        f"{CORE}/revocation.py",
        "and (token.stamp or 0) < event.stamp",
        "and False",
        "gatehouse/tests/test_revocation.py",
    ),
    "everyone out": Mutation(
        f"{CORE}/revocation.py",
        " or token.epoch < self._epoch:",
        ":",
        "gatehouse/tests/test_revocation.py",
    ),
    "threads that share verified tokens": Mutation(
        f"{CORE}/tokens.py",
        "            with self._changing:\n                while",
        "            if True:\n                while",
        "gatehouse/tests/test_hostile_tokens.py",
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
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *("-o", "gatehouse_thorough=true", tests),
        ],
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
