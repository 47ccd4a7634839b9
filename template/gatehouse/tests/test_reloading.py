"""Keys that change while the service runs: a new ring is taken, a bad file changes nothing."""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from gatehouse.signing.keys import new_key, read_keys
from gatehouse.signing.reloading import KeyReloader
from gatehouse.signing.tokens import BadAccessToken, Tokens

pytestmark = pytest.mark.thorough

HOUR = 3_600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.txt"
    path.write_text(new_key() + "\n")
    return path


@pytest.fixture
def tokens(path: Path) -> Tokens:
    ring = read_keys(path.read_text())
    return Tokens(ring=ring, issuer="i", audience="a", client_id="c", lifetime=60)


@pytest.fixture
def reloader(path: Path, tokens: Tokens) -> KeyReloader:
    return KeyReloader(path, seconds=HOUR, tokens=tokens)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[int, str]]]:
    """The log's lines about keys since this was asked last."""
    caplog.set_level(logging.INFO, "gatehouse.keys")

    def since() -> list[tuple[int, str]]:
        found = [(r.levelno, r.getMessage()) for r in caplog.records if r.name == "gatehouse.keys"]
        caplog.clear()
        return found

    return since


Lines = Callable[[], list[tuple[int, str]]]


def issue(tokens: Tokens) -> str:
    token, _ = tokens.issue(
        stamp=0,
        epoch=0,
        user_id=uuid4(),
        session_id=uuid4(),
        scopes=(),
        session_end=time.time() + 60,
    )
    return token


def check(reloader: KeyReloader) -> None:
    asyncio.run(reloader.check())


def test_a_file_that_did_not_change_does_nothing(
    reloader: KeyReloader, tokens: Tokens, lines: Lines
) -> None:
    ring = tokens.expected.ring
    for _ in range(3):
        check(reloader)
    assert tokens.expected.ring is ring
    assert lines() == []


def test_a_comment_changes_nothing_either(
    reloader: KeyReloader, tokens: Tokens, path: Path, lines: Lines
) -> None:
    ring = tokens.expected.ring
    path.write_text("# ours\n" + path.read_text())
    check(reloader)
    assert tokens.expected.ring is ring
    assert lines() == []


def test_a_new_ring_is_in_force_at_once_and_logged_by_its_ids(
    reloader: KeyReloader, tokens: Tokens, path: Path, lines: Lines
) -> None:
    old = issue(tokens)
    first, second = new_key("EdDSA"), path.read_text()
    path.write_text(f"{first}\n{second}")
    check(reloader)
    ring = tokens.expected.ring
    assert [key.algorithm for key in ring.keys] == ["EdDSA", "HS256"]
    assert tokens.read(old)
    assert tokens.read(issue(tokens))
    ((level, line),) = lines()
    assert level == logging.INFO
    assert all(key.kid in line for key in ring.keys)
    assert second.strip() not in line


def test_another_order_of_the_same_keys_is_another_ring(
    reloader: KeyReloader, tokens: Tokens, path: Path
) -> None:
    keys = [path.read_text().strip(), new_key()]
    path.write_text("\n".join(keys))
    check(reloader)
    path.write_text("\n".join(reversed(keys)))
    check(reloader)
    assert tokens.expected.ring.signing == read_keys(keys[1]).signing


def test_a_token_of_a_key_that_was_taken_away_is_refused_although_it_was_remembered(
    reloader: KeyReloader, tokens: Tokens, path: Path
) -> None:
    token = issue(tokens)
    assert tokens.read(token) is tokens.read(token)
    path.write_text(new_key())
    check(reloader)
    with pytest.raises(BadAccessToken, match="key"):
        tokens.read(token)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "No such file"),
        (b"", "no key is set"),
        (b"changeme", "too short"),
        (b"\xff\xfe", "UTF-8"),
        (b"-----BEGIN PRIVATE KEY-----\n", "PKCS#8"),
    ],
    ids=["missing", "empty", "weak", "not text", "cut short"],
)
def test_a_bad_file_keeps_the_old_ring_and_is_one_loud_line(
    reloader: KeyReloader,
    tokens: Tokens,
    path: Path,
    lines: Lines,
    content: bytes | None,
    word: str,
) -> None:
    good, token, ring = path.read_text(), issue(tokens), tokens.expected.ring
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    check(reloader)
    check(reloader)
    ((level, line),) = lines()
    assert level == logging.ERROR
    assert line.startswith("AUTH_KEYS_FILE is refused")
    assert word in line
    assert "changeme" not in line
    assert tokens.expected.ring is ring
    assert tokens.read(token)
    path.write_text(good)
    check(reloader)
    ((level, line),) = lines()
    assert level == logging.INFO
    assert "again" in line


def test_a_bad_file_that_becomes_bad_in_another_way_is_another_line(
    reloader: KeyReloader, path: Path, lines: Lines
) -> None:
    for text in ("changeme", "", "changeme"):
        path.write_text(text)
        check(reloader)
    assert [level for level, _ in lines()] == [logging.ERROR] * 3


def test_an_error_that_nobody_thought_of_keeps_the_old_ring(
    reloader: KeyReloader, tokens: Tokens, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> str:
        raise MemoryError("with a key in it")

    ring = tokens.expected.ring
    monkeypatch.setattr("gatehouse.signing.reloading.read_text", fail)
    check(reloader)
    ((level, line),) = lines()
    assert level == logging.ERROR
    assert line.endswith("MemoryError")
    assert tokens.expected.ring is ring


def test_the_file_is_read_in_a_thread(
    reloader: KeyReloader, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    threads: list[int] = []

    def read(path: Path) -> str:
        threads.append(threading.get_ident())
        return path.read_text()

    monkeypatch.setattr("gatehouse.signing.reloading.read_text", read)
    check(reloader)
    assert threads
    assert threads[0] != threading.get_ident()


# --- the task


def save(path: Path, text: str) -> None:
    path.write_text(text)


def watch(reloader: KeyReloader, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """An event that is set after every check."""
    checked, real = asyncio.Event(), reloader.check

    async def check() -> None:
        await real()
        checked.set()

    monkeypatch.setattr(reloader, "check", check)
    return checked


def test_the_task_checks_again_and_again_in_one_loop_after_another(
    path: Path, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloader = KeyReloader(path, seconds=0.001, tokens=tokens)

    async def run(key: str) -> None:
        checked = watch(reloader, monkeypatch)
        reloader.start()
        save(path, key)
        while tokens.expected.ring.signing.kid != read_keys(key).signing.kid:
            checked.clear()
            await asyncio.wait_for(checked.wait(), 10)
        await reloader.stop()
        assert len(asyncio.all_tasks()) == 1

    for _ in range(2):
        asyncio.run(run(new_key()))


def test_a_service_reads_its_file_from_its_start_to_its_end(
    create_app: Callable[[], FastAPI], auth_key: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def stop(_: KeyReloader) -> None:
        seen.append("stop")

    monkeypatch.setattr(KeyReloader, "start", lambda _: seen.append("start"))
    monkeypatch.setattr(KeyReloader, "stop", stop)
    monkeypatch.delenv("AUTH_KEYS")
    monkeypatch.setenv("AUTH_KEYS_FILE", str(path))
    with TestClient(create_app()):
        assert seen == ["start"]
    assert seen == ["start", "stop"]


def test_a_start_or_a_stop_too_many_does_no_harm(reloader: KeyReloader) -> None:
    async def run() -> None:
        await reloader.stop()
        reloader.start()
        reloader.start()
        assert len(asyncio.all_tasks()) == 2
        await reloader.stop()
        await reloader.stop()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


hangup = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal here")


@hangup
def test_a_hangup_has_the_file_read_at_once_and_a_bad_one_told_again(
    reloader: KeyReloader,
    path: Path,
    tokens: Tokens,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        checked = watch(reloader, monkeypatch)
        reloader.start()
        for text in (new_key(), "changeme", "changeme"):
            save(path, text)
            checked.clear()
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.wait_for(checked.wait(), 10)
        await reloader.stop()

    asyncio.run(run())
    assert [level for level, _ in lines()] == [logging.INFO, logging.ERROR, logging.ERROR]
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


@hangup
def test_a_hangup_that_the_service_uses_itself_stays_its_own(reloader: KeyReloader) -> None:
    def own(*_: object) -> None: ...

    async def run() -> None:
        reloader.start()
        assert signal.getsignal(signal.SIGHUP) is own
        await reloader.stop()
        assert signal.getsignal(signal.SIGHUP) is own

    before = signal.signal(signal.SIGHUP, own)
    try:
        asyncio.run(run())
    finally:
        signal.signal(signal.SIGHUP, before)


@hangup
def test_outside_the_main_thread_there_is_no_signal_and_all_else(reloader: KeyReloader) -> None:
    ended: list[bool] = []

    async def run() -> None:
        reloader.start()
        await reloader.check()
        await reloader.stop()
        ended.append(True)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    thread.join(10)
    assert ended == [True]
