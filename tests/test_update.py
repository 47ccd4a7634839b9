"""`copier update` of a service whose owner has worked on it."""

import shutil
import tomllib
from pathlib import Path

import pytest
import yaml
from rendering import (
    CHOICES,
    DEFAULTS,
    NEXT,
    VERSION,
    Answers,
    commit_all,
    files_of,
    git,
    owners,
    render,
    replace,
    run_copier,
    run_in_service,
)

CORE_CHANGE = "\n# A change in the core, as a later version might bring it.\n"
IGNORED_BY_US = "a-later-version-ignores-this/"
IGNORED_BY_OWNER = "the-owner-ignores-this/"

INVOICES = '''"""Invoices: a feature of the owner's."""

from uuid import UUID, uuid4

from fastapi import APIRouter
from gatehouse import Caller, Database
from packaging.version import Version
from sqlmodel import Field, SQLModel, select

router = APIRouter()


class Invoice(SQLModel, table=True):
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    owner_id: UUID = Field(foreign_key="gatehouse_user.id", ondelete="CASCADE")


@router.get("/invoices")
def list_invoices(caller: Caller, database: Database) -> list[UUID]:
    if Version("2") < Version("1"):  # uses what the owner installs
        return []
    with database.read() as session:
        return list(session.exec(select(Invoice.id).where(Invoice.owner_id == caller.user_id)))
'''

MIGRATION = '''"""invoices"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invoice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["gatehouse_user.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("invoice")
'''

INVOICE_TEST = '''"""The owner's feature."""

from gatehouse.testing import SignIn


def test_there_are_no_invoices(sign_in: SignIn) -> None:
    assert sign_in().get("/invoices").json() == []
'''


@pytest.fixture(scope="session")
def two_versions(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with a later version, which also changes, adds and drops files of the owner."""
    folder = tmp_path_factory.mktemp("versions") / "template"
    git(template, "clone", "--quiet", str(template), str(folder))
    inside = folder / "template"
    core = inside / "gatehouse" / "src" / "gatehouse" / "text.py"
    core.write_text(core.read_text() + CORE_CHANGE)
    replace(inside / ".gitignore.jinja", "dist/\n", f"dist/\n{IGNORED_BY_US}\n")
    replace(inside / "src/{{ package_name }}/roles.py", "Read your own", "See your own")
    (inside / "tests" / "test_later.py").write_text("# A file that was not there before.\n")
    (inside / "tests" / "test_service.py.jinja").unlink()
    commit_all(folder, NEXT)
    return folder


def make_service(template: Path, folder: Path, answers: Answers = DEFAULTS) -> Path:
    """A service of the first version, committed."""
    render(template, folder, answers)
    commit_all(folder)
    return folder


def add_a_feature(service: Path, package: str = "demo_service") -> None:
    """What an owner does in the first weeks, committed."""
    source = service / "src" / package
    (source / "invoices.py").write_text(INVOICES)
    (service / "migrations/versions/0002_invoices.py").write_text(MIGRATION)
    (service / "tests/test_invoices.py").write_text(INVOICE_TEST)
    imported = f"from {package}.invoices import router as invoices\n"
    replace(source / "main.py", f"from {package}.notes", f"{imported}from {package}.notes")
    included = "    app.include_router(notes)\n"
    replace(source / "main.py", included, f"{included}    app.include_router(invoices)\n")
    replace(service / "pyproject.toml", '    "fastapi",\n', '    "fastapi",\n    "packaging",\n')
    replace(service / "README.md", "## Run\n", "## Run, as we do here\n")
    with (service / ".gitignore").open("a") as ignored:
        ignored.write(f"{IGNORED_BY_OWNER}\n")
    commit_all(service)


def update(service: Path, *options: str) -> None:
    done = run_copier("update", "--defaults", *options, cwd=service)
    assert done.returncode == 0, done.stderr
    assert conflicts(service) == []
    if "UPGRADING.md" not in done.stderr:
        pytest.fail(f"the closing message is missing: {done.stderr}")


def conflicts(service: Path) -> list[str]:
    """Copier exits with 0 in spite of conflicts: they show in the index and in the files."""
    found = [f"unmerged: {line}" for line in git(service, "ls-files", "-u").splitlines()]
    for path, content in files_of(service).items():
        if path.endswith(".rej") or b"<<<<<<< " in content or b">>>>>>> " in content:
            found.append(path)
    return found


def owned(service: Path, owner: str) -> dict[str, bytes]:
    files = files_of(service)
    return {path: files[path] for path, who in owners(list(files)).items() if who == [owner]}


def test_an_update_brings_our_changes_and_keeps_the_owners(
    two_versions: Path, tmp_path: Path
) -> None:
    service = make_service(two_versions, tmp_path / "service")
    add_a_feature(service)
    mine = owned(service, "yours")
    update(service)

    core = (service / "gatehouse/src/gatehouse/text.py").read_text()
    assert core.endswith(CORE_CHANGE)
    ignored = (service / ".gitignore").read_text().splitlines()
    assert {IGNORED_BY_US, IGNORED_BY_OWNER} <= set(ignored)
    assert owned(service, "yours") == mine
    stored = yaml.safe_load((service / ".copier-answers.yml").read_text())
    assert stored["_commit"] == NEXT
    changed = set(git(service, "diff", "--name-only").split())
    assert changed == {".copier-answers.yml", ".gitignore", "gatehouse/src/gatehouse/text.py"}
    assert git(service, "ls-files", "--others", "--exclude-standard") == ""


def test_what_the_owner_deleted_stays_deleted(two_versions: Path, tmp_path: Path) -> None:
    service = make_service(two_versions, tmp_path / "service")
    source = service / "src/demo_service"
    shutil.rmtree(source / "notes")
    shutil.rmtree(service / "tests")
    (service / "migrations/versions/0001_notes.py").unlink()
    (service / ".env.example").unlink()
    (service / "Dockerfile").unlink()
    replace(source / "main.py", "from demo_service.notes.routes import router as notes\n", "")
    replace(source / "main.py", "    app.include_router(notes)\n", "")
    commit_all(service)
    mine = owned(service, "yours")
    update(service)

    assert owned(service, "yours") == mine
    for gone in ("src/demo_service/notes", "tests", ".env.example", "Dockerfile"):
        assert not (service / gone).exists(), gone


def test_what_the_template_drops_or_adds_among_the_owners_files_changes_nothing(
    two_versions: Path, tmp_path: Path
) -> None:
    service = make_service(two_versions, tmp_path / "service")
    update(service)
    assert (service / "tests/test_service.py").is_file()
    assert not (service / "tests/test_later.py").exists()
    assert "Read your own" in (service / "src/demo_service/roles.py").read_text()


def test_a_second_update_changes_nothing(two_versions: Path, tmp_path: Path) -> None:
    service = make_service(two_versions, tmp_path / "service")
    add_a_feature(service)
    update(service)
    commit_all(service)
    before = files_of(service)
    update(service)
    assert git(service, "status", "--porcelain") == ""
    assert files_of(service) == before


@pytest.mark.parametrize("chosen", ["postgresql-none-none", "sqlite-none-docker"])
def test_an_update_keeps_to_the_answers(two_versions: Path, tmp_path: Path, chosen: str) -> None:
    answers = {**CHOICES[chosen], "project_name": "Other Name", "package_name": "mine"}
    service = make_service(two_versions, tmp_path / "service", answers)
    add_a_feature(service, "mine")
    before = files_of(service)
    update(service)
    after = files_of(service)
    assert after.keys() == before.keys()
    stored = yaml.safe_load(after[".copier-answers.yml"])
    assert answers.items() <= stored.items()


def test_another_answer_at_an_update_changes_only_what_follows_from_it(
    two_versions: Path, tmp_path: Path
) -> None:
    service = make_service(two_versions, tmp_path / "service", CHOICES["sqlite-none-none"])
    add_a_feature(service)
    mine = owned(service, "yours")
    update(service, "--data", "containers=docker", "--data", "ci=github")
    assert (service / "Dockerfile").is_file()
    assert (service / ".github/workflows/ci.yml").is_file()
    assert owned(service, "yours") == mine


def test_both_sides_of_one_core_file_meet(two_versions: Path, tmp_path: Path) -> None:
    """An owner who must edit the core keeps the edit where we changed something else."""
    service = make_service(two_versions, tmp_path / "service")
    edited = service / "gatehouse/src/gatehouse/text.py"
    edited.write_text("# The owner's own line.\n" + edited.read_text())
    commit_all(service)
    update(service)
    text = edited.read_text()
    assert text.startswith("# The owner's own line.\n")
    assert text.endswith(CORE_CHANGE)


def test_the_first_version_is_the_one_that_was_made(two_versions: Path, tmp_path: Path) -> None:
    """Else every test above would update nothing."""
    service = make_service(two_versions, tmp_path / "service")
    stored = yaml.safe_load((service / ".copier-answers.yml").read_text())
    assert stored["_commit"] == VERSION != NEXT


@pytest.mark.slow
def test_the_updated_services_tests_pass(two_versions: Path, tmp_path: Path) -> None:
    service = make_service(two_versions, tmp_path / "service")
    add_a_feature(service)
    update(service)
    assert (
        "packaging"
        in tomllib.loads((service / "pyproject.toml").read_text())["project"]["dependencies"]
    )
    for command in (["pytest", "-q"], ["mypy"], ["ruff", "check"]):
        run_in_service(service, *command)
