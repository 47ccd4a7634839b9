"""The pages that mailed links open: served by the service alone, under a policy of their own."""

import mimetypes
import re
from urllib.parse import urljoin, urlsplit

import pytest
from fastapi import FastAPI
from served_page import Page
from starlette.testclient import TestClient

PAGES = ("/account/verify-email", "/account/reset-password")
FILES = {
    "/account/account.js": "text/javascript; charset=utf-8",
    "/account/account.css": "text/css; charset=utf-8",
}


@pytest.mark.parametrize("path", PAGES)
def test_account_page_holds_no_inline_code(client: TestClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert Page(answer.text).inline == []
    assert "<style" not in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_account_page_has_a_strict_policy_of_its_own(client: TestClient, path: str) -> None:
    [header] = client.get(path).headers.get_list("content-security-policy")

    assert {name: values for name, *values in map(str.split, header.split(";"))} == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["data:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }


@pytest.mark.parametrize("path", PAGES)
def test_account_page_is_never_stored_and_tells_no_other_site_where_it_is(
    client: TestClient, path: str
) -> None:
    headers = client.get(path).headers

    assert headers.get_list("cache-control") == ["no-store"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert "set-cookie" not in headers


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("prefix", ["", "/below"])
def test_account_page_asks_only_this_service_and_gets_every_file(
    app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, prefix: str
) -> None:
    monkeypatch.setattr(app, "root_path", prefix)
    addresses = [a for a in Page(client.get(prefix + path).text).addresses if a != "data:,"]

    assert {urljoin(path, address) for address in addresses} == set(FILES)
    for address in addresses:
        assert not urlsplit(address).netloc
        assert not address.startswith("/")  # or a proxy's path would be lost
        assert client.get(urljoin(prefix + path, address)).status_code == 200


@pytest.mark.parametrize(("path", "media_type"), FILES.items())
def test_file_of_an_account_page_comes_with_its_type(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, media_type: str
) -> None:
    client.get(path)
    # As a Windows registry may have it.
    for ending in (".js", ".css"):
        monkeypatch.setitem(mimetypes.types_map, ending, "text/plain")
    answer = client.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", [*PAGES, *FILES])
def test_nothing_of_an_account_page_is_stored(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"If-None-Match": "*"})
    assert answer.status_code == 200
    assert answer.headers.get_list("cache-control") == ["no-store"]


@pytest.mark.parametrize("path", [*PAGES, *FILES])
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_account_page_takes_nothing_but_get(client: TestClient, path: str, method: str) -> None:
    assert client.request(method, path).status_code == 405


@pytest.mark.parametrize("path", [*PAGES, *FILES])
def test_account_page_has_one_address_only(client: TestClient, path: str) -> None:
    answer = client.get(f"{path}/")

    assert answer.status_code == 404
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "name", ["", "docs.js", "verify_email.html", "../docs.py", "%2e%2e/docs.py", "..%2fdocs.py"]
)
def test_no_other_file_is_served_below_account(client: TestClient, name: str) -> None:
    assert client.get(f"/account/{name}").status_code == 404


def test_account_pages_are_no_part_of_the_document(client: TestClient) -> None:
    assert not [path for path in client.get("/openapi.json").json()["paths"] if "/account" in path]


@pytest.mark.parametrize("path", PAGES)
def test_nothing_that_is_sent_comes_back_in_an_account_page(client: TestClient, path: str) -> None:
    plain = client.get(path)
    asked = client.get(f"{path}?token=<script>&next=//evil.example", headers={"Host": "evil"})

    assert asked.text == plain.text


@pytest.mark.parametrize("path", PAGES)
def test_name_of_the_service_in_an_account_page_cannot_hold_markup(
    app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(app, "title", "</title><script>alert(1)</script> $service")

    text = client.get(path).text

    assert "<script>alert" not in text
    assert text.count("&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt; $service") == 2


@pytest.mark.parametrize("path", PAGES)
def test_account_page_can_be_used_by_keyboard_and_screen_reader(
    client: TestClient, path: str
) -> None:
    page = Page(client.get(path).text)
    ids = page.ids()

    assert ("html", {"lang": "en"}) in page.tags
    assert len(ids) == len(set(ids))
    assert {attrs.get("role") for _, attrs in page.tags} >= {"alert", "status"}
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert "noscript" in [tag for tag, _ in page.tags]
    labelled = {attrs["for"] for tag, attrs in page.tags if tag == "label"}
    assert labelled == {attrs["id"] for tag, attrs in page.tags if tag == "input"}
    for _, attrs in page.tags:
        for name in ("aria-describedby", "aria-controls"):
            assert set((attrs.get(name) or "").split()) <= set(ids)


@pytest.mark.asvs("6.2.6", "6.2.7")
@pytest.mark.parametrize(
    ("path", "kind"), [(PAGES[0], "current-password"), (PAGES[1], "new-password")]
)
def test_password_field_is_known_to_password_managers(
    client: TestClient, path: str, kind: str
) -> None:
    page = Page(client.get(path).text)

    [field] = [attrs for tag, attrs in page.tags if tag == "input"]
    assert field["type"] == "password"
    assert field["autocomplete"] == kind
    # A limit in the page would cut a pasted password short without a word.
    assert not field.keys() & {"maxlength", "pattern"}


@pytest.mark.asvs("6.2.7", "10.1.1")
def test_script_of_the_account_pages_keeps_nothing_and_writes_no_markup(
    client: TestClient,
) -> None:
    script = client.get("/account/account.js").text

    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(|[sS]torage\b"
    code = re.sub(r"//.*", "", script)
    assert re.findall(forbidden, code) == []
    assert "cookie" not in code
    assert "paste" not in code  # what a password manager or a hand pastes is taken as it is
    assert "https:" not in code
