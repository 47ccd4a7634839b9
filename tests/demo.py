"""The first minute: render a service, start it on SQLite, log in, call a protected route."""

import argparse
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EMAIL = "you@example.com"
PATIENCE = 120  # seconds until the service must answer; the first start installs its packages


def main() -> int:
    asked = arguments()
    folder = Path(asked.into or tempfile.mkdtemp(prefix="demo-service-")).resolve()
    if folder.exists() and any(folder.iterdir()):
        print(f"{folder} is not empty: name another folder with --into.", file=sys.stderr)
        return 2
    address = f"http://127.0.0.1:{asked.port}"
    if answers(address):
        print(f"Port {asked.port} is taken: name another one with --port.", file=sys.stderr)
        return 2
    say(f"Rendering a service with the default answers into {folder}")
    copy = ["copier", "copy", "--quiet", "--defaults", "--vcs-ref=HEAD", str(ROOT), str(folder)]
    subprocess.run(copy, check=True)
    say("Starting it: uv run demo-service dev (the first start installs its packages)")
    server = start(folder, asked.port)
    try:
        wait_for(server, address, folder)
        walk(folder, address)
    except BaseException:
        stop(server)
        raise
    if asked.check:
        stop(server)
        say("Everything answered as it should. The service is stopped.")
        if not asked.into:
            shutil.rmtree(folder)
        return 0
    say(f"The service goes on running. Try it:  {address}/docs")
    print(f"   Files         {folder}")
    print(f"   Log           {folder / 'server.log'}")
    print(f"   Stop it with  kill {server.pid}")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s demo --", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port to serve on (%(default)s)")
    parser.add_argument("--into", metavar="FOLDER", help="folder to render into (a new one)")
    parser.add_argument("--check", action="store_true", help="stop by itself when all is right")
    return parser.parse_args()


def start(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """The service in a session of its own, so that it outlives this command."""
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            ["uv", "run", "demo-service", "dev", "--port", str(port)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for(server: "subprocess.Popen[bytes]", address: str, folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not answers(address):
        if server.poll() is not None or time.monotonic() > end:
            print((folder / "server.log").read_text(), file=sys.stderr)
            raise SystemExit("The service did not start; its log is above.")
        time.sleep(0.2)


def answers(address: str) -> bool:
    try:
        return bool(call(f"{address}/healthz"))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def walk(folder: Path, address: str) -> None:
    """What a newcomer does: an account, a login, a protected call; and a call without a token."""
    password = secrets.token_urlsafe(15)
    say(f"Making an account: uv run demo-service user create {EMAIL}")
    create = ["uv", "run", "demo-service", "user", "create", EMAIL]
    subprocess.run(create, cwd=folder, input=password.encode(), check=True)
    print(f"   Its password is {password}")
    say(f"Logging in: POST {address}/auth/token")
    form = {"grant_type": "password", "username": EMAIL, "password": password}
    answer = call(f"{address}/auth/token", urllib.parse.urlencode(form).encode())
    token = answer["access_token"]
    print(f"   200  a token of {len(token)} characters, good for {answer['expires_in']} seconds")
    say(f"Calling a protected route with it: GET {address}/users/me")
    me = call(f"{address}/users/me", token=token)
    print("   200 ", json.dumps(me))
    if me["email"] != EMAIL:
        raise SystemExit("The service answered with another account.")
    say("And without it")
    try:
        call(f"{address}/users/me")
    except urllib.error.HTTPError as refused:
        print(f"   {refused.code}  {json.load(refused)['detail']}")
        if refused.code == 401:
            return
    raise SystemExit("A protected route was open.")


def call(url: str, body: bytes | None = None, token: str = "") -> Any:
    request = urllib.request.Request(url, body)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()


def say(text: str) -> None:
    print(f"\n-> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
