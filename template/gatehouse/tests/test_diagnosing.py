"""The command `doctor`: a risk is found where it is and gone where it is not; nothing leaks."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
from steps import BOB

from gatehouse import core_files, utc_now
from gatehouse.cli import commands, diagnosing, risks, risky_settings, serving
from gatehouse.cli.moved_edits import CannotLook
from gatehouse.hooks import Hooks
from gatehouse.mailer import smtp
from gatehouse.state import Gatehouse
from gatehouse.store.tables import AuditEvent, User
from gatehouse.testing import CreateUser

pytestmark = pytest.mark.thorough

PING = redis.Redis.ping
Run = Callable[..., int]
Doctor = Callable[..., dict[str, str]]
SOUND = {
    "PUBLIC_BASE_URL": "https://api.example.com",
    "TRUSTED_PROXIES": "10.0.0.1",
    "SMTP_URL": "smtp://marker:marker@mail.example.com:587",
    "MAIL_FROM": "Notes <no-reply@example.com>",
    "AUTH_THROTTLE_STORAGE": "redis://marker:marker@store.example.com:6379/0",
    "DOCS_ENABLED": "false",
}


@pytest.fixture
def sound(
    auth_key: str, create_user: CreateUser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A deployment without a risk."""
    for name, value in SOUND.items():
        monkeypatch.setenv(name, value)
    create_user("admin@example.com", role="admin")
    monkeypatch.setattr(redis.Redis, "ping", lambda self: True)
    monkeypatch.setattr(risks, "CORE", tmp_path / "core")
    monkeypatch.setattr(risks, "reach", lambda url: "")
    monkeypatch.setattr(risks, "IMPORTED", ())  # the machine's own state


@pytest.fixture
def doctor(run: Run, sound: None, auth_key: str, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """What the doctor finds: each text by the check's id. The exit code is checked on the way."""

    def call(*options: str) -> dict[str, str]:
        capsys.readouterr()
        code = run("doctor", *options)
        captured = capsys.readouterr()
        assert "marker" not in captured.out + captured.err
        assert auth_key not in captured.out + captured.err
        blocks = re.findall(r"^(PROBLEM|NOTE)  (\S+): (.+)\n  Remedy: .+\n\n", captured.out, re.M)
        problems = sum(kind == "PROBLEM" for kind, _, _ in blocks)
        assert code == (1 if problems else 0)
        count = f"{problems or 'No'} problems" if problems != 1 else "1 problem"
        assert re.search(rf"^{count} found by \d+ checks\.$", captured.out, re.M)
        return {name: f"{kind} {text}" for kind, name, text in blocks}

    return call


def test_a_sound_deployment_has_no_risk(run: Run, sound: None, capsys: Any) -> None:
    assert run("doctor") == 0
    count = len(risks.ANYWHERE) + len(risky_settings.CONFIGURED)
    assert capsys.readouterr().out == f"No problems found by {count} checks.\n"


@pytest.mark.parametrize("kept", [True, False])
def test_modules_that_are_compiled_at_each_start_are_noted(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: bool
) -> None:
    module = ModuleType("imported")
    module.__file__ = str(tmp_path / "imported.py")
    compiled = Path(cache_from_source(module.__file__))
    compiled.parent.mkdir(parents=True)
    if kept:
        compiled.touch()
    monkeypatch.setitem(sys.modules, "imported", module)
    monkeypatch.setattr(risks, "IMPORTED", ("imported", "nowhere"))
    assert list(doctor()) == ([] if kept else ["compiled"])


@pytest.mark.parametrize(
    ("name", "value", "check", "words"),
    [
        ("PUBLIC_BASE_URL", None, "public-url", "this machine itself"),
        ("PUBLIC_BASE_URL", "https://localhost", "public-url", "this machine itself"),
        ("PUBLIC_BASE_URL", "http://[::1]:8000", "public-url", "this machine itself"),
        ("PUBLIC_BASE_URL", "http://api.example.com", "public-url", "is http"),
        ("TRUSTED_PROXIES", None, "proxies", "TRUSTED_PROXIES is empty"),
        ("SMTP_URL", None, "mail", "SMTP_URL is not set"),
        ("SMTP_URL", "terminal:", "start", "for `dev` alone"),
        ("MAIL_FROM", None, "mail", "MAIL_FROM is not set"),
        ("AUTH_REQUIRE_VERIFIED_EMAIL", "false", "verified-addresses", "is false"),
        ("AUTH_PASSWORD_MIN_LENGTH", "14", "password-length", "under 15"),
        ("AUTH_KEY", "marker", "unknown-settings", "AUTH_KEY is not a setting"),
        ("AUTH_KEYS", "marker", "start", "AUTH_KEYS is refused"),
        ("AUTH_KEYS", "", "start", "AUTH_KEYS is refused"),
        ("AUTH_KEYS_FILE", "marker", "start", "AUTH_KEYS"),
    ],
)
def test_a_risk_is_found_and_is_the_only_one(
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str | None,
    check: str,
    words: str,
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    found = doctor()
    assert list(found) == [check]
    assert found[check].startswith("PROBLEM")
    assert words in found[check]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8"),
        ("SMTP_URL", "smtps://mail.example.com"),
        ("AUTH_REQUIRE_VERIFIED_EMAIL", "true"),
        ("AUTH_PASSWORD_MIN_LENGTH", "15"),
        ("AUTH_HASH_QUEUE", "10"),
    ],
)
def test_a_sound_setting_is_no_risk(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert doctor() == {}


def test_settings_that_cannot_be_read_leave_the_checks_that_need_none(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://marker:marker@db/x")
    monkeypatch.setenv("AUTH_KEY", "marker")
    (tmp_path / ".env").touch(0o644)
    found = doctor()
    assert list(found) == ["start", "unknown-settings", "env-file"]
    assert "DATABASE_URL is refused" in found["start"]


def test_the_services_own_code_may_fail_without_a_word_of_it(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(service: Any) -> Any:
        raise ValueError("marker")

    monkeypatch.setattr(diagnosing, "load", load)
    monkeypatch.delenv("TRUSTED_PROXIES")
    found = doctor()
    assert list(found) == ["start", "proxies"]
    assert "ValueError" in found["start"]


def test_a_route_that_nobody_guards_is_found(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(service: Any) -> Any:
        app = loaded(service)
        app.add_api_route("/open", lambda: None)
        return app

    loaded = serving.load
    monkeypatch.setattr(diagnosing, "load", load)
    found = doctor()
    assert list(found) == ["start"]
    assert "/open" in found["start"]


def test_a_service_that_sends_mail_its_own_way_needs_no_server(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(Hooks):
        def send_mail(self, message: Any) -> None: ...

    def load(service: Any) -> Any:
        app = loaded(service)
        object.__setattr__(app.state.gatehouse, "hooks", Own())
        return app

    loaded = serving.load
    monkeypatch.setattr(diagnosing, "load", load)
    monkeypatch.delenv("SMTP_URL")
    assert doctor() == {}


@pytest.mark.parametrize(
    ("name", "check"),
    [("DOCS_ENABLED", "api-document"), ("AUTH_THROTTLE_STORAGE", "throttle-store")],
)
def test_a_default_that_is_fine_for_many_is_a_note(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, name: str, check: str
) -> None:
    monkeypatch.delenv(name)
    found = doctor()
    assert list(found) == [check]
    assert found[check].startswith("NOTE")


def test_a_mail_server_that_would_take_no_mail_is_found(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(risks, "reach", smtp.reach)
    monkeypatch.setenv("SMTP_URL", "smtp://marker:marker@127.0.0.1:9")
    found = doctor()
    assert list(found) == ["mail-server"]
    assert "cannot be reached" in found["mail-server"]


@pytest.mark.parametrize(
    ("addresses", "noted"),
    [
        (["10.0.0.1"], True),
        (["10.0.0.1", ""], True),
        (["10.0.0.1", "203.0.113.9"], False),
        (["10.0.0.2"], False),
        ([], False),
    ],
)
def test_clients_that_all_have_the_proxys_address_are_noted(
    doctor: Doctor, core: Gatehouse, addresses: list[str], noted: bool
) -> None:
    with core.database.write() as session:
        for ip in addresses:
            session.add(AuditEvent(event="login", ip=ip, user_agent="", request_id=""))
        long_ago = utc_now() - timedelta(days=2)
        session.add(
            AuditEvent(event="login", ip="192.0.2.1", user_agent="", request_id="", time=long_ago)
        )
    found = doctor()
    assert list(found) == (["clients"] if noted else [])
    assert not noted or found["clients"].startswith("NOTE")


@pytest.mark.parametrize("is_project", [True, False])
def test_a_history_that_is_not_there_is_found(
    core: Gatehouse,
    sound: None,
    pytestconfig: pytest.Config,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    is_project: bool,
) -> None:
    if is_project:
        (tmp_path / "pyproject.toml").touch()
    if core.migrations is not None:
        pytest.skip("this service has a history of its own")
    app = pytestconfig.getini("gatehouse_app")
    with pytest.raises(SystemExit) as ended:
        commands.run(app, migrations=tmp_path / "migrations", arguments=["doctor"])
    out = capsys.readouterr().out
    assert ("NOTE  migrations: " if is_project else "PROBLEM  database: ") in out
    assert "has no env.py" in out
    assert ended.value.code == (0 if is_project else 1)


# --- the database


def test_an_unmigrated_database_is_found_and_no_file_is_made(
    run: Run, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "new.db"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{file}")
    found = doctor()
    assert list(found) == ["database"]
    assert "is not there" in found["database"]
    assert not file.exists()
    file.touch(0o600)
    found = doctor()
    assert list(found) == ["database"]
    assert "a migration is missing" in found["database"]
    assert file.exists()
    assert run("migrate") == 0
    assert list(doctor()) == ["administrators"]
    file.chmod(0o640)
    assert list(doctor()) == ["administrators", "database-file"]


def test_a_database_that_is_no_database_is_found(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "new.db").write_text("marker" * 1_000)
    (tmp_path / "new.db").chmod(0o600)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    found = doctor()
    assert list(found) == ["database"]
    assert "DatabaseError" in found["database"]


def test_a_database_that_is_away_is_found(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://marker:marker@127.0.0.1:9/marker")
    found = doctor()
    assert list(found) == ["database"]
    assert "does not answer" in found["database"]


def test_hosts_that_no_driver_takes_are_found(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql:///x?host=marker,b&port=1,2,3")
    assert list(doctor()) == ["start", "database"]


@pytest.mark.parametrize(
    ("rest", "kind"),
    [
        ("db.example.com/x", "PROBLEM"),
        ("db.example.com/x?sslmode=disable", "PROBLEM"),
        ("8.8.8.8/x?sslmode=prefer", "PROBLEM"),
        ("[2001:4860:4860::8888]/x", "PROBLEM"),
        ("/x?host=db.example.com", "PROBLEM"),
        ("/x?host=/run/postgresql,db.example.com", "PROBLEM"),
        ("/x?host=db:5432&host=db.example.com:5432", "PROBLEM"),
        ("db/x", "NOTE"),
        ("10.0.0.7/x?sslmode=prefer", "NOTE"),
        ("[fd00::7]:5432/x", "NOTE"),
        ("/x?host=localhost:5432&host=db:5432", "NOTE"),
        ("db.example.com/x?sslmode=require", ""),
        ("db.example.com/x?sslmode=verify-ca", ""),
        ("db.example.com/x?sslmode=verify-full", ""),
        ("localhost/x", ""),
        ("127.0.0.1:5432/x", ""),
        ("[::1]/x", ""),
        ("/x", ""),
        ("/x?host=/run/postgresql", ""),
    ],
)
def test_a_database_elsewhere_is_reached_over_tls(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, rest: str, kind: str
) -> None:
    monkeypatch.setattr(diagnosing, "_look_at_database", lambda service, _: risks.Facts(service))
    user = "" if rest.startswith("/") else "marker:marker@"
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{user}{rest}")
    found = doctor()
    assert list(found) == (["database-tls"] if kind else [])
    assert not kind or found["database-tls"].startswith(kind)
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert "sslmode" in rest or doctor() == {}


@pytest.mark.parametrize(("role", "active"), [("user", True), ("admin", False)])
def test_a_service_needs_an_active_administrator(
    doctor: Doctor, run: Run, core: Gatehouse, create_user: CreateUser, role: str, active: bool
) -> None:
    create_user(BOB, role=role, active=active)
    assert doctor() == {}
    with core.database.write() as session:
        session.connection().exec_driver_sql(
            "DELETE FROM gatehouse_user WHERE email = 'admin@example.com'"
        )
    found = doctor()
    assert list(found) == ["administrators"]
    assert "bob" not in str(found)


# --- files


def test_files_with_secrets_are_their_owners_alone(
    doctor: Doctor, auth_key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env, keys = tmp_path / ".env", tmp_path / "marker.txt"
    env.write_text(f"# {auth_key}\n")
    keys.write_text(auth_key)
    monkeypatch.delenv("AUTH_KEYS")
    monkeypatch.setenv("AUTH_KEYS_FILE", str(keys))
    for file in (env, keys):
        file.chmod(0o600)
    assert doctor() == {}
    env.chmod(0o604)
    assert list(doctor()) == ["env-file"]
    env.chmod(0o600)
    keys.chmod(0o640)
    assert list(doctor()) == ["key-file"]


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_git_must_not_have_the_env_file(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    git = str(shutil.which("git"))
    (tmp_path / ".env").touch(0o600)
    assert doctor() == {}
    subprocess.run([git, "init", "-q"], check=True)
    assert doctor() == {}
    subprocess.run([git, "add", "-f", ".env"], check=True)
    assert list(doctor()) == ["env-in-git"]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert doctor() == {}


def test_core_files_that_differ_are_named(doctor: Doctor, tmp_path: Path) -> None:
    core = tmp_path / "core"
    (core / "src").mkdir(parents=True)
    names = ["src/one.py", "src/two.py", "three.md"]
    for name in names:
        (core / name).write_text(name)
    lines = (f"{sha256(name.encode()).hexdigest()}  {name}\n" for name in names)
    (core / "manifest.sha256").write_text("".join(lines))
    assert doctor() == {}
    (core / "src/one.py").write_text("edited")
    (core / "three.md").unlink()
    found = doctor()
    assert list(found) == ["core-files"]
    assert "gatehouse/src/one.py was edited, gatehouse/three.md is missing" in found["core-files"]
    assert "two" not in found["core-files"]


def test_edits_of_moved_files_that_are_missing_are_named(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor() == {}
    monkeypatch.setattr(risks, "missing_edits", lambda core: ["gatehouse/one.py was edited"])
    found = doctor()
    assert list(found) == ["moved-edits"]
    assert "gatehouse/one.py was edited" in found["moved-edits"]

    def cannot(core: Path) -> list[str]:
        raise CannotLook("this clone is shallow")

    monkeypatch.setattr(risks, "missing_edits", cannot)
    assert doctor()["moved-edits"].startswith("NOTE It cannot be seen whether")


def test_the_real_core_is_compared() -> None:
    assert (core_files.CORE / "src/gatehouse/core_files.py").is_file()


@pytest.mark.parametrize("text", ["_commit: v1.2.3\n", "# x\n_src_path: y\n_commit: 'v1.2.3'\n"])
def test_the_release_is_a_note(doctor: Doctor, tmp_path: Path, text: str) -> None:
    (tmp_path / ".copier-answers.yml").write_text(text)
    assert doctor() == {"release": "NOTE This service was rendered from v1.2.3."}


@pytest.mark.parametrize("content", [b"", b"\xff", b"_commit: \x1b[2J", b"x_commit: v1"])
def test_an_odd_answers_file_is_passed_over(doctor: Doctor, tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".copier-answers.yml").write_bytes(content)
    assert doctor() == {}


# --- a newer release, asked for with --online

CHANGES = """# Changelog

## [1.2.0] - 2026-03-01

### Added

## [1.1.0] - 2026-02-01

### Security

## [1.0.0] - 2026-01-01
"""


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A template's repository with releases; the service in the working folder has 1.0.0."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    folder = tmp_path / "template"
    folder.mkdir()
    (folder / "CHANGELOG.md").write_text(CHANGES)
    (tmp_path / ".copier-answers.yml").write_text(f"_commit: 1.0.0\n_src_path: {folder}\n")
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "x"],
        *(["tag", tag] for tag in ("1.0.0", "1.1.0", "1.2.0", "1.3.0rc1", "other")),
    ):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)  # noqa: S607
    return folder


def test_a_release_that_waits_and_fixes_a_hole_is_a_problem(
    doctor: Doctor, template: Path, tmp_path: Path
) -> None:
    assert doctor() == {"release": "NOTE This service was rendered from 1.0.0."}
    found = doctor("--online")
    assert found["release"].startswith("PROBLEM There is a newer release, 1.2.0; ")
    assert "security holes (releases 1.1.0)" in found["release"]


def test_a_release_that_waits_and_fixes_none_is_a_note(
    doctor: Doctor, template: Path, tmp_path: Path
) -> None:
    answers = tmp_path / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace("1.0.0", "1.1.0"))
    found = doctor("--online")["release"]
    assert found == "NOTE There is a newer release, 1.2.0; this service has 1.1.0."
    answers.write_text(answers.read_text().replace("1.1.0", "1.2.0"))
    assert doctor("--online") == {}


@pytest.mark.parametrize(
    "source", ["/nowhere/at-all", "https://marker:marker@127.0.0.1:9/x.git", "\x1b[2J"]
)
def test_no_answer_about_releases_is_a_note(doctor: Doctor, tmp_path: Path, source: str) -> None:
    (tmp_path / ".copier-answers.yml").write_text(f"_src_path: {source}\n_commit: 1.0.0\n")
    found = doctor("--online")
    assert list(found) == ["release"]
    assert found["release"].startswith("NOTE It is not known whether there is a newer release: ")
    assert found["release"].isprintable()


def test_without_the_script_or_with_too_slow_a_one_it_is_a_note(
    doctor: Doctor, template: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(core_files, "WAIT", 0.001)
    assert "TimeoutExpired" in doctor("--online")["release"]
    monkeypatch.setattr(core_files, "CORE", tmp_path)
    assert "is missing" in doctor("--online")["release"]


# --- the throttle store


def test_a_store_that_is_away_is_found(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis.Redis, "ping", PING)
    monkeypatch.setenv("AUTH_THROTTLE_STORAGE", "redis://marker:marker@127.0.0.1:9/0")
    found = doctor()
    assert list(found) == ["throttle-store"]
    assert "does not answer (ConnectionError)" in found["throttle-store"]


def test_the_store_is_asked_once_and_not_for_long(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def ping(self: Any) -> None:
        asked.append(self.connection_pool.connection_kwargs)
        raise redis.TimeoutError("marker")

    monkeypatch.setattr(redis.Redis, "ping", ping)
    found = doctor()
    assert list(found) == ["throttle-store"]
    assert "TimeoutError" in found["throttle-store"]
    (options,) = asked
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 0.5
    assert options["retry"].get_retries() == 0


def test_accounts_that_look_like_others_are_counted(doctor: Doctor, core: Gatehouse) -> None:
    ids = []
    with core.database.write() as session:
        for number in range(7):  # as 0.4.0 let them in
            address = f"bob\ufe0f{number}@example.com"
            user = User(email=address, email_key=address, password_hash="!", role="user")
            session.add(user)
            ids.append(str(user.id))
    found = doctor()
    assert list(found) == ["lookalikes"]
    text = "PROBLEM The address of 7 accounts holds a character that cannot be seen"
    assert found["lookalikes"].startswith(text)
    assert sum(id_ in found["lookalikes"] for id_ in ids) == 5
    assert "bob" not in found["lookalikes"]


def test_addresses_that_can_be_seen_are_no_risk(doctor: Doctor, create_user: CreateUser) -> None:
    create_user("zażółć@example.com")
    create_user("bob@παράδειγμα.δοκιμή")
    assert not doctor()


@pytest.mark.parametrize(("given", "found"), [("2", []), ("3", ["hash-threads"]), (None, [])])
def test_more_hash_threads_than_there_is_room_for_are_told(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, given: str | None, found: list[str]
) -> None:
    monkeypatch.setattr(risky_settings, "hash_threads", lambda: 2)
    if given is not None:
        monkeypatch.setenv("AUTH_HASH_CONCURRENCY", given)
    told = doctor()
    assert list(told) == found
    assert all(text.startswith("NOTE AUTH_HASH_CONCURRENCY is 3") for text in told.values())
