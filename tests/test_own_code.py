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
