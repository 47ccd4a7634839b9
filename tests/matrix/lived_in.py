"""A service in which people have worked for a year: many edits, own migrations, users, data."""

from collections.abc import Sequence
from pathlib import Path

from matrix.asking import START, package_of, run
from matrix.edits import EDITS
from matrix.model import EXTENSION, Edit
from matrix.runner import applies

EMAIL, PASSWORD = "you@example.com", "seven quiet herons at dawn"
LIVED_IN = (
    *("own_route", "own_middleware", "own_lifespan", "own_setting", "own_role", "own_test"),
    *("own_table_and_migration", "own_column_in_the_example", "own_dependencies_and_lock"),
    *("readme_rewritten", "env_example_rewritten", "own_files_of_all_kinds"),
    *("dockerfile_packages", "compose_service", "compose_variable", "gitignore_line_at_the_top"),
    *("gitattributes_line", "workflow_step", "core_at_the_top_of_the_file"),
)

MIGRATE = """
from gatehouse.migrating import migrate
print(len(migrate(os.environ["DATABASE_URL"], main.MIGRATIONS)))
"""
CREATE = f"""
import io
sys.stdin = io.TextIOWrapper(io.BytesIO(b"{PASSWORD}\\n"))
sys.argv = ["service", "user", "create", "{EMAIL}"]
# The command was in main.py until 0.6.0.
(getattr(main, "main", None) or importlib.import_module(main.__package__ + ".__main__").main)()
"""
LOG_IN = f"""
form = {{"grant_type": "password", "username": "{EMAIL}", "password": "{PASSWORD}"}}
with client:
    answer = client.post("/auth/token", data=form)
    assert answer.status_code == 200, answer.text
    bearer = {{"Authorization": "Bearer " + answer.json()["access_token"]}}
    assert client.get("/users/me", headers=bearer).json()["email"] == "{EMAIL}"
    assert client.post("/notes", headers=bearer, json={{"title": "a"}}).status_code == 201
    assert client.get("/readyz").status_code == 200
    print(len(client.get("/notes", headers=bearer).json()["items"]))
"""


def life(way: Sequence[str], answers: str) -> Edit:
    """All of these edits as one, as far as the service has the files for them."""
    edits = [EDITS[name] for name in LIVED_IN if applies(EDITS[name], way, answers)]

    def apply(service: Path, package: str) -> None:
        for edit in edits:
            edit.apply(service, package)

    def check(service: Path) -> None:
        for edit in edits:
            edit.check(service)

    return Edit("lived_in", EXTENSION, apply, check)


def in_database(service: Path, database: Path, code: str) -> str:
    """Run in the service, on a database that outlives the question; the last line printed."""
    start = START.format(package=package_of(service))
    printed = run(service, "-c", start + code, database=str(database))
    return (printed.splitlines() or [""])[-1]
