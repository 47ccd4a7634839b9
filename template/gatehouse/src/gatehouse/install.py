"""`install`: the one call that puts the login into an application."""

import logging
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from gatehouse.hooks import Hooks
from gatehouse.refusal import StartRefused
from gatehouse.routes import (
    accounts,
    administration,
    discovery,
    health,
    pages,
    recovery,
    registration,
    sessions,
    token,
)
from gatehouse.settings import Settings
from gatehouse.state import Gatehouse
from gatehouse.web.docs import add_docs
from gatehouse.web.hardening import Hardening
from gatehouse.web.logs import quiet_server_log, take_handlers
from gatehouse.web.openapi import add_openapi, check_openapi
from gatehouse.web.problems import add_problem_handlers
from gatehouse.web.request_limits import Limits
from gatehouse.web.route_check import check_routes

log = logging.getLogger("gatehouse.install")


def install(
    app: FastAPI,
    *,
    name: str,
    settings: Settings,
    roles: Mapping[str, AbstractSet[str]],
    scopes: Mapping[str, str],
    migrations: Path | None = None,
    hooks: Hooks | None = None,
    mail: Path | None = None,
) -> None:
    """Add the login's routes, guards, headers and checks to an application.

    `name` is the service's own name (it becomes `client_id` in tokens), `roles` maps a role to
    its scopes, `scopes` a scope to its description, `migrations` is the folder of your history,
    `hooks` what you add to logins and accounts, `mail` a folder with mail templates of your own.
    Raises `StartRefused` for settings or roles that are unsafe.
    """
    _check_roles(roles, scopes)
    for variable in settings.unknown_variables():
        log.warning("%s is not a setting of this service: it has no effect", variable)
    core = Gatehouse.build(
        name=name,
        title=app.title,
        settings=settings,
        roles=roles,
        scopes=scopes,
        migrations=migrations,
        hooks=hooks or Hooks(),
        mail_templates=mail,
    )
    app.state.gatehouse = core
    app.router.redirect_slashes = False  # a redirect would send a password on to any Host
    app.router.routes[:] = [route for route in app.router.routes if not _is_fastapi_docs(route)]
    for routes in (token, sessions, recovery, accounts, pages, discovery, health):
        app.include_router(routes.router)
    for found in _optional(settings, scopes):
        app.include_router(found)
    add_problem_handlers(app)
    add_openapi(app)
    if settings.docs_enabled:
        add_docs(app)
    quiet_server_log()
    _harden(app, core)


def _optional(settings: Settings, scopes: Mapping[str, str]) -> Iterator[APIRouter]:
    """Routes that are there only if they can be used."""
    if settings.registration_is_open:
        yield registration.router
    if {"users:read", "users:write"} <= scopes.keys():
        yield administration.router


def _harden(app: FastAPI, core: Gatehouse) -> None:
    """Put the outermost layers around whatever the application is when it starts."""
    build = app.build_middleware_stack

    def build_hardened() -> ASGIApp:
        app.debug = False  # a traceback is for the log, not for a client
        stack: ASGIApp = Limits(build())
        if core.settings.cors_origins:
            stack = CORSMiddleware(
                stack,
                allow_origins=core.settings.cors_origins,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
                expose_headers=["Retry-After", "WWW-Authenticate", "X-Request-ID"],
                max_age=600,
            )

        return Hardening(stack, core, lambda: check_start(app))

    app.build_middleware_stack = build_hardened  # type: ignore[method-assign]


def check_start(app: FastAPI) -> None:
    """What must hold before the application serves. Raises `StartRefused`."""
    take_handlers()
    check_routes(app.router, frozenset(app.state.gatehouse.scopes))
    check_openapi(app)
    for inner in _mounted(app):
        inner.router.redirect_slashes = False
        add_problem_handlers(inner)


def _mounted(app: FastAPI) -> Iterator[FastAPI]:
    """Applications mounted in this one, which answer for themselves unless told how."""
    for route in app.routes:
        inner = getattr(route, "app", None)
        if isinstance(inner, FastAPI):
            yield inner
            yield from _mounted(inner)


def _is_fastapi_docs(route: BaseRoute) -> bool:
    """The documents that FastAPI adds by itself; ours take their place."""
    return getattr(getattr(route, "endpoint", None), "__module__", "") == "fastapi.applications"


def _check_roles(roles: Mapping[str, AbstractSet[str]], scopes: Mapping[str, str]) -> None:
    if missing := {"user", "admin"} - roles.keys():
        raise StartRefused(f"roles.py has no role {', '.join(sorted(missing))}.")
    if unknown := {scope for granted in roles.values() for scope in granted} - scopes.keys():
        raise StartRefused(
            f"roles.py gives a role scopes that SCOPES does not list: {', '.join(sorted(unknown))}."
        )
