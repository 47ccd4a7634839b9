"""The commands about keys: what they say, what they change, and that they show no key."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from steps import event_names

from gatehouse.signing.algorithms import ALGORITHMS
from gatehouse.signing.keys import new_key, read_keys
from gatehouse.state import Gatehouse

pytestmark = pytest.mark.thorough

Run = Callable[..., int]
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def path(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A key file that AUTH_KEYS_FILE names."""
    path = tmp_path / "keys.txt"
    path.write_text(new_key() + "\n")
    path.chmod(0o600)
    monkeypatch.delenv("AUTH_KEYS")
    monkeypatch.setenv("AUTH_KEYS_FILE", str(path))
    return path


def shows_no_key(said: str, path: Path) -> bool:
    lines = [line for line in path.read_text().splitlines() if len(line) > 30]
    return not any(line in said for line in lines if not line.startswith(("#", "-")))


@pytest.mark.parametrize("algorithm", [None, *ALGORITHMS])
def test_a_new_key_of_any_algorithm_stands_alone_on_standard_output(
    run: Run, capsys: pytest.CaptureFixture[str], algorithm: str | None
) -> None:
    assert run("keys", "new", *(["--alg", algorithm] if algorithm else [])) == 0
    captured = capsys.readouterr()
    (key,) = read_keys(captured.out).keys
    assert key.algorithm == (algorithm or "HS256")
    assert captured.out.strip() not in captured.err
    assert "AUTH_KEYS_FILE" in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["new", "--alg", "none"],
        ["new", "--alg", "RS512"],
        ["rotate", "--alg", "hs256"],
        ["rotate", "now"],
        ["list", "--all"],
    ],
)
def test_an_algorithm_or_argument_that_is_not_known_is_bad_usage(
    run: Run, arguments: list[str]
) -> None:
    assert run("keys", *arguments) == 2


def test_the_list_shows_ids_and_never_a_key(
    run: Run, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("\n".join(new_key(algorithm) for algorithm in ALGORITHMS))
    ring = read_keys(path.read_text())
    assert run("keys", "list") == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert len(lines) == len(ring.keys)
    for key, line in zip(ring.keys, lines, strict=True):
        assert line.split()[:2] == [key.kid, key.algorithm]
        assert key.strength in line
        assert ("signs" in line) == (key is ring.signing)
    assert shows_no_key(said, path)


def test_the_list_is_of_the_variable_too(
    run: Run, auth_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("keys", "list") == 0
    said = capsys.readouterr().out
    assert read_keys(auth_key).signing.kid in said
    assert auth_key not in said


def test_a_rotation_says_at_each_step_what_was_done_and_when_the_next_is_safe(
    run: Run, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = read_keys(path.read_text()).keys
    with time_machine.travel(START, tick=False) as clock:
        assert run("keys", "rotate", "--alg", "ES256") == 0
        new = read_keys(path.read_text()).keys[1]
        said = capsys.readouterr().out
        assert f"{new.kid} (ES256) was added: it verifies and is published" in said
        assert f"{old.kid} (HS256) signs" in said
        assert "2026-03-01 12:06:00 UTC" in said

        assert run("keys", "rotate") == 0
        again = capsys.readouterr().out
        assert "Nothing was changed" in again
        assert "2026-03-01 12:06:00 UTC" in again
        said += again

        clock.shift(timedelta(seconds=360))
        assert run("keys", "rotate") == 0
        again = capsys.readouterr().out
        assert f"{new.kid} (ES256) signs from now on" in again
        assert f"{old.kid} (HS256), from line" in again
        assert "until 2026-03-01 12:37:00 UTC" in again
        said += again

        clock.shift(timedelta(seconds=1860))
        assert run("keys", "rotate") == 0
        again = capsys.readouterr().out
        assert re.search(rf"{old.kid} .*no valid token since .*12:37:00 UTC: remove it now", again)
        assert "Nothing was changed" in again
        said += again
    assert shows_no_key(said, path)


def test_only_a_step_that_changes_something_is_an_audit_event(
    run: Run, path: Path, core: Gatehouse
) -> None:
    for _ in range(3):
        assert run("keys", "rotate") == 0
    assert event_names(core) == ["keys_rotated"]


def test_a_rotation_needs_no_database(
    run: Run,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://bob:s3cret-marker@127.0.0.1:9/x")
    assert run("keys", "rotate") == 0
    captured = capsys.readouterr()
    assert "was added" in captured.out
    event, line = captured.err.splitlines()
    assert "keys_rotated" in event
    assert "audit table" in line
    assert "s3cret-marker" not in captured.err
    assert len(read_keys(path.read_text()).keys) == 2


def test_keys_in_the_variable_are_rotated_by_hand_and_one_line_says_how(
    run: Run, auth_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("keys", "rotate") == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert "AUTH_KEYS_FILE" in line
    assert "keys new" in line
    assert auth_key not in line
    assert captured.out == ""


@pytest.mark.parametrize("command", ["rotate", "list"])
@pytest.mark.parametrize("content", [None, "", "changeme"])
def test_a_bad_file_is_refused_in_one_line_that_names_the_variable(
    run: Run,
    path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    content: str | None,
) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    assert run("keys", command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("AUTH_KEYS_FILE is refused: ")
    assert "keys new" in line
    assert "changeme" not in line


def test_a_step_that_cannot_be_done_is_one_line(
    run: Run, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.with_name(f".{path.name}.rotating").touch()
    assert run("keys", "rotate") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("The keys were not changed: another rotation")


def test_a_file_that_others_may_open_is_told(
    run: Run, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.chmod(0o644)
    for command in ("list", "rotate"):
        assert run("keys", command) == 0
        assert "chmod 600" in capsys.readouterr().err


def test_both_variables_at_once_are_refused(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTH_KEYS", new_key())
    assert run("keys", "list") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "AUTH_KEYS" in line
    assert "AUTH_KEYS_FILE" in line


def test_the_first_dev_writes_no_key_where_a_file_is_named(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: None)
    assert run("dev") == 0
    assert not (tmp_path / ".env").exists()
