"""The owner's tables, migrations and data, and the files around the code."""

from pathlib import Path

from rendering import git, replace

from matrix.asking import all_of, gone, migrated, run, serves
from matrix.edits_code import include
from matrix.model import EXTENSION, edit

INVOICES = '''"""Invoices."""

from uuid import UUID, uuid4

from fastapi import APIRouter
from gatehouse import Caller
from sqlmodel import Field, SQLModel

router = APIRouter()


class Invoice(SQLModel, table=True):
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    owner_id: UUID = Field(foreign_key="gatehouse_user.id", ondelete="CASCADE")


@router.get("/invoices")
def read_invoices(caller: Caller) -> list[str]:
    return []
'''


def migration(service: Path, revision: str, after: str, upgrade: str) -> None:
    (service / f"migrations/versions/{revision}.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\n\nrevision = {revision!r}\n"
        f"down_revision = {after}\nbranch_labels = None\ndepends_on = None\n\n\n"
        f"def upgrade() -> None:\n    {upgrade}\n\n\ndef downgrade() -> None:\n    pass\n"
    )


def table(name: str) -> str:
    return f'op.create_table("{name}", sa.Column("id", sa.Integer(), primary_key=True))'


@edit(EXTENSION, all_of(migrated("'invoice' in tables and 'gatehouse_user' in tables"),
                        serves("/invoices", None, 401)))  # fmt: skip
def own_table_and_migration(service: Path, package: str) -> None:
    include(service, package, "invoices", INVOICES)
    migration(
        service,
        "0002_invoices",
        "'0001'",
        'op.create_table("invoice", sa.Column("id", sa.Uuid(), primary_key=True), '
        'sa.Column("owner_id", sa.Uuid(), sa.ForeignKey("gatehouse_user.id")))',
    )


@edit(EXTENSION, migrated("'colour' in tables['note']"))
def own_column_in_the_example(service: Path, package: str) -> None:
    tables = service / f"src/{package}/notes/tables.py"
    replace(tables, "    title:", '    colour: str = "red"\n    title:')
    added = 'op.add_column("note", sa.Column("colour", sa.String(), server_default="red"))'
    migration(service, "0002_colour", "'0001'", added)


def _two_heads(service: Path) -> None:
    found = run(service, "-m", "alembic", "heads", database="/dev/null/none")
    assert sorted(line.split()[0] for line in found.splitlines()) == ["blue", "green"], found


@edit(EXTENSION, all_of(_two_heads, migrated("{'blue', 'green'} <= tables.keys()")))
def several_alembic_heads(service: Path, package: str) -> None:
    migration(service, "blue", "'0001'", table("blue"))
    migration(service, "green", "'0001'", table("green"))


@edit(EXTENSION, migrated("'merged' in tables and 'blue' in tables"))
def merged_alembic_heads(service: Path, package: str) -> None:
    migration(service, "blue", "'0001'", table("blue"))
    migration(service, "green", "'0001'", table("green"))
    migration(service, "merged", "('blue', 'green')", table("merged"))


@edit(EXTENSION, all_of(gone("migrations/versions/0001_notes.py"),
                        migrated("{'note', 'squashed'} <= tables.keys()")))  # fmt: skip
def migrations_squashed(service: Path, package: str) -> None:
    (service / "migrations/versions/0001_notes.py").unlink()
    migration(service, "0009_all", "None", f"{table('note')}; {table('squashed')}")


def _naming(service: Path) -> None:
    found = run(service, "-m", "alembic", "heads", "--verbose", database="/dev/null/none")
    assert "0001" in found, found
    assert "compare_type" in (service / "migrations/env.py").read_text()


@edit(EXTENSION, all_of(_naming, migrated("'note' in tables")))
def alembic_env_changed(service: Path, package: str) -> None:
    env = service / "migrations/env.py"
    env.write_text(env.read_text() + "\ncompare_type = True  # ours\n")


@edit(EXTENSION, gone("migrations/versions/0001_notes.py", "migrations/env.py"))
def migrations_deleted(service: Path, package: str) -> None:
    git(service, "rm", "-rq", "migrations")
