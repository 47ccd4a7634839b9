"""The two pages that mailed links open. The token is in the fragment: it never comes here."""

from collections.abc import Awaitable, Callable
from html import escape
from importlib.resources import files
from string import Template

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from gatehouse.guards import public

# One script and one style sheet of our own; the script talks to this service alone. `data:` is
# for the empty icon, without which a browser asks for /favicon.ico.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {"Content-Security-Policy": POLICY, "Cross-Origin-Opener-Policy": "same-origin"}

Endpoint = Callable[[Request], Awaitable[Response]]

router = APIRouter(prefix="/account", include_in_schema=False)


def _page(name: str) -> Endpoint:
    """A page that is never stored: so says the header that every answer gets."""
    document = Template((files("gatehouse") / "pages" / name).read_text("utf-8"))

    async def account_page(request: Request) -> Response:
        title = escape(request.app.title)
        return HTMLResponse(document.substitute(service=title), headers=HEADERS)

    return account_page


def _file(name: str, media_type: str) -> Endpoint:
    folder = StaticFiles(directory=str(files("gatehouse") / "pages"))

    async def account_file(request: Request) -> Response:
        response = await folder.get_response(name, request.scope)
        # Named here: the operating system's list of types may hold one that `nosniff` refuses.
        if response.status_code != 304:
            response.headers["Content-Type"] = f"{media_type}; charset=utf-8"
        response.headers["Cache-Control"] = "public, max-age=3600, must-revalidate"
        return response

    return account_file


for _path, _endpoint in {
    "/verify-email": _page("verify_email.html"),
    "/reset-password": _page("reset_password.html"),
    "/account.js": _file("account.js", "text/javascript"),
    "/account.css": _file("account.css", "text/css"),
}.items():
    router.add_api_route(_path, public(_endpoint), methods=["GET"])
