"""The docs page in a real Chromium: it logs in and calls a guarded route, under its policy."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="the browser's driver, the package playwright, is not installed"
)
if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Request

pytestmark = pytest.mark.browser

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "docs-page.png"
SIZE = {"width": 1280, "height": 800}
# Headless and quiet, and no name but the service's own address leads anywhere.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
# The browser's console tells of a violation too; the event has its parts, in one form.
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`violation: ${event.effectiveDirective} ${event.blockedURI}`));
"""


class Visit:
    """An open page, and all that its browser asked for and complained about."""

    def __init__(self, context: "BrowserContext", url: str) -> None:
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("request", lambda request: self.requests.append(request))
        self.page = context.pages[0] if context.pages else context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{url}/docs")
        self.page.locator(".opblock").first.wait_for()

    def _console(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def hosts(self) -> set[str]:
        addresses = [urlsplit(request.url) for request in self.requests]
        return {address.netloc for address in addresses if address.scheme != "data"}

    def logins(self) -> "list[Request]":
        return [r for r in self.requests if urlsplit(r.url).path == "/auth/token"]

    def log_in(self, email: str, password: str) -> None:
        self.page.locator(".auth-wrapper > .authorize").click()
        dialog = self.page.locator(".modal-ux")
        dialog.locator("#oauth_username").fill(email)
        dialog.locator("#oauth_password").fill(password)
        dialog.locator("button.authorize").click()
        # Then there is a button to log out, or words that say why not.
        dialog.locator("button:text-is('Logout'), .errors").first.wait_for()
        assert dialog.locator(".errors").all_inner_texts() == []
        dialog.locator(".btn-done").click()

    def try_out(self, path: str) -> "Locator":
        """Execute a GET operation; returns the row of its answer."""
        block = self.page.locator(".opblock-get", has=self.page.locator(f'[data-path="{path}"]'))
        block.locator(".opblock-summary-control").click()
        block.get_by_role("button", name="Try it out").click()
        block.get_by_role("button", name="Execute").click()
        answer = block.locator(".live-responses-table .response")
        answer.wait_for()
        return answer


@pytest.fixture
def visit(chromium: str, service: str, tmp_path: Path) -> Iterator[Visit]:
    with sync_api.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=chromium, args=FLAGS, viewport=SIZE
        )
        try:
            yield Visit(context, service)
        finally:
            context.close()


def test_docs_page_logs_in_and_calls_a_guarded_route(
    visit: Visit, service: str, account: tuple[str, str]
) -> None:
    visit.log_in(*account)
    answer = visit.try_out("/users/me")

    assert status_of(answer) == "200"
    assert f'"email": "{account[0]}"' in answer.inner_text()

    [login] = visit.logins()
    response = login.response()
    assert response is not None
    assert response.status == 200
    assert parse_qs(login.post_data or "")["grant_type"] == ["password"]
    assert "authorization" not in login.all_headers()

    assert visit.complaints == []
    assert visit.hosts() == {urlsplit(service).netloc}
    if os.environ.get("GATEHOUSE_PICTURES"):
        take_picture(visit)


def test_login_is_forgotten_when_the_docs_page_is_loaded_again(
    visit: Visit, account: tuple[str, str]
) -> None:
    visit.log_in(*account)
    visit.page.reload()
    answer = visit.try_out("/users/me")

    assert status_of(answer) == "401"
    assert visit.page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_every_operation_unfolds_without_a_complaint(visit: Visit, service: str) -> None:
    for control in visit.page.locator(".opblock-summary-control").all():
        control.click()
    for control in visit.page.locator(".models .json-schema-2020-12-accordion").all():
        control.click()

    assert visit.page.locator(".opblock.is-open").count() > 3
    assert visit.complaints == []
    assert visit.hosts() == {urlsplit(service).netloc}


def test_policy_stops_inline_code_and_other_hosts(visit: Visit, service: str) -> None:
    """The other tests here are worth something only if the browser does complain."""
    visit.page.evaluate(
        """async () => {
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          await fetch("http://192.0.2.1/").catch(() => undefined);
        }"""
    )

    assert visit.page.evaluate("window.ran === undefined")
    found = "\n".join(visit.complaints)
    assert "violation: script-src-elem inline" in found
    assert "violation: connect-src http://192.0.2.1/" in found
    assert visit.hosts() == {urlsplit(service).netloc}


def status_of(answer: "Locator") -> str:
    return answer.locator(".response-col_status").inner_text().strip()[:3]


def take_picture(visit: Visit) -> None:
    """The answer of the call. The token in the printed command is a secret: it is cut short."""
    visit.page.locator(".curl-command").evaluate(
        """command => {
          const walker = document.createTreeWalker(command, NodeFilter.SHOW_TEXT);
          while (walker.nextNode()) {
            const text = walker.currentNode;
            text.data = text.data.replace(/Bearer [^'"\\s]+/, "Bearer eyJhbGciOi…");
          }
          document.body.style.zoom = 0.9;
          document.querySelector("#operations-tag-users").scrollIntoView();
        }"""
    )
    visit.page.mouse.move(0, 0)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    visit.page.screenshot(path=PICTURE)
