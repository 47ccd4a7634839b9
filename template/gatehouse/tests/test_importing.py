"""The command `user import`: who gets in, who does not, and that nothing is said about anyone."""

import base64
import contextlib
import csv
import io
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import argon2
import bcrypt
import pytest
from argon2.low_level import Type, hash_secret
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import Session, col, select
from steps import BOB, PASSWORD, events, log_in

from gatehouse.cli import import_file, importing, serving
from gatehouse.hashing import passwords
from gatehouse.hashing.foreign_hashes import BadHash, check_hash
from gatehouse.hooks import Hooks
from gatehouse.state import Gatehouse
from gatehouse.store.tables import User
from gatehouse.testing import CreateUser

pytestmark = pytest.mark.thorough

Run = Callable[..., int]
BCRYPT = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
WEAK = argon2.PasswordHasher(1, 8, 1, hash_len=16).hash(PASSWORD)
SALT, DIGEST = "c29tZXNhbHQ", base64.b64encode(b"d" * 32).decode().rstrip("=")
HASH = f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}"


def table(*rows: dict[str, str]) -> str:
    """The rows as CSV, with the columns of the first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def account(email: str = BOB, **more: str) -> dict[str, str]:
    return {"email": email, "password_hash": HASH, **more}


def users(core: Gatehouse) -> list[User]:
    with core.database.read() as session:
        return list(session.exec(select(User).order_by(col(User.email_key))))


@pytest.fixture
def load(run: Run) -> Run:
    """Import a text from standard input."""

    def call(text: str, *options: str, kind: str = "csv") -> int:
        return run("user", "import", "-", "--format", kind, *options, stdin=text)

    return call


@pytest.mark.parametrize(
    "stored", [BCRYPT, BCRYPT.replace("$2b", "$2y"), WEAK], ids=["2b", "2y", "weak"]
)
def test_an_imported_account_logs_in_and_gets_a_better_hash(
    load: Run, core: Gatehouse, client: TestClient, stored: str
) -> None:
    bob = {"email": "Bob@Example.com", "password_hash": stored, "email_verified": "true"}
    assert load(table(bob)) == 0
    assert log_in(client, BOB, "another battery staple").status_code == 400
    assert log_in(client).status_code == 200
    (user,) = users(core)
    assert user.password_hash != stored
    assert passwords.argon2_hasher().verify(PASSWORD, user.password_hash)
    assert log_in(client).status_code == 200


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", f"email,password_hash\nbob@example.com,{BCRYPT}\n"),
        ("a.CSV", f"password_hash,email\r\n{BCRYPT},bob@example.com\r\n\r\n"),
        ("a.csv", f"\ufeffemail,password_hash\nbob@example.com,{BCRYPT}"),
        ("a.csv", f'email,password_hash\n\n"bob@example.com","{BCRYPT}"'),
        ("a.csv", f"email,password_hash,role,email_verified\nbob@example.com,{BCRYPT},,\n"),
        ("a.jsonl", json.dumps({"email": BOB, "password_hash": BCRYPT})),
        ("a.ndjson", "\n" + json.dumps(account(role="user")) + "\r\n\n"),
        ("a.ndjson", "\ufeff" + json.dumps({**account(), "role": None, "created_at": None})),
    ],
    ids=map(str, range(8)),
)
def test_a_file_is_read_by_its_ending(
    run: Run, core: Gatehouse, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert run("user", "import", name) == 0
    (user,) = users(core)
    assert (user.email, user.role, user.email_verified_at) == (BOB, "user", None)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_every_column_is_kept(load: Run, core: Gatehouse, kind: str) -> None:
    rows: list[dict[str, Any]] = [
        account(role="admin", email_verified="True", created_at="2020-02-29T23:30:00.5-01:00"),
        account("eve@example.com", role="user", email_verified="false", created_at=""),
    ]
    if kind == "jsonl":
        rows[0]["email_verified"] = True
        del rows[1]["created_at"]
    text = table(*rows) if kind == "csv" else "\n".join(map(json.dumps, rows))
    assert load(text, kind=kind) == 0
    bob, eve = users(core)
    assert bob.role == "admin"
    assert bob.email_verified_at is not None
    assert bob.created_at == datetime(2020, 3, 1, 0, 30, 0, 500_000, UTC)
    assert (bob.password_hash, bob.is_active, bob.failed_logins) == (HASH, True, 0)
    assert (eve.role, eve.email_verified_at) == ("user", None)
    assert eve.created_at > bob.created_at


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["-"], "--format"),
        (["accounts.txt"], "--format"),
        (["accounts"], "--format"),
        (["accounts.csv", "--format", "xml"], "xml"),
        ([], "FILE"),
    ],
)
def test_what_a_file_is_must_be_known(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    assert run("user", "import", *arguments) == 2
    captured = capsys.readouterr().err
    assert "usage:" in captured
    assert word in captured


# --- rows that are refused


REFUSED_ROWS = [
    ({"email": "marker"}, "e-mail address"),
    ({"email": ""}, "e-mail address"),
    ({"email": "=HYPERLINK(marker)"}, "e-mail address"),
    ({"email": "marker@example.com\nBcc: marker@example.com"}, "e-mail address"),
    ({"password_hash": ""}, "neither Argon2id"),
    ({"password_hash": "marker"}, "neither Argon2id"),
    ({"password_hash": "pbkdf2_sha256$marker$x$y"}, "neither Argon2id"),
    ({"password_hash": f"'{BCRYPT}"}, "neither Argon2id"),
    ({"password_hash": BCRYPT + "\n"}, "neither Argon2id"),
    ({"password_hash": BCRYPT.replace("$2b", "$2x")}, "neither Argon2id"),
    ({"password_hash": BCRYPT.replace("$04", "$03")}, "neither Argon2id"),
    ({"password_hash": BCRYPT.replace("$04", "$17")}, "neither Argon2id"),
    ({"password_hash": BCRYPT[:-1]}, "neither Argon2id"),
    ({"password_hash": BCRYPT[:-1] + "/"}, "broken"),
    ({"password_hash": f"{BCRYPT[:28]}/{BCRYPT[29:]}"}, "broken"),
    ({"password_hash": HASH.replace("argon2id", "argon2i")}, "neither Argon2id"),
    ({"password_hash": HASH.replace("argon2id", "argon2d")}, "neither Argon2id"),
    ({"password_hash": HASH.replace("v=19", "v=17")}, "neither Argon2id"),
    ({"password_hash": HASH.replace("m=8", "m=08")}, "neither Argon2id"),
    ({"password_hash": HASH.replace("m=8", "m=7")}, "broken"),
    ({"password_hash": HASH.replace("m=8,t=1,p=1", "m=4096,t=1,p=256")}, "broken"),
    ({"password_hash": HASH.replace("m=8", f"m={4 * 1024 * 1024 + 1}")}, "costs more"),
    ({"password_hash": HASH.replace("t=1", "t=101")}, "costs more"),
    ({"password_hash": HASH.replace("t=1", "t=" + "9" * 5000)}, "neither Argon2id"),
    ({"password_hash": HASH + "="}, "neither Argon2id"),
    ({"password_hash": HASH[:-1] + "R"}, "broken"),
    ({"password_hash": HASH.replace(SALT, "c29tZQ")}, "broken"),
    ({"password_hash": HASH.replace(DIGEST, "ZGQ")}, "broken"),
    ({"role": "marker"}, "its role is not one of admin, user"),
    ({"role": "Admin"}, "its role is not one of admin, user"),
    ({"email_verified": "marker"}, "neither true nor false"),
    ({"email_verified": "1"}, "neither true nor false"),
    ({"created_at": "marker"}, "RFC 3339"),
    ({"created_at": "2024-05-06"}, "RFC 3339"),
    ({"created_at": "2024-05-06T07:08:09"}, "RFC 3339"),
    ({"created_at": "2024-13-06T07:08:09Z"}, "RFC 3339"),
    ({"created_at": "0001-01-01T00:00:00+14:00"}, "RFC 3339"),
    ({"created_at": "2024-W01-1T00:00:00Z"}, "RFC 3339"),
]


def one_line_each(captured: str, *lines: int) -> list[str]:
    """The reasons, and after them the summary; nothing of the file in either."""
    *reasons, summary = captured.splitlines()
    assert [reason.partition(":")[0] for reason in reasons] == [f"line {line}" for line in lines]
    assert summary.startswith(f"Nothing was imported: {len(lines)} of ")
    for leak in ("marker", "@", BCRYPT[7:20], DIGEST[:10], SALT):
        assert leak not in captured
    return reasons


@pytest.mark.parametrize(("change", "reason"), REFUSED_ROWS)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_bad_row_refuses_the_file_and_says_nothing_of_the_row(
    load: Run,
    core: Gatehouse,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    reason: str,
    kind: str,
) -> None:
    usual = {"role": "user", "email_verified": "true", "created_at": "2024-05-06T07:08:09Z"}
    rows = [account("amy@example.com", **usual), {**account(**usual), **change}]
    text = table(*rows) if kind == "csv" else "\n".join(map(json.dumps, rows))
    assert load(text, kind=kind) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = one_line_each(captured.err, 3 if kind == "csv" else 2)
    assert reason in line
    assert "1 of 2 rows" in captured.err
    assert users(core) == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"email": "marker@example.com", "password_hash": 1}', "password_hash"),
        (json.dumps({**account(), "email_verified": 1}), "email_verified"),
        (json.dumps({**account(), "role": ["marker"]}), "role"),
        (json.dumps({**account(), "roll": "marker"}), "a field that is not one of email"),
        (json.dumps({**account(), "marker@example.com": None}), "a field that is not one of"),
        (json.dumps({"password_hash": HASH}), "e-mail address"),
        (json.dumps({"email": BOB}), "neither Argon2id"),
        (json.dumps(account())[:-1] + ', "role": "user", "role": "admin"}', "no JSON object"),
        (json.dumps(account(email="\ud800@example.com")), "e-mail address"),
        (json.dumps(account(email="marker\0@example.com")), "e-mail address"),
        ('["marker"]', "no JSON object"),
        ("[" * 60_000, "no JSON object"),
        ("9" * 60_000, "no JSON object"),
        ("marker", "no JSON object"),
    ],
)
def test_a_line_that_is_no_account_is_refused(
    load: Run, core: Gatehouse, capsys: pytest.CaptureFixture[str], row: str, reason: str
) -> None:
    assert load(f"{json.dumps(account('amy@example.com'))}\n\n{row}\n", kind="jsonl") == 1
    (line,) = one_line_each(capsys.readouterr().err, 3)
    assert reason in line
    assert users(core) == []


def test_every_bad_row_is_told_with_the_line_that_it_starts_on(
    load: Run, core: Gatehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "email,password_hash\n"
        f'"two\nlines marker",{BCRYPT}\n'  # lines 2 and 3
        "\n"
        f"amy@example.com,{BCRYPT}\n"
        "bob@example.com\n"  # 6
        f"bob@example.com,{HASH}\n"  # 7: the commas of Argon2's parameters
        f'"bob@example.com"marker,{BCRYPT}\n'  # 8
        f"AMY@example.com,{BCRYPT}\n"  # 9
        "bob@example.com,marker\n"  # 10
        f'"bob@example.com,{BCRYPT}'  # 11
    )
    assert load(text) == 1
    captured = capsys.readouterr().err
    reasons = one_line_each(captured, 2, 6, 7, 8, 9, 10, 11)
    assert "1 cells and the header has 2" in reasons[1]
    assert "4 cells and the header has 2; an Argon2id hash holds commas" in reasons[2]
    assert "quotation marks" in reasons[3]
    assert "the same account as line 5" in reasons[4]
    assert "7 of 8 rows" in captured
    assert users(core) == []


def test_a_cell_that_a_spreadsheet_would_compute_is_an_address_like_any_other(
    load: Run, core: Gatehouse
) -> None:
    assert load(table(account("=1+1@example.com"), account("+1@example.com"))) == 0
    assert sorted(user.email for user in users(core)) == ["+1@example.com", "=1+1@example.com"]


@pytest.mark.parametrize("again", [BOB, "BOB@EXAMPLE.COM", "ｂｏｂ@example.com"])
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_an_address_is_taken_once(
    load: Run,
    core: Gatehouse,
    create_user: CreateUser,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    again: str,
    options: list[str],
) -> None:
    monkeypatch.setattr(importing, "BATCH", 1)
    create_user(BOB)
    rows = [account("amy@example.com"), account(again), account("eve@example.com")]
    assert load(table(*rows), *options) == 1
    (line,) = one_line_each(capsys.readouterr().err, 3)
    assert "already has an account" in line
    assert [user.email for user in users(core)] == [BOB]
    assert load(table(*rows, account("AMY@example.com")), *options) == 1
    one_line_each(capsys.readouterr().err, 3, 5)


def test_an_account_made_meanwhile_refuses_the_file_and_leaves_nothing(
    load: Run,
    core: Gatehouse,
    create_user: CreateUser,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    create_user(BOB)
    monkeypatch.setattr(importing, "BATCH", 1)
    monkeypatch.setattr(importing, "_taken", lambda session, rows: {})
    assert load(table(account("amy@example.com"), account())) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "meanwhile" in line
    assert [user.email for user in users(core)] == [BOB]


# --- files that are refused


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no account"),
        ("\ufeff", "no account"),
        ("\n\n", "no account"),
        ("email,password_hash\n", "no account"),
        ("email\nmarker@example.com\n", "must name both"),
        ("email,password_hash,roll\n", "column 3 of its header is not one of email, password_hash"),
        ("email;password_hash\n", "column 1 of its header"),
        ("Email,password_hash\n", "column 1 of its header"),
        ("email,email,password_hash\n", "twice"),
        (f"marker@example.com,{HASH}\n", "column 1 of its header"),
        ('"email"x,password_hash\n', "no CSV"),
        (f"email,password_hash\n{'m' * 65_536}\n", "line 2 is longer than 64 KiB"),
        ("email,password_hash\nmarker\0\n", "line 2 holds a NUL"),
        ("email,password_hash\n\udcff\n", "line 2 is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    run: Run,
    core: Gatehouse,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    reason: str,
) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert run("user", "import", "a.csv") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Nothing was imported: the file cannot be used: ")
    assert reason in line
    assert "marker" not in line
    assert "@" not in line


@pytest.mark.parametrize("content", [b"", b"\r\n \n", b"\xff\xfe{\x00", b"{}\n\xe9\n", b'"\0"'])
def test_json_lines_that_are_no_text_are_refused_in_one_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    assert run("user", "import", "a.jsonl") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Nothing was imported: the file cannot be used: ")


@pytest.mark.parametrize("name", ["absent.csv", "folder.csv", "a\0.csv"])
def test_a_file_that_is_not_there_is_said_in_one_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert run("user", "import", name) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Nothing was imported: the file cannot be used: ")


def test_an_unmigrated_database_is_refused_with_the_remedy(
    load: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    assert load(table(account())) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "migrate" in line


# --- what is left and what is said


def test_a_dry_run_writes_nothing(
    load: Run, core: Gatehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load(table(account(), account("eve@example.com")), "--dry-run") == 0
    captured = capsys.readouterr()
    assert "2 accounts" in captured.out
    assert "Nothing was written" in captured.out
    assert captured.err == ""
    assert users(core) == []


def test_each_account_has_its_audit_row_and_all_have_one_line(
    load: Run, core: Gatehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    assert load(table(*(account(f"u{number}@example.com") for number in range(5)))) == 0
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    found = json.loads(line)
    assert (found["logger"], found["event"], found["count"]) == (
        "gatehouse.audit",
        "user_created",
        5,
    )
    found_events = events(core)
    assert {(row.event, row.user_agent) for row in found_events} == {("user_created", "command")}
    assert {row.user_id for row in found_events} == {user.id for user in users(core)}
    assert "Made 5 accounts" in captured.out
    assert "5 of them cannot log in yet" in captured.out
    assert "@" not in captured.out + captured.err
    assert HASH not in captured.out + captured.err


def test_who_may_log_in_unverified_is_not_told_to_wait(
    load: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTH_REQUIRE_VERIFIED_EMAIL", "false")
    assert load(table(account())) == 0
    assert "cannot log in yet" not in capsys.readouterr().out


def test_a_long_file_shows_its_progress(
    load: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(import_file, "PROGRESS", 2)
    monkeypatch.setattr(importing, "BATCH", 2)
    assert load(table(*(account(f"u{number}@example.com") for number in range(5)))) == 0
    lines = capsys.readouterr().err.splitlines()[:-1]
    assert lines == [f"{n} {what}" for what in ("rows read", "accounts made") for n in (2, 4)]


class _Promoting(Hooks):
    def on_registered(self, session: Session, user: User) -> None:
        assert session.get(User, user.id) is user
        user.role = "admin"


class _Failing(_Promoting):
    def on_registered(self, session: Session, user: User) -> None:
        super().on_registered(session, user)
        if user.email == BOB:
            raise LookupError(f"marker {user.email}")


class _WritingNonsense(_Promoting):
    def on_registered(self, session: Session, user: User) -> None:
        super().on_registered(session, user)
        if user.email == BOB:
            user.email_key = "amy@example.com"


@pytest.fixture
def hooked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Hooks], None]:
    """Let the service that the command loads have hooks."""

    def use(hooks: Hooks) -> None:
        def load(service: Any) -> Any:
            app = loaded(service)
            object.__setattr__(app.state.gatehouse, "hooks", hooks)
            return app

        loaded = serving.load
        monkeypatch.setattr(importing, "load", load)

    return use


def test_the_service_is_told_of_each_account(
    load: Run, core: Gatehouse, hooked: Callable[[Hooks], None]
) -> None:
    hooked(_Promoting())
    assert load(table(account("amy@example.com"), account())) == 0
    assert [user.role for user in users(core)] == ["admin", "admin"]


@pytest.mark.parametrize("batch", [1, 10])
@pytest.mark.parametrize(
    ("hooks", "error"), [(_Failing(), "LookupError"), (_WritingNonsense(), "IntegrityError")]
)
def test_a_hook_that_fails_ends_in_one_line_and_leaves_nothing(
    load: Run,
    core: Gatehouse,
    hooked: Callable[[Hooks], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    hooks: Hooks,
    error: str,
    batch: int,
) -> None:
    monkeypatch.setattr(importing, "BATCH", batch)
    hooked(hooks)
    rows = [account("amy@example.com"), account(), account("eve@example.com")]
    assert load(table(*rows)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"Nothing was imported: your on_registered failed ({error}) for the row of line 3.\n"
    )
    assert users(core) == []
    assert events(core) == []


def test_an_import_logs_no_debug_line_with_a_value(
    load: Run, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert load(table(account())) == 0
        assert load(table(account())) == 1
    assert BOB not in caplog.text
    assert DIGEST not in caplog.text


# --- which hashes are good


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    version=st.sampled_from(["", "$v=16", "$v=19"]),
    memory=st.integers(1, 40),
    passes=st.integers(0, 3),
    lanes=st.integers(0, 4),
    salt=st.binary(min_size=6, max_size=18),
    digest=st.binary(min_size=2, max_size=40),
    cut=st.integers(0, 2),
)
def test_an_argon2_hash_is_good_if_and_only_if_the_library_can_check_it(
    version: str, memory: int, passes: int, lanes: int, salt: bytes, digest: bytes, cut: int
) -> None:
    first, second = (base64.b64encode(part).decode().rstrip("=") for part in (salt, digest))
    text = f"$argon2id{version}$m={memory},t={passes},p={lanes}${first}${second}"
    text = text[: len(text) - cut]
    try:
        argon2.PasswordHasher().verify(text, "password")
        good = True
    except argon2.exceptions.VerifyMismatchError:
        good = True
    except (argon2.exceptions.Argon2Error, argon2.exceptions.InvalidHashError):
        good = False
    try:
        check_hash(text)
        assert good
    except BadHash:
        assert not good


def test_a_hash_of_any_salt_length_and_of_the_old_version_is_good() -> None:
    for version in (16, 19):
        made = hash_secret(b"x", b"s" * 20, 1, 8, 1, 24, Type.ID, version).decode()
        check_hash(made)


@pytest.mark.parametrize("place", [28, 59])
def test_a_bcrypt_hash_with_a_bit_too_many_never_fits(place: int) -> None:
    """Why such a hash is refused: its owner could never log in."""
    alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    odd = alphabet[alphabet.index(BCRYPT[place]) + 1]
    changed = BCRYPT[:place] + odd + BCRYPT[place + 1 :]
    check_hash(BCRYPT)
    with pytest.raises(BadHash):
        check_hash(changed)
    with contextlib.suppress(ValueError):
        assert not bcrypt.checkpw(PASSWORD.encode(), changed.encode())
