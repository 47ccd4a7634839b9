"""The page /docs: Swagger UI from an installed package, under a strict policy of its own."""

from importlib.resources import files

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from gatehouse.web.guards import public
from gatehouse.web.page_serving import Endpoint, page, page_headers

# The least with which Swagger UI works and the browser reports nothing (tried in Chromium):
# `data:` is for the small pictures inside its style sheet. It sets styles through the DOM,
# which a policy does not forbid, so neither 'unsafe-inline' nor 'unsafe-eval' is needed.
# "Try it out" reaches this service only.
HEADERS = {**page_headers(images="'self' data:"), "Cache-Control": "no-cache"}

# Every address is relative, so the page also works under a path that a proxy adds.
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/png" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<script src="docs/swagger-ui-bundle.js" defer></script>
<script src="docs/init.js" defer></script>
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript; <a href="openapi.json">openapi.json</a> does not.</noscript>
</body>
</html>
"""


def add_docs(app: FastAPI) -> None:
    """Serve /docs, its files and /openapi.json from this service alone."""
    swagger = StaticFiles(directory=str(files("fastapi_offline") / "static"))
    ours = StaticFiles(directory=str(files("gatehouse.web") / "pages"))
    javascript = "text/javascript; charset=utf-8"
    endpoints = {
        "/docs": page(lambda title: PAGE.format(title=title), HEADERS),
        "/docs/swagger-ui-bundle.js": _file(swagger, "swagger-ui-bundle.js", javascript),
        "/docs/swagger-ui.css": _file(swagger, "swagger-ui.css", "text/css; charset=utf-8"),
        "/docs/favicon.png": _file(swagger, "favicon.png", "image/png"),
        "/docs/init.js": _file(ours, "docs.js", javascript),
        "/openapi.json": _document(app),
    }
    for path, endpoint in endpoints.items():
        # Plain routes, as FastAPI's own are: an application-wide dependency would ask the
        # browser for a token that it cannot send with a script or a style sheet.
        app.add_route(path, public(endpoint), include_in_schema=False)


def _file(folder: StaticFiles, name: str, media_type: str) -> Endpoint:
    async def docs_file(request: Request) -> Response:
        response = await folder.get_response(name, request.scope)
        # Named here, because the operating system's own list of types may hold another one,
        # which a browser refuses under `nosniff`.
        if response.status_code != 304:
            response.headers["Content-Type"] = media_type
        # The address stays the same when an update brings a new Swagger UI: an hour without
        # asking, then a 304 by entity tag.
        response.headers["Cache-Control"] = "public, max-age=3600, must-revalidate"
        return response

    return docs_file


def _document(app: FastAPI) -> Endpoint:
    async def openapi_document(request: Request) -> Response:
        document = app.openapi()
        # A path that a proxy takes away before the request reaches us: clients must add it.
        server = {"url": request.scope.get("root_path", "").rstrip("/")}
        servers = document.get("servers", [])
        if server["url"] and app.root_path_in_servers and server not in servers:
            document = {**document, "servers": [server, *servers]}
        return JSONResponse(document, headers={"Cache-Control": "no-cache"})

    return openapi_document
