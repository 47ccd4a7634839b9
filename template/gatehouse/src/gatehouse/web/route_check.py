"""Every route has a guard, or says that it is public: looked at once, before the service starts."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, get_type_hints

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Host, Mount, WebSocketRoute

from gatehouse.refusal import StartRefused
from gatehouse.web.guards import AccessTokenGuard, load_current_user


def check_routes(router: APIRouter | BaseRoute, scopes: frozenset[str], prefix: str = "") -> None:
    """Refuse the start if a route is neither guarded nor public, or asks for an unknown scope."""
    for route in _each_route(router):
        original = route.original_route if isinstance(route, RouteContext) else route
        path = f"{prefix}{getattr(route, 'path', None) or ''}" or "/"
        if isinstance(original, Mount | Host) and original.routes:
            if not _is_public(original.app):
                inner = getattr(original.app, "router", original)
                check_routes(inner, scopes, path)
            continue
        dependant = getattr(route, "dependant", None)
        guards = list(_guards(dependant)) if dependant else []
        if unknown := {scope for found in guards for scope in found} - scopes:
            raise StartRefused(
                f"The route {path} asks for a scope that roles.py does not list: "
                f"{', '.join(sorted(unknown))}."
            )
        endpoint = getattr(route, "endpoint", None)
        if not guards and not _is_public(endpoint) and not _is_public(_app_of(original)):
            raise StartRefused(
                f"The route {path} is neither guarded nor public. Give it a Caller, CurrentUser or "
                "requires(…), or mark its function with @public."
            )
        if dependant and endpoint and (name := _lost_user(dependant, endpoint)):
            raise StartRefused(
                f"The route {path} gives {name} both CurrentUser and requires(…), of which FastAPI "
                "takes the last alone. Write dependencies=[requires(…)] on the route."
            )


def _each_route(router: Any) -> Iterator[Any]:
    """Every route, and the folders of `frontend(…)`, which FastAPI keeps in a list of its own."""
    yield from iter_route_contexts(router.routes)
    yield from getattr(router, "_low_priority_routes", ())
    for route in router.routes:
        effective = getattr(route, "effective_low_priority_routes", None)
        yield from effective() if effective else ()


def _lost_user(dependant: Dependant, endpoint: Any) -> str | None:
    """The parameter whose CurrentUser a later `requires` has replaced, if there is one."""
    calls = {inner.name: inner.call for inner in dependant.dependencies}
    for name, hint in get_type_hints(inspect.unwrap(endpoint), include_extras=True).items():
        wanted = [getattr(found, "dependency", None) for found in getattr(hint, "__metadata__", ())]
        if load_current_user in wanted and isinstance(calls.get(name), AccessTokenGuard):
            return name
    return None


def has_websockets(router: Any) -> bool:
    """Whether a route anywhere in the application speaks the websocket protocol."""
    return any(
        isinstance(route.original_route, WebSocketRoute)
        or (isinstance(route.original_route, Mount | Host) and has_websockets(route.original_route))
        for route in iter_route_contexts(router.routes or ())
    )


def _guards(dependant: Dependant) -> Iterator[Sequence[str]]:
    """The scopes that each guard among a route's dependencies asks for."""
    if isinstance(dependant.call, AccessTokenGuard):
        yield [*(dependant.parent_oauth_scopes or ()), *(dependant.own_oauth_scopes or ())]
    for inner in dependant.dependencies:
        yield from _guards(inner)


def _app_of(route: BaseRoute) -> object:
    return getattr(route, "app", None)


def _is_public(endpoint: object) -> bool:
    return getattr(endpoint, "__gatehouse_public__", False)
