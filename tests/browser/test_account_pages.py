"""The pages of mailed links in a real Chromium: what a person sees, for every answer there is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="the browser's driver, the package playwright, is not installed"
)
if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Route

pytestmark = pytest.mark.browser

TOKEN = "gatehouse_ot_not-a-real-one"
PASSWORD = "four quiet herons by the weir"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`violation: ${event.effectiveDirective} ${event.blockedURI}`));
"""


class Visit:
    """A page of a link, opened; its posts are answered here in place of the service."""

    def __init__(self, context: "BrowserContext", service: str) -> None:
        self.service = service
        self.posts: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.answers: list[dict[str, Any]] = []
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("request", lambda request: self.requests.append(request))
        context.route("**/auth/*", self._answer)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _console(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _answer(self, route: "Route") -> None:
        request = route.request
        path = request.url.removeprefix(self.service)
        self.posts.append({"path": path, **json.loads(request.post_data or "{}")})
        answer = self.answers.pop(0)
        if "abort" in answer:
            route.abort(answer["abort"])
        else:
            route.fulfill(**answer)

    def open(self, name: str, fragment: str = f"#token={TOKEN}") -> "Visit":
        self.page.goto(f"{self.service}/account/{name}{fragment}")
        return self

    def will_answer(self, status: int, **more: Any) -> None:
        headers = {"Content-Type": "application/problem+json", **more.pop("headers", {})}
        body = json.dumps({"status": status, "detail": "-", **more})
        self.answers.append({"status": status, "headers": headers, "body": body if more else ""})

    @property
    def done(self) -> str:
        return self.page.get_by_role("status").inner_text().strip()

    @property
    def failed(self) -> str:
        return self.page.get_by_role("alert").inner_text().strip()

    def focused(self) -> str:
        found: str = self.page.evaluate("document.activeElement.id || document.activeElement.type")
        return found

    def own_complaints(self) -> list[str]:
        """Without the line that a browser writes for every answer that is an error."""
        return [text for text in self.complaints if not text.startswith("Failed to load resource")]


@pytest.fixture
def context(chromium: str) -> "Iterator[BrowserContext]":
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser.new_context()
        browser.close()


@pytest.fixture
def visit(context: "BrowserContext", service: str) -> Visit:
    return Visit(context, service)


CONFIRM = "Confirm my address"
SET = "Set the new password"


@pytest.mark.parametrize("name", ["verify-email", "reset-password"])
def test_token_leaves_the_address_bar_and_is_kept_nowhere(visit: Visit, name: str) -> None:
    visit.page.goto("about:blank")
    before = visit.page.evaluate("history.length")
    page = visit.open(name).page

    assert page.url == f"{visit.service}/account/{name}"
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("history.length") == before + 1
    assert TOKEN not in page.content()
    assert visit.posts == []
    assert not [request for request in visit.requests if TOKEN in request.url.split("#")[0]]
    assert not [r for r in visit.requests if "referer" in r.all_headers()]
    assert visit.complaints == []


@pytest.mark.parametrize("name", ["verify-email", "reset-password"])
@pytest.mark.parametrize("fragment", ["", "#", "#token=", "#other=1"])
def test_link_without_its_token_says_so(visit: Visit, name: str, fragment: str) -> None:
    visit.open(name, fragment)

    assert "part of the link is missing" in visit.failed
    assert visit.page.get_by_role("button").count() == 0


def test_nothing_is_confirmed_before_a_person_presses_the_button(visit: Visit) -> None:
    """Scanners of mail open links and run scripts."""
    visit.open("verify-email").page.wait_for_load_state("networkidle")
    assert visit.posts == []
    assert visit.focused() == "submit"

    visit.will_answer(204)
    visit.page.keyboard.press("Enter")
    visit.page.get_by_text("Your address is confirmed").wait_for()

    assert visit.posts == [{"path": "/auth/verify-email", "token": TOKEN}]
    assert visit.page.get_by_role("button").count() == 0
    assert visit.focused() == "done"
    assert visit.complaints == []


def test_page_of_a_registration_asks_for_its_password(visit: Visit) -> None:
    visit.open("verify-email", f"#token={TOKEN}&purpose=registration")
    assert visit.focused() == "password"
    field = visit.page.get_by_label("The password that you chose")
    field.fill("a stranger's, perhaps")
    visit.will_answer(400, type="urn:gatehouse:password")
    visit.page.get_by_role("button", name=CONFIRM).click()
    visit.page.get_by_text("not the password with which").wait_for()
    assert visit.focused() == "password"

    field.fill("the right one")
    visit.will_answer(204)
    visit.page.get_by_role("button", name=CONFIRM).click()
    visit.page.get_by_text("Your address is confirmed").wait_for()
    assert [post["password"] for post in visit.posts] == ["a stranger's, perhaps", "the right one"]
    assert visit.own_complaints() == []


def test_link_that_is_used_up_tells_how_to_get_another(visit: Visit) -> None:
    visit.open("verify-email").will_answer(400)
    visit.page.get_by_role("button", name=CONFIRM).click()
    visit.page.get_by_text("used already, or it is too old").wait_for()

    assert "ask for a new mail" in visit.failed
    assert visit.page.get_by_role("button").count() == 0
    assert visit.own_complaints() == []


@pytest.mark.parametrize(
    ("seconds", "words"), [("30", "in a minute"), ("900", "in 15 minutes"), ("", "in a minute")]
)
def test_too_many_tries_leave_the_button_for_later(visit: Visit, seconds: str, words: str) -> None:
    visit.open("verify-email")
    visit.will_answer(429, headers={"Retry-After": seconds} if seconds else {})
    visit.page.get_by_role("button", name=CONFIRM).click()
    visit.page.get_by_text("Too many tries").wait_for()
    assert words in visit.failed

    visit.will_answer(204)
    visit.page.get_by_role("button", name=CONFIRM).click()
    visit.page.get_by_text("Your address is confirmed").wait_for()
    assert visit.failed == ""
    assert [post["token"] for post in visit.posts] == [TOKEN, TOKEN]


@pytest.mark.parametrize(("name", "button"), [("verify-email", CONFIRM), ("reset-password", SET)])
@pytest.mark.parametrize("trouble", [500, 503, 404, "abort", "no problem"])
def test_trouble_may_be_tried_again(visit: Visit, name: str, button: str, trouble: object) -> None:
    visit.open(name)
    if trouble == "abort":
        visit.answers.append({"abort": "connectionrefused"})
    elif trouble == "no problem":
        visit.answers.append({"status": 422, "body": "<html>a proxy's page</html>"})
    else:
        assert isinstance(trouble, int)
        visit.will_answer(trouble)
    if name == "reset-password":
        visit.page.get_by_label("New password").fill(PASSWORD)
    visit.page.get_by_role("button", name=button).click()
    visit.page.get_by_text("did not work just now").wait_for()

    assert visit.page.get_by_role("button", name=button).is_visible()
    assert visit.own_complaints() == []


def test_new_password_is_sent_and_the_field_emptied(visit: Visit) -> None:
    visit.open("reset-password")
    assert visit.focused() == "password"
    visit.page.keyboard.type(PASSWORD)
    visit.will_answer(204)
    visit.page.keyboard.press("Enter")
    visit.page.get_by_text("Your new password is set").wait_for()

    assert "every device has been logged out" in visit.done
    sent = {"path": "/auth/reset-password", "token": TOKEN, "password": PASSWORD}
    assert visit.posts == [sent]
    assert visit.page.locator("#password").input_value() == ""
    assert visit.page.get_by_role("textbox").count() == 0
    assert visit.complaints == []


def test_reasons_against_a_password_are_shown_as_text(visit: Visit) -> None:
    visit.open("reset-password")
    errors = [{"msg": "This password is too short."}, {"msg": "<img src=x onerror=alert(1)>"}]
    visit.will_answer(422, errors=errors)
    field = visit.page.get_by_label("New password")
    field.fill("short")
    visit.page.get_by_role("button", name=SET).click()
    visit.page.get_by_text("too short").wait_for()

    assert visit.failed.splitlines() == [error["msg"] for error in errors]
    assert visit.page.locator("img").count() == 0
    assert field.get_attribute("aria-invalid") == "true"
    assert visit.focused() == "password"

    visit.will_answer(204)
    field.fill(PASSWORD)
    visit.page.get_by_role("button", name=SET).click()
    visit.page.get_by_text("Your new password is set").wait_for()
    assert visit.failed == ""
    assert visit.own_complaints() == []


def test_reset_link_that_is_used_up_tells_how_to_get_another(visit: Visit) -> None:
    visit.open("reset-password").will_answer(400)
    visit.page.get_by_label("New password").fill(PASSWORD)
    visit.page.get_by_role("button", name=SET).click()
    visit.page.get_by_text("forgot password").wait_for()

    assert visit.page.get_by_role("textbox").count() == 0


def test_empty_password_is_not_sent(visit: Visit) -> None:
    visit.open("reset-password").page.get_by_role("button", name=SET).click()

    assert visit.posts == []


def test_password_can_be_shown_and_is_hidden_again_before_it_is_sent(visit: Visit) -> None:
    visit.open("reset-password")
    field = visit.page.get_by_label("New password")
    field.fill(PASSWORD)
    visit.page.get_by_role("button", name="Show the password").click()
    assert field.get_attribute("type") == "text"
    visit.page.get_by_role("button", name="Hide the password").click()
    assert field.get_attribute("type") == "password"

    visit.page.get_by_role("button", name="Show the password").click()
    visit.will_answer(503)
    visit.page.get_by_role("button", name=SET).click()
    visit.page.get_by_text("did not work just now").wait_for()
    assert field.get_attribute("type") == "password"
    assert field.input_value() == PASSWORD


def test_two_clicks_send_one_request(visit: Visit) -> None:
    visit.open("verify-email")
    visit.will_answer(204)
    visit.will_answer(400)
    visit.page.evaluate("for (const _ of [1, 2]) document.querySelector('[type=submit]').click()")
    visit.page.get_by_text("Your address is confirmed").wait_for()

    assert len(visit.posts) == 1


def test_second_link_in_the_same_tab_is_taken(visit: Visit) -> None:
    visit.open("verify-email").will_answer(400)
    visit.page.get_by_role("button", name=CONFIRM).click()
    visit.page.get_by_text("used already").wait_for()

    visit.open("verify-email", "#token=another").will_answer(204)
    visit.page.get_by_role("button", name=CONFIRM).click()
    visit.page.get_by_text("Your address is confirmed").wait_for()
    assert [post["token"] for post in visit.posts] == [TOKEN, "another"]
    assert visit.failed == ""


def test_page_without_javascript_says_that_it_needs_it(chromium: str, service: str) -> None:
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto(f"{service}/account/reset-password#token={TOKEN}")

        assert page.locator("noscript p").is_visible()
        assert page.get_by_role("button").count() == 0
        browser.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_page_fits_every_screen(
    context: "BrowserContext", service: str, tmp_path: Path, theme: Any, width: int
) -> None:
    visit = Visit(context, service)
    visit.page.set_viewport_size({"width": width, "height": 640})
    visit.page.emulate_media(color_scheme=theme)
    visit.open("reset-password").will_answer(422, errors=[{"msg": "x" * 200}])
    visit.page.get_by_label("New password").fill("short")
    visit.page.get_by_role("button", name=SET).click()
    visit.page.get_by_text("xxx").wait_for()

    wide = visit.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide
    paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(243, 244, 246)") == (theme == "light")
