"""The guard that limits how often one client may call a route of your own."""

from typing import Any

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from gatehouse.state import core_of, origin_of_request
from gatehouse.throttling.throttle import Limit


def throttled(amount: int, *, seconds: int) -> Any:
    """At most `amount` calls of a route within `seconds` from one client address, else 429.

    `dependencies=[throttled(10, seconds=60)]` on a route, or on a router for each of its routes.
    It does not say who may call: the route needs a guard, or `public`, as well.
    """

    async def throttle(connection: HTTPConnection) -> None:
        core = await core_of(connection)
        path = getattr(connection.scope.get("route"), "path", "")
        limit = Limit(f"route {path}", amount, seconds)
        origin = await origin_of_request(connection)
        await run_in_threadpool(core.throttle.count, limit, origin.network)

    return Depends(throttle)
