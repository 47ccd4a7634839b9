"""The owner's own Python: main.py, settings, roles, routes, tests, the package itself."""

import re
from pathlib import Path

from rendering import replace

from matrix.asking import all_of, holds, serves
from matrix.model import EXTENSION, edit

PING = '''"""Ping."""

from fastapi import APIRouter
from gatehouse import public

router = APIRouter()


@router.get("/ping")
@public
def ping() -> str:
    return "pong"
'''


def include(service: Path, package: str, module: str, content: str = PING) -> None:
    """A module with a router, and its two lines in main.py."""
    (service / f"src/{package}/{module}.py").write_text(content)
    main = service / f"src/{package}/main.py"
    imported = f"from {package}.{module} import router as {module}\n"
    replace(main, f"from {package}.roles", f"{imported}from {package}.roles")
    replace(main, "    # From here on", f"    app.include_router({module})\n    # From here on")


def before_return(service: Path, package: str, lines: str) -> None:
    replace(service / f"src/{package}/main.py", "    return app\n", f"{lines}    return app\n")


@edit(EXTENSION, serves("/ping", "pong"))
def own_route(service: Path, package: str) -> None:
    include(service, package, "ping")


GUARDED = PING.replace("from gatehouse import public", "from gatehouse import Caller").replace(
    "@public\ndef ping() -> str", "def ping(caller: Caller) -> str"
)


@edit(EXTENSION, serves("/ping", None, 401))
def own_guarded_route(service: Path, package: str) -> None:
    include(service, package, "ping", GUARDED)


@edit(EXTENSION, holds("app.title == 'Invoices & More'"))
def own_title(service: Path, package: str) -> None:
    main = service / f"src/{package}/main.py"
    main.write_text(re.sub(r'title="[^"]*"', 'title="Invoices & More"', main.read_text()))


@edit(EXTENSION, holds("client.get('/healthz').headers.get('X-Team') == 'blue'"))
def own_middleware(service: Path, package: str) -> None:
    before_return(
        service,
        package,
        '\n    @app.middleware("http")\n'
        "    async def team(request, call_next):\n"
        "        answer = await call_next(request)\n"
        '        answer.headers["X-Team"] = "blue"\n'
        "        return answer\n\n",
    )


@edit(EXTENSION, holds("client.get('/healthz').status_code == 200 and started", """
with client:
    started = client.get('/healthz').status_code == 200 and app.state.warm"""))  # fmt: skip
def own_lifespan(service: Path, package: str) -> None:
    main = service / f"src/{package}/main.py"
    replace(main, "from pathlib", "from contextlib import asynccontextmanager\nfrom pathlib")
    lifespan = (
        "@asynccontextmanager\nasync def warm_up(app: FastAPI):\n"
        "    app.state.warm = True\n    yield\n\n\n"
    )
    replace(main, "def create_app()", f"{lifespan}def create_app()")
    replace(main, "    app = FastAPI(\n", "    app = FastAPI(\n        lifespan=warm_up,\n")


@edit(EXTENSION, serves("/teapot", None, 418))
def own_error_handler(service: Path, package: str) -> None:
    code = PING.replace("/ping", "/teapot").replace('return "pong"', 'raise LookupError("tea")')
    include(service, package, "teapot", code)
    before_return(
        service,
        package,
        "    from starlette.responses import Response\n\n"
        "    app.add_exception_handler(LookupError, lambda *_: Response(status_code=418))\n",
    )


@edit(EXTENSION, holds("main.Settings().greeting == 'Hello'"))
def own_setting(service: Path, package: str) -> None:
    settings = service / f"src/{package}/settings.py"
    replace(settings, '    # greeting: str = "Hello"', '    greeting: str = "Hello"')


@edit(EXTENSION, holds("main.Settings().auth_access_token_seconds == 600"))
def own_default_of_a_core_setting(service: Path, package: str) -> None:
    with (service / f"src/{package}/settings.py").open("a") as settings:
        settings.write("    auth_access_token_seconds: int = 600\n")


@edit(EXTENSION, holds("'notes:read' in main.ROLES['auditor']"))
def own_role(service: Path, package: str) -> None:
    roles = service / f"src/{package}/roles.py"
    replace(roles, '    "admin"', '    "auditor": frozenset({"notes:read"}),\n    "admin"')


@edit(EXTENSION, holds("main.SCOPES['bills:pay'] and client.get('/ping').status_code == 401"))
def own_scope(service: Path, package: str) -> None:
    replace(
        service / f"src/{package}/roles.py",
        "= {\n",
        '= {\n    "bills:pay": "Pay bills.",\n',
    )
    code = GUARDED.replace("import Caller", "import Caller, requires")
    code = code.replace("caller: Caller", 'caller: Annotated[Caller, requires("bills:pay")]')
    code = code.replace("from fastapi", "from typing import Annotated\n\nfrom fastapi", 1)
    include(service, package, "ping", code)


@edit(EXTENSION, all_of(serves("/api/notes", None, 401), serves("/notes", None, 404)))
def own_prefix(service: Path, package: str) -> None:
    main = service / f"src/{package}/main.py"
    replace(main, "app.include_router(notes)", 'app.include_router(notes, prefix="/api")')
