"""What owners do with their own files, as the service's README tells them."""

import re
import shutil
from pathlib import Path

import pytest
from rendering import render, replace, run_in_service

INVOICES = '''"""Invoices."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter
from gatehouse import Caller, Database, requires
from sqlmodel import Field, SQLModel, select

router = APIRouter()


class Invoice(SQLModel, table=True):
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    owner_id: UUID = Field(foreign_key="gatehouse_user.id", ondelete="CASCADE", index=True)
    name: str


@router.get("/invoices")
def list_invoices(
    caller: Annotated[Caller, requires("invoices:read")], database: Database
) -> list[str]:
    with database.read() as session:
        return list(session.exec(select(Invoice.name).where(Invoice.owner_id == caller.user_id)))
'''


def exchange_the_example(service: Path) -> None:
    """Notes go, with their scopes and tests; invoices come, with a scope of their own."""
    source = service / "src/demo_service"
    shutil.rmtree(source / "notes")
    (service / "tests/test_notes.py").unlink()
    (source / "invoices.py").write_text(INVOICES)
    main, roles = source / "main.py", source / "roles.py"
    replace(main, "notes.routes import router as notes", "invoices import router as invoices")
    replace(main, "app.include_router(notes)", "app.include_router(invoices)")
    replace(roles, '"notes:read", "notes:write"', '"invoices:read"')
    replace(roles, '    "notes:read": "Read your own notes."', '    "invoices:read": "Read yours."')
    roles.write_text(re.sub(r' +"notes:write.*\n', "", roles.read_text()))


@pytest.mark.slow
def test_the_example_can_be_exchanged_for_a_table_of_the_owners(
    template: Path, tmp_path: Path
) -> None:
    service = render(template, tmp_path / "service")
    run_in_service(service, "demo-service", "migrate")
    exchange_the_example(service)

    run_in_service(service, "alembic", "revision", "--autogenerate", "-m", "invoices, no notes")
    (migration,) = service.glob("migrations/versions/*_invoices_no_notes.py")
    written = migration.read_text()
    assert 'create_table(\n        "invoice"' in written
    assert 'drop_table("note")' in written
    assert "gatehouse_" not in written.replace('"gatehouse_user.id"', "")  # the core's tables

    run_in_service(service, "demo-service", "migrate")
    run_in_service(service, "alembic", "check")
    run_in_service(service, "ruff", "check", "src", "migrations", "tests")
    run_in_service(service, "ruff", "format", "--check", "src", "migrations", "tests")
    run_in_service(service, "mypy")
    run_in_service(service, "pytest", "-q")


PROFILES = '''"""A profile for each user, and what is ours in logins."""

from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from gatehouse import Hooks, User
from sqlmodel import Field, Session, SQLModel


class Profile(SQLModel, table=True):
    user_id: UUID = Field(primary_key=True, foreign_key="gatehouse_user.id", ondelete="CASCADE")
    tenant: str
    logins: int = 0


class MyHooks(Hooks):
    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.gone: list[str] = []

    def on_registered(self, session: Session, user: User) -> None:
        session.add(Profile(user_id=user.id, tenant=user.email.split("@")[0]))

    def on_login(self, session: Session, user: User) -> None:
        session.get_one(Profile, user.id).logins += 1

    def on_deleted(self, session: Session, user: User) -> None:
        self.gone.append(session.get_one(Profile, user.id).tenant)

    def extra_claims(self, session: Session, user: User) -> Mapping[str, Any]:
        return {"tenant": session.get_one(Profile, user.id).tenant}

    def is_breached(self, password: str) -> bool:
        return password.startswith("seven")

    def send_mail(self, message: EmailMessage) -> None:
        self.mails.append(message)
'''

# In the service's own Python: from sign-up to deletion, through the owner's hooks and template.
WALK = """
import os
os.environ["AUTH_REGISTRATION"] = "open"
from sqlmodel import select
from starlette.testclient import TestClient
from demo_service.main import create_app
from demo_service.profiles import Profile
new = {"email": "ada@example.com", "password": "seven quiet herons at dawn"}
app = create_app()
core = app.state.gatehouse
def profiles():
    with core.database.read() as session:
        return session.exec(select(Profile)).all()
with TestClient(app) as client:
    assert client.post("/auth/register", json=new).status_code == 422
    new["password"] = "nine kites over a quiet field"
    assert client.post("/auth/register", json=new).status_code == 202
    core.outbox.do_due()
    (mail,) = core.hooks.mails
    assert mail["Subject"] == "Ours for ada@example.com", mail["Subject"]
    assert "text/html" in mail.as_string()
    token = mail.get_body(("plain",)).get_content().split("#token=")[1].split()[0].split("&")[0]
    assert client.post("/auth/verify-email", json={"token": token}).status_code == 204
    form = {"grant_type": "password", "username": new["email"], "password": new["password"]}
    answer = client.post("/auth/token", data=form)
    assert answer.status_code == 200, answer.text
    bearer = {"Authorization": "Bearer " + answer.json()["access_token"]}
    assert client.get("/tenant", headers=bearer).json() == "ada"
    assert [row.logins for row in profiles()] == [1]
    gone = {"current_password": new["password"]}
    assert client.request("DELETE", "/users/me", json=gone, headers=bearer).status_code == 204
    assert (core.hooks.gone, profiles()) == (["ada"], [])
"""


def add_profiles(service: Path) -> None:
    """A table, hooks and a mail of the owner's, as the core's README tells."""
    source = service / "src/demo_service"
    (source / "profiles.py").write_text(PROFILES)
    (source / "mail").mkdir()
    ours = "Subject: Ours for $email\n\nConfirm within $hours hours:\n\n$link\n"
    (source / "mail/verify_email.txt").write_text(ours)
    main = source / "main.py"
    replace(main, "from gatehouse import install\n", "from gatehouse import Caller, install\n")
    replace(
        main,
        "from demo_service.roles import",
        "from demo_service.profiles import MyHooks\nfrom demo_service.roles import",
    )
    replace(main, "        mail=MAIL,\n", "        mail=MAIL,\n        hooks=MyHooks(),\n")
    replace(
        main,
        "    app.include_router(notes)\n",
        "    app.include_router(notes)\n\n"
        '    @app.get("/tenant")\n'
        "    async def read_tenant(caller: Caller) -> str:\n"
        '        return str(caller.extra["tenant"])\n\n',
    )


@pytest.mark.slow
def test_an_owner_adds_a_profile_claims_mails_and_checks_of_their_own(
    template: Path, tmp_path: Path
) -> None:
    service = render(template, tmp_path / "service")
    add_profiles(service)
    run_in_service(service, "sh", "-c", 'echo "AUTH_KEYS=$(demo-service keys new)" > .env')
    run_in_service(service, "demo-service", "migrate")
    run_in_service(service, "alembic", "revision", "--autogenerate", "-m", "profiles")
    run_in_service(service, "demo-service", "migrate")
    run_in_service(service, "python", "-c", WALK)
    run_in_service(service, "mypy")
