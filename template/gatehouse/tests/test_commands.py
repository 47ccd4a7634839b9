"""The commands, run as a person runs them: their words, their exit codes, what they leave."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from sqlalchemy.exc import OperationalError
from sqlmodel import col, select
from steps import BOB, PASSWORD, event_names, events, rows_of, token_of

from gatehouse import utc_now
from gatehouse.accounts.one_time import issue
from gatehouse.accounts.users import lock_user
from gatehouse.cli import commands, serving
from gatehouse.hashing import passwords
from gatehouse.refusal import StartRefused
from gatehouse.signing.keys import read_keys
from gatehouse.state import Gatehouse
from gatehouse.store.failures import in_words
from gatehouse.store.tables import LoginSession, OneTimeToken, User
from gatehouse.testing import CreateUser, SignIn

pytestmark = pytest.mark.thorough

Run = Callable[..., int]


@pytest.mark.parametrize(
    "path",
    [
        [],
        ["dev"],
        ["serve"],
        ["migrate"],
        ["keys"],
        ["keys", "new"],
        ["keys", "rotate"],
        ["keys", "list"],
        ["token"],
        ["token", "inspect"],
        ["user"],
        ["user", "create"],
        ["user", "import"],
        ["user", "disable"],
        ["user", "enable"],
        ["user", "end-sessions"],
        ["cleanup"],
        ["doctor"],
    ],
)
def test_every_command_explains_itself(
    run: Run, capsys: pytest.CaptureFixture[str], path: list[str]
) -> None:
    assert run(*path, "--help") == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["keys"],
        ["keys", "old"],
        ["serve", "--workers", "0"],
        ["serve", "--workers", "x"],
        ["serve", "--port", "x"],
        ["serve", "--port", "99999"],
        ["serve", "--port", "-1"],
        ["user", "create"],
        ["user", "create", "a@example.com", "--root"],
        ["user", "end-sessions"],
        ["user", "end-sessions", "a@example.com", "--all"],
        ["migrate", "extra"],
    ],
)
def test_bad_usage_ends_with_2(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert "usage:" in said
    assert "invalid _" not in said  # a function's name is no remedy


def test_a_reader_that_goes_away_gets_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = "from gatehouse.cli.commands import run; run('no:app')"
    done = subprocess.run(
        [sys.executable, "-c", code, "keys", "new"], stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert done.returncode == 1
    assert b"BrokenPipe" not in done.stderr


def test_a_new_key_stands_alone_on_standard_output(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("keys", "new") == 0
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    assert len(read_keys(line).keys) == 1
    assert line not in captured.err
    assert "AUTH_KEYS" in captured.err


def test_a_new_key_needs_no_key(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AUTH_KEYS")
    assert run("keys", "new") == 0


def test_migrate_needs_no_key_and_says_what_it_did(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("AUTH_KEYS")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    assert run("migrate") == 0
    assert "applied gatehouse_0001" in capsys.readouterr().out
    assert run("migrate") == 0
    assert "0 migrations were applied" in capsys.readouterr().out


@pytest.mark.parametrize("is_project", [True, False])
def test_migrate_names_the_history_that_it_did_not_find(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pytestconfig: pytest.Config,
    auth_key: str,
    tmp_path: Path,
    is_project: bool,
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    if is_project:
        (tmp_path / "pyproject.toml").touch()
    app = pytestconfig.getini("gatehouse_app")
    with pytest.raises((SystemExit, StartRefused)) as ended:
        commands.run(app, migrations=tmp_path / "migrations", arguments=["migrate"])
    if is_project:
        captured = capsys.readouterr()
        assert "applied gatehouse_0001" in captured.out
        assert f"not found: {tmp_path / 'migrations'}" in captured.err
        assert isinstance(ended.value, SystemExit)
        assert ended.value.code == 0
    else:
        assert "has no env.py" in str(ended.value)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What uvicorn would have been started with."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr("uvicorn.run", lambda app, **options: calls.append({"app": app, **options}))
    return calls


@pytest.mark.parametrize("command", [["serve"], ["user", "create", BOB]])
def test_an_unmigrated_database_is_refused_with_the_remedy(
    run: Run,
    started: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: list[str],
) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "")  # no second start
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    assert run(*command, stdin=PASSWORD) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "migrate" in line
    assert started == []


@pytest.mark.parametrize("command", [["serve"], ["dev"], ["token", "inspect"]])
@pytest.mark.parametrize("key", ["changeme", ""])
def test_a_weak_key_is_refused_in_one_line(
    run: Run,
    started: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    key: str,
) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "")
    monkeypatch.setenv("AUTH_KEYS", key)
    assert run(*command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("AUTH_KEYS is refused")
    assert not key or key not in line


def test_a_database_that_is_away_is_one_line_without_its_address(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://bob:s3cret-marker@127.0.0.1:9/x")
    assert run("migrate") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "DATABASE_URL" in line
    assert "Connection refused" in line
    assert "s3cret-marker" not in line
    assert "127.0.0.1" not in line


@pytest.mark.parametrize(
    ("url", "said", "told"),
    [
        (
            "postgresql://bob:s3cret@db.example.com/shop",
            'connection failed: connection to server at "192.0.2.1", port 5432 failed: '
            'FATAL:  password authentication failed for user "bob"\nmore',
            'FATAL:  password authentication failed for user "…"',
        ),
        (
            "postgresql://bob:s3cret@db.example.com/shop",
            'connection failed: connection to server at "192.0.2.1", port 5432 failed: '
            "FATAL:  unsupported startup parameter: options=-c statement_timeout=10000",
            "FATAL:  unsupported startup parameter: options=-c statement_timeout=10000",
        ),
        ("postgresql://bob:s3cret@db/shop", "FATAL: s3cret is no good", ""),
        ("postgresql://bob:p@ss/w", "failed to resolve host 'ss': Name or service not known", ""),
        ("postgresql://bob:%73ecret@db/shop", "no: secret", ""),
        ("postgresql://db/shop?password=s3cret", "no: s3cret", ""),
        ("postgresql://db/shop", "timeout expired", "timeout expired"),
        ("postgresql://db/shop", "", ""),
    ],
)
def test_what_a_server_said_is_told_when_it_holds_nothing_of_the_url(
    url: str, said: str, told: str
) -> None:
    error = OperationalError(None, None, Exception(said))
    line = in_words(error, url, "sample")
    assert (told in line) if told else ("Reason" not in line)
    for part in ("s3cret", "secret", "192.0.2.1", "bob", "example", "ss'"):
        assert part not in line
    assert "\n" not in line


def test_a_migration_that_fails_says_why_and_leaves_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    database = sqlite3.connect(tmp_path / "new.db")
    database.execute("CREATE TABLE gatehouse_user (id)")
    assert run("migrate") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "gatehouse_user already exists" in line
    assert database.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (1,)
    database.close()


def test_a_database_that_is_newer_is_said_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    assert run("migrate") == 0
    with sqlite3.connect(tmp_path / "new.db") as database:
        database.execute("UPDATE gatehouse_version SET version_num = 'gatehouse_9999'")
    database.close()
    assert run("migrate") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "newer" in line


# --- user create


@pytest.mark.parametrize(("flags", "role"), [([], "user"), (["--admin"], "admin")])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_user_is_made_from_standard_input(
    run: Run,
    core: Gatehouse,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    role: str,
    end: str,
) -> None:
    assert run("user", "create", "Bob@Example.com", *flags, stdin=f" {PASSWORD} {end}") == 0
    assert PASSWORD not in "".join(capsys.readouterr())
    with core.database.read() as session:
        user = session.exec(select(User)).one()
    (event,) = events(core)
    assert (event.event, event.user_id, event.actor) == ("user_created", user.id, "command")
    assert user.role == role
    assert user.email_verified_at is not None
    # A blank at either end is part of the password.
    assert passwords.argon2_hasher().verify(f" {PASSWORD} ", user.password_hash)


def test_a_password_that_is_typed_is_asked_for_twice(
    run: Run, core: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter([PASSWORD, PASSWORD + "x", PASSWORD, PASSWORD])
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("gatehouse.cli.accounting.sys", terminal)
    monkeypatch.setattr("gatehouse.cli.accounting.getpass.getpass", lambda _: next(typed))
    assert [run("user", "create", BOB) for _ in range(2)] == [1, 0]


@pytest.mark.parametrize(
    ("email", "password", "word"),
    [
        ("not an address", PASSWORD, "address"),
        ("Bob <bob@example.com>", PASSWORD, "address"),
        ("bob@example.com\nBcc: eve@example.com", PASSWORD, "address"),
        (BOB, "", "15"),
        (BOB, "short", "15"),
        (BOB, "x" * 257, "256"),
        (BOB, "passwordpassword", ""),
        (BOB, "\ud800" * 20, ""),
    ],
)
def test_a_user_that_cannot_be_is_refused_in_one_line(
    run: Run,
    core: Gatehouse,
    capsys: pytest.CaptureFixture[str],
    email: str,
    password: str,
    word: str,
) -> None:
    assert run("user", "create", email, stdin=password) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("No account was made")
    assert word in line
    assert not password or password not in line
    assert rows_of(core, User) == []


@pytest.mark.parametrize("again", [BOB, "BOB@EXAMPLE.COM", "ｂｏｂ@example.com"])
def test_an_address_is_taken_once(
    run: Run, core: Gatehouse, capsys: pytest.CaptureFixture[str], again: str
) -> None:
    assert run("user", "create", BOB, stdin=PASSWORD) == 0
    assert run("user", "create", again, stdin=PASSWORD) == 1
    assert "exists already" in capsys.readouterr().err


def test_user_create_tells_the_service_s_own_code_which_may_undo_it(
    run: Run, core: Gatehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    def on_registered(_: object, __: object, user: User) -> None:
        told.append(user.email)
        if user.email != BOB:
            raise ValueError("secret")

    monkeypatch.setattr(type(core.hooks), "on_registered", on_registered)
    assert run("user", "create", BOB, stdin=PASSWORD) == 0
    assert run("user", "create", "eve@example.com", stdin=PASSWORD) == 1
    assert told == [BOB, "eve@example.com"]
    assert "your on_registered failed (ValueError)" in (said := capsys.readouterr().err)
    assert "secret" not in said
    assert [user.email for user in rows_of(core, User)] == [BOB]


# --- user disable, enable, end-sessions; cleanup


@pytest.mark.asvs("7.4.2")
def test_a_disabled_user_is_out_and_an_enabled_one_may_come_back(
    run: Run, core: Gatehouse, sign_in: SignIn, capsys: pytest.CaptureFixture[str]
) -> None:
    me = sign_in(email=BOB)
    assert run("user", "disable", "Bob@example.com") == 0
    assert "ended 1 sessions" in capsys.readouterr().out
    core.revocation.forget()
    assert me.get("/auth/sessions").status_code == 401
    with core.database.read() as session:
        assert not session.exec(select(User)).one().is_active
    assert run("user", "enable", BOB) == 0
    with core.database.read() as session:
        assert session.exec(select(User)).one().is_active
    assert event_names(core) == ["user_disabled", "user_enabled"]


def test_a_command_leaves_an_audit_line_as_a_request_does(
    run: Run, create_user: CreateUser, capsys: pytest.CaptureFixture[str]
) -> None:
    bob = create_user(BOB)
    assert run("user", "disable", BOB) == 0
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    found = json.loads(line)
    assert found["logger"] == "gatehouse.audit"
    assert (found["event"], found["user_id"]) == ("user_disabled", str(bob.id))
    assert "Disabled" in captured.out


def test_the_last_active_administrator_cannot_be_disabled(
    run: Run, core: Gatehouse, create_user: CreateUser, capsys: pytest.CaptureFixture[str]
) -> None:
    create_user("one@example.com", role="admin")
    create_user("two@example.com", role="admin")
    assert run("user", "disable", "one@example.com") == 0
    capsys.readouterr()
    assert run("user", "disable", "two@example.com") == 1
    assert "last active administrator" in capsys.readouterr().err
    with core.database.read() as session:
        active = session.exec(select(User).where(col(User.is_active))).all()
    assert [user.email for user in active] == ["two@example.com"]


@pytest.mark.parametrize("command", ["disable", "enable", "end-sessions"])
def test_an_address_without_an_account_is_said(
    run: Run, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    for address in ("nobody@example.com", "no address"):
        assert run("user", command, address) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("Nothing was changed")


@pytest.mark.asvs("7.4.5")
def test_sessions_end_for_one_or_for_everyone(
    run: Run, core: Gatehouse, sign_in: SignIn, capsys: pytest.CaptureFixture[str]
) -> None:
    bob, eve = sign_in(email=BOB), sign_in()

    def opened() -> list[int]:
        core.revocation.forget()
        return [client.get("/auth/sessions").status_code for client in (bob, eve)]

    assert run("user", "end-sessions") == 2
    assert run("user", "end-sessions", BOB, "--all") == 2
    assert opened() == [200, 200]
    assert run("user", "end-sessions", BOB) == 0
    assert opened() == [401, 200]
    capsys.readouterr()
    assert run("user", "end-sessions", "--all") == 0
    assert "Ended 1 sessions" in capsys.readouterr().out
    assert opened() == [401, 401]
    found = events(core)
    assert [(row.event, row.actor) for row in found] == [("sessions_ended", "command")] * 2
    assert [row.user_id is None for row in found] == [False, True]


def test_cleanup_deletes_all_that_is_over(
    run: Run,
    core: Gatehouse,
    sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("gatehouse.accounts.cleaning.BATCH", 2)
    for _ in range(5):
        sign_in()
    with core.database.write() as session:
        user = lock_user(session, session.exec(select(User.id)).all()[0])
        assert user
        issue(session, "reset", user, BOB)
    with time_machine.travel(utc_now() + timedelta(days=31), tick=False):
        assert run("cleanup") == 0
    assert "Deleted or emptied 6 rows" in capsys.readouterr().out
    with core.database.read() as session:
        assert session.exec(select(LoginSession)).all() == []
        assert session.exec(select(OneTimeToken)).all() == []


# --- dev


def test_the_first_dev_writes_a_key_for_its_owner_alone(
    run: Run, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AUTH_KEYS")
    assert run("dev", "--port", "8123") == 0
    env = tmp_path / ".env"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    (key,) = [
        line.removeprefix("AUTH_KEYS=")
        for line in env.read_text().splitlines()
        if line.startswith("AUTH_KEYS=")
    ]
    assert read_keys(key)
    assert started[0]["port"] == 8123
    assert started[0]["reload"] is True
    before = env.read_bytes()
    assert run("dev") == 0
    assert env.read_bytes() == before


def test_dev_never_touches_an_env_that_is_there(
    run: Run,
    started: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("AUTH_KEYS")
    (tmp_path / ".env").write_text("GREETING=hello\n")
    assert run("dev") == 1
    assert (tmp_path / ".env").read_text() == "GREETING=hello\n"
    assert "AUTH_KEYS" in capsys.readouterr().err
    assert started == []


def test_dev_does_not_follow_a_link_to_write_a_key(
    run: Run, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AUTH_KEYS")
    (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")
    assert run("dev") == 1
    assert not (tmp_path / "elsewhere").exists()


def test_serve_trusts_no_proxy_header_and_names_no_server(
    run: Run, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "")
    assert run("serve", "--workers", "2") == 0
    (options,) = started
    assert options["proxy_headers"] is False
    assert options["server_header"] is False
    assert options["workers"] == 2
    assert options["timeout_graceful_shutdown"] > 0
    assert options["factory"] is True
    assert "reload" not in options


def test_one_process_serves_the_application_that_was_checked(
    run: Run, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []

    def load(service: Any) -> Any:
        built.append(loaded(service))
        return built[-1]

    loaded = serving.load
    monkeypatch.setattr(serving, "load", load)
    monkeypatch.setenv("GLIBC_TUNABLES", "")
    assert run("serve") == 0
    (options,) = started
    assert built == [options["app"]]
    assert options["factory"] is False
    assert options["workers"] == 1  # and not what WEB_CONCURRENCY says


@pytest.mark.parametrize("workers", [1, 2])
def test_the_log_is_configured_before_the_application_that_serves_is_built(
    run: Run, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """A configuration takes away the handlers that it finds, such as those of `create_app`."""
    done: list[str] = []

    def load(service: Any) -> Any:
        done.append("built")
        return loaded(service)

    loaded = serving.load
    monkeypatch.setattr(serving, "load", load)
    monkeypatch.setattr(serving, "dictConfig", lambda _: done.append("configured"))
    monkeypatch.setenv("GLIBC_TUNABLES", "")
    assert run("serve", "--workers", str(workers)) == 0
    assert done == (["configured", "built"] if workers == 1 else ["built"])
    assert bool(started[0]["log_config"]) is (workers > 1)  # then each process does both


def test_serve_starts_again_with_huge_pages_before_it_imports_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def execve(*given: Any) -> None:
        raise Again(given)

    class Again(Exception):
        pass

    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.41"))
    monkeypatch.setattr("os.execve", execve)
    with pytest.raises(Again) as again:
        commands.run("no.such:app", settings="no.such:Settings", arguments=["serve"])
    path, _, environment = again.value.args[0]
    assert path == sys.executable
    assert environment["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"


def test_import_strings_stand_for_settings_and_migrations(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'strings.db'}")
    history = ModuleType("of_a_service")
    history.__dict__["MIGRATIONS"] = tmp_path / "nothing"
    monkeypatch.setitem(sys.modules, "of_a_service", history)
    with pytest.raises((SystemExit, StartRefused)) as ended:
        commands.run(
            "no:app",
            settings="gatehouse.settings:Settings",
            migrations="of_a_service:MIGRATIONS",
            arguments=["migrate"],
        )
    assert str(tmp_path / "nothing") in f"{ended.value}{capsys.readouterr().err}"


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [("SMTP_URL", "terminal:", "terminal:"), ("AUTH_REGISTRATION", "open", "")],
)
def test_serve_lets_nobody_register_who_cannot_be_sent_a_link(
    run: Run,
    started: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    url: str,
) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "")
    monkeypatch.setenv("SMTP_URL", url)
    monkeypatch.setenv(variable, value)
    assert run("serve") == 1
    assert f"{variable} is refused" in capsys.readouterr().err
    assert started == []


# --- token inspect


def test_a_good_token_passes_every_check(
    run: Run, sign_in: SignIn, capsys: pytest.CaptureFixture[str]
) -> None:
    token = token_of(sign_in())
    assert run("token", "inspect", stdin=f"{token}\n") == 0
    shown = capsys.readouterr().out
    assert "FAIL" not in shown
    assert "in 29 minutes" in shown
    assert '"at+jwt"' in shown


def test_the_stamps_of_a_token_are_shown(
    run: Run, core: Gatehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    token, _ = core.tokens.issue(
        user_id=uuid4(),
        session_id=uuid4(),
        scopes=[],
        session_end=time.time() + 99,
        stamp=3,
        epoch=1,
    )
    assert run("token", "inspect", stdin=token) == 0
    assert "urn:gatehouse:stamp [3, 1]  account 3, service 1" in capsys.readouterr().out


def test_a_bad_token_is_explained(
    run: Run, forge: Any, now: int, capsys: pytest.CaptureFixture[str]
) -> None:
    token = forge(claims={"aud": "elsewhere", "iat": now - 7_000, "exp": now - 3_700})
    assert run("token", "inspect", stdin=token) == 1
    shown = capsys.readouterr().out
    assert "FAIL  audience" in shown
    assert "FAIL  expiry" in shown
    assert "ok    signature" in shown
    assert "1 hour ago" in shown


@pytest.mark.parametrize(
    "claims",
    [
        b'{"exp": 1e308}',
        b'{"exp": 1' + b"0" * 300 + b"}",
        b'{"exp": ' + b"9" * 4000 + b"}",
        b'{"exp": 253402300800}',
        b'{"exp": -1e30, "iat": true, "nbf": "x"}',
        b'{"\\u001b[31m": "\\u001b[2J\\u202e\\n"}',
        b"[]",
        b"\xff",
        b"",
    ],
)
def test_an_odd_token_is_shown_without_harm(
    run: Run, forge: Any, capsys: pytest.CaptureFixture[str], claims: bytes
) -> None:
    assert run("token", "inspect", stdin=forge(raw_claims=claims)) == 1
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) < 300


@pytest.mark.parametrize(
    "text", ["", "x", "a.b.c.d", "\x1b[2J", "é", "." * 9_000, f"{'a' * 9_000}.b.c"]
)
def test_text_that_is_no_token_is_explained_too(
    run: Run, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert run("token", "inspect", stdin=text) == 1
    shown = capsys.readouterr().out
    assert "FAIL  form" in shown
    assert "codec" not in shown
    assert "index" not in shown
