"""A new user's way through the service: mail by a real server, pages in a real Chromium."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from mail_server import MailServer, mail_server
from ports import free_port
from running import running
from test_docs_page import FLAGS, REPORT_VIOLATIONS

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page

pytestmark = pytest.mark.browser

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "reset-password-page.png"

OLD, NEW = "grace@example.com", "grace.new@example.com"
FIRST, SECOND = "seven lanterns above one harbour", "nine kites over a quiet field"


class Api:
    """The service as a front end would call it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token = ""

    def call(self, method: str, path: str, body: dict[str, str] | None = None) -> int:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        return _send(Request(self.url + path, data, headers, method=method))[0]

    def log_in(self, email: str, password: str) -> int:
        form = {"grant_type": "password", "username": email, "password": password}
        status, answer = _send(Request(f"{self.url}/auth/token", urlencode(form).encode()))
        self.token = json.loads(answer).get("access_token", "")
        return status


def _send(request: Request) -> tuple[int, bytes]:
    try:
        with urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def api(
    service_folder: Path,
    environment: dict[str, str],
    mail: MailServer,
    chromium: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """A service of its own, whose mail goes to the mail and whose links lead to itself."""
    folder, port = tmp_path_factory.mktemp("walk"), free_port()
    settings = {
        **environment,
        "DATABASE_URL": f"sqlite:///{folder}/walk.db",
        "SMTP_URL": mail.url,
        "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
    }
    with running(service_folder, settings, folder / "service.log", port) as url:
        yield Api(url)


@pytest.fixture
def page(chromium: str) -> Iterator["Page"]:
    """A browser's page, which must have nothing to complain of."""
    complaints: list[str] = []

    def note(said: "ConsoleMessage") -> None:
        # That a weak password is refused with 422 Chromium writes there by itself.
        if said.type in ("error", "warning") and "status of 422" not in said.text:
            complaints.append(said.text)

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        context = browser.new_context(viewport={"width": 900, "height": 640})
        context.add_init_script(REPORT_VIOLATIONS)
        found = context.new_page()
        found.set_default_timeout(15_000)
        found.on("pageerror", lambda error: complaints.append(str(error)))
        found.on("console", note)
        yield found
        browser.close()
    assert complaints == []


def confirm(page: "Page", link: str, password: str = "") -> None:
    """Open a mailed link and press its button, with the password where the page asks for it."""
    page.goto(link)
    assert page.get_by_label("The password that you chose").is_visible() == bool(password)
    if password:
        page.get_by_label("The password that you chose").fill(password)
    with page.expect_response("**/auth/verify-email") as answer:
        page.get_by_role("button", name="Confirm my address").click()
    assert answer.value.status == 204
    assert "token" not in page.url


def test_a_new_user_goes_all_the_way(api: Api, mail: MailServer, page: "Page") -> None:
    assert api.call("POST", "/auth/register", {"email": OLD, "password": FIRST}) == 202
    link = mail.link(OLD, "verify-email")
    assert api.log_in(OLD, FIRST) == 400
    confirm(page, link, FIRST)
    assert api.log_in(OLD, FIRST) == 200

    change = {"new_email": NEW, "current_password": FIRST}
    assert api.call("POST", "/auth/change-email", change) == 202
    confirm(page, mail.link(NEW, "verify-email"))
    assert api.call("GET", "/users/me") == 401  # what was begun under the old address is void
    assert api.log_in(NEW, FIRST) == 200

    assert api.call("POST", "/auth/forgot-password", {"email": NEW}) == 202
    page.goto(mail.link(NEW, "reset-password"))
    if os.environ.get("GATEHOUSE_PICTURES"):
        page.screenshot(path=PICTURE)
    field = page.locator("input[autocomplete=new-password]")
    field.fill("short")
    page.locator("button[type=submit]").click()
    page.get_by_role("alert").filter(has_text="at least").wait_for()
    field.fill(SECOND)
    with page.expect_response("**/auth/reset-password") as answer:
        page.locator("button[type=submit]").click()
    assert answer.value.status == 204
    assert "token" not in page.url
    assert api.call("GET", "/users/me") == 401
    assert api.log_in(NEW, FIRST) == 400
    assert api.log_in(NEW, SECOND) == 200

    assert api.call("DELETE", "/users/me", {"current_password": SECOND}) == 204
    assert api.call("GET", "/users/me") == 401
    assert api.log_in(NEW, SECOND) == 400
