"""What one place alone may do: hash, open a session, hold a row, write. Read from the source."""

import ast
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import SQLModel

import gatehouse
from gatehouse import User
from gatehouse.accounts import stamps, users
from gatehouse.state import Gatehouse
from gatehouse.store import tables
from gatehouse.store.database import CommittedRefusal
from gatehouse.testing import CreateUser
from gatehouse.throttling.origin import COMMAND

pytestmark = pytest.mark.thorough

SOURCE = Path(gatehouse.__file__).parent
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts): ast.parse(path.read_text())
    for path in SOURCE.rglob("*.py")
    if "migrations" not in path.parts
}
ROWS = {
    name
    for name, found in vars(tables).items()
    if isinstance(found, type) and issubclass(found, SQLModel) and hasattr(found, "__table__")
}
# What changes accounts and what hangs on them. Each public function in them is a verb.
VERBS = (
    *(f"accounts.{name}" for name in ("users", "sessions", "recovery", "registration", "refresh")),
    *("accounts.one_time", "accounts.logins", "cli.administering", "cli.importing"),
)
Place = tuple[str, str]  # a module and the outermost function in it, "" for none


def places(of: type[ast.AST], *names: str) -> set[Place]:
    """Where a name is used: as an attribute, in a call or as a keyword, by the kind of node."""
    return {
        (module, function)
        for module, tree in MODULES.items()
        for function, node in _nodes(tree)
        if isinstance(node, of) and _name(node) in names
    }


def _nodes(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for top in tree.body:
        methods = top.body if isinstance(top, ast.ClassDef) else [top]
        for outermost in methods:
            functions = ast.FunctionDef | ast.AsyncFunctionDef
            name = outermost.name if isinstance(outermost, functions) else ""
            for node in ast.walk(outermost):
                yield name, node


def _name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call):
        return _name(node.func)
    if isinstance(node, ast.keyword):
        return node.arg
    return getattr(node, "attr", getattr(node, "id", None))


def imports(*packages: str) -> set[str]:
    """The modules that import one of these packages, or something of it."""
    return {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [f"{node.module}.{alias.name}" for alias in node.names]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if any(name == package or name.startswith(f"{package}.") for package in packages)
    }


# --- the one function that proves a password


@pytest.mark.asvs("6.3.4")
def test_no_endpoint_and_no_verb_calls_the_hasher_itself() -> None:
    """A password is proved in `logins.py`, where every limit is; a new hash is made in two."""
    assert places(ast.Attribute, "passwords") == {
        ("accounts.logins", "_prove"),
        ("accounts.proving", "prove_link_password"),
        ("routes.shared", "hash_new_password"),
        ("cli.accounting", "create"),
        *(("state", "start"), ("state", "stop")),  # its threads
    }
    assert imports("pwdlib", "argon2", "bcrypt") == {
        *("hashing.passwords", "hashing.foreign_hashes", "testing")
    }
    assert imports("gatehouse.hashing.passwords.Passwords") == {
        *("install", "state", "accounts.proving"),  # whose `Parts` names its type
    }
    assert imports("gatehouse.hashing.passwords.argon2_hasher") == set()


@pytest.mark.asvs("6.3.4", "7.6.2")
def test_a_session_is_opened_by_a_login_alone() -> None:
    fixture = ("testing", "sign_in")
    assert places(ast.Call, "open_session") == {("accounts.logins", "_open"), fixture}
    assert places(ast.Call, "LoginSession") == {("accounts.logins", "open_session")}
    assert places(ast.Call, "issue_refresh_token") == {("accounts.logins", "_open")}


@pytest.mark.asvs("6.3.4")
def test_a_stored_hash_is_set_in_these_places_alone() -> None:
    stored = {
        (module, function)
        for module, tree in MODULES.items()
        for function, node in _nodes(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "password_hash"
        and isinstance(node.ctx, ast.Store)
    }
    assert stored == {
        ("accounts.users", "set_password"),
        ("accounts.users", "store_better_hash"),
        ("accounts.registration", "register"),  # a job's own: it is done
        ("accounts.registration", "_make_at_once"),  # the same
    }
    assert places(ast.Call, "User") == {
        ("accounts.users", "create_user"),
        ("accounts.registration", "_make_at_once"),
        ("accounts.registration", "_make_proved"),
        ("cli.importing", "_user"),
        ("testing", "_add_user"),
    }


@pytest.mark.asvs("6.4.1", "6.5.3", "7.2.3")
def test_nothing_is_drawn_but_from_the_systems_random_source() -> None:
    assert imports("random") == imports("uuid.uuid1") == set()
    assert imports("secrets") >= {"accounts.one_time", "accounts.refresh", "signing.keys"}


# --- act on what you lock


def rows_taken() -> set[tuple[str, str]]:
    """`module.function` and the rows that it takes, for each public function of the verbs."""
    taken: set[tuple[str, str]] = set()
    for module in VERBS:
        for top in MODULES[module].body:
            if not isinstance(top, ast.FunctionDef) or top.name.startswith("_"):
                continue
            arguments = top.args
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                assert argument.annotation is not None
                named = {_name(node) for node in ast.walk(argument.annotation)}
                taken |= {(f"{module}.{top.name}", row) for row in named & ROWS if row}
    return taken


def test_a_verb_takes_ids_or_what_it_holds_never_a_row_that_another_one_read() -> None:
    """What was read in another transaction may be true no more. mypy tells a row from a held one.

    The jobs' verbs take the job's row, which `Outbox._prepare` reads in their transaction,
    and an import takes the rows that it makes.
    """
    assert {"User", "LoginSession", "OneTimeToken", "Job"} <= ROWS
    assert rows_taken() == {
        ("accounts.registration.register", "Job"),
        ("accounts.registration.verify", "Job"),
        ("accounts.recovery.forgot", "Job"),
        ("accounts.users.lock_account_of", "Job"),
        ("accounts.users.create_users", "User"),
        ("accounts.recovery.change_email", "Job"),
        ("accounts.recovery.notice", "Job"),
    }


def test_only_what_locks_a_row_says_that_it_is_held() -> None:
    """`LockedUser(…)` and `LockedLogin(…)` are promises that no type checker can look into."""
    assert places(ast.Call, "LockedUser") == {
        ("accounts.users", "_lock"),
        ("accounts.users", "create_user"),
        ("testing", "_add_user"),
    }
    assert places(ast.Call, "LockedLogin") == {("accounts.refresh", "find_login")}
    assert places(ast.Call, "_live_login") == {("accounts.refresh", "find_login")}
    for module, function in (("accounts.users", "_lock"), ("accounts.refresh", "_live_login")):
        assert (module, function) in places(ast.Attribute, "with_for_update")


# --- nothing to remember


def test_every_write_goes_through_the_transaction_that_tells() -> None:
    """`Database.write` tells the list of ended sessions and the mail queue after its commit.

    `Database.read` rolls back (`test_data.py`), for `look` does, so there is no third way to a
    session.
    An engine of one's own is for what asks about the database itself.
    """
    assert places(ast.Call, "Session") == {("store.database", "look"), ("store.database", "write")}
    assert places(ast.Attribute, "commit", "begin") == {
        ("store.database", "write"),
        ("migrating", "_sole_connection"),
        ("testing", "empty"),
    }
    own = places(ast.Attribute, "engine") | places(ast.Call, "create_database_engine")
    assert {module for module, _ in own} == {
        *("store.database", "migrating", "readiness", "cli.serving", "testing")
    }


def test_nobody_else_tells_the_list_and_the_mail_queue() -> None:
    """Verbs note in the session what they ended and queued; whoever has the parts hears of it."""
    assert places(ast.Attribute, "note") == {
        ("state", "_hear"),
        ("accounts.revocation", "_query"),  # what other processes ended
    }
    assert places(ast.Attribute, "poke") == {("state", "_hear")}
    assert places(ast.Attribute, "committed") == {
        ("store.database", "__init__"),
        ("store.database", "write"),
        ("state", "__post_init__"),
    }
    assert places(ast.Name, "NOTES") - {("store.database", "")} == {
        ("store.database", "write"),
        ("accounts.stamps", "_note"),
        ("mailer.jobs", "enqueue"),
    }


def test_verbs_write_their_events_and_no_route_and_no_command_does() -> None:
    written = places(ast.Call, "record", "record_many", "AuditEvent")
    assert {module.partition(".")[0] for module, _ in written} == {"accounts"}
    assert places(ast.Call, "AuditEvent") == {
        *(("accounts.audit", name) for name in ("record", "record_many", "note_rotation")),
    }


def test_a_link_is_made_for_an_account_that_the_job_is_bound_to() -> None:
    """`lock_account_of` binds what a form asked for to the account's stamp, and compares it."""
    makers = places(ast.Attribute, "issue") - places(ast.Attribute, "tokens")
    assert makers == {
        ("accounts.recovery", "forgot"),
        ("accounts.recovery", "change_email"),
        ("accounts.registration", "_prove"),
    }
    assert places(ast.Call, "lock_account_of") == makers


@pytest.mark.parametrize("verb", ["disable", "delete_user", "change_role"])
def test_what_could_take_the_last_administrator_away_needs_the_lock_of_administration(
    core: Gatehouse, create_user: CreateUser, verb: str
) -> None:
    """And needs it first: after a row's lock two that wait for each other could not go on."""
    bob = create_user(role="admin").id
    create_user(role="admin")
    more: dict[str, Any] = {"delete_user": {"hooks": core.hooks}, "change_role": {"role": "user"}}
    act = partial(getattr(users, verb), origin=COMMAND, **more.get(verb, {}))
    with pytest.raises(RuntimeError, match="lock_adm"), core.database.write() as session:
        act(session, users.lock_user(session, bob))
    with pytest.raises(RuntimeError, match="before any row"), core.database.write() as session:
        users.lock_user(session, bob)
        users.lock_administration(session)
    with core.database.write() as session:
        users.lock_administration(session)
        act(session, users.lock_user(session, bob))


def test_a_committed_refusal_undoes_nothing_and_what_it_ended_is_heard_of(
    core: Gatehouse, create_user: CreateUser
) -> None:
    bob = create_user().id
    for refusal in (CommittedRefusal, LookupError):
        gone = uuid4()
        with pytest.raises(refusal), core.database.write() as session:
            session.get_one(User, bob).failed_logins += 1
            stamps.end_sessions_on_list(session, [gone])
            raise refusal
        with core.database.read() as session:
            assert session.get_one(User, bob).failed_logins == 1
        assert (gone in core.revocation._sessions) == (refusal is CommittedRefusal)
