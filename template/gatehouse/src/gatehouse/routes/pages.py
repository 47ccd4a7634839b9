"""The two pages that mailed links open. The token is in the fragment: it never comes here."""

from importlib.resources import files
from string import Template

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gatehouse.web.guards import public
from gatehouse.web.page_serving import Endpoint, page, page_headers

# `data:` is for the empty icon, without which a browser asks for /favicon.ico.
HEADERS = page_headers(images="data:")

router = APIRouter(prefix="/account", include_in_schema=False)


def _page(name: str) -> Endpoint:
    """A page that, like its files, is never stored: so says the header that every answer gets."""
    document = Template((files("gatehouse.web") / "pages" / name).read_text("utf-8"))
    return page(lambda title: document.substitute(service=title), HEADERS)


def _file(name: str, media_type: str) -> Endpoint:
    content = (files("gatehouse.web") / "pages" / name).read_bytes()

    async def account_file(_: Request) -> Response:
        return Response(content, media_type=f"{media_type}; charset=utf-8")

    return account_file


for _path, _endpoint in {
    "/verify-email": _page("verify_email.html"),
    "/reset-password": _page("reset_password.html"),
    "/account.js": _file("account.js", "text/javascript"),
    "/account.css": _file("account.css", "text/css"),
}.items():
    router.add_api_route(_path, public(_endpoint), methods=["GET"])
