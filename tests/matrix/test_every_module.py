"""A fix in each core module in turn reaches a lived-in service: red before, green after."""

import json
import shutil
from pathlib import Path

import pytest
from rendering import REPOSITORY

from matrix.asking import ask
from matrix.history import NEWEST, History, make_history, make_next_version, sole, write_manifest
from matrix.lived_in import life
from matrix.model import Outcome
from matrix.recording import shared_folder
from matrix.runner import commit, update

SOURCE = Path("gatehouse/src")
HERE = REPOSITORY / "template" / SOURCE
MODULES = sorted(path.relative_to(HERE).as_posix() for path in HERE.rglob("*.py"))
FIX = "\n\ndef _a_fix_of_the_test() -> str:\n    return __name__\n"

# A module is imported and its fix is called. Migrations are loaded as Alembic does, by their
# path; env.py works only inside of Alembic, so there the definition is looked for.
PROBE = """
import ast, importlib, importlib.util, json, pathlib, sys
def fixed(name):
    path = pathlib.Path("gatehouse/src", name)
    if not path.exists():
        return False
    if name.endswith("migrations/env.py"):
        names = [getattr(part, "name", "") for part in ast.parse(path.read_text()).body]
        return "_a_fix_of_the_test" in names
    if "/migrations/" in name:
        spec = importlib.util.spec_from_file_location("migration", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        dotted = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        module = importlib.import_module(dotted)
    return hasattr(module, "_a_fix_of_the_test") and bool(module._a_fix_of_the_test())
print(json.dumps({name: fixed(name) for name in %s}))
"""
Probed = dict[str, bool]


def fix_every_module(template: Path) -> None:
    make_next_version(template)
    for path in (template / "template" / SOURCE).rglob("*.py"):
        path.write_text(path.read_text() + FIX)
    write_manifest(template / "template/gatehouse")


def probe(service: Path) -> Probed:
    found: Probed = json.loads(ask(service, PROBE % MODULES).splitlines()[-1])
    return found


@pytest.fixture(scope="session")
def probed(history: History, tmp_path_factory: pytest.TempPathFactory) -> tuple[Probed, Probed]:
    """What the probes say before and after the one update that brings every fix."""
    folder = shared_folder(tmp_path_factory, "modules")
    kept = folder / "probed.json"
    with sole(folder / "lock"):
        if not kept.exists():
            fixed = make_history(folder, fix_every_module)
            service = folder / "repository/service"
            shutil.copytree(fixed.base(NEWEST, "defaults"), service, symlinks=True)
            life((NEWEST,), "defaults").apply(service, "demo_service")
            commit(service)
            before = probe(service)
            outcome = Outcome("every module", "core", [NEWEST], "defaults")
            update(service, outcome)
            wrong = [*outcome.wrong, *outcome.conflicts]
            kept.write_text(json.dumps([wrong, before, {} if wrong else probe(service)]))
    wrong, before, after = json.loads(kept.read_text())
    assert wrong == []
    return before, after


@pytest.mark.parametrize("module", MODULES)
def test_a_fix_reaches_a_lived_in_service(probed: tuple[Probed, Probed], module: str) -> None:
    before, after = probed
    assert before[module] is False
    assert after[module] is True
