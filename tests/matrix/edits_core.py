"""The core edited in place, which nobody should need, and some do. Nothing may vanish unsaid."""

import re
import subprocess
import sys
from pathlib import Path

from rendering import git, replace

from matrix.asking import all_of, ask, gone, holds, migrated, serves
from matrix.history import FAULTY_LINE, FIXED, FIXED_LINE, GREEN, PROBE
from matrix.model import CORE, Check, edit
from matrix.moves import dotted, importing, place

INSIDE = "gatehouse/src/gatehouse"
LOGS = f"{INSIDE}/logs.py"


def at(service: Path, path: str = FIXED) -> Path:
    """A file of the core, wherever that version has it."""
    return service / place(service, path)


def fixed(code: str, wanted: str) -> Check:
    """What is said with the module of the fix at hand."""
    return says(importing(FIXED) + code, wanted)


def says(code: str, wanted: str) -> Check:
    def check(service: Path) -> None:
        found = ask(service, code)
        assert found == wanted, found

    return check


def formatter(check: bool, *paths: str) -> tuple[str, ...]:
    style = ("--isolated", "--line-length=72", "--config", "format.quote-style='single'")
    return ("ruff", "format", "--quiet", *style, *(["--check"] if check else []), *paths)


def formatted(path: str) -> Check:
    def check(service: Path) -> None:
        there = place(service, path)
        done = subprocess.run([sys.executable, "-m", *formatter(True, there)], cwd=service)
        assert done.returncode == 0, "the owner's format is gone"

    return check


@edit(CORE, fixed("print(module.mine())", "7"))
def core_far_from_the_fix(service: Path, package: str) -> None:
    with at(service).open("a") as file:
        file.write("\n\ndef mine() -> int:\n    return 7\n")


@edit(CORE, fixed("print(module.__doc__[:4])", "Ours"))
def core_at_the_top_of_the_file(service: Path, package: str) -> None:
    replace(at(service), '"""The client', '"""Ours: the client')


@edit(CORE, fixed("import inspect\nprint('unknown' in inspect.getsource(module.client_address))",
                  "True"))  # fmt: skip
def core_beside_the_fix(service: Path, package: str) -> None:
    replace(at(service), 'if connection.client else ""', 'if connection.client else "unknown"')


@edit(CORE, fixed("import inspect\nprint('[-50:]' in inspect.getsource(module.client_address))",
                  "True"))  # fmt: skip
def core_on_the_line_of_the_fix(service: Path, package: str) -> None:
    replace(at(service), FAULTY_LINE, FAULTY_LINE.replace('(",")', '(",")[-50:]'))


@edit(CORE, says(PROBE, GREEN))
def core_fixed_in_the_same_way(service: Path, package: str) -> None:
    replace(at(service), FAULTY_LINE, FIXED_LINE)


@edit(CORE, formatted(FIXED))
def core_file_formatted(service: Path, package: str) -> None:
    command = [sys.executable, "-m", *formatter(False, place(service, FIXED))]
    subprocess.run(command, cwd=service, check=True)


@edit(CORE, formatted(INSIDE))
def core_formatted_as_a_whole(service: Path, package: str) -> None:
    subprocess.run([sys.executable, "-m", *formatter(False, INSIDE)], cwd=service, check=True)


@edit(CORE, says("import gatehouse.client_ip as p; print(p.__name__)", "gatehouse.client_ip"))
def core_file_moved(service: Path, package: str) -> None:
    """The file with the fix gets another name, in every import too."""
    was = place(service, FIXED)
    git(service, "mv", was, f"{INSIDE}/client_ip.py")
    for path in (service / "gatehouse").rglob("*.py"):
        text = path.read_text()
        changed = re.sub(rf"\b{re.escape(dotted(was))}\b", "gatehouse.client_ip", text)
        if changed != text:
            path.write_text(changed)


@edit(CORE, holds("'src' in module.__file__ and module.client_address.__module__ "
                  "== main.__package__ + '.proxies'", importing(FIXED)))  # fmt: skip
def core_file_taken_over(service: Path, package: str) -> None:
    """The file with the fix moves into the owner's package; a shim stays."""
    (service / f"src/{package}/proxies.py").write_text(at(service).read_text())
    shim = f"from {package}.proxies import client_address\n\n__all__ = ['client_address']\n"
    at(service).write_text(shim)


@edit(CORE, all_of(gone("gatehouse/tests/conftest.py", "gatehouse/tests/test_login.py"),
                   serves("/healthz", "ok")))  # fmt: skip
def core_tests_deleted(service: Path, package: str) -> None:
    git(service, "rm", "-rq", "gatehouse/tests")


@edit(CORE, serves("/healthz", None, 404))
def core_routes_deleted(service: Path, package: str) -> None:
    (service / INSIDE / "routes/health.py").unlink()
    path = service / INSIDE / "install.py"
    text = re.sub(r",\s*health\b(?=[),])|\bhealth,\s*|, health$", "", path.read_text(), flags=re.M)
    assert "health" not in text.replace("healthz", ""), text
    path.write_text(text)


@edit(CORE, holds("'nickname' in importlib.import_module('gatehouse').User.model_fields"))
def core_table_with_a_line_more(service: Path, package: str) -> None:
    active = "    is_active: bool = True\n"
    replace(at(service, f"{INSIDE}/tables.py"), active, f'{active}    nickname: str = ""\n')


@edit(CORE, holds("main.Settings().auth_password_min_length == 20"))
def core_default_changed(service: Path, package: str) -> None:
    length = "auth_password_min_length: int = Field(default="
    replace(service / INSIDE / "settings.py", f"{length}15", f"{length}20")


@edit(CORE, serves("/pingz", "true"))
def core_route_added(service: Path, package: str) -> None:
    with (service / INSIDE / "routes/health.py").open("a") as file:
        file.write('\n\n@router.get("/pingz")\n@public\ndef ping() -> bool:\n    return True\n')


@edit(CORE, says("import gatehouse.tenants; print(gatehouse.tenants.ALL)", "[]"))
def core_module_added(service: Path, package: str) -> None:
    (service / INSIDE / "tenants.py").write_text("ALL: list[str] = []\n")


def _pinned(service: Path) -> None:
    import tomllib

    text = (service / "gatehouse/pyproject.toml").read_text()
    assert "structlog>=24" in tomllib.loads(text)["project"]["dependencies"]


@edit(CORE, _pinned)
def core_dependency_added(service: Path, package: str) -> None:
    path = service / "gatehouse/pyproject.toml"
    replace(path, '    "sqlmodel', '    "structlog>=24",\n    "sqlmodel')


@edit(CORE, migrated("'tenant' in tables"))
def core_migration_added(service: Path, package: str) -> None:
    folder = service / INSIDE / "migrations/versions"
    newest = sorted(folder.glob("*.py"))[-1].read_text()
    revision = re.search(r"(?m)^revision(?:: str)? = (.*)$", newest)
    assert revision, newest
    (folder / "ours_tenant.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n\nrevision = 'ours'\n"
        f"down_revision = {revision[1]}\nbranch_labels = None\ndepends_on = None\n\n\n"
        "def upgrade() -> None:\n"
        "    op.create_table('tenant', sa.Column('id', sa.Integer(), primary_key=True))\n"
    )


@edit(CORE, says("import gatehouse, gzip, pathlib; p = pathlib.Path(gatehouse.__file__); "
                 "print(gzip.decompress((p.parent / 'common_passwords.txt.gz').read_bytes()))",
                 "b'ours\\n'"), kept_from="0.4.0")  # fmt: skip
def core_binary_replaced(service: Path, package: str) -> None:
    """And a line in another file, which must not be lost with it."""
    import gzip

    path = service / INSIDE / "common_passwords.txt.gz"
    path.write_bytes(gzip.compress(b"ours\n", mtime=0))
    core_far_from_the_fix(service, package)


@edit(CORE, says(f"{importing(LOGS)}print(module.__doc__)", "None"))
def core_comments_removed(service: Path, package: str) -> None:
    path = at(service, LOGS)
    path.write_text(re.sub(r'\A""".*?"""\n', "", path.read_text(), flags=re.S))
