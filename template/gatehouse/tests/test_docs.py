"""The docs page: served by the service alone, under a strict policy of its own."""

from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import pytest
from fastapi import FastAPI
from served_page import Page
from starlette.testclient import TestClient

pytestmark = pytest.mark.usefixtures("docs_enabled")

PAGE = "/docs"
DOCUMENT = "/openapi.json"
FILES = {
    "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
    "/docs/favicon.png": "image/png",
    "/docs/init.js": "text/javascript; charset=utf-8",
}


def policy(client: TestClient) -> dict[str, list[str]]:
    header = client.get(PAGE).headers["content-security-policy"]
    directives = [part.split() for part in header.split(";")]
    return {name: values for name, *values in directives}


def test_docs_page_holds_no_inline_code(client: TestClient) -> None:
    answer = client.get(PAGE)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert Page(answer.text).inline == []


def test_docs_page_asks_only_this_service_and_gets_every_file(client: TestClient) -> None:
    addresses = Page(client.get(PAGE).text).addresses

    assert {f"/{address}" for address in addresses} == {*FILES, DOCUMENT}
    for address in addresses:
        assert not urlsplit(address).netloc
        assert client.get(urljoin(PAGE, address)).status_code == 200


def test_docs_page_has_a_strict_policy_of_its_own(client: TestClient) -> None:
    directives = policy(client)

    assert directives["default-src"] == ["'none'"]
    assert directives["script-src"] == directives["style-src"] == ["'self'"]
    for closed in ("base-uri", "form-action", "frame-ancestors"):
        assert directives[closed] == ["'none'"]
    allowed = {value for values in directives.values() for value in values}
    assert allowed == {"'none'", "'self'", "data:"}


def test_docs_page_answers_exactly_one_policy_and_one_caching_rule(client: TestClient) -> None:
    for path in (PAGE, DOCUMENT, *FILES):
        headers = client.get(path).headers
        assert len(headers.get_list("content-security-policy")) == 1, path
        assert len(headers.get_list("cache-control")) == 1, path
    opener = client.get(PAGE).headers["cross-origin-opener-policy"]
    assert opener == "same-origin"  # a page that opens this one gets no hold of it


@pytest.mark.parametrize(("path", "media_type"), FILES.items())
def test_docs_file_comes_with_its_type(client: TestClient, path: str, media_type: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.content) > 1000


def test_docs_script_is_swagger_ui(client: TestClient) -> None:
    assert "SwaggerUIBundle" in client.get("/docs/swagger-ui-bundle.js").text


@pytest.mark.parametrize("path", FILES)
def test_docs_file_is_kept_and_asked_for_again_by_entity_tag(client: TestClient, path: str) -> None:
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})

    assert again.status_code == 304
    assert again.content == b""
    for answer in (first, again):
        assert answer.headers["cache-control"] == "public, max-age=3600, must-revalidate"


@pytest.mark.parametrize("path", [PAGE, DOCUMENT])
def test_docs_page_and_document_are_fresh_every_time(client: TestClient, path: str) -> None:
    assert client.get(path).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["redoc.standalone.js", "docs.js", "../docs.py", "%2e%2e/docs.py"])
def test_no_other_file_is_served_below_docs(client: TestClient, name: str) -> None:
    assert client.get(f"/docs/{name}").status_code == 404


@pytest.mark.asvs("10.1.1")
def test_docs_page_keeps_no_login_and_asks_no_validator(client: TestClient) -> None:
    script = client.get("/docs/init.js").text

    assert "persistAuthorization: false" in script
    assert "validatorUrl: null" in script


def test_title_on_the_docs_page_cannot_hold_markup(
    app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "title", "</title><script>alert(1)</script>")

    answer = client.get(PAGE)

    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


def test_docs_page_works_below_a_path_that_a_proxy_adds(
    app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "root_path", "/below")

    page = Page(client.get("/below/docs").text)
    document = client.get("/below/openapi.json").json()

    for address in page.addresses:
        assert client.get(urljoin("/below/docs", address)).status_code == 200
    assert document["servers"][0] == {"url": "/below"}


@pytest.mark.usefixtures("auth_key")
@pytest.mark.parametrize("path", [PAGE, DOCUMENT, *FILES, "/redoc", "/docs/oauth2-redirect"])
def test_nothing_of_the_docs_is_there_when_they_are_disabled(
    monkeypatch: pytest.MonkeyPatch, create_app: Callable[[], FastAPI], path: str
) -> None:
    monkeypatch.setenv("DOCS_ENABLED", "false")

    with TestClient(create_app(), raise_server_exceptions=False) as client:
        assert client.get(path).status_code == 404


def test_pages_of_fastapi_itself_are_gone(client: TestClient) -> None:
    for path in ("/redoc", "/docs/oauth2-redirect"):
        assert client.get(path).status_code == 404
