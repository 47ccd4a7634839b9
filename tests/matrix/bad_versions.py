"""Versions that the template must never make. Each is the next version and one mistake more."""

import re
from collections.abc import Callable
from pathlib import Path

from rendering import commit_all, replace

from matrix.history import make_next_version, write_manifest

BETWEEN = "98.0.0"  # comes before the bad version, where two are needed
CORE = "template/gatehouse/src/gatehouse"


def rename_without_a_shim(template: Path) -> None:
    """The owners' migrations/env.py imports this module."""
    make_next_version(template)
    core = template / CORE
    (core / "migrating.py").rename(core / "histories.py")
    for path in (template / "template/gatehouse").rglob("*.py"):
        text = path.read_text()
        path.write_text(re.sub(r"\bgatehouse\.migrating\b", "gatehouse.histories", text))
    write_manifest(template / "template/gatehouse")


def random_value(template: Path) -> None:
    make_next_version(template)
    with (template / "template/.gitignore.jinja").open("a") as file:
        file.write("# {{ range(99999) | random }} {{ range(99999) | random }}\n")


def dropped_file_of_the_owners(template: Path) -> None:
    """One version forgets its entry in `_exclude`, the next one drops the file."""
    entry = "  - \"{% if _copier_operation == 'update' %}/tests{% endif %}\"\n"
    replace(template / "copier.yml", entry, "")
    commit_all(template, BETWEEN)
    make_next_version(template)
    (template / "template/tests/test_service.py.jinja").unlink()


def narrowed_choice(template: Path) -> None:
    make_next_version(template)
    path = template / "copier.yml"
    replace(path, 'choices: ["3.11", "3.12", "3.13"]', 'choices: ["3.12", "3.13"]')
    replace(path, "python_min not in ['3.11', ", "python_min not in [")
    replace(path, 'default: "3.11"', 'default: "3.12"')


def rewritten_core_migration(template: Path) -> None:
    make_next_version(template)
    (path,) = (template / CORE / "migrations/versions").glob("0001_*.py")
    path.write_text(path.read_text() + "\n# Said in other words.\n")
    write_manifest(template / "template/gatehouse")


BAD: dict[Callable[[Path], None], tuple[str, str]] = {
    rename_without_a_shim: ("own_table_and_migration", "lost"),
    random_value: ("own_route", "missed: .gitignore is stale"),
    dropped_file_of_the_owners: ("own_route", "lost: tests/test_service.py was deleted"),
    narrowed_choice: ("own_route", "lost: the answer to python_min"),
    rewritten_core_migration: ("own_route", "was released, and is another one now"),
}
