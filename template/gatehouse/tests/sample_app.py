"""A small application for the core's tests where the core is developed, with no service around."""

from typing import Annotated

from fastapi import FastAPI

from gatehouse import Caller, Settings, install, requires

SCOPES = {
    "notes:read": "Read your notes",
    "notes:write": "Write your notes",
    "users:read": "Read accounts",
    "users:write": "Change accounts",
}
ROLES = {"user": {"notes:read", "notes:write"}, "admin": set(SCOPES)}


def create_app() -> FastAPI:
    """An application with one guarded route of its own."""
    app = FastAPI(title="Sample")

    @app.get("/greeting")
    async def read_greeting(caller: Annotated[Caller, requires("notes:read")]) -> dict[str, str]:
        return {"hello": str(caller.user_id)}

    install(app, name="sample", settings=Settings(), roles=ROLES, scopes=SCOPES)
    return app
