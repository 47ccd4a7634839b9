"""For the machine that runs the service: does the process live, can it work."""

from typing import Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from gatehouse.state import Core
from gatehouse.web.guards import public
from gatehouse.web.problems import RETRY_AFTER

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """All is well; anything else is a problem answer."""

    status: Literal["ok"]


@router.get("/healthz")
@public
async def read_health() -> Health:
    """The process lives."""
    return Health(status="ok")


@router.get("/readyz", responses={503: {"description": "It cannot work yet."}})
@public
async def read_readiness(core: Core) -> Health:
    """The database answers and is migrated, and mail is looked after."""
    if trouble := await core.readiness.ask():
        raise HTTPException(503, trouble, {"Retry-After": str(RETRY_AFTER)})
    return Health(status="ok")
