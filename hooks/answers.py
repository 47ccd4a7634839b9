"""What owners and clients can see of a core by asking it: defaults of settings, answers of routes.

Run with the core of one release on `PYTHONPATH`; prints JSON. `write_changes.py` compares two.
"""

import json
import os
import secrets

os.environ |= {
    "AUTH_KEYS": secrets.token_urlsafe(32),
    "DATABASE_URL": "sqlite:///unused.db",
    "SMTP_URL": "smtp://127.0.0.1:25",  # else there is no registration; nothing connects to it
}

from fastapi import FastAPI
from gatehouse import Settings, install

SCOPES = {name: name for name in ("users:read", "users:write")}


def settings() -> dict[str, str]:
    """By variable: the default, and the bounds of what it takes."""
    found = {}
    for name, field in Settings.model_fields.items():
        bounds = [item for item in field.metadata if type(item).__module__ == "annotated_types"]
        found[name.upper()] = f"{field.default!r} {bounds}"
    return found


def answers() -> dict[str, str]:
    """By route: the status codes that the API document names."""
    app = FastAPI(title="x")
    roles = {"user": set[str](), "admin": set(SCOPES)}
    install(app, name="x", settings=Settings(_env_file=None), roles=roles, scopes=SCOPES)
    return {
        f"{method.upper()} {path}": " ".join(sorted(operation["responses"]))
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    }


if __name__ == "__main__":
    print(json.dumps(settings() | answers()))
