"""How a page of the core's own is served: its title, and the strict policy that it is under."""

from collections.abc import Awaitable, Callable, Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

# Scripts and styles of this service, which talk to this service alone.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src {images}",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

Endpoint = Callable[[Request], Awaitable[Response]]


def page_headers(*, images: str) -> dict[str, str]:
    """The headers of a page beside those of every answer; `images` says where pictures may lie."""
    return {
        "Content-Security-Policy": POLICY.format(images=images),
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def page(render: Callable[[str], str], headers: Mapping[str, str]) -> Endpoint:
    """An endpoint that renders a page from the application's title, which is escaped."""

    async def serve_page(request: Request) -> Response:
        return HTMLResponse(render(escape(request.app.title)), headers=headers)

    return serve_page
